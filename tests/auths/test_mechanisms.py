"""Mechanisms as transcripts: S: challenge, C: response."""

from __future__ import annotations

from typing import Any

import pytest

from angaros.auths import base
from angaros.config.auth_options import AUTHENTICATORS
from angaros.config.config import Config, DriverInstance
from angaros.config.harness import SystemClock, SystemRandom
from angaros.config.main_options import MainOptions
from angaros.expand.engine import Engine
from angaros.model.interfaces import Services
from angaros.model.scope import Scope
from angaros.model.session import Session


class Log:
    def write(self, text: str, **where: object) -> None:
        raise AssertionError(text)

    def debug(self, *args: object, **where: object) -> None: ...

    def debugging(self, *args: object, **where: object) -> bool:
        return False


def scope() -> Scope:
    parts: dict[str, Any] = dict.fromkeys(("site", "waiter", "dns", "lists", "lookups", "hints", "courier", "acl", "verifier"))
    config = Config(main=MainOptions(primary_hostname="mail.test"))
    services = Services(config=config, clock=SystemClock(), random=SystemRandom(), log=Log(), expander=Engine(), **parts)
    return Scope(services, Session())


def instance(driver: str, **options: str) -> DriverInstance[Any]:
    return DriverInstance("auth", driver, AUTHENTICATORS[driver](driver=driver, **options))


def talk(made: DriverInstance[Any], initial: str | None, *responses: str) -> tuple[list[str], base.AuthResult, str]:
    authentication = base.authenticate(made, scope(), initial)
    challenges: list[str] = []
    try:
        challenges.append(next(authentication.dialogue))
        for response in responses:
            challenges.append(authentication.dialogue.send(response))
    except StopIteration as end:
        return challenges, end.value, authentication.set_id()
    raise AssertionError(f"the server waits for more after {challenges}")


PLAIN = {
    "server_prompts": ":",
    "server_condition": "${if and{{eq{$auth2}{user}}{eq{$auth3}{pw}}}}",
    "server_set_id": "$auth2",
}
LOGIN = {
    "server_prompts": "User Name : Password",
    "server_condition": "${if and{{eq{$auth1}{user}}{eq{$auth2}{pw}}}{yes}{no}}",
    "server_set_id": "$1",
}


@pytest.mark.parametrize(
    ("options", "initial", "responses", "challenges", "status"),
    [
        (PLAIN, "\0user\0pw", (), [], "ok"),
        (PLAIN, "\0user\0no", (), [], "fail"),
        (PLAIN, None, ("\0user\0pw",), [""], "ok"),
        (PLAIN, "", ("\0user\0pw",), [""], "ok"),
        (LOGIN, None, ("user", "pw"), ["User Name", "Password"], "ok"),
        (LOGIN, "user", ("pw",), ["Password"], "ok"),
        (LOGIN, None, ("user", ""), ["User Name", "Password"], "fail"),
        ({"server_condition": "suspended"}, "\0user\0pw", (), [], "defer"),
        ({"server_condition": "${if eq{a}{b}{yes}fail}"}, "x", (), [], "fail"),
        ({"server_condition": "$nonesuch"}, "x", (), [], "defer"),
        ({}, "x", (), [], "fail"),
    ],
)
def test_plaintext_server(
    options: dict[str, str], initial: str | None, responses: tuple[str, ...], challenges: list[str], status: str
) -> None:
    seen, result, set_id = talk(instance("plaintext", **options), initial, *responses)
    assert (seen, result.status) == (challenges, status)
    if "server_set_id" in options:
        assert set_id == "user"


def test_deferral_carries_the_configurations_text() -> None:
    _, result, _ = talk(instance("plaintext", server_condition="account suspended"), "x")
    assert (result.user_message, result.log_message) == ("account suspended", "account suspended")


def test_cram_md5_of_rfc_2195() -> None:
    from angaros.auths.cram_md5 import digest

    assert digest("tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>") == "b913a602c7eda7a495b4e6e7334d3890"


@pytest.mark.parametrize(
    ("secret", "status"), [("tanstaaf", "ok"), ("other", "fail"), ("${if eq{a}{b}{x}fail}", "fail"), ("$x", "defer")]
)
def test_cram_md5_both_sides(secret: str, status: str) -> None:
    theirs = base.client(instance("cram_md5", client_name="tim", client_secret="tanstaaf"), scope())
    assert next(theirs) == ""
    ours = base.authenticate(instance("cram_md5", server_secret=secret, server_set_id="$auth1"), scope(), None)
    challenge = next(ours.dialogue)
    assert challenge.endswith("@mail.test>")
    with pytest.raises(StopIteration) as end:
        ours.dialogue.send(theirs.send(challenge))
    assert (end.value.value.status, ours.set_id()) == (status, "tim")


@pytest.mark.parametrize(
    ("send", "challenges", "sent"),
    [
        (": user : secret", ["User Name", "Password"], ["", "user", "secret"]),
        ("^user^se^^cret", [], ["\0user\0se^cret"]),
        ("a : $auth1", ["hello"], ["a", "hello"]),
    ],
)
def test_plaintext_client(send: str, challenges: list[str], sent: list[str]) -> None:
    client = base.client(instance("plaintext", client_send=send), scope())
    seen = [next(client), *(client.send(challenge) for challenge in challenges)]
    assert seen == sent
    with pytest.raises(StopIteration):
        client.send("more?")


def test_external_takes_identity_and_parameters() -> None:
    made = instance("external", server_param2="from-certificate", server_condition="${if eq{$auth1-$auth2}{me-from-certificate}}")
    assert talk(made, "me")[1].status == "ok"
    assert talk(made, None, "me")[0] == [""]
    assert talk(made, "you")[1].status == "fail"


def test_tls_driver_checks_parameters() -> None:
    from angaros.auths import tls

    made = instance("tls", server_param1="a : b", server_condition="${if eq{$auth1$auth2}{ab}}")
    assert tls.check(made, scope()).status == "ok"


@pytest.mark.parametrize(("text", "expected"), [("", True), ("1", True), ("no", False), ("${if eq{a}{b}{x}fail}", False)])
def test_advertising(text: str, expected: bool) -> None:
    made = instance("plaintext", server_advertise_condition=text) if text else instance("plaintext")
    assert base.advertised(made, scope()) is expected
