"""SASL mechanisms by the examples of their documents, and client against server."""

from __future__ import annotations

import pytest

from angaros.auths.sasl import bearer, ntlm, scram
from angaros.auths.sasl.md4 import md4
from angaros.auths.sasl.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("12345678901234567890123456789012345678901234567890123456789012345678901234567890", "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4(text: str, digest: str) -> None:
    """RFC 1320 A.5."""
    assert md4(text.encode()).hex() == digest


@pytest.mark.parametrize(
    ("given", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX")],
)
def test_saslprep(given: str, prepared: str) -> None:
    """RFC 4013 3."""
    assert saslprep(given.encode().decode("latin-1")) == prepared.encode()


@pytest.mark.parametrize("given", ["\u0007", "\u0627\u0031"])
def test_saslprep_refuses(given: str) -> None:
    """RFC 4013 3."""
    with pytest.raises(ValueError):
        saslprep(given.encode().decode("latin-1"))


SCRAM_EXAMPLES = [
    (  # RFC 5802 5
        "sha1",
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (  # RFC 7677 3
        "sha256",
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


@pytest.mark.parametrize(("algorithm", "nonce", "server_first", "final", "server_final"), SCRAM_EXAMPLES)
def test_scram_by_the_book(algorithm: str, nonce: str, server_first: str, final: str, server_final: str) -> None:
    client = scram.Client(algorithm, "user", "", nonce)
    salt, iterations = client.parameters(server_first)
    salted = scram.salted_password("pencil", salt, iterations, algorithm)
    assert client.final(server_first, salted) == final
    first = scram.parse_client_first(client.header + client.bare)
    assert scram.check_proof(first, server_first, final, scram.keys_of(salted, algorithm), b"", algorithm) == server_final
    client.check_server(server_final)
    with pytest.raises(scram.ScramError):
        client.check_server("v=AAAA")


@pytest.mark.parametrize(
    "message", ["", "n", "n,,", "n,,n=,r=x", "n,,m=1,n=u,r=x", "q,,n=u,r=x", "n,b=x,n=u,r=x", "n,,n=a=2,r=x"]
)
def test_scram_refuses_malformed_beginnings(message: str) -> None:
    with pytest.raises(scram.ScramError):
        scram.parse_client_first(message)


@pytest.mark.parametrize(
    "server_first", ["r=x,s=AA==,i=1", "r=abc,s=AA==,i=1", "r=abcd,s=AA==,i=0", "r=abcd,s=A,i=9", "r=abcd,s=AA==,i=99999999999"]
)
def test_scram_client_refuses_bad_servers(server_first: str) -> None:
    with pytest.raises(scram.ScramError):
        scram.Client("sha256", "u", "", "abc").parameters(server_first)


def test_scram_names_are_quoted() -> None:
    assert scram.unquote_name(scram.quote_name("a=b,c")) == "a=b,c"


def test_ntlm_v1_by_the_book() -> None:
    """MS-NLMP 4.2.2."""
    assert ntlm.nt_hash("Password").hex() == "a4f49c406510bdcab6824ee7c30fd852"
    nonce = bytes.fromhex("0123456789abcdef")
    assert ntlm.v1_response("Password", nonce).hex() == "67c43011f30298a2ad35ece64f16331c44bdbed927841f94"


def test_ntlm_v2_by_the_book() -> None:
    """MS-NLMP 4.2.4."""
    information = bytes.fromhex("02000c0044006f006d00610069006e0001000c005300650072007600650072000000 0000".replace(" ", ""))
    blob = b"\1\1" + bytes(6) + bytes(8) + b"\xaa" * 8 + bytes(4) + information + bytes(4)
    proof = ntlm.v2_proof("Password", "User", "Domain", bytes.fromhex("0123456789abcdef"), blob)
    assert proof.hex() == "68cd0ab851e51c96aabc927bebef6a1c"


def test_ntlm_client_and_server_agree() -> None:
    nonce = b"12345678"
    account = ntlm.Account("j\u00f6rg".encode().decode("latin-1"), "s\u00e9cret".encode().decode("latin-1"), "DOM")
    message = ntlm.authenticate(account, ntlm.challenge_message(nonce), 1.0, b"abcdefgh")
    response = ntlm.parse_authenticate(message)
    assert response.user == account.user and response.domain == "DOM"
    assert ntlm.verify(response, account.password, nonce)
    assert not ntlm.verify(response, "other", nonce)


def test_ntlm_answers_target_information_with_v2() -> None:
    nonce, information = b"12345678", b"\2\0\2\0A\0\0\0\0\0"
    challenge = bytearray(ntlm.challenge_message(nonce))
    challenge[20:24] = (ntlm.CHALLENGE_FLAGS | ntlm.TARGET_INFO).to_bytes(4, "little")
    challenge[40:48] = len(information).to_bytes(2, "little") * 2 + (48).to_bytes(4, "little")
    message = ntlm.authenticate(ntlm.Account("u", "p", "d"), bytes(challenge) + information, 1.0, b"abcdefgh")
    response = ntlm.parse_authenticate(message)
    assert len(response.nt) > 24
    assert ntlm.verify(response, "p", nonce) and not ntlm.verify(response, "q", nonce)


@pytest.mark.parametrize("message", [b"", b"teststring", ntlm.SIGNATURE + b"\3\0\0\0" + b"\xff" * 60])
def test_ntlm_refuses_malformed_responses(message: bytes) -> None:
    with pytest.raises(ValueError):
        ntlm.parse_authenticate(message)


def test_bearer_tokens() -> None:
    assert bearer.parse_oauthbearer(bearer.oauthbearer("a,b", "tok")) == bearer.Bearer("a,b", "a,b", "tok")
    assert bearer.parse_xoauth2(bearer.xoauth2("u@x", "tok")) == bearer.Bearer("u@x", "", "tok")
    assert bearer.parse_oauthbearer("n,a=u,\x01host=h\x01auth=Bearer t\x01\x01").token == "t"
    for parse, message in (
        (bearer.parse_oauthbearer, "n,a=u,\x01auth=Basic t\x01\x01"),
        (bearer.parse_xoauth2, "user=u\x01\x01"),
    ):
        with pytest.raises(ValueError):
            parse(message)
