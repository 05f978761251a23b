"""GSSAPI and GS2-KRB5: the dialogues with a scripted library; the real one with keytabs and garbage, without a KDC.

tests/peers/scenario_kerberos.py has the KDC.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from angaros.auths import base, kerberos
from angaros.auths.sasl import gss
from angaros.config import driver_checks
from angaros.config.native import GSSAPI, find_library
from angaros.model.errors import ConfigError
from tests.auths.test_gsasl import sides
from tests.auths.test_mechanisms import instance

SERVERS = ("heimdal_gssapi", "gsasl", "cyrus_sasl")


class Threads:
    """A waiter that calls at once."""

    def in_thread(self, call: Any) -> Any:
        return call()


class Scripted:
    """A context that stands after `steps` tokens; sealing is a prefix."""

    def __init__(self, key: kerberos.Key, *, steps: int = 1, last: bytes = b"last", name: str = "alice@EXAMPLE.TEST") -> None:
        self.key, self.steps, self.last, self.name = key, steps, last, name
        self.complete = self.closed = False

    def step(self, token: bytes) -> bytes:
        if token == b"bad":
            raise gss.GssError("gss_accept_sec_context: An invalid name was supplied")
        self.steps -= 1
        self.complete = self.steps <= 0
        return self.last if self.complete else b"more"

    def wrap(self, message: bytes) -> bytes:
        return b"sealed:" + message

    def unwrap(self, sealed: bytes) -> bytes:
        if not sealed.startswith(b"sealed:"):
            raise gss.GssError("gss_unwrap: A token had an invalid Message Integrity Check (MIC)")
        return sealed.removeprefix(b"sealed:")

    def peer_name(self) -> str:
        return self.name

    def close(self) -> None:
        self.closed = True


def talk(
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    options: dict[str, str],
    *answers: str,
    public_name: str = "GSSAPI",
    **script: Any,
) -> tuple[base.AuthResult, tuple[str, ...], list[str], Scripted]:
    """The result, `$auth1` and `$auth2`, the reject log, and the context."""
    made: list[Scripted] = []

    def acceptor(key: kerberos.Key, binding: bytes = b"") -> Any:
        made.append(Scripted(key, **script))
        return made[-1]

    monkeypatch.setattr(kerberos.Key, "acceptor", acceptor)
    scope, _ = sides()
    scope.services.waiter = Threads()  # type: ignore[assignment]
    served = base.authenticate(instance(driver, public_name=public_name, **options), scope, None)
    try:
        assert next(served.dialogue) == ""
        for answer in answers:
            served.dialogue.send(answer)
    except StopIteration as stop:
        names = tuple(served.scope.expand(f"$auth{number}") for number in (1, 2))
        return stop.value, names, scope.services.log.lines, made[0]  # type: ignore[attr-defined]
    raise AssertionError("the server waits for more")


CHOICE = "sealed:\x01\0\0\0"
YES = {"server_condition": "true"}


@pytest.mark.parametrize("driver", SERVERS)
@pytest.mark.parametrize(
    ("script", "answers"), [({}, ("t", "", CHOICE)), ({"last": b""}, ("t", CHOICE)), ({"steps": 3}, ("t", "u", "v", "", CHOICE))]
)
def test_the_road_to_success(monkeypatch: pytest.MonkeyPatch, driver: str, script: dict[str, Any], answers: Any) -> None:
    result, names, _, context = talk(monkeypatch, driver, YES, *answers, **script)
    assert result.status == "ok" and names[0] == "alice@EXAMPLE.TEST" and context.closed


@pytest.mark.parametrize(
    ("driver", "authorization", "second"),
    [
        ("heimdal_gssapi", "", "alice@EXAMPLE.TEST"),
        ("heimdal_gssapi", "boss", "boss"),
        ("gsasl", "", ""),
        ("gsasl", "boss", "boss"),
    ],
)
def test_authorization_identity(monkeypatch: pytest.MonkeyPatch, driver: str, authorization: str, second: str) -> None:
    """Exim spec 39.1: when it is empty, `$auth2` is the display name too; 38.1 has no such thing."""
    assert talk(monkeypatch, driver, YES, "t", "", CHOICE + authorization)[1][1] == second


@pytest.mark.parametrize("driver", SERVERS)
@pytest.mark.parametrize(
    "answers",
    [
        ("bad",),
        ("t", "too much"),
        ("t", "", "unsealed"),
        ("t", "", "sealed:"),
        ("t", "", "sealed:\x04\0\xff\xff"),
        ("t", "", CHOICE + "a\0b"),
        ("t", "", CHOICE + "\xff"),
    ],
)
def test_misbehaviour_is_a_failure(monkeypatch: pytest.MonkeyPatch, driver: str, answers: tuple[str, ...]) -> None:
    result, names, log, context = talk(monkeypatch, driver, YES, *answers)
    assert result.status == "fail" and names == ("", "") and context.closed
    assert len(log) == 1 and "GSSAPI" in log[0]


def test_a_context_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    result, *_ = talk(monkeypatch, "heimdal_gssapi", {}, *["t"] * 20, steps=100)
    assert result.status == "fail"


@pytest.mark.parametrize(
    ("driver", "options", "status"),
    [
        ("heimdal_gssapi", {}, "ok"),
        ("heimdal_gssapi", {"server_condition": "${if eq{$auth1}{alice@EXAMPLE.TEST}}"}, "ok"),
        ("heimdal_gssapi", {"server_condition": "no"}, "fail"),
        ("gsasl", {}, "fail"),
        ("gsasl", {"server_condition": "${if eq{$auth1}{alice@EXAMPLE.TEST}}"}, "ok"),
        ("cyrus_sasl", {}, "ok"),
    ],
)
def test_condition(monkeypatch: pytest.MonkeyPatch, driver: str, options: dict[str, str], status: str) -> None:
    """Exim spec 38.1: gsasl's condition must be present."""
    assert talk(monkeypatch, driver, options, "t", "", CHOICE)[0].status == status


@pytest.mark.parametrize(
    ("driver", "options", "key"),
    [
        ("heimdal_gssapi", {}, kerberos.Key("smtp", "mail.test", "")),
        ("heimdal_gssapi", {"server_hostname": "x.${lc:TEST}"}, kerberos.Key("smtp", "x.test", "")),
        ("heimdal_gssapi", {"server_service": "${lc:IMAP}"}, kerberos.Key("imap", "mail.test", "")),
        ("heimdal_gssapi", {"server_keytab": "/etc/${lc:KT}"}, kerberos.Key("smtp", "mail.test", "/etc/kt")),
        ("gsasl", {"server_hostname": "x.test", "server_service": "imap"}, kerberos.Key("imap", "x.test", "")),
        ("cyrus_sasl", {"server_hostname": "x.test", "server_service": "imap"}, kerberos.Key("imap", "x.test", "")),
    ],
)
def test_where_the_key_is(monkeypatch: pytest.MonkeyPatch, driver: str, options: dict[str, str], key: kerberos.Key) -> None:
    assert talk(monkeypatch, driver, YES | options, "t", "", CHOICE)[3].key == key


@pytest.mark.parametrize(
    ("realm", "authorization", "user"),
    [
        ("", "", "alice@EXAMPLE.TEST"),
        ("EXAMPLE.TEST", "", "alice"),
        ("OTHER.TEST", "", "alice@EXAMPLE.TEST"),
        ("EXAMPLE.TEST", "alice", "alice"),
        ("EXAMPLE.TEST", "boss", ""),
    ],
)
def test_cyrus_sasl_users(monkeypatch: pytest.MonkeyPatch, realm: str, authorization: str, user: str) -> None:
    result, names, *_ = talk(monkeypatch, "cyrus_sasl", {"server_realm": realm}, "t", "", CHOICE + authorization)
    assert (result.status, names[0]) == ("ok" if user else "fail", user)


@pytest.mark.parametrize("header", ["", "x,,", "p=tls-exporter,,", "n,", "n,a=b=c,"])
def test_gs2_headers_that_are_none(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    scope, _ = sides()
    dialogue = kerberos.gs2_server(scope, kerberos.Key("smtp", "mail.test"), header or "token")
    with pytest.raises(ValueError, match="GS2"):
        next(dialogue)


def test_frame_of_the_first_token() -> None:
    """RFC 2743 3.1."""
    for size in (0, 100, 200, 300, 70000):
        token = gss.framed(b"x" * size)
        assert token[:1] == b"\x60" and gss.unframed(token) == b"x" * size
    for wrong in (b"", b"\x60", b"\x60\x03abc", b"\x61" + gss.framed(b"x")[1:]):
        with pytest.raises(gss.GssError):
            gss.unframed(wrong)


# --- With the real library ---------------------------------------------------------------------------------------------

needs_library = pytest.mark.skipif(not find_library(*GSSAPI), reason="Debian package libgssapi-krb5-2 is missing")


def keytab(path: Path, host: str) -> str:
    """A file with a random key of `smtp/host@EXAMPLE.TEST` (MIT's keytab format, version 5.2)."""

    def counted(text: str) -> bytes:
        return struct.pack(">H", len(text)) + text.encode()

    principal = struct.pack(">H", 2) + counted("EXAMPLE.TEST") + counted("smtp") + counted(host)
    entry = principal + struct.pack(">IIBHH", 3, 0, 2, 18, 32) + bytes(range(32))
    path.write_bytes(b"\x05\x02" + struct.pack(">i", len(entry)) + entry)
    return str(path)


@needs_library
@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({}, "fail", "gss_accept_sec_context: "),
        ({"server_hostname": "other.test"}, "defer", "smtp/other.test"),
        ({"server_service": "imap"}, "defer", "imap/mail.test"),
        ({"server_keytab": "{path}.none"}, "defer", "not found"),
        ({"server_keytab": "$nonesuch"}, "defer", "nonesuch"),
    ],
)
def test_heimdal_gssapi_options_with_the_real_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], status: str, text: str
) -> None:
    """A key that is there and a token that is garbage: failure. No key: not the client's fault."""
    (tmp_path / "krb5.conf").write_text("[libdefaults]\n default_realm = EXAMPLE.TEST\n dns_canonicalize_hostname = false\n")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    path = keytab(tmp_path / "keytab", "mail.test")
    given = {"server_keytab": path} | {name: value.replace("{path}", path) for name, value in options.items()}
    scope, _ = sides()
    scope.services.waiter = Threads()  # type: ignore[assignment]
    served = base.authenticate(
        instance("heimdal_gssapi", public_name="GSSAPI", **given), scope, gss.framed(b"\1\0garbage").decode("latin-1")
    )
    with pytest.raises(StopIteration) as stop:
        next(served.dialogue)
    result = stop.value.value
    assert result.status == status
    assert text in (result.log_message or "".join(scope.services.log.lines))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("driver", "mechanism"), [("heimdal_gssapi", "GSSAPI"), ("gsasl", "GS2-KRB5"), ("cyrus_sasl", "GSSAPI")])
def test_without_the_library_the_configuration_is_refused(monkeypatch: pytest.MonkeyPatch, driver: str, mechanism: str) -> None:
    driver_checks.check_authenticator(instance("gsasl", public_name="PLAIN"))
    monkeypatch.setattr(driver_checks, "find_library", lambda *names: "")
    with pytest.raises(ConfigError, match=f"driver {driver} needs a GSS-API library"):
        driver_checks.check_authenticator(instance(driver, public_name=mechanism))


def test_a_client_without_a_ticket_tries_the_next_authenticator(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ValueError` before anything was said: transports.smtp_auth takes it for a cancelled attempt."""

    def none(key: kerberos.Key, binding: bytes = b"") -> Any:
        raise gss.NoCredentials("gss_init_sec_context: No Kerberos credentials available")

    monkeypatch.setattr(kerberos.Key, "initiator", none)
    _, scope = sides()
    scope.services.waiter = Threads()  # type: ignore[assignment]
    scope.local["host"] = "mail.test"
    dialogue = base.client(instance("gsasl", public_name="GSSAPI", client_password="x"), scope)
    with pytest.raises(ValueError, match="No Kerberos credentials"):
        next(dialogue)
