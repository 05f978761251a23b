"""TLS sessions resumed: what was found about the peer stays with the session, and the key keeps different judgements apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from angaros.model.delivery import Host
from angaros.net import openssl_extra
from angaros.net.tls import Resumable, TlsError, TlsHooks, TlsSettings
from angaros.net.tls_engine import TlsEngine
from angaros.transports.smtp_resumption import key_of
from tests.net.test_tls import CACHE, Made, shake


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("resume"))


def ticket(server: TlsEngine, client: TlsEngine) -> bytes:
    """The session after the server has said something (TLS 1.3 sends its tickets late)."""
    server.write(b"220 hello\r\n")
    client.feed(server.take())
    client.read()
    return client.session()


@pytest.mark.parametrize("options", [(), ("+no_tlsv1_3",)])
@pytest.mark.parametrize("verified", [True, False])
def test_a_resumed_session_keeps_its_judgement(made: Made, options: tuple[str, ...], verified: bool) -> None:
    server = replace(made.server, resumption=True)
    client = TlsSettings(False, resumption=True, options=options, verify="try", authorities=made.cafile if verified else "")
    theirs, ours = shake(server, client)
    assert ours.facts().certificate_verified == verified and ours.facts().resumption & 16 == 0
    session = ticket(theirs, ours)
    _, again = shake(server, client, TlsHooks(resumable=Resumable(session, 4, verified)))
    assert openssl_extra.session_reused(again.connection)
    assert again.facts().certificate_verified == verified and again.facts().resumption & 16


@pytest.mark.parametrize("options", [(), ("+no_tlsv1_3",)])
@pytest.mark.parametrize("before", [4, 1])
def test_a_required_staple_of_before_counts(made: Made, tmp_path: Path, options: tuple[str, ...], before: int) -> None:
    """A resumed session has no staple, under TLS 1.3 no more than under 1.2."""
    from cryptography.x509 import ocsp

    staple = made.staple(tmp_path / "staple", ocsp.OCSPCertStatus.GOOD)
    server = replace(made.server, resumption=True, ocsp_files=(staple,))
    client = TlsSettings(False, resumption=True, options=options, authorities=made.cafile, request_ocsp=True, require_ocsp=True)
    theirs, ours = shake(server, client)
    assert ours.facts().ocsp == 4
    hooks = TlsHooks(resumable=Resumable(ticket(theirs, ours), before, True))
    if before == 4:
        assert shake(server, client, hooks)[1].facts().ocsp == 4
    else:
        with pytest.raises(TlsError, match="Required TLS certificate status not received"):
            shake(server, client, hooks)


def test_dane_counts_for_a_resumed_session(made: Made) -> None:
    import hashlib

    from tests.net.test_tls import DER

    server, client = replace(made.server, resumption=True), TlsSettings(False, resumption=True)
    anchor = ((2, 0, 1, hashlib.sha256(made.ca.public_bytes(DER)).digest()),)
    hooks = TlsHooks(check_names=("server1.example.com",), tlsa=anchor)
    theirs, ours = shake(server, client, hooks)
    session = ticket(theirs, ours)
    _, again = shake(server, client, replace(hooks, resumable=Resumable(session, 0, True)))
    assert again.facts().dane and again.facts().certificate_verified


def test_the_key_keeps_judgements_apart(made: Made, tmp_path: Path) -> None:
    context = CACHE.context(TlsSettings(False), 0.0)
    host = Host("a.example", address="192.0.2.1")
    plain = key_of(context, host, 25, "", "")
    others = [
        key_of(CACHE.context(TlsSettings(False, verify="require"), 0.0), host, 25, "", ""),
        key_of(context.with_hooks(TlsHooks(check_names=("a.example",))), host, 25, "", ""),
        key_of(context.with_hooks(TlsHooks(tlsa=((3, 1, 1, b"x"),))), host, 25, "", ""),
        key_of(context, Host("a.example", address="192.0.2.2"), 25, "", ""),
        key_of(context, host, 26, "", ""),
        key_of(context, host, 25, "sni", ""),
        key_of(context, host, 25, "", "server-7"),
    ]
    assert len({plain, *others}) == len(others) + 1
