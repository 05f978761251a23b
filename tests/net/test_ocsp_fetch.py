"""`tls_ocsp_fetch`: staples from a real responder (`openssl ocsp`), and from scripted ones that misbehave."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from angaros.hints.db import HintsDb
from angaros.net.blocking import BlockingWaiter
from angaros.net.ocsp_fetch import FIRST_PAUSE, LONGEST_PAUSE, OcspFetcher, fetcher_of
from angaros.net.tls import ContextCache, TlsSettings
from angaros.net.tls_config import server_settings
from tests.net.fakes import FakeLog, fake_scope
from tests.net.test_tls import DER, Made, shake
from tests.net.web import Web

PEM = serialization.Encoding.PEM


class Clock:
    """The real time and then some: responses carry real dates."""

    def __init__(self) -> None:
        self.later = 0.0

    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.later

    monotonic = now


class Case:
    """A certificate that names a responder on this machine."""

    def __init__(self, directory: Path, port: int) -> None:
        self.made = Made(directory)
        self.directory = directory
        self.chain = str(directory / "named.pem")
        self.leaf = self.certify(port)
        self.scope = fake_scope(
            {}, tls_certificate=self.chain, tls_privatekey=self.made.keyfile, tls_ocsp_fetch=True, spool_directory=str(directory)
        )
        services = self.scope.services
        self.clock = services.clock = Clock()  # type: ignore[assignment]
        services.hints = HintsDb(str(directory / "db"), now=self.clock.now)
        services.waiter = BlockingWaiter()  # type: ignore[assignment]
        self.log: FakeLog = services.log  # type: ignore[assignment]
        self.contexts = ContextCache()

    def certify(self, port: int) -> x509.Certificate:
        """A (new) certificate in the file."""
        place = x509.UniformResourceIdentifier(f"http://127.0.0.1:{port}/ocsp")
        access = x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)])
        names = x509.SubjectAlternativeName([x509.DNSName("named.example")])
        leaf = self.made._certificate("named.example", self.made.key, self.made.ca, [names, access])
        Path(self.chain).write_bytes(leaf.public_bytes(PEM) + self.made.ca.public_bytes(PEM))
        os.utime(self.chain, ns=(leaf.serial_number % 10**15, leaf.serial_number % 10**15))
        return leaf

    @property
    def fetcher(self) -> OcspFetcher:
        return fetcher_of(self.scope.services)

    def stapled(self) -> int:
        """What a client that wants a staple finds (`$tls_out_ocsp`)."""
        settings = server_settings(self.scope)
        client = TlsSettings(False, verify="require", authorities=self.made.cafile, request_ocsp=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.net.test_tls.CACHE", self.contexts)
            return shake(settings, client)[1].facts().ocsp

    def refresh(self) -> int:
        server_settings(self.scope)
        return self.fetcher.refresh_due()

    def response(self, status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD, **how: Any) -> bytes:
        """What a responder would say."""
        now = datetime.now(UTC) + how.get("at", timedelta(0))
        revoked = now if status == ocsp.OCSPCertStatus.REVOKED else None
        builder = ocsp.OCSPResponseBuilder().add_response(
            how.get("leaf", self.leaf), self.made.ca, hashes.SHA1(), status, now, how.get("ends", now + timedelta(days=4)),
            revoked, None,
        ).responder_id(ocsp.OCSPResponderEncoding.NAME, how.get("signer", self.made).ca)  # fmt: skip
        return builder.sign(how.get("signer", self.made).ca_key, hashes.SHA256()).public_bytes(DER)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def responder(tmp_path: Path) -> Iterator[tuple[Case, subprocess.Popen[str]]]:
    """`openssl ocsp` for the case's CA."""
    if shutil.which("openssl") is None:
        pytest.skip("Debian package openssl is missing")
    port = free_port()
    case = Case(tmp_path, port)
    key = tmp_path / "ca.key"
    key.write_bytes(case.made.ca_key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (tmp_path / "index.txt").write_text(f"V\t301231000000Z\t\t{case.leaf.serial_number:040X}\tunknown\t/CN=named.example\n")
    ca = case.made.cafile
    command = [
        "openssl",
        "ocsp",
        "-index",
        "index.txt",
        "-port",
        str(port),
        "-rsigner",
        ca,
        "-rkey",
        str(key),
        "-CA",
        ca,
        "-ndays",
        "4",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    while "waiting for OCSP client" not in (line := process.stdout.readline()) and "ACCEPT" not in line:
        assert line, "openssl ocsp has ended"
    yield case, process
    process.kill()
    process.wait()


def test_a_real_responder(responder: tuple[Case, subprocess.Popen[str]]) -> None:
    case, process = responder
    assert case.stapled() == 1, "nothing yet, and nobody waits"
    assert (case.refresh(), case.log.lines) == (1, [])
    assert case.stapled() == 4
    assert case.refresh() == 0, "it has days to live"
    case.clock.later = 2 * 86400 + 60
    assert case.refresh() == 1, "renewed at half of its life"
    process.kill()
    case.clock.later += 4 * 86400
    assert case.refresh() == 0 and case.log.lines[-1].startswith(f"OCSP: no response for {case.chain} from http://127.0.0.1:")


OK = {"Content-Type": "application/ocsp-response"}
BAD: list[tuple[str, int, Any, str]] = [
    ("refused", 500, b"", "HTTP status 500"),
    ("rubbish", 200, b"hello", "Received TLS status response can not be parsed"),
    ("empty", 200, b"", "Required TLS certificate status not received"),
    ("too long", 200, b"x" * 70000, "more than 65536 octets"),
    ("revoked", 200, {"status": ocsp.OCSPCertStatus.REVOKED}, "Server certificate revoked; reason: unspecified"),
    ("unknown", 200, {"status": ocsp.OCSPCertStatus.UNKNOWN}, "Server certificate status unknown"),
    ("old", 200, {"at": timedelta(days=-9)}, "OCSP dates invalid"),
    ("early", 200, {"at": timedelta(days=1)}, "OCSP dates invalid"),
    ("of another", 200, {"leaf": "other"}, "not for this certificate"),
    ("forged", 200, {"signer": "other"}, "not signed by its issuer"),
]


@pytest.mark.parametrize(("what", "status", "how", "why"), BAD, ids=[row[0] for row in BAD])
def test_bad_responses_are_not_stored(tmp_path: Path, what: str, status: int, how: Any, why: str) -> None:
    with Web({}) as web:
        stranger, case = Made(tmp_path), Case(tmp_path, web.port)
        if isinstance(how, dict):
            given = {"leaf": case.made.leaf} if "leaf" in how else {"signer": stranger} if "signer" in how else how
            how = case.response(**given)
        web.answers["/ocsp"] = (status, OK, how)
        assert case.refresh() == 0 and case.stapled() == 1 and not list((tmp_path).glob("ocsp/*"))
    assert why in case.log.lines[-1]


def test_failures_are_tried_again_ever_more_slowly(tmp_path: Path) -> None:
    with Web({"/ocsp": (503, OK, b"")}) as web:
        case = Case(tmp_path, web.port)
        pause = FIRST_PAUSE
        for number in range(1, 12):
            assert case.refresh() == 0 and len(web.asked) == number
            case.clock.later += pause - 1
            assert case.refresh() == 0 and len(web.asked) == number, "not yet"
            case.clock.later += 2
            pause = min(pause * 2, LONGEST_PAUSE)
        web.answers["/ocsp"] = (200, OK, case.response(at=timedelta(seconds=case.clock.later)))
        assert case.refresh() == 1
        [(method, _, headers, body)] = web.asked[-1:]
    assert method == "POST" and headers["content-type"] == "application/ocsp-request"
    assert ocsp.load_der_ocsp_request(body).serial_number == case.leaf.serial_number


def test_the_old_response_serves_until_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        web.answers["/ocsp"] = (200, OK, case.response(ends=datetime.now(UTC) + timedelta(hours=1)))
        assert case.refresh() == 1 and case.stapled() == 4
        web.answers["/ocsp"] = (500, OK, b"")
        case.clock.later = 1801
        assert case.refresh() == 0 and case.stapled() == 4, "half-way"
        case.contexts.context(server_settings(case.scope), 0.0)
        from angaros.net import tls_engine

        monkeypatch.setattr(tls_engine.time, "time", lambda: case.clock.now() + 3600 * 2)
        assert case.stapled() == 1, "an old one is worse than none"


def test_a_new_certificate_gets_a_new_response(tmp_path: Path) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        web.answers["/ocsp"] = (200, OK, case.response())
        assert case.refresh() == 1 and case.stapled() == 4
        case.leaf = case.certify(web.port)
        assert case.stapled() == 1, "the old response is not for the new certificate"
        web.answers["/ocsp"] = (200, OK, case.response())
        assert case.refresh() == 1 and case.stapled() == 4


def test_a_new_response_keeps_the_context(tmp_path: Path) -> None:
    """The keys of session tickets are the context's, and workers share them."""
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        before = case.contexts.context(server_settings(case.scope), 0.0)
        web.answers["/ocsp"] = (200, OK, case.response())
        assert case.refresh() == 1 and case.stapled() == 4
        assert case.contexts.context(server_settings(case.scope), 0.0) is before


def test_two_certificates(tmp_path: Path) -> None:
    """Each has its own response; a client gets that of the certificate it is shown."""
    with Web({}) as web:
        first, second = tmp_path / "first", tmp_path / "second"
        first.mkdir()
        second.mkdir()
        case, other = Case(first, web.port), Case(second, web.port)
        other.made.key = rsa.generate_private_key(65537, 2048)
        other.leaf = other.certify(web.port)
        key = other.made.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        Path(other.made.keyfile).write_bytes(key)
        files = case.fetcher.files((case.chain, other.chain))
        assert len(set(files)) == 2
        for one in (case, other):
            web.answers["/ocsp"] = (200, OK, one.response())
            case.fetcher._refresh(case.fetcher._look(one.chain))
        server = TlsSettings(True, (case.chain, other.chain), (case.made.keyfile, other.made.keyfile), ocsp_files=files)
        for one, ciphers in ((case, "ECDHE-ECDSA-AES128-GCM-SHA256"), (other, "ECDHE-RSA-AES128-GCM-SHA256")):
            client = TlsSettings(
                False, verify="require", authorities=one.made.cafile, require_ocsp=True, ciphers=ciphers, options=("+no_tlsv1_3",)
            )
            assert shake(server, client)[1].facts().ocsp == 4


def test_only_one_process_fetches(tmp_path: Path) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        web.answers["/ocsp"] = (200, OK, case.response())
        other = OcspFetcher(case.scope.services, f"{tmp_path}/ocsp")
        other.files((case.chain,))
        assert case.refresh() == 1 and other.refresh_due() == 0 and len(web.asked) == 1


def test_a_response_that_was_removed_is_fetched_again(tmp_path: Path) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        web.answers["/ocsp"] = (200, OK, case.response())
        case.refresh()
        for path in tmp_path.glob("ocsp/*"):
            path.unlink()
        assert case.refresh() == 1 and case.stapled() == 4


@pytest.mark.parametrize("what", ["no responder", "no issuer", "no file"])
def test_nothing_to_ask(tmp_path: Path, what: str) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        if what == "no responder":
            Path(case.chain).write_bytes(Path(case.made.chain).read_bytes())
        elif what == "no issuer":
            Path(case.chain).write_bytes(case.leaf.public_bytes(PEM))
        else:
            Path(case.chain).unlink()
        assert case.refresh() == 0 and not web.asked and not case.log.lines


def test_a_file_of_the_administrator_comes_first(tmp_path: Path) -> None:
    with Web({}) as web:
        case = Case(tmp_path, web.port)
        path = tmp_path / "own.der"
        path.write_bytes(case.response())
        config: Any = case.scope.services.config
        config.main = config.main.with_(tls_ocsp_file=str(path))
        assert case.refresh() == 0 and case.stapled() == 4 and not web.asked


def test_off_by_default(tmp_path: Path) -> None:
    scope = fake_scope({}, tls_certificate="/x")
    assert server_settings(scope).ocsp_files == () and "ocsp_fetch" not in scope.services.extra
