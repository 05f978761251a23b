"""What the daemon decides before it serves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from angaros.cli.parse import parse
from angaros.cli.server import pid_file


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("-bd", "/run/x.pid"),
        ("-bd -q30m", "/run/x.pid"),
        ("-bd -oX 2525", ""),
        ("-q30m", ""),
        ("-q30m -oP /tmp/p", "/tmp/p"),
        ("-bd -oX 2525 -oP /tmp/p", "/tmp/p"),
    ],
)
def test_pid_file(arguments: str, path: str) -> None:
    """Exim spec 5.3, -oP"""
    config = SimpleNamespace(main=SimpleNamespace(pid_file_path="/run/x.pid", spool_directory="/spool"))
    context = SimpleNamespace(call=parse("exim", arguments.split()), harness=None)
    assert pid_file(context, config) == path  # type: ignore[arg-type]


def test_pid_file_in_the_spool_directory() -> None:
    config = SimpleNamespace(main=SimpleNamespace(pid_file_path="", spool_directory="/spool"))
    context = SimpleNamespace(call=parse("exim", ["-bd"]), harness=None)
    assert pid_file(context, config) == "/spool/exim-daemon.pid"  # type: ignore[arg-type]
