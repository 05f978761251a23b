"""The drivers gsasl, cyrus_sasl and spa: client against server through their options."""

from __future__ import annotations

from typing import Any

import pytest

from angaros.auths import base, gsasl
from angaros.config.driver_checks import SASL_MECHANISMS
from angaros.model.delivery import Delivery
from angaros.model.scope import Scope
from angaros.model.tls import TlsFacts
from tests.auths.test_mechanisms import instance, scope

TLS = TlsFacts(version="TLS1.3", channel_binding="AAECAwQFBgc=")


class Quiet:
    """A log that remembers what the reject log is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, **where: object) -> None:
        self.lines.append(text)

    def debug(self, *texts: object, **where: object) -> None: ...

    def debugging(self, *selectors: object, **where: object) -> bool:
        return False


def sides() -> tuple[Scope, Scope]:
    server, client = scope(), scope()
    server.services.log = Quiet()  # type: ignore[assignment]
    assert server.session is not None
    server.session.tls = TLS
    client.delivery = Delivery("a@b")
    client.delivery.extra["tls_out"] = TLS
    return server, client


def exchange(
    server_options: dict[str, Any], client_options: dict[str, Any], driver: str = "gsasl"
) -> tuple[str, str, Scope, Scope]:
    """Run both sides to the end: status and set_id of the server, and the scopes."""
    server_scope, client_scope = sides()
    dialogue = base.client(instance(driver, **client_options), client_scope)
    first = next(dialogue)
    authentication = base.authenticate(instance(driver, **server_options), server_scope, first or None)
    try:
        challenge = next(authentication.dialogue)
        if not first:
            challenge = authentication.dialogue.send(dialogue.send(challenge))
        while True:
            challenge = authentication.dialogue.send(dialogue.send(challenge))
    except StopIteration as stop:
        return stop.value.status, authentication.set_id(), authentication.scope, client_scope


PASSWORD = {"client_username": "ph10", "client_password": "pencil"}
SECRET = {"server_password": "${if eq{$auth1}{ph10}{pencil}fail}", "server_set_id": "$auth1"}
CONDITION = {"server_condition": "${if and{{eq{$auth1}{ph10}}{eq{$auth3}{pencil}}}}", "server_set_id": "$auth1"}
CASES = [
    *[(name, SECRET) for name in sorted(gsasl.SERVERS) if name.startswith("SCRAM")],
    ("CRAM-MD5", SECRET),
    ("PLAIN", CONDITION),
    ("LOGIN", CONDITION),
    ("OAUTHBEARER", CONDITION),
    ("XOAUTH2", CONDITION),
]


@pytest.mark.parametrize(("mechanism", "options"), CASES)
@pytest.mark.parametrize("good", [True, False])
def test_client_meets_server(mechanism: str, options: dict[str, Any], good: bool) -> None:
    wrong = {} if good else {"client_password": "other"}
    status, set_id, _, _ = exchange({"public_name": mechanism, **options}, {"public_name": mechanism, **PASSWORD, **wrong})
    assert (status, set_id) == ("ok" if good else "fail", "ph10")


def test_all_mechanisms_are_known_to_the_reader() -> None:
    assert sorted(gsasl.SERVERS) == sorted(SASL_MECHANISMS["gsasl"])


def test_an_unknown_mechanism_is_refused_when_it_is_read() -> None:
    from angaros.config.driver_checks import check_authenticator
    from angaros.model.errors import ConfigError

    with pytest.raises(ConfigError, match='GNU SASL does not support mechanism "NONESUCH"'):
        check_authenticator(instance("gsasl", public_name="NONESUCH"))


def test_stored_keys_count_before_the_password() -> None:
    """The keys of RFC 5802's example password and salt."""
    options = {
        "public_name": "SCRAM-SHA-1",
        "server_key": "D+CSWLOshSulAsxiupA+qs2/fTE=",
        "server_skey": "6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
        "server_scram_salt": "QSXCR+Q6sek8bf92",
        "server_password": "unset_password",
    }
    salted = {"client_spassword": "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d", "client_username": "ph10", "client_password": "x"}
    status, _, _, client = exchange(options, {"public_name": "SCRAM-SHA-1", **salted})
    assert status == "ok"
    assert client.local["auth2"] == "4096" and client.local["auth4"] == salted["client_spassword"]


def test_a_client_notices_a_server_that_proves_nothing() -> None:
    _, client_scope = sides()
    dialogue = base.client(instance("gsasl", public_name="SCRAM-SHA-256", **PASSWORD), client_scope)
    first = next(dialogue)
    nonce = first.rpartition("r=")[2]
    dialogue.send(f"r={nonce}abc,s=AAAA,i=4096")
    with pytest.raises(ValueError, match="did not prove"):
        dialogue.close()


def test_plus_needs_the_same_channel() -> None:
    server_scope, client_scope = sides()
    assert client_scope.delivery is not None
    client_scope.delivery.extra["tls_out"] = TlsFacts(version="TLS1.3", channel_binding="BBBBBBBBBBA=")
    options = {"public_name": "SCRAM-SHA-256-PLUS"}
    dialogue = base.client(instance("gsasl", **options, **PASSWORD), client_scope)
    authentication = base.authenticate(instance("gsasl", **options, **SECRET), server_scope, next(dialogue))
    challenge = next(authentication.dialogue)
    with pytest.raises(StopIteration) as stop:
        authentication.dialogue.send(dialogue.send(challenge))
    assert stop.value.value.status == "fail"


@pytest.mark.parametrize(
    ("password", "status"), [("ok", "ok"), ("no", "fail"), ("${if eq{a}{b}{x}fail}", "fail"), ("$nonesuch", "defer")]
)
def test_spa(password: str, status: str) -> None:
    server_scope, client_scope = sides()
    dialogue = base.client(instance("spa", client_username="u", client_password="ok"), client_scope)
    authentication = base.authenticate(instance("spa", server_password=password, server_set_id="$auth1"), server_scope, None)
    import base64

    assert next(dialogue) == ""
    assert next(authentication.dialogue) == "NTLM supported"
    negotiate = dialogue.send("NTLM supported")
    challenge = authentication.dialogue.send(base64.b64encode(negotiate.encode("latin-1")).decode())
    answer = dialogue.send(base64.b64decode(challenge).decode("latin-1"))
    with pytest.raises(StopIteration) as stop:
        authentication.dialogue.send(base64.b64encode(answer.encode("latin-1")).decode())
    assert stop.value.value.status == status
    assert authentication.set_id() == "u"


@pytest.mark.parametrize("line", ["teststring", "dGVzdHN0cmluZw=="])
def test_spa_refuses_nonsense(line: str) -> None:
    authentication = base.authenticate(instance("spa", server_password="x"), scope(), None)
    next(authentication.dialogue)
    with pytest.raises(StopIteration) as stop:
        authentication.dialogue.send(line)
        authentication.dialogue.send(line)
    assert stop.value.value.status == "fail"


@pytest.mark.parametrize(("answer", "status"), [(True, "ok"), (False, "fail"), (None, "fail")])
def test_cyrus_sasl_asks_saslauthd(monkeypatch: pytest.MonkeyPatch, answer: bool | None, status: str) -> None:
    from angaros.auths import cyrus_sasl
    from angaros.model.errors import ExpansionError

    asked: list[list[str]] = []

    def ask(fields: list[str], scope: Scope) -> bool:
        asked.append(fields)
        if answer is None:
            raise ExpansionError("no daemon")
        return answer

    monkeypatch.setattr(cyrus_sasl, "ask_saslauthd", ask)
    server_scope, _ = sides()
    made = instance("cyrus_sasl", public_name="PLAIN", server_set_id="$auth1", server_realm="r")
    authentication = base.authenticate(made, server_scope, "\0ph10\0pw")
    with pytest.raises(StopIteration) as stop:
        next(authentication.dialogue)
    assert stop.value.value.status == status and authentication.set_id() == "ph10"
    assert asked == [["ph10", "pw", "smtp", "r"]]


def test_every_driver_is_there() -> None:
    """No authenticator can be configured that has no module."""
    from importlib.util import find_spec

    from angaros.config.auth_options import AUTHENTICATORS

    built = {name for name in AUTHENTICATORS if find_spec(f"angaros.auths.{name}") is not None}
    assert built == set(base.DRIVERS) == set(AUTHENTICATORS)
