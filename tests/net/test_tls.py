"""TLS between two engines; certificates made here."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from angaros.net import dane
from angaros.net.tls import ContextCache, TlsError, TlsHooks, TlsSettings
from angaros.net.tls_engine import TlsEngine
from angaros.net.tls_names import matches_name, one_line, standard_cipher_name

CACHE = ContextCache()
DER = serialization.Encoding.DER


class Made:
    """A CA and a server certificate, in files."""

    def __init__(self, directory: Path) -> None:
        self.ca_key = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._certificate("ca", self.ca_key, None, [x509.BasicConstraints(True, None)])
        names = x509.SubjectAlternativeName([x509.DNSName("server1.example.com"), x509.DNSName("*.w.example.com")])
        self.leaf = self._certificate("server1.example.com", self.key, self.ca, [names])
        self.chain, self.keyfile, self.cafile = (str(directory / name) for name in ("chain.pem", "key.pem", "ca.pem"))
        pem = serialization.Encoding.PEM
        Path(self.cafile).write_bytes(self.ca.public_bytes(pem))
        Path(self.chain).write_bytes(self.leaf.public_bytes(pem) + self.ca.public_bytes(pem))
        private = self.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        Path(self.keyfile).write_bytes(private)
        self.server = TlsSettings(True, (self.chain,), (self.keyfile,))

    def issue(self, directory: Path, *names: str, days: int = 5) -> tuple[str, str]:
        """Chain and key file of another server of this CA."""
        leaf = self._certificate(
            names[0], self.key, self.ca, [x509.SubjectAlternativeName([x509.DNSName(n) for n in names])], days
        )
        chain = directory / f"{names[0].replace('*', '_')}{days}.pem"
        pem = serialization.Encoding.PEM
        chain.write_bytes(leaf.public_bytes(pem) + self.ca.public_bytes(pem))
        return str(chain), self.keyfile

    def _certificate(
        self, name: str, key: Any, issuer: x509.Certificate | None, extensions: list[Any], days: int = 5
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "UK"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=issuer.subject if issuer else subject,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=10),
            not_valid_after=now + timedelta(days=days),
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.ca_key, hashes.SHA256())

    def staple(self, path: Path, status: ocsp.OCSPCertStatus, age: int = 0) -> str:
        now = datetime.now(UTC) - timedelta(days=age)
        revoked = now if status == ocsp.OCSPCertStatus.REVOKED else None
        builder = ocsp.OCSPResponseBuilder().add_response(
            self.leaf, self.ca, hashes.SHA1(), status, now, now + timedelta(days=1), revoked, None
        )
        response = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.ca).sign(self.ca_key, hashes.SHA256())
        path.write_bytes(response.public_bytes(DER))
        return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("tls"))


def shake(server: TlsSettings, client: TlsSettings, hooks: TlsHooks | None = None, sni: str = "") -> tuple[TlsEngine, TlsEngine]:
    theirs = CACHE.context(server, time.time()).engine()
    ours = CACHE.context(client, time.time()).with_hooks(hooks or TlsHooks()).engine(sni)
    done = [False, False]
    for _ in range(6):
        for number, (engine, other) in enumerate(((ours, theirs), (theirs, ours))):
            done[number] = done[number] or engine.do_handshake()
            other.feed(engine.take())
        if all(done):
            break
    return theirs, ours


CLIENT = TlsSettings(False)


def test_facts(made: Made) -> None:
    server, client = shake(made.server, CLIENT, sni="x.example")
    facts, theirs = client.facts(), server.facts()
    assert facts.cipher.startswith("TLS1.3:TLS_") and facts.cipher == f"{facts.version}:{facts.cipher_std}:{facts.bits}"
    assert facts.peer_dn == "/C=UK/CN=server1.example.com"
    assert facts.channel_binding == theirs.channel_binding != ""
    assert theirs.sni == "x.example" and not facts.certificate_verified
    client.write(b"hello")
    server.feed(client.take())
    assert server.read() == b"hello"
    client.shutdown()
    server.feed(client.take())
    assert server.read() == b"" and server.closed


def test_old_version_has_the_same_binding(made: Made) -> None:
    server, client = shake(made.server, TlsSettings(False, options=("+no_tlsv1_3",)))
    assert client.facts().version == "TLS1.2"
    assert client.facts().channel_binding == server.facts().channel_binding


def test_verification(made: Made) -> None:
    good = TlsSettings(False, verify="require", authorities=made.cafile)
    _, client = shake(made.server, good, TlsHooks(check_names=["a.w.example.com"]))
    assert client.facts().certificate_verified
    with pytest.raises(TlsError, match=r"\(SSL_connect\): error:0A000086:SSL routines::certificate verify failed") as caught:
        shake(made.server, good, TlsHooks(check_names=["other.example"]))
    mismatch = 'SSL verify error: certificate name mismatch: DN="/C=UK/CN=server1.example.com" H="other.example"'
    assert caught.value.problems == [mismatch]
    _, client = shake(made.server, TlsSettings(False, verify="try"))
    assert not client.facts().certificate_verified and client.problems[0].startswith("SSL verify error: depth=")
    hooks = TlsHooks(on_certificate=lambda depth, certificate: "no" if depth == 0 else None)
    with pytest.raises(TlsError):
        shake(made.server, good, hooks)


@pytest.mark.parametrize(("offered", "text"), [(("smtp",), ""), ((), ""), (("http",), "(handshake): Bad ALPN presented (http)")])
def test_alpn(made: Made, offered: tuple[str, ...], text: str) -> None:
    server = TlsSettings(True, (made.chain,), (made.keyfile,), alpn=("smtp", "esmtp"))
    if not text:
        shake(server, TlsSettings(False, alpn=offered))
        return
    with pytest.raises(TlsError) as caught:
        shake(server, TlsSettings(False, alpn=offered))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"ciphers": "BOGUS"}, "(SSL_CTX_set_cipher_list): error:0A0000B9:SSL routines::no cipher match"),
        (
            {"certificates": ("/non/exist",)},
            "(SSL_CTX_use_certificate_chain_file file=/non/exist): error:80000002:system library::No such file or directory",
        ),
    ],
)
def test_wrong_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(TlsError) as caught:
        CACHE.context(TlsSettings(False, **settings), time.time())
    assert str(caught.value) == text


def test_closed_during_the_handshake(made: Made) -> None:
    engine = CACHE.context(made.server, time.time()).engine()
    assert not engine.do_handshake()
    engine.feed_eof()
    with pytest.raises(TlsError, match="SSL_accept: TCP connection closed by peer"):
        engine.do_handshake()


@pytest.mark.parametrize(
    ("status", "age", "result"),
    [
        (ocsp.OCSPCertStatus.GOOD, 0, 4),
        (ocsp.OCSPCertStatus.REVOKED, -1, "(SSL_connect) Server certificate revoked"),
        (None, 0, "(SSL_connect) Required TLS certificate status not received"),
        (ocsp.OCSPCertStatus.GOOD, 9, "(SSL_connect) Required TLS certificate status not received"),
    ],
)
@pytest.mark.parametrize("options", [(), ("+no_tlsv1_3",)])
def test_ocsp(made: Made, tmp_path: Path, status: Any, age: int, result: Any, options: tuple[str, ...]) -> None:
    files = (made.staple(tmp_path / "o.der", status, max(age, 0)),) if status is not None else ()
    server = TlsSettings(True, (made.chain,), (made.keyfile,), ocsp_files=files, check_validity=age >= 0)
    client = TlsSettings(False, verify="require", authorities=made.cafile, request_ocsp=True, require_ocsp=True, options=options)
    if result == 4:
        assert shake(server, client)[1].facts().ocsp == 4
        return
    with pytest.raises(TlsError) as caught:
        shake(server, client)
    assert str(caught.value) == result


def digest(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_bytes(DER)).digest()


def test_dane(made: Made) -> None:
    spki = made.leaf.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    chain = [made.leaf, made.ca]
    assert dane.verify([(3, 0, 1, digest(made.leaf))], chain, ())
    assert dane.verify([(3, 1, 2, hashlib.sha512(spki).digest())], chain, ())
    assert dane.verify([(3, 1, 0, spki)], chain, ())
    assert not dane.verify([(3, 0, 1, digest(made.ca))], chain, ())
    assert dane.verify([(2, 0, 1, digest(made.ca))], chain, ["server1.example.com"])
    assert not dane.verify([(2, 0, 1, digest(made.ca))], chain, ["other.example.com"])
    assert dane.verify([(2, 0, 0, made.ca.public_bytes(DER))], chain[:1], ["a.w.example.com"])
    assert not dane.verify([(2, 0, 1, digest(made.ca))], chain[:1], ["server1.example.com"])
    assert dane.usable([(1, 0, 1, b"x" * 32), (3, 0, 1, b"x" * 31), (3, 2, 1, b"x" * 32), (3, 0, 3, b"x")]) == []
    _, client = shake(made.server, CLIENT, TlsHooks(tlsa=[(3, 0, 1, digest(made.leaf))]))
    assert client.facts().dane and client.facts().certificate_verified
    with pytest.raises(TlsError):
        shake(made.server, CLIENT, TlsHooks(tlsa=[(3, 0, 1, digest(made.ca))]))


@pytest.mark.parametrize(
    ("name", "good"),
    [("server1.example.com", True), ("SERVER1.example.com.", True), ("a.w.example.com", True), ("a.b.w.example.com", False),
     ("w.example.com", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_names(made: Made, name: str, good: bool) -> None:
    assert matches_name(made.leaf, name) is good


def test_spelling() -> None:
    assert one_line([("C", b"UK"), ("CN", b"a\xc3\n")]) == "/C=UK/CN=a\\xC3\\x0A"
    assert standard_cipher_name("ECDHE-RSA-AES256-GCM-SHA384") == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    assert standard_cipher_name("AES128-SHA") == "TLS_RSA_WITH_AES_128_CBC_SHA"
    assert standard_cipher_name("TLS_AES_256_GCM_SHA384") == "TLS_AES_256_GCM_SHA384"


def test_self_signed_is_made_when_there_is_no_certificate() -> None:
    _, client = shake(TlsSettings(True, self_signed="me.example"), CLIENT)
    assert client.facts().peer_dn == "/C=UK/O=Exim Developers/CN=me.example"


def test_changed_files_make_a_new_context(made: Made, tmp_path: Path) -> None:
    copy = tmp_path / "c.pem"
    copy.write_bytes(Path(made.chain).read_bytes())
    settings = TlsSettings(True, (str(copy),), (made.keyfile,))
    first = CACHE.context(settings, time.time())
    assert CACHE.context(settings, time.time()) is first
    copy.write_bytes(Path(made.chain).read_bytes() + b"\n")
    assert CACHE.context(settings, time.time()) is not first


def test_certificate_by_name(made: Made) -> None:
    asked: list[str] = []
    other = CACHE.context(TlsSettings(True, self_signed="other.example"), time.time())

    def choose(name: str) -> Any:
        asked.append(name)
        if name == "bad.example":
            raise TlsError("no")
        return other if name == "other.example" else None

    def talk(name: str) -> TlsEngine:
        theirs = CACHE.context(made.server, time.time()).with_hooks(TlsHooks(on_sni=choose)).engine()
        ours = CACHE.context(CLIENT, time.time()).engine(name)
        assert not theirs.do_handshake()
        for _ in range(6):
            ours.do_handshake()
            for octet in ours.take():
                theirs.feed(bytes((octet,)))
            try:
                theirs.do_handshake()
            finally:
                ours.feed(theirs.take())
        return ours

    assert talk("other.example").facts().peer_dn.endswith("CN=other.example")
    assert talk("x.example").facts().peer_dn.endswith("CN=server1.example.com")
    with pytest.raises(TlsError, match="SSL_accept"):
        talk("bad.example")
    assert asked == ["other.example", "x.example", "bad.example"]


@pytest.mark.parametrize(("options", "alpn", "early"), [((), (), True), (("+no_tlsv1_3",), (), False), ((), ("http",), False)])
def test_words_before_the_client_has_finished(made: Made, options: tuple[str, ...], alpn: tuple[str, ...], early: bool) -> None:
    """RFC 8446 2: 0.5-RTT data; the handshake ends as ever, and both sides can talk."""
    settings = replace(made.server, options=options, alpn=("smtp",) if alpn else ())
    server = CACHE.context(settings, time.time()).with_hooks(TlsHooks(early_words=b"220 hello\r\n")).engine()
    client = CACHE.context(TlsSettings(False, alpn=alpn), time.time()).engine("")
    client.do_handshake()
    hello = client.take()
    for part in (hello[:50], hello[50:]):  # in pieces, as it may come
        server.feed(part)
        assert not server.do_handshake()
    assert server.spoke_early == early
    client.feed(server.take())
    client.do_handshake()
    assert client.read() == (b"220 hello\r\n" if early else b"") if not options else True
    server.feed(client.take())
    if alpn:
        with pytest.raises(TlsError):
            server.do_handshake()
        return
    assert server.do_handshake()
    client.feed(server.take())
    assert client.do_handshake()
    server.write(b"250 ok\r\n")
    client.feed(server.take())
    client.write(b"EHLO x\r\n")
    server.feed(client.take())
    assert (client.read(), server.read()) == (b"250 ok\r\n", b"EHLO x\r\n")


@pytest.mark.parametrize("direction", ["read", "write"])
def test_a_session_that_breaks_is_a_broken_connection(made: Made, direction: str) -> None:
    """Garbage, or an alert after the handshake (a certificate refused under TLS 1.3): an OSError for whoever uses the stream."""
    _, client = shake(made.server, TlsSettings(False))
    client.feed(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(ConnectionResetError) as broken:
        client.read()
    assert str(broken.value).startswith("(SSL_read): error:") and broken.value.errno and broken.value.strerror
    if direction == "write":
        with pytest.raises(ConnectionResetError, match="SSL_write"):
            client.write(b"x")
