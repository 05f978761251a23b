"""Each main option about TLS and OCSP by what a client over real TLS sees. Exim spec 14, 43

`ROWS` has one check an option; `test_each_option_has_a_row` fails when one is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from angaros.config.main_options import MainOptions
from angaros.config.missing import MISSING, NO_EFFECT
from angaros.daemon.listen import listeners
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.tls import TlsFacts
from angaros.net import openssl_extra
from angaros.net.tls import Resumable, TlsError, TlsHooks, TlsSettings
from angaros.net.tls_config import server_context
from angaros.net.tls_engine import TlsEngine
from tests.inbound import test_tls_on_connect
from tests.inbound.smtp_world import World
from tests.net.test_tls import CACHE, Made

ELSEWHERE = {
    "tls_early_banner_hosts": test_tls_on_connect.test_tls_early_banner_hosts,
}
OTHERS = {"acl_smtp_starttls", "dns_dnssec_ok", "hosts_require_alpn", "openssl_options"}
OURS = {"tls_required_header"}
"""RFC 8689: tests/transports."""
PEER = "192.0.2.7"
OTHER = "192.0.2.8"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("main"))


class Server:
    """A configuration, and clients that shake hands with it."""

    def __init__(self, make: Callable[..., World], made: Made, path: Path) -> None:
        self.make, self.made, self.path = make, made, path
        self.certificate = f"tls_certificate = {made.chain}\ntls_privatekey = {made.keyfile}\n"

    def world(self, main: str) -> World:
        own = "" if "tls_certificate" in main else self.certificate
        return self.make(main=f"{main}\n{own}" if "acl_smtp_rcpt" in main else f"acl_smtp_rcpt = accept\n{main}\n{own}")

    def shake(
        self, main: str, client: TlsSettings | None = None, hooks: TlsHooks | None = None, world: World | None = None
    ) -> tuple[TlsFacts, TlsFacts, TlsEngine, TlsEngine]:
        """Both sides' facts and engines. Raises `TlsError`."""
        world = world or self.world(main)
        scope = Scope(world.services, Session(sender_host_address=PEER, interface_address="192.0.2.1"))
        theirs = server_context(scope).engine()
        settings = client or TlsSettings(False)
        ours = CACHE.context(settings, time.time()).with_hooks(hooks or TlsHooks()).engine("")
        done = [False, False]
        for _ in range(6):
            for number, (engine, other) in enumerate(((ours, theirs), (theirs, ours))):
                done[number] = done[number] or engine.do_handshake()
                other.feed(engine.take())
        assert all(done)
        return theirs.facts(), ours.facts(), theirs, ours

    def refuses(self, main: str, client: TlsSettings | None = None) -> bool:
        try:
            self.shake(main, client)
        except TlsError:
            return True
        return False


TWELVE = TlsSettings(False, options=("+no_tlsv1_3",))
WEAK = "ECDHE-ECDSA-AES128-GCM-SHA256"


def acl_smtp_starttls(s: Server) -> None:
    for acl, code in (("deny", "554"), ("accept hosts = 192.0.2.9", "554")):
        world = s.make(main=f"acl_smtp_starttls = tls\ntls_advertise_hosts = *\n{s.certificate}", acl=f"tls:\n  {acl}\n")
        assert world.greeted().code("STARTTLS") in (code, "550")


class Wire:
    """A waiter that looks at questions."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def exchange_udp(self, address: str, port: int, payload: bytes, **how: object) -> bytes:
        self.asked.append(payload)
        raise TimeoutError

    def share(self, key: object, call: Callable[[], object]) -> object:
        return call()


def dns_dnssec_ok(s: Server) -> None:
    """The DO bit of the OPT record. # RFC 3225 3"""
    from angaros.net.dns import from_config

    for text, asked, sent in (("1", False, True), ("0", True, False), ("-1", True, True), ("-1", False, False)):
        world, wire = s.world(f"dns_dnssec_ok = {text}\ndns_use_edns0 = 1\ndns_retry = 1"), Wire()
        resolver = from_config(world.services.config, wire, world.clock, world.services.random)  # type: ignore[arg-type]
        resolver.query("dom.example", "A", dnssec=asked)
        opt = wire.asked[0].rindex(b"\0\0\x29")
        assert bool(wire.asked[0][opt + 7] & 0x80) == sent, (text, asked)


def hosts_require_alpn(s: Server) -> None:
    assert s.refuses(f"hosts_require_alpn = {PEER}") and not s.refuses(f"hosts_require_alpn = {OTHER}")
    assert not s.refuses(f"hosts_require_alpn = {PEER}", TlsSettings(False, alpn=("smtp",)))


def tls_alpn(s: Server) -> None:
    client = TlsSettings(False, alpn=("x-mail",))
    assert s.refuses("tls_alpn = smtp", client) and not s.refuses("tls_alpn = smtp : x-mail", client)


def openssl_options(s: Server) -> None:
    assert s.shake("openssl_options = +no_tlsv1_3")[0].version == "TLS1.2" and s.shake("")[0].version == "TLS1.3"


def tls_advertise_hosts(s: Server) -> None:
    for hosts, offered in (("*", True), (PEER, True), (OTHER, False), ("", False)):
        world = s.world(f"tls_advertise_hosts = {hosts}")
        assert ("250-STARTTLS" in world.connect().say("EHLO x")) == offered


def certificate(s: Server) -> None:
    """`tls_certificate`, `tls_privatekey`; by SNI see tests/net/test_tls.py."""
    chain, key = s.made.issue(s.path, "second.example")
    both = s.path / "both.pem"
    both.write_text(Path(chain).read_text() + Path(key).read_text())
    for main in (f"tls_certificate = {chain}\ntls_privatekey = ${{lc:{key}}}", f"tls_certificate = {both}"):
        assert "second.example" in str(s.shake(main.replace("${lc:" + key + "}", key))[1].peer_dn)
    assert s.shake("tls_certificate =")[1].peer_dn.endswith("CN=here.test")  # made by ourselves. Exim spec 43.6


def client_of(s: Server, name: str = "client.example") -> TlsSettings:
    chain, key = s.made.issue(s.path, name)
    return TlsSettings(False, (chain,), (key,))


def tls_verify_hosts(s: Server) -> None:
    trusting = f"tls_verify_certificates = {s.made.cafile}\n"
    for hosts, wanted in ((PEER, True), (OTHER, False)):
        twelve = replace(TWELVE)
        assert s.refuses(f"{trusting}tls_verify_hosts = {hosts}", twelve) == wanted
    assert s.shake(f"{trusting}tls_verify_hosts = *", client_of(s))[0].certificate_verified


def tls_try_verify_hosts(s: Server) -> None:
    main = f"tls_verify_certificates = {s.made.cafile}\ntls_try_verify_hosts = {PEER}"
    assert s.shake(main, client_of(s))[0].certificate_verified
    facts = s.shake(main)[0]
    assert not facts.certificate_verified and not facts.peer_dn
    assert not s.shake(f"tls_verify_certificates = {s.made.cafile}", client_of(s))[0].peer_dn  # nobody asked for it


def tls_verify_certificates(s: Server) -> None:
    for authorities, verified in ((s.made.cafile, True), ("/dev/null", False)):
        main = f"tls_try_verify_hosts = *\ntls_verify_certificates = {authorities}"
        assert s.shake(main, client_of(s))[0].certificate_verified == verified


def tls_crl(s: Server) -> None:
    client = client_of(s)
    leaf = x509.load_pem_x509_certificate(Path(client.certificates[0]).read_bytes())
    now = datetime.now(UTC)
    for serial, verified in ((leaf.serial_number, False), (1, True)):
        gone = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(days=1)).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(s.made.ca.subject).last_update(now - timedelta(days=2))
        crl = builder.next_update(now + timedelta(days=2)).add_revoked_certificate(gone).sign(s.made.ca_key, hashes.SHA256())
        file = s.path / f"crl{serial}.pem"
        file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        main = f"tls_try_verify_hosts = *\ntls_verify_certificates = {s.made.cafile}\ntls_crl = {file}"
        assert s.shake(main, client)[0].certificate_verified == verified


def tls_dh_max_bits(s: Server) -> None:
    from angaros.net import dh

    file = s.path / "dh.pem"
    file.write_bytes(dh.named("ike15"))
    for limit, used in (("4096", True), ("2236", False)):
        world = s.world(f"tls_dhparam = {file}\ntls_dh_max_bits = {limit}")
        settings = server_context(Scope(world.services, Session(sender_host_address=PEER))).settings
        assert bool(dh.parameters(settings.dhparam, settings.dh_max_bits)) == used


def tls_dhparam(s: Server) -> None:
    """Which ciphers this makes possible: tests/net/test_dh.py."""
    assert s.refuses("tls_dhparam = ike99") and not s.refuses("tls_dhparam = ${lc:FFDHE3072}")


def tls_eccurve(s: Server) -> None:
    assert not s.refuses("tls_eccurve = P-384") and s.refuses("tls_eccurve = nonesuch")
    assert not s.refuses("tls_eccurve = auto")


def tls_ocsp_file(s: Server) -> None:
    staple = s.made.staple(s.path / "staple.der", ocsp.OCSPCertStatus.GOOD)
    client = TlsSettings(False, request_ocsp=True, verify="try", authorities=s.made.cafile)
    assert s.shake(f"tls_ocsp_file = {staple}", client)[1].ocsp == 4 and s.shake("", client)[1].ocsp == 1


def tls_on_connect_ports(s: Server) -> None:
    world = s.world("daemon_smtp_ports = 25 : 465\ntls_on_connect_ports = 465\nlocal_interfaces = 127.0.0.1")
    assert [(x.port, x.tls_on_connect) for x in listeners(world.services.config)] == [(25, False), (465, True)]


def tls_remember_esmtp(s: Server) -> None:
    for main, kept in (("tls_remember_esmtp", True), ("", False)):
        talk = s.world(f"tls_advertise_hosts = *\n{main}").greeted()
        talk.stream.handshake = TlsFacts(cipher="x")
        assert talk.code("STARTTLS") == "220"
        assert talk.conversation.helo_seen == talk.conversation.esmtp == kept


def tls_require_ciphers(s: Server) -> None:
    assert WEAK in s.shake(f"tls_require_ciphers = {WEAK}", TWELVE)[0].cipher
    assert WEAK not in s.shake("", TWELVE)[0].cipher


def tls_resumption_hosts(s: Server) -> None:
    for hosts, wanted in ((PEER, True), (OTHER, False)):
        world = s.world(f"tls_resumption_hosts = {hosts}")
        client = replace(TWELVE, resumption=True)
        *_, ours = s.shake("", client, world=world)
        session = ours.session()
        *_, theirs, _ = s.shake("", client, TlsHooks(resumable=Resumable(session, 0, False)), world=world)
        assert openssl_extra.session_reused(theirs.connection) == wanted


ROWS: dict[str, Callable[[Server], None]] = {
    "acl_smtp_starttls": acl_smtp_starttls,
    "dns_dnssec_ok": dns_dnssec_ok,
    "hosts_require_alpn": hosts_require_alpn,
    "openssl_options": openssl_options,
    "tls_advertise_hosts": tls_advertise_hosts,
    "tls_alpn": tls_alpn,
    "tls_certificate": certificate,
    "tls_crl": tls_crl,
    "tls_dh_max_bits": tls_dh_max_bits,
    "tls_dhparam": tls_dhparam,
    "tls_eccurve": tls_eccurve,
    "tls_ocsp_file": tls_ocsp_file,
    "tls_on_connect_ports": tls_on_connect_ports,
    "tls_privatekey": certificate,
    "tls_remember_esmtp": tls_remember_esmtp,
    "tls_require_ciphers": tls_require_ciphers,
    "tls_resumption_hosts": tls_resumption_hosts,
    "tls_try_verify_hosts": tls_try_verify_hosts,
    "tls_verify_certificates": tls_verify_certificates,
    "tls_verify_hosts": tls_verify_hosts,
}
"""Option -> its check."""


@pytest.mark.parametrize("option", ROWS)
def test_option(option: str, make_world: Callable[..., World], made: Made, tmp_path: Path) -> None:
    ROWS[option](Server(make_world, made, tmp_path))


def test_each_option_has_a_row() -> None:
    known = {name for name in MainOptions.OPTIONS if name.startswith(("tls_", "gnutls_"))} | OTHERS
    built = {name for name in known if f"main.{name}" not in NO_EFFECT and f"main.{name}" not in MISSING}
    ours = {name for name in built if name.startswith(("tls_ocsp_fetch", "tls_report", "tlsrpt")) or name in OURS}
    assert built - ours == ROWS.keys() | ELSEWHERE.keys()
