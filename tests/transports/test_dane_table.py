"""DANE: every combination of record, lookup and wish, against a server that answers with a real chain. # Exim spec 43.18

What must never happen: a message in the clear, or over unverified TLS, where the DNS has promised secure TLSA records.
"""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PublicFormat

from angaros.config.config import DriverInstance
from angaros.config.transport_options import TRANSPORTS
from angaros.model.delivery import Host
from angaros.model.interfaces import DnsAnswer
from angaros.model.scope import Scope
from angaros.net.tls import TlsError, TlsHooks, TlsSettings
from angaros.transports.smtp_tls import DaneError, TlsPolicy, policy
from tests.auths.test_mechanisms import scope as bare_scope
from tests.net.test_tls import DER, Made, shake

NAME = "server1.example.com"
USAGES, SELECTORS, MATCHINGS = (0, 1, 2, 3, 9), (0, 1, 2), (0, 1, 2, 3)
WISHES = ("none", "try", "require")
DIGESTS = {0: lambda data: data, 1: lambda data: hashlib.sha256(data).digest(), 2: lambda data: hashlib.sha512(data).digest()}


class Log:
    """Remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, **where: object) -> None:
        self.lines.append(text)


class Dns:
    """One answer for everything."""

    def __init__(self, answer: DnsAnswer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def query(self, name: str, kind: str, **how: Any) -> DnsAnswer:
        self.asked.append(f"{name} {kind}")
        return self.answer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("dane"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Another CA and server, of the same names."""
    return Made(tmp_path_factory.mktemp("stranger"))


def record(made: Made, usage: int, selector: int, matching: int) -> tuple[int, int, int, bytes]:
    """What the owner of `made` would publish."""
    certificate = made.ca if usage in (0, 2) else made.leaf
    data = certificate.public_bytes(DER)
    if selector == 1:
        data = certificate.public_key().public_bytes(DER, PublicFormat.SubjectPublicKeyInfo)
    return usage, selector, matching, DIGESTS.get(matching, DIGESTS[1])(data)


def plan_for(answer: DnsAnswer, wish: str, *, secure_host: bool = True) -> tuple[TlsPolicy | DaneError, Log, Dns]:
    scope: Scope = bare_scope()
    log, dns = Log(), Dns(answer)
    scope.services.log, scope.services.dns = log, dns  # type: ignore[assignment]
    options: dict[str, Any] = {f"hosts_{one}_dane": "*" if wish == one else "" for one in ("try", "require")}
    instance = DriverInstance("remote", "smtp", TRANSPORTS["smtp"](driver="smtp", **options))
    host = Host(NAME, address="192.0.2.1", dnssec=secure_host, certificate_names=[NAME])
    try:
        return policy(instance, host, 25, scope), log, dns
    except DaneError as error:
        return error, log, dns


def answer_of(records: list[tuple[int, int, int, bytes]], *, secure: bool = True) -> DnsAnswer:
    name = f"_25._tcp.{NAME}"
    return DnsAnswer("ok" if records else "nodata", tuple((name, one) for one in records), authenticated=secure)


def connects(made: Made, plan: TlsPolicy, names: tuple[str, ...] = (NAME,)) -> bool:
    """Whether the handshake under this policy succeeds."""
    try:
        _, client = shake(made.server, TlsSettings(False), TlsHooks(check_names=names, tlsa=plan.tlsa), sni=NAME)
    except TlsError:
        return False
    assert client.facts().dane and client.facts().certificate_verified
    return True


@pytest.mark.parametrize(("usage", "selector", "matching"), list(product(USAGES, SELECTORS, MATCHINGS)))
def test_every_record(made: Made, stranger: Made, usage: int, selector: int, matching: int) -> None:
    usable = usage in (2, 3) and selector in (0, 1) and matching in DIGESTS
    for right, secure, secure_host, wish in product((True, False), (True, False), (True, False), WISHES):
        one = record(made if right else stranger, usage, selector, matching)
        plan, log, dns = plan_for(answer_of([one], secure=secure), wish, secure_host=secure_host)
        if wish == "none" or (not secure_host and wish == "try"):
            assert isinstance(plan, TlsPolicy) and not plan.mandatory and not dns.asked
        elif not secure_host:
            assert isinstance(plan, DaneError) and plan.permanent and str(plan) == f"DANE error: {NAME} lookup not DNSSEC"
        elif not secure:
            assert log.lines == [f"DANE error: TLSA lookup for {NAME} not DNSSEC"]
            if wish == "require":
                assert isinstance(plan, DaneError) and plan.permanent
            else:
                assert isinstance(plan, TlsPolicy) and not plan.tlsa
        elif not usable:  # promised, but nothing that can be checked: not in the clear
            assert isinstance(plan, DaneError) and plan.permanent == (wish == "require")
        else:
            assert isinstance(plan, TlsPolicy) and plan.mandatory
            assert connects(made, plan) == right


@pytest.mark.parametrize("wish", ["try", "require"])
@pytest.mark.parametrize("status", ["again", "fail"])
def test_a_lookup_that_fails_puts_the_host_off(status: str, wish: str) -> None:
    plan, _, _ = plan_for(DnsAnswer(status), wish)
    assert isinstance(plan, DaneError) and not plan.permanent and str(plan) == "DANE error: tlsa lookup DEFER"


@pytest.mark.parametrize("status", ["nodata", "nomatch"])
def test_no_record(status: str) -> None:
    plan, _, _ = plan_for(DnsAnswer(status, authenticated=True), "try")
    assert isinstance(plan, TlsPolicy) and not plan.mandatory
    plan, _, _ = plan_for(DnsAnswer(status, authenticated=True), "require")
    assert isinstance(plan, DaneError) and plan.permanent and str(plan) == "DANE error: tlsa lookup FAIL"


def test_one_good_record_among_bad_ones_is_enough(made: Made, stranger: Made) -> None:
    records = [record(stranger, 3, 1, 1), record(made, 0, 0, 1), record(made, 2, 0, 1)]
    plan, _, _ = plan_for(answer_of(records), "try")
    assert isinstance(plan, TlsPolicy) and len(plan.tlsa) == 2
    assert connects(made, plan)


@pytest.mark.parametrize(("usage", "good"), [(2, False), (3, True)])
def test_names_count_under_a_trust_anchor_only(made: Made, usage: int, good: bool) -> None:
    """RFC 7671 5.1, 5.2."""
    plan, _, _ = plan_for(answer_of([record(made, usage, 1, 1)]), "try")
    assert isinstance(plan, TlsPolicy)
    assert connects(made, plan, ("other.example.net",)) == good


@pytest.mark.parametrize(("usage", "good"), [(2, False), (3, True)])
def test_an_expired_certificate(tmp_path: Path, usage: int, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With usage 3 the record's life is what counts. # RFC 7671 5.1"""
    import datetime as module

    class Old(module.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return module.datetime.fromtimestamp(1_500_000_000, tz)

    monkeypatch.setattr("tests.net.test_tls.datetime", Old)
    old = Made(tmp_path)
    plan, _, _ = plan_for(answer_of([record(old, usage, 0, 2)]), "try")
    assert isinstance(plan, TlsPolicy)
    assert connects(old, plan) == good
