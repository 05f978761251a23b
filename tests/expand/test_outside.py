"""Items that reach outside: Perl, Python, sockets, certificates, RADIUS packets."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path

import pytest

from angaros.expand.conditions import radius
from angaros.model.errors import ForcedFailure
from angaros.model.scope import Scope
from angaros.model.tls import TlsFacts
from tests.expand.conftest import shown

PERL = r"""
sub add { my ($a, $b) = @_; return $a + $b }
sub none { return undef }
sub bad { die "no way\n" }
sub ask { return Exim::expand_string($_[0]) }
sub note { Exim::log_write("from Perl"); return "noted" }
sub counter { our $n; return ++$n }
sub leave { exit 3 }
"""
needs_perl = pytest.mark.skipif(not Path("/usr/bin/perl").exists(), reason="Debian package perl is missing")


@pytest.fixture
def perl(scope: Scope) -> Scope:
    """With subroutines."""
    scope.services.config.main.perl_startup = PERL  # type: ignore[misc]
    return scope


@needs_perl
def test_perl(perl: Scope) -> None:
    assert shown("${perl{add}{3}{4}}", perl) == "7"
    assert shown("${perl{bad}}", perl) == "Failed: no way\n"
    assert shown("${perl{nothing}}", perl) == "Failed: Undefined subroutine &main::nothing called.\n"
    assert shown("${perl{ask}{\\$primary_hostname}}", perl) == "myhost.test.ex"
    assert shown("${perl{ask}{\\$nope}}", perl).startswith(
        'Failed: syntax error in Exim::expand_string argument: unknown variable name "nope" at '
    )
    assert shown("${perl{note}}", perl) == "noted" and perl.services.log.lines == ["from Perl"]  # type: ignore[attr-defined]
    with pytest.raises(ForcedFailure, match='Perl subroutine "none" returned undef to force failure'):
        perl.expand("${perl{none}}")


@needs_perl
def test_perl_keeps_state_and_is_restarted(perl: Scope) -> None:
    assert [shown("${perl{counter}}", perl) for _ in range(3)] == ["1", "2", "3"]
    assert shown("${perl{leave}}", perl).startswith("Failed: Perl process died")
    assert shown("${perl{counter}}", perl) == "1"


@needs_perl
def test_perl_startup_errors(scope: Scope) -> None:
    scope.services.config.main.perl_startup = "die 'broken'"  # type: ignore[misc]
    assert shown("${perl{x}}", scope).startswith("Failed: broken at ")


def test_python(scope: Scope, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "def add(a: int, b: int): return a + b\ndef turn(items: list): return items[::-1]\n"
        "def none(): return None\ndef bad(): raise ValueError('oops')\ndef _hidden(): return 'x'\n"
    )
    assert shown("${python{add}{1}{2}}", scope) == "Failed: A setting of python_startup is needed when using Python functions"
    scope.services.config.main.python_startup = str(hooks)  # type: ignore[misc]
    assert shown("${python{hooks:add}{3}{4}}", scope) == "7"
    assert shown("${python{turn}{a:b::c}}", scope) == "b::c:a"
    assert shown("${python{bad}}", scope) == 'Failed: Python function "bad" failed: ValueError: oops'
    assert "Traceback" in scope.services.log.lines[-1]  # type: ignore[attr-defined]
    for name in ("_hidden", "os:system", "hooks:nope"):
        assert "LookupError" in shown(f"${{python{{{name}}}}}", scope)
    with pytest.raises(ForcedFailure):
        scope.expand("${python{none}}")


def serve(listener: socket.socket, answers: list[bytes]) -> threading.Thread:
    """Answer one connection after the other."""

    def run() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_readsocket(scope: Scope, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = serve(listener, [b"one\ntwo\n", b"one\ntwo\n", b"kept"])
        assert shown(f"${{readsocket{{{path}}}{{Q\\n}}}}", scope) == "one\ntwo\n"
        assert shown(f"${{readsocket{{{path}}}{{Q\\n}}{{2s:shutdown=no}}{{;}}}}", scope) == "one;two;"
        cached = f"${{readsocket{{{path}}}{{Q\\n}}{{2s:cache=yes}}}}"
        assert [shown(cached, scope), shown(cached, scope)] == ["kept", "kept"]
        thread.join(5)


def test_readsocket_of_a_peer_that_has_gone(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have answered before it closed: that we cannot close our half any more is no failure."""

    class Gone:
        def __init__(self) -> None:
            self.answer = [b"said", b""]

        def write(self, data: bytes, timeout: int) -> None: ...

        def shutdown_write(self) -> None:
            raise OSError(107, "Transport endpoint is not connected")

        def read(self, size: int, timeout: int) -> bytes:
            return self.answer.pop(0)

        def close(self) -> None: ...

    asked: list[str] = []
    monkeypatch.setattr(
        type(scope.services.waiter), "connect", lambda self, address, port, timeout: asked.append(address) or Gone(), raising=True
    )
    assert shown("${readsocket{inet:127.1:25}{Q}{1s}{}{sock error}}", scope) == "said"
    assert asked == ["127.0.0.1"]  # short forms of addresses are addresses


def test_certextract(scope: Scope) -> None:
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"), x509.NameAttribute(NameOID.COMMON_NAME, "mx.example")]
    )
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 0x1234, datetime(2020, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
    )
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("a.example"), x509.DNSName("b.example"), x509.RFC822Name("c@example")]
    )
    certificate = builder.add_extension(alternatives, False).sign(key, None)
    assert scope.session is not None
    scope.session.tls = TlsFacts(peer_certificate=certificate.public_bytes(Encoding.PEM))
    for field, result in (
        ("version", "2"),
        ("serial_number", "1234"),
        ("subject", "CN=mx.example,O=Org"),
        ("issuer,O", "Org"),
        ("notbefore,int", "1577836800"),
        ("sig_algorithm", "ED25519"),
        ("subj_altname,>;", "MAIL=c@example;DNS=b.example;DNS=a.example"),
        ("subj_altname,dns,>:", "b.example:a.example"),
        ("ocsp_uri", ""),
    ):
        assert shown(f"${{certextract{{{field}}}{{$tls_in_peercert}}}}", scope) == result
    assert shown("${certextract{nope}{$tls_in_peercert}}", scope).startswith("Failed: bad field selector")
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    assert shown("${sha256:$tls_in_peercert}", scope) == digest
    assert shown("${md5:$tls_in_peercert}", scope) == hashlib.md5(certificate.public_bytes(Encoding.DER)).hexdigest()
    assert shown("${base64:$tls_in_peercert}", scope).startswith("-----BEGIN CERTIFICATE-----")


def test_authresults(scope: Scope) -> None:
    assert shown("${authresults{mx.example}}", scope) == "Authentication-Results: mx.example"
    assert scope.session is not None
    session = scope.session
    session.sender_host_address, session.sender_host_name, session.host_name_looked_up = "192.0.2.1", "h.example", True
    scope.services.extra["authresults"] = {"spf": lambda scope: ";\n\tspf=pass"}
    expected = "Authentication-Results: mx;\n\tiprev=pass (h.example) smtp.remote-ip=192.0.2.1;\n\tspf=pass"
    assert shown("${authresults{mx}}", scope) == expected


def test_radius_packets() -> None:
    secret, authenticator = b"xyzzy5461", bytes.fromhex("0f403f9473978057bd83d5cb98f4227a")
    # The example of RFC 2865 7.1.
    assert radius.hide_password(b"arctangent", secret, authenticator).hex() == "0dbe708d93d413ce3196e43f782a0aee"
    head = bytes((2, 0)) + (20).to_bytes(2, "big")
    answer = head + hashlib.md5(head + authenticator + secret).digest()
    assert radius.check_answer(answer, secret, authenticator, 0) == 2
    assert radius.check_answer(answer[:-1] + b"\0", secret, authenticator, 0) is None
    assert radius.check_answer(answer, secret, authenticator, 1) is None


def test_radius_without_configuration(scope: Scope) -> None:
    assert shown("${if radius{a:b}}", scope) == 'Failed: support for "radius" not compiled'
