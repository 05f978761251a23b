"""MTA-STS: every combination of policy, wish, host and server, delivered over real TLS. RFC 8461

What must never happen: a message in the clear, or to an unverified server, where a policy is enforced.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PublicFormat

from angaros.delivery.options import DeliverOptions
from angaros.net import http
from angaros.net.mta_sts_cache import DATABASE
from tests.delivery.world import Sink, World
from tests.mailauth.zones import Zones
from tests.net.test_tls import DER, Made
from tests.net.web import Web, server_context
from tests.policy import NOW

ROUTER = "r:\n  driver = dnslookup\n  self = send\n  transport = t\n"
Servers = dict[str, ssl.SSLContext | None]
CERTIFICATES = ("right", "other name", "expired", "unknown CA")
SERVERS = (*CERTIFICATES, "no TLS")
ZONES: dict[str, list[Any]] = {
    "dom.example": [{"MX": [10, "mx.dom.example"]}],
    "mx.dom.example": [{"A": "127.0.0.1"}],
    "mta-sts.dom.example": [{"A": "127.0.0.1"}],
    "_mta-sts.dom.example": [{"TXT": "v=STSv1; id=1;"}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("sts"))


@pytest.fixture(scope="module")
def servers(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Servers:
    directory = tmp_path_factory.mktemp("servers")
    return {
        "right": server_context(*made.issue(directory, "mx.dom.example")),
        "other name": server_context(*made.issue(directory, "other.example")),
        "expired": server_context(*made.issue(directory, "mx.dom.example", days=-1)),
        "unknown CA": server_context(*Made(directory).issue(directory, "mx.dom.example", days=4)),
        "no TLS": None,
    }


def transport(port: int, made: Made, lines: str) -> str:
    given = f"t:\n  driver = smtp\n  port = {port}\n  hosts_try_chunking =\n  {lines}\n"
    return given if "tls_verify_certificates" in lines else f"{given}  tls_verify_certificates = {made.cafile}\n"


def keep_policy(world: World, mode: str, *mx: str, age: int = 86400) -> None:
    """As if it had been fetched."""
    record = {
        "id": "1",
        "mode": mode,
        "mx": list(mx) or ["mx.dom.example"],
        "max_age": age,
        "fetched": NOW,
        "used": NOW,
        "tried": NOW,
        "tried_id": "1",
    }
    world.services.hints.put(DATABASE, "dom.example", {**record, "problem": "", "detail": ""})


def expected(mode: str, wish: str, match: bool, server: str) -> tuple[bool, str]:
    """Whether it is delivered, and what CV= says ("": in the clear)."""
    enforced = wish != "none" and (mode == "enforce" or (mode == "testing" and wish == "require"))
    if wish == "require" and mode in ("absent", "none"):
        return False, ""
    if enforced:
        return match and server == "right", "sts"
    if server == "no TLS":
        return True, ""
    return True, "yes" if server == "right" else "no"


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("wish", ["none", "try", "require"])
def test_every_combination(tmp_path: Path, made: Made, servers: Servers, wish: str, server: str) -> None:
    lines = f"hosts_{wish}_mta_sts = *\n" if wish != "none" else ""
    with Sink(tls=servers[server]) as sink:
        for mode, match in product(("absent", "none", "testing", "enforce"), (True, False)):
            world = World(tmp_path, ROUTER, transport(sink.port, made, lines), zones=ZONES)
            if mode == "absent":
                world.services.dns = Zones({**ZONES, "_mta-sts.dom.example": [{"TXT": "nothing"}]})
            else:
                keep_policy(world, mode, "mx.dom.example" if match else "mail.dom.example")
            sink.messages.clear()
            log = "\n".join(world.deliver("x@dom.example"))
            delivered, verified = expected(mode, wish, match, server)
            assert bool(sink.messages) == delivered, (mode, match, log)
            assert ("=> x@dom.example" in log) == delivered and ("== x@dom.example" in log) != delivered, log
            if delivered:
                assert (f" CV={verified}" in log) if verified else (" X=" not in log), (mode, match, log)


HOST = "H=mx.dom.example [127.0.0.1]: "
LINES = [
    ("enforce", "try", "right", False, HOST + "MTA-STS error: mx.dom.example is not in the policy of dom.example (enforce)"),
    (
        "testing",
        "try",
        "right",
        False,
        "MTA-STS: mx.dom.example is not in the policy of dom.example (testing)",
    ),
    ("none", "require", "right", True, HOST + "MTA-STS error: no policy of dom.example (required)"),
    ("enforce", "try", "no TLS", True, HOST + "a TLS session is required, but the server did not offer TLS support"),
    (
        "enforce",
        "try",
        "other name",
        True,
        "MTA-STS policy of dom.example not met; TLS connection to mx.dom.",
    ),
]


@pytest.mark.parametrize(("mode", "wish", "server", "match", "line"), LINES)
def test_log_lines(
    tmp_path: Path, made: Made, servers: Servers, mode: str, wish: str, server: str, match: bool, line: str
) -> None:
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, f"hosts_{wish}_mta_sts = *"), zones=ZONES)
        keep_policy(world, mode, "mx.dom.example" if match else "mail.dom.example")
        log = world.deliver("x@dom.example")
    assert any(one.startswith(line) for one in log), log


def test_the_next_host_is_tried(tmp_path: Path, made: Made, servers: Servers) -> None:
    zones = {**ZONES, "dom.example": [{"MX": [5, "bad.dom.example"]}, {"MX": [10, "mx.dom.example"]}]}
    zones["bad.dom.example"] = [{"A": "127.0.0.2"}]
    with Sink(tls=servers["right"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), zones=zones)
        keep_policy(world, "enforce")
        log = "\n".join(world.deliver("x@dom.example"))
    assert "bad.dom.example is not in the policy" in log and "=> x@dom.example" in log and "H=mx.dom.example [127.0.0.1]" in log


@pytest.mark.parametrize(
    "lines",
    [
        "tls_try_verify_hosts =",
        "tls_verify_cert_hostnames =",
        "tls_verify_certificates =",
        "hosts_avoid_tls = *",
        "tls_tempfail_tryclear = true",
    ],
)
@pytest.mark.parametrize("server", ["unknown CA", "other name", "no TLS"])
def test_no_option_softens_a_policy(tmp_path: Path, made: Made, servers: Servers, server: str, lines: str) -> None:
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, f"hosts_try_mta_sts = *\n  {lines}"), zones=ZONES)
        keep_policy(world, "enforce")
        log = "\n".join(world.deliver("x@dom.example"))
    assert not sink.messages and "== x@dom.example" in log


def test_tls_that_breaks_is_not_followed_by_clear_text(tmp_path: Path, made: Made) -> None:
    with Sink({"STARTTLS": "454 not now"}, ehlo=("STARTTLS",)) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), zones=ZONES)
        keep_policy(world, "enforce")
        world.deliver("x@dom.example")
    assert not sink.messages


class SecureZones(Zones):
    """Everything is signed."""

    def query(self, name: str, kind: str, **options: Any) -> Any:
        from dataclasses import replace

        return replace(super().query(name, kind, **options), authenticated=True)


@pytest.mark.parametrize("right", [True, False])
def test_dane_comes_first(tmp_path: Path, made: Made, servers: Servers, right: bool) -> None:
    """RFC 8461 2: a host with TLSA records follows them, whatever the policy says; it fails with them too."""
    key = made.leaf.public_key().public_bytes(DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(key if right else b"other").digest()
    with Sink(tls=servers["other name"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *\n  hosts_try_dane = *"), zones=ZONES)
        zones = SecureZones(ZONES)
        zones.table[f"_{sink.port}._tcp.mx.dom.example"] = {"TLSA": [(3, 1, 1, digest)]}
        world.services.dns = zones
        keep_policy(world, "enforce", "mail.dom.example")
        log = "\n".join(world.deliver("x@dom.example"))
    assert bool(sink.messages) == right and ("CV=dane" in log) == right and "MTA-STS" not in log


def test_domains_do_not_share_a_connection(tmp_path: Path, made: Made, servers: Servers) -> None:
    """The policy of one must not decide for the other."""
    zones = {**ZONES, "free.example": [{"MX": [10, "mx.dom.example"]}]}
    with Sink(tls=servers["unknown CA"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), zones=zones)
        keep_policy(world, "enforce")
        log = "\n".join(world.deliver("x@dom.example", "y@free.example"))
    assert "== x@dom.example" in log and "=> y@free.example" in log


@pytest.mark.parametrize("server", ["unknown CA", "no TLS", "right"])
def test_a_domain_cannot_block_a_host_for_others(tmp_path: Path, made: Made, servers: Servers, server: str) -> None:
    """Else anybody could stop mail to a large provider by a policy of his own."""
    zones = {**ZONES, "free.example": [{"MX": [10, "mx.dom.example"]}]}
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), zones=zones)
        keep_policy(world, "enforce", "mail.dom.example" if server == "right" else "mx.dom.example")
        assert "== x@dom.example" in "\n".join(world.deliver("x@dom.example"))
        log = "\n".join(world.deliver("y@free.example", options=DeliverOptions()))
    assert "=> y@free.example" in log
    assert all(key.count(":") > 2 for key, _, _ in world.services.hints.items("retry")), "records for the message only"


def test_variables(tmp_path: Path, made: Made, servers: Servers) -> None:
    headers = "headers_add = X-Policy: $mta_sts_domain $mta_sts_mode $mta_sts_id"
    with Sink(tls=servers["right"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, f"hosts_try_mta_sts = *\n  {headers}"), zones=ZONES)
        keep_policy(world, "testing")
        world.deliver("x@dom.example")
        keep_policy(world, "enforce")
        world.deliver("x@dom.example")
        world.services.dns = Zones({**ZONES, "_mta-sts.dom.example": []})
        world.services.hints.delete(DATABASE, "dom.example")
        world.deliver("x@dom.example")
    found = [next(line for line in text.splitlines() if line.startswith("X-Policy:")) for text in sink.messages]
    assert found == ["X-Policy: dom.example testing 1", "X-Policy: dom.example enforce 1", "X-Policy: dom.example none "]


def test_address_test_shows_it(tmp_path: Path, made: Made) -> None:
    from angaros.delivery.address_test import AddressTester
    from angaros.model.scope import Scope
    from angaros.routers.outcome import Mode

    zones = {**ZONES, "dom.example": [{"MX": [5, "bad.dom.example"]}, {"MX": [10, "mx.dom.example"]}]}
    zones["bad.dom.example"] = [{"A": "127.0.0.2"}]
    world = World(tmp_path, ROUTER, transport(25, made, "hosts_try_mta_sts = *"), zones=zones)
    keep_policy(world, "enforce")
    out: list[str] = []
    AddressTester(Scope(world.services), out.append, mode=Mode.ADDRESS_TEST, full=True, admin=True).test("x@dom.example")
    assert "MX=5 STS=refused" in "".join(out) and "MX=10 STS=enforce" in "".join(out)


# --- From the DNS and a web server to the delivery ----------------------------------------------------------------------


@pytest.fixture
def web(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    text = b"version: STSv1\r\nmode: enforce\r\nmx: mx.dom.example\r\nmax_age: 604800\r\n"
    context = server_context(*made.issue(tmp_path, "mta-sts.dom.example"))
    with Web({"/.well-known/mta-sts.txt": (200, {"Content-Type": "text/plain"}, text)}, context) as found:
        monkeypatch.setitem(http.PORTS, "https", found.port)
        yield found


@pytest.mark.parametrize("server", ["right", "other name"])
def test_all_the_way(tmp_path: Path, made: Made, servers: Servers, web: Web, server: str) -> None:
    main = f"mta_sts_verify_certificates = {made.cafile}"
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), main=main, zones=ZONES)
        log = "\n".join(world.deliver("x@dom.example", "y@dom.example"))
        assert ("CV=sts" in log) == bool(sink.messages) == (server == "right"), log
    assert len(web.asked) == 1


def test_a_callout_keeps_the_policy(tmp_path: Path, made: Made, servers: Servers) -> None:
    """A refused host is no crash of the callout, and nothing is said to it in the clear."""
    from angaros.model.scope import Scope
    from angaros.model.session import Session
    from angaros.model.verify import CalloutOptions, VerifyOptions

    with Sink(tls=servers["unknown CA"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), zones=ZONES)
        keep_policy(world, "enforce", "mail.dom.example")
        scope = Scope(world.services, Session(sender_host_address="192.0.2.1"))
        options = VerifyOptions(callout=CalloutOptions())
        found = world.services.verifier.verify_address("x@dom.example", scope, is_recipient=True, options=options)
    assert not sink.commands and "MTA-STS error: mx.dom.example is not in the policy" in json.dumps([str(found)])
