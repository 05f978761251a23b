"""DIGEST-MD5: RFC 2831's example, client against server, messages that break the rules, and the gsasl options that it uses."""

from __future__ import annotations

from typing import Any

import pytest

from angaros.auths import base
from angaros.auths.sasl import digest_md5
from tests.auths.test_gsasl import PASSWORD, SECRET, sides
from tests.auths.test_mechanisms import instance

CHALLENGE = 'realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8'
RESPONSE = (
    'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",'
    'digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth'
)


def test_the_example_of_the_rfc() -> None:
    """RFC 2831 4."""
    account = digest_md5.Account("chris", "secret")
    answer, proof = digest_md5.respond(CHALLENGE, account, "imap/elwood.innosoft.com", "OA6MHXh6VqTrRk")
    assert digest_md5.parse(answer, 4096) == digest_md5.parse(RESPONSE, 4096)
    assert proof == "ea40f60335c427b5527b84dbabcdfffd"
    response = digest_md5.parse_response(RESPONSE, "OA6MG9tEQGm2hh", "elwood.innosoft.com")
    assert response.digest("secret") == response.directives["response"]
    assert response.digest("secret", server=True) == proof
    assert response.uri == ("imap", "elwood.innosoft.com")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('nonce="OA6MG9tEQGm2hh"', 'nonce="other"'),
        ("nc=00000001", "nc=00000002"),
        ('username="chris",', ""),
        (",qop=auth", ",qop=auth-conf"),
        ('realm="elwood.innosoft.com"', 'realm="elsewhere"'),
        ("charset=utf-8", "charset=latin1"),
        ("charset=utf-8", 'username="other",username="again"'),
        ("charset=utf-8", "charset"),
        ("charset=utf-8", 'x="open'),
        ("charset=utf-8", f"x={'y' * 4096}"),
    ],
)
def test_responses_that_break_the_rules(was: str, becomes: str) -> None:
    assert was in RESPONSE
    with pytest.raises(digest_md5.DigestError):
        digest_md5.parse_response(RESPONSE.replace(was, becomes, 1), "OA6MG9tEQGm2hh", "elwood.innosoft.com")


@pytest.mark.parametrize(
    "challenge",
    ["", "nonce=x", 'nonce="x",algorithm=md5', 'algorithm=md5-sess,qop="auth"', 'nonce="x",algorithm=md5-sess,qop="auth-conf"'],
)
def test_a_client_refuses_bad_challenges(challenge: str) -> None:
    with pytest.raises(digest_md5.DigestError):
        digest_md5.respond(challenge, digest_md5.Account("u", "p"), "smtp/h", "c")


def test_names_outside_ascii_are_hashed_as_the_rfc_wants_it() -> None:
    """RFC 2831 2.1.2.1: ISO 8859-1 when all of it is in there, else UTF-8; quotes are escaped."""
    for user in ("j\u00f6rg", "\u0442\u0435\u0441\u0442", 'a"b\\c'):
        octets = user.encode().decode("latin-1")
        answer, _ = digest_md5.respond(CHALLENGE, digest_md5.Account(octets, "p"), "smtp/h", "c")
        response = digest_md5.parse_response(answer, "OA6MG9tEQGm2hh", "elwood.innosoft.com")
        assert response.user == octets and response.digest("p") == response.directives["response"]
    assert digest_md5._hashed("j\u00c3\u00b6rg", True) == b"j\xf6rg" == digest_md5._hashed("j\u00f6rg", False)


def exchange(server_options: dict[str, Any], client_options: dict[str, Any], host: str = "mail.test") -> tuple[str, str, Any]:
    """Status, set_id, and what the client objects to at the end."""
    server_scope, client_scope = sides()
    client_scope.local["host"] = host
    dialogue = base.client(instance("gsasl", public_name="DIGEST-MD5", **PASSWORD, **client_options), client_scope)
    served = base.authenticate(instance("gsasl", public_name="DIGEST-MD5", **server_options), server_scope, None)
    assert next(dialogue) == ""
    try:
        answer = dialogue.send(next(served.dialogue))
        proof = served.dialogue.send(answer)
        served.dialogue.send(dialogue.send(proof))
    except StopIteration as stop:
        return stop.value.status, served.set_id(), dialogue
    raise AssertionError("no end")


HERE = "${if and{{eq{$auth1}{ph10}}{eq{$auth3}{here}}}{pencil}fail}"


@pytest.mark.parametrize(
    ("server", "client", "status"),
    [
        (SECRET, {}, "ok"),
        (SECRET | {"server_condition": "no"}, {}, "fail"),
        (SECRET | {"server_password": "other"}, {}, "fail"),
        (SECRET | {"server_password": "${if eq{a}{b}{x}fail}"}, {}, "defer"),
        ({"server_condition": "yes"}, {}, "defer"),
        (SECRET | {"server_service": "imap"}, {}, "fail"),
        (SECRET | {"server_service": "SMTP"}, {}, "ok"),
        (SECRET | {"server_hostname": "MAIL.test"}, {}, "ok"),
        (SECRET | {"server_hostname": "other.test"}, {}, "fail"),
        ({"server_set_id": "$auth1", "server_realm": "here", "server_password": HERE}, {}, "ok"),
        ({"server_set_id": "$auth1", "server_realm": "there", "server_password": HERE}, {}, "defer"),
        (SECRET | {"server_realm": "$nonesuch"}, {}, "defer"),
        (SECRET | {"server_condition": "${if eq{$auth2}{boss}}"}, {"client_authz": "boss"}, "ok"),
        (SECRET | {"server_condition": "${if eq{$auth2}{boss}}"}, {"client_authz": "thief"}, "fail"),
    ],
)
def test_client_meets_server(server: dict[str, Any], client: dict[str, Any], status: str) -> None:
    found, set_id, _ = exchange(server, client)
    assert (found, set_id) == (status, "" if "$nonesuch" in server.values() else "ph10" if "server_set_id" in server else "")


@pytest.mark.parametrize("proof", ["rspauth=00000000000000000000000000000000", "x=y", None])
def test_a_client_notices_a_server_that_proves_nothing(proof: str | None) -> None:
    _, client_scope = sides()
    client_scope.local["host"] = "mail.test"
    dialogue = base.client(instance("gsasl", public_name="DIGEST-MD5", **PASSWORD), client_scope)
    next(dialogue)
    dialogue.send(CHALLENGE)
    with pytest.raises(digest_md5.DigestError):
        dialogue.close() if proof is None else dialogue.send(proof)


@pytest.mark.parametrize(("initial", "answers"), [("x", []), (None, ["nonsense"]), (None, [RESPONSE])])
def test_a_server_takes_no_nonsense(initial: str | None, answers: list[str]) -> None:
    server_scope, _ = sides()
    served = base.authenticate(instance("gsasl", public_name="DIGEST-MD5", **SECRET), server_scope, initial)
    with pytest.raises(StopIteration) as stop:
        next(served.dialogue)
        for answer in answers:
            served.dialogue.send(answer)
    assert stop.value.value.status == "defer" and "PARSE_ERROR" in stop.value.value.log_message
