"""Two hosts for a domain, each in one of many states: which gets the message, and how. Exim spec 43.18, RFC 7672, RFC 8461

What must never happen: a message in the clear, or over TLS that was not verified as promised, because an earlier host was unfit;
or a host used that DANE or an enforced policy rules out.
"""

from __future__ import annotations

import errno
import hashlib
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PublicFormat

from angaros.model.interfaces import DnsAnswer
from tests.delivery.world import Sink, World
from tests.mailauth.zones import Zones
from tests.net.test_tls import DER, Made
from tests.net.web import server_context
from tests.transports.test_sts_table import ROUTER, keep_policy

NEXT, FAIL, DANE, STS, TLS, CLEAR = "next", "fail", " CV=dane", " CV=sts", " X=TLS", ""
"""The next host; the address fails; delivered, with this in the log line (CLEAR: and no X=)."""
TRIES = 20
HOSTS = {"mx1.dom.example": "127.0.0.2", "mx2.dom.example": "127.0.0.3"}


@dataclass(frozen=True)
class State:
    """A host, and what comes of it with `hosts_try_dane`, `hosts_require_dane`, `hosts_try_dane` under an enforced policy."""

    outcomes: tuple[str, str, str]
    server: str = "right"
    """Whose certificate; `none`: no STARTTLS; `busy`: STARTTLS is put off; `down`: nobody listens."""
    tlsa: str = ""
    """`right`, `wrong`, `unusable`, `again`, `bogus`, `insecure`; none at all."""
    secure: bool = True
    """The host's address is."""
    named: bool = True
    """The policy names the host."""


STATES = {
    "DANE holds": State((DANE, DANE, DANE), tlsa="right"),
    "DANE holds, not in the policy": State((DANE, DANE, DANE), tlsa="right", named=False),
    "DANE holds, another's certificate": State((DANE, DANE, DANE), tlsa="right", server="other"),
    "DANE fails": State((NEXT, NEXT, NEXT), tlsa="wrong"),
    "DANE, no STARTTLS": State((NEXT, NEXT, NEXT), tlsa="right", server="none"),
    "DANE, STARTTLS put off": State((NEXT, NEXT, NEXT), tlsa="right", server="busy"),
    "DANE, down": State((NEXT, NEXT, NEXT), tlsa="right", server="down"),
    "TLSA unusable": State((NEXT, FAIL, NEXT), tlsa="unusable"),
    "TLSA later": State((NEXT, NEXT, NEXT), tlsa="again"),
    "TLSA bogus": State((NEXT, NEXT, NEXT), tlsa="bogus"),
    "TLSA insecure": State((TLS, FAIL, STS), tlsa="insecure"),
    "no TLSA": State((TLS, FAIL, STS)),
    "no TLSA, not in the policy": State((TLS, FAIL, NEXT), named=False),
    "no TLSA, another's certificate": State((TLS, FAIL, NEXT), server="other"),
    "no TLSA, no STARTTLS": State((CLEAR, FAIL, NEXT), server="none"),
    "no TLSA, STARTTLS put off": State((CLEAR, FAIL, NEXT), server="busy"),
    "address insecure": State((TLS, FAIL, STS), tlsa="right", secure=False),
    "address insecure, no STARTTLS": State((CLEAR, FAIL, NEXT), tlsa="right", secure=False, server="none"),
    "no TLSA, down": State((NEXT, FAIL, NEXT), server="down"),
}
WISHES = ("try", "require", "policy")
SECOND = ("DANE holds", "no TLSA", "no TLSA, no STARTTLS", "TLSA later")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("mx"))


@pytest.fixture(scope="module")
def contexts(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ssl.SSLContext]:
    directory = tmp_path_factory.mktemp("servers")
    return {
        "right": server_context(*made.issue(directory, *HOSTS)),
        "other": server_context(*made.issue(directory, "other.example")),
    }


class SignedZones(Zones):
    """All of it is signed but for `insecure`; `statuses` are answers that are none."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        super().__init__(data)
        self.insecure: set[str] = set()
        self.statuses: dict[str, str] = {}

    def query(self, name: str, kind: str, **options: Any) -> DnsAnswer:
        if name in self.statuses:
            return DnsAnswer(self.statuses[name])
        return replace(super().query(name, kind, **options), authenticated=name not in self.insecure)


def zones_for(states: dict[str, State], port: int, made: Made) -> SignedZones:
    rows: dict[str, list[Any]] = {"dom.example": [{"MX": [10 * n, name]} for n, name in enumerate(states, 1)]}
    zones = SignedZones({**rows, **{name: [{"A": HOSTS[name]}] for name in states}})
    key = made.leaf.public_key().public_bytes(DER, PublicFormat.SubjectPublicKeyInfo)
    records = {
        "wrong": (3, 1, 1, hashlib.sha256(b"another key").digest()),
        "unusable": (0, 0, 1, hashlib.sha256(b"a public CA").digest()),
    }
    for name, state in states.items():
        owner = f"_{port}._tcp.{name}"
        if state.tlsa:
            zones.table[owner] = {"TLSA": [records.get(state.tlsa) or (3, 1, 1, hashlib.sha256(key).digest())]}
        if state.tlsa in ("again", "bogus"):
            zones.statuses[owner] = "again" if state.tlsa == "again" else "fail"
        if state.tlsa == "insecure":
            zones.insecure.add(owner)
        if not state.secure:
            zones.insecure.add(name)
    return zones


LINES = {
    "try": "hosts_try_dane = *\n  tls_try_verify_hosts = *",
    "require": "hosts_require_dane = *\n  tls_try_verify_hosts = *",
    "policy": "hosts_try_dane = *\n  hosts_try_mta_sts = *\n  tls_try_verify_hosts = *",
}


class Domain:
    """Its servers are up; `deliver` sends a message to it."""

    def __init__(self, stack: ExitStack, states: dict[str, State], contexts: dict[str, ssl.SSLContext]) -> None:
        self.states = states
        self.sinks: dict[str, Sink] = {}
        self.port = 0
        for tries_left in reversed(range(TRIES)):  # the port that one address gave may be taken on the other
            with ExitStack() as trial:
                try:
                    self._open(trial, contexts)
                except OSError as error:
                    if error.errno != errno.EADDRINUSE or not tries_left:
                        raise
                    continue
                stack.enter_context(trial.pop_all())
                return

    def _open(self, stack: ExitStack, contexts: dict[str, ssl.SSLContext]) -> None:
        self.port = 0
        for name, state in self.states.items():
            busy = state.server == "busy"
            sink = Sink(
                {"STARTTLS": "454 not now"} if busy else None,
                ehlo=("STARTTLS",) if busy else (),
                tls=contexts.get(state.server),
                at=(HOSTS[name], self.port),
            )
            self.sinks[name] = stack.enter_context(sink)
            self.port = sink.port
            if state.server == "down":
                sink.stop()

    def deliver(self, directory: Path, made: Made, wish: str) -> str:
        """The log."""
        lines = f"{LINES[wish]}\n  hosts_try_chunking =\n  tls_verify_certificates = {made.cafile}"
        world = World(directory, ROUTER, f"t:\n  driver = smtp\n  port = {self.port}\n  {lines}\n")
        world.services.dns = zones_for(self.states, self.port, made)
        if wish == "policy":
            keep_policy(world, "enforce", *[name for name, state in self.states.items() if state.named] or ["none.example"])
        return "\n".join(world.deliver("x@dom.example"))


def expected(states: dict[str, State], wish: str) -> tuple[str, str]:
    """Which host gets it, and how."""
    for name, state in states.items():
        outcome = state.outcomes[WISHES.index(wish)]
        if outcome != NEXT:
            return name, outcome
    return "", NEXT


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("first", STATES)
def test_the_order_of_hosts(tmp_path: Path, made: Made, contexts: dict[str, ssl.SSLContext], first: str, wish: str) -> None:
    for second in SECOND:
        states = dict(zip(HOSTS, (STATES[first], STATES[second]), strict=True))
        with ExitStack() as stack:
            domain = Domain(stack, states, contexts)
            log = domain.deliver(tmp_path, made, wish)
        host, outcome = expected(states, wish)
        told = (second, outcome, log)
        got = [name for name, sink in domain.sinks.items() if sink.messages]
        if outcome in (NEXT, FAIL):
            assert not got and f"{'==' if outcome == NEXT else '**'} x@dom.example" in log and "=> " not in log, told
            continue
        assert got == [host], told
        line = next(one for one in log.split("\n") if "=> x@dom.example" in one)
        assert f"H={host} [{HOSTS[host]}]" in line and (outcome in line if outcome else " X=" not in line), told


@pytest.mark.parametrize("wish", ["try", "require"])
def test_an_insecure_mx_record_is_no_promise(
    tmp_path: Path, made: Made, contexts: dict[str, ssl.SSLContext], wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7672 2.2.1: without a secure MX the hosts' own records count for nothing."""
    states = {"mx1.dom.example": STATES["DANE fails"]}
    made_zones = zones_for

    def insecure(*arguments: Any) -> SignedZones:
        zones = made_zones(*arguments)
        zones.insecure.add("dom.example")
        return zones

    monkeypatch.setitem(globals(), "zones_for", insecure)
    with ExitStack() as stack:
        log = Domain(stack, states, contexts).deliver(tmp_path, made, wish)
    assert ("=> x@dom.example" in log) == (wish == "try") and "CV=dane" not in log, log
