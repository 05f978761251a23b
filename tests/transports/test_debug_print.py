"""`debug_print` of a transport, with -v. Exim spec 24"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.world import ME, Sink, World

TEXT = "  debug_print = <\\$host=$host \\$host_address=$host_address>\n"
ROUTE = "r:\n  driver = manualroute\n  route_list = * {hosts}\n  self = send\n  transport = t\n"


@pytest.mark.parametrize(
    ("hosts", "driver", "shown"),
    [
        ("127.0.0.1", "smtp\n  port = {port}", "<$host=127.0.0.1 $host_address=127.0.0.1>"),
        (
            '"one.example:two.example"',
            f"appendfile\n  file = /dev/null\n  {ME}",
            "<$host=one.example:two.example $host_address=>",
        ),
    ],
)
def test_debug_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: str, driver: str, shown: str) -> None:
    with Sink() as sink:
        world = World(tmp_path, ROUTE.format(hosts=hosts), f"t:\n  driver = {driver.format(port=sink.port)}\n{TEXT}")
        said: list[str] = []
        monkeypatch.setattr(world.log, "debugging", lambda selector, **_: selector == "v")
        monkeypatch.setattr(world.log, "debug", lambda selector, text, **_: said.append(text))
        log = world.deliver("x@dom.example")
        assert any("=> x" in line for line in log)
        assert shown in said
