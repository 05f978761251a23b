"""TLS options of the smtp transport, with and without, against a server with a real chain. Exim spec 30.4, 43."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from angaros.delivery.callout_session import CalloutSession
from angaros.delivery.options import DeliverOptions
from angaros.model.delivery import Delivery, Host
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.verify import CalloutOptions
from angaros.transports import smtp_resumption
from angaros.transports.smtp_tls import TlsPolicy, client_context
from tests.delivery.world import Sink, World
from tests.net.test_tls import Made

NAME = "mx.dom"
ROUTER = f"r:\n  driver = manualroute\n  route_list = * {NAME}\n  self = send\n  transport = t\n"
ZONES: dict[str, list[Any]] = {NAME: [{"A": "127.0.0.1"}]}


class Peer(Made):
    """A CA, a server of that name and one of another; a client's certificate; another CA; a list of revoked certificates."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.mx, self.keyfile = self.issue(directory, NAME)
        self.other, _ = self.issue(directory, "other.dom")
        self.client, _ = self.issue(directory, "me.dom")
        strange = directory / "strange"
        strange.mkdir()
        self.strange_ca = Made(strange).cafile
        now = datetime.now(UTC)
        pem = serialization.Encoding.PEM
        serial = x509.load_pem_x509_certificate(Path(self.mx).read_bytes()).serial_number
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.ca.subject).last_update(now - timedelta(days=1))
        crl = builder.next_update(now + timedelta(days=1)).add_revoked_certificate(revoked).sign(self.ca_key, hashes.SHA256())
        self.crl = str(directory / "crl.pem")
        Path(self.crl).write_bytes(crl.public_bytes(pem))


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    return Peer(tmp_path_factory.mktemp("tls-options"))


def server(peer: Peer, chain: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain or peer.mx, peer.keyfile)
    return context


def asking(peer: Peer) -> ssl.SSLContext:
    """Wants a certificate of the client."""
    context = server(peer)
    context.load_verify_locations(peer.cafile)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def with_alpn(peer: Peer) -> ssl.SSLContext:
    context = server(peer)
    context.set_alpn_protocols(["smtp"])
    return context


def old(peer: Peer) -> ssl.SSLContext:
    context = server(peer)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def other_name(peer: Peer) -> ssl.SSLContext:
    return server(peer, peer.other)


@dataclass
class Row:
    """Lines without the option and with it (`{x}` is a file of the peer), and what the log or the commands have only with it."""

    without: str
    given: str
    only: str
    tls: Callable[[Peer], ssl.SSLContext] | None = server
    replies: dict[str, str] | None = None
    ehlo: tuple[str, ...] = ()


CLEAR = "delivering unencrypted"
CA = "tls_verify_certificates = {cafile}"
STRICT = "tls_verify_certificates = {cafile}\n  tls_verify_hosts = *"
ROWS = {
    "hosts_avoid_tls": Row("hosts_avoid_tls =", "hosts_avoid_tls = *", "MAIL in the clear"),
    "hosts_require_alpn": Row("tls_alpn = smtp", "tls_alpn = smtp\n  hosts_require_alpn = *", CLEAR),
    "hosts_require_ocsp": Row(CA, f"{CA}\n  hosts_require_ocsp = *", CLEAR),
    "hosts_require_tls": Row("", "hosts_require_tls = *", "a TLS session is required", None),
    "tls_alpn": Row(
        "hosts_require_alpn = *\n  tls_alpn = else", "hosts_require_alpn = *\n  tls_alpn = smtp", " X=TLS1.3:", with_alpn
    ),
    "tls_certificate": Row("", "tls_certificate = {client}\n  tls_privatekey = {keyfile}", "=> x@dom", asking),
    "tls_privatekey": Row(
        "tls_certificate = {client}\n  hosts_require_tls = *",
        "tls_certificate = {client}\n  tls_privatekey = {keyfile}\n  hosts_require_tls = *",
        "=> x@dom",
    ),
    "tls_crl": Row(STRICT, f"{STRICT}\n  tls_crl = {{crl}}", CLEAR),
    "tls_require_ciphers": Row("", "tls_require_ciphers = ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-GCM-SHA256:128", old),
    "tls_tempfail_tryclear": Row(
        "tls_tempfail_tryclear", "no_tls_tempfail_tryclear", "== x@dom", None, {"STARTTLS": "454 not now"}, ("STARTTLS",)
    ),
    "tls_try_verify_hosts": Row(f"{CA}\n  tls_try_verify_hosts = :", CA, " CV=yes "),
    "tls_verify_cert_hostnames": Row(f"{CA}\n  tls_verify_cert_hostnames =", CA, " CV=no ", other_name),
    "tls_verify_certificates": Row("tls_verify_certificates = {strange_ca}", CA, " CV=yes "),
    "tls_verify_hosts": Row(
        "tls_verify_certificates = {strange_ca}", "tls_verify_certificates = {strange_ca}\n  tls_verify_hosts = *", CLEAR
    ),
}  # fmt: skip


def filled(text: str, peer: Peer) -> str:
    for name in ("cafile", "client", "crl", "keyfile", "strange_ca"):
        text = text.replace(f"{{{name}}}", getattr(peer, name))
    return text


def played(row: Row, lines: str, directory: Path, peer: Peer) -> str:
    """The log, and whether the message went in the clear."""
    tls = row.tls(peer) if row.tls is not None else None
    with Sink(row.replies, ehlo=row.ehlo, tls=tls) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  {filled(lines, peer)}\n"
        world = World(directory, ROUTER, transport, zones=ZONES)
        log = world.deliver("x@dom")
    return "\n".join([*log, "" if "STARTTLS" in sink.commands else "MAIL in the clear"])


@pytest.mark.parametrize("name", ROWS)
def test_option(name: str, tmp_path: Path, peer: Peer) -> None:
    row = ROWS[name]
    assert row.only in (seen := played(row, row.given, tmp_path, peer)), seen
    assert row.only not in (seen := played(row, row.without, tmp_path, peer)), seen


@pytest.mark.parametrize(("lines", "wanted"), [("", None), ("tls_sni = sni.$domain", "sni.dom")])
def test_sni(lines: str, wanted: str | None, tmp_path: Path, peer: Peer) -> None:
    context = server(peer)
    seen: list[str | None] = []
    context.sni_callback = lambda _, name, __: seen.append(name)  # type: ignore[assignment]
    with Sink(tls=context) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n"
        World(tmp_path, ROUTER, transport, zones=ZONES).deliver("x@dom")
    assert seen == [wanted]


TLSA = ((3, 1, 1, b"x" * 32),)


@pytest.mark.parametrize(
    ("lines", "plan", "name", "wanted"),
    [
        ("", TlsPolicy(), "request_ocsp", True),
        ("hosts_request_ocsp = :", TlsPolicy(), "request_ocsp", False),
        ("", TlsPolicy(), "resumption", False),
        ("tls_resumption_hosts = *", TlsPolicy(), "resumption", True),
        ("tls_require_ciphers = AES\n  dane_require_tls_ciphers = HIGH", TlsPolicy(), "ciphers", "AES"),
        ("tls_require_ciphers = AES\n  dane_require_tls_ciphers = HIGH", TlsPolicy(tlsa=TLSA), "ciphers", "HIGH"),
        ("tls_require_ciphers = AES", TlsPolicy(tlsa=TLSA), "ciphers", "AES"),
    ],
)
def test_what_the_handshake_is_made_of(lines: str, plan: TlsPolicy, name: str, wanted: object, tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  {lines}\n")
    scope = Scope(world.services, Session(), Message())
    context, _ = client_context(world.config.transports["t"], Host(NAME, "127.0.0.1"), plan, scope)
    assert getattr(context.settings, name) == wanted


@pytest.mark.parametrize(("lines", "kept"), [("", True), ("hosts_nopass_tls = *", False)])
def test_a_session_with_tls_may_have_to_end(lines: str, kept: bool, tmp_path: Path, peer: Peer) -> None:
    with Sink(tls=server(peer)) as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n", zones=ZONES)
        world.deliver("x@dom", options=DeliverOptions(immediate=True, queue_smtp=True))
        log = world.deliver("y@dom")
    assert any(f"{NAME} [127.0.0.1]*" in line for line in log) == kept


@pytest.mark.parametrize(("lines", "secret"), [("", True), ("hosts_verify_avoid_tls = *", False)])
def test_callouts_in_the_clear(lines: str, secret: bool, tmp_path: Path, peer: Peer) -> None:
    with Sink(tls=server(peer)) as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n", zones=ZONES)
        delivery = Delivery("x@dom", local_part="x", domain="dom", transport="t")
        session = CalloutSession(delivery, Host(NAME, "127.0.0.1"), Scope(world.services, Session(), Message()), CalloutOptions())
        session.open()
        session.close()
    assert ("STARTTLS" in sink.commands) == secret


@pytest.mark.parametrize(("lines", "tried"), [("", False), ("hosts_try_auth = *", True), ("hosts_require_auth = *", True)])
def test_authentication_is_tried(lines: str, tried: bool, tmp_path: Path) -> None:
    authenticator = "begin authenticators\na:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n"
    with Sink(ehlo=("AUTH PLAIN",)) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n"
        World(tmp_path, ROUTER, transport, zones=ZONES, retry=f"* * F,5d,10m\n{authenticator}").deliver("x@dom")
    assert any(one.startswith("AUTH PLAIN") for one in sink.commands) == tried


def test_the_name_of_a_farm_for_resumption(tmp_path: Path) -> None:
    world = World(tmp_path, ROUTER, "t:\n  driver = smtp\n  host_name_extract = ${if match{$item}{^250-(\\\\S+)}{$1}}\n")
    scope = Scope(world.services, Session(), Message())
    instance = world.config.transports["t"]
    assert smtp_resumption.server_name(instance, "250-node7.farm.ex hello\n250 HELP", scope) == "node7.farm.ex"
