"""Verification: the messages of RFC 8463, keys and their records, everything that can be wrong with a signature."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from angaros.mailauth.dkim import keys
from angaros.mailauth.dkim.report import log_line, result
from angaros.mailauth.dkim.signature import Signature, parse_signature, select_headers, without_b
from angaros.mailauth.dkim.verify import MAX_SIGNATURES, Limits, TooMuch, Verifier, Watcher
from tests.mailauth.oracles.corpus import DOMAIN, Key, by_us, ed_key, huge, rsa_key

RFC8463 = """\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""
"""RFC 8463 A.3, with the Ed25519 signature."""
BRISBANE = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""RFC 8463 A.2"""


def judged(
    lines: list[str], body: bytes, records: dict[str, list[str] | None], limits: Limits | None = None, piece: int = 7
) -> list[Signature]:
    watcher = Watcher()
    verifier = Verifier(limits or Limits(), watcher)
    verifier.header(lines)
    for at in range(0, len(body), piece):
        watcher.body(body[at : at + piece])
    digests = watcher.finish()

    def fetch(name: str) -> Sequence[str] | None:
        return records.get(name, [])

    for one in verifier.signatures:
        verifier.judge(one, digests, fetch)
    return verifier.signatures


def split(text: str) -> tuple[list[str], bytes]:
    head, _, body = text.replace("\n", "\r\n").partition("\r\n\r\n")
    lines: list[str] = []
    for line in head.split("\r\n"):
        if line[0] in " \t":
            lines[-1] += line + "\r\n"
        else:
            lines.append(line + "\r\n")
    return lines, body.encode()


def test_the_example_of_rfc_8463() -> None:
    lines, body = split(RFC8463)
    [one] = judged(lines, body, {"brisbane._domainkey.football.example.com": [BRISBANE]})
    assert (one.status, one.reason) == ("pass", "")
    assert log_line(one) == (
        "DKIM: d=football.example.com s=brisbane c=relaxed/relaxed a=ed25519-sha256 b=512 i=@football.example.com t=1528637909 "
        "[verification succeeded]"
    )
    assert result(one) == (
        ";\n\tdkim=pass header.d=football.example.com header.i=@football.example.com header.s=brisbane header.a=ed25519-sha256"
    )


HEADERS = [f"From: a@{DOMAIN}\r\n", "Subject: hello\r\n"]
BODY = b"one\r\ntwo\r\n"
NAME = f"%s._domainkey.{DOMAIN}"


@pytest.fixture(scope="module")
def key() -> Key:
    return rsa_key("sel", 1024)


def signed(key: Key, **changes: str) -> str:
    """A signature with fixed choices; `changes`: replacements made after signing."""

    class Fixed:
        @staticmethod
        def choice(options: tuple[object, ...]) -> object:
            return options[-1] if options[0] == "simple" else options[0]

    line = by_us(Fixed(), [h.encode() for h in HEADERS], BODY, key, names="from:subject").decode()  # type: ignore[arg-type]
    for old, new in changes.items():
        line = line.replace(old.replace("_", "="), new, 1)
    return line


def status(line: str, record: list[str] | None, body: bytes = BODY, limits: Limits | None = None) -> tuple[str, str]:
    [one] = judged([line, *HEADERS], body, {NAME % "sel": record}, limits)
    return one.status, one.reason


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ("pass", "")),
        ("v=1", "v=2", ("invalid", "version")),
        ("v=1; ", "", ("invalid", "syntax")),
        ("d=sender.example", "d=", ("invalid", "syntax")),
        ("s=sel", "s=", ("invalid", "syntax")),
        ("s=sel", "s=a..b", ("invalid", "syntax")),
        ("s=sel", "s=a/b", ("invalid", "syntax")),
        ("d=sender.example", "d=sender(.example", ("invalid", "syntax")),
        ("h=Subject:From", "h=", ("invalid", "syntax")),
        ("c=relaxed/relaxed", "c=odd", ("invalid", "syntax")),
        ("q=dns/txt", "q=post", ("invalid", "syntax")),
        ("q=dns/txt", "t=5; x=4", ("invalid", "syntax")),
        ("q=dns/txt", "t=5x", ("invalid", "syntax")),
        ("q=dns/txt", "l=" + "9" * 13, ("invalid", "syntax")),
        ("q=dns/txt", "i=@other.example", ("invalid", "syntax")),
        ("q=dns/txt", "i=nobody", ("invalid", "syntax")),
        ("q=dns/txt", "a=rsa-sha256", ("invalid", "syntax")),  # twice
        ("q=dns/txt", "l=99", ("fail", "bodyhash")),
        ("q=dns/txt", "q=dns/txt; zz=1", ("fail", "signature")),
        ("h=Subject:From", "h=From:Subject", ("fail", "signature")),
    ],
)
def test_what_can_be_wrong_with_a_signature(key: Key, old: str, new: str, expected: tuple[str, str]) -> None:
    """RFC 6376 6.1.1"""
    line = signed(key).replace(old, new, 1)
    assert status(line, [key.record.decode()]) == expected


def other_key() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    octets = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "v=DKIM1; p=" + base64.b64encode(octets).decode()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda r: [r], ("pass", "")),
        (lambda r: None, ("invalid", "unavailable")),
        (lambda r: [], ("invalid", "unavailable")),
        (lambda r: ["v=spf1 -all", r], ("pass", "")),
        (lambda r: [r.replace("v=DKIM1; ", "")], ("pass", "")),
        (lambda r: [r.replace("k=rsa; ", "")], ("pass", "")),
        (lambda r: [r.replace("k=rsa; ", "h=sha512:sha256; s=email; ")], ("pass", "")),
        (lambda r: [r.replace("k=rsa; ", "h=sha1; ")], ("fail", "unspecified")),
        (lambda r: [r.replace("k=rsa", "k=ed25519")], ("invalid", "key_syntax")),
        (lambda r: [r.replace("k=rsa", "k=odd")], ("invalid", "key_syntax")),
        (lambda r: [r.replace("k=rsa", "s=other")], ("invalid", "key_syntax")),
        (lambda r: [r.replace("DKIM1", "DKIM2")], ("invalid", "key_syntax")),
        (lambda r: [r.replace("DKIM1", "DKIM1\\")], ("invalid", "key_syntax")),
        (lambda r: ["k=rsa; " + r.replace("v=DKIM1; k=rsa; ", "v=DKIM1; ")], ("invalid", "key_syntax")),
        (lambda r: ["hello world"], ("invalid", "key_syntax")),
        (lambda r: ["v=DKIM1; p="], ("invalid", "key_octets")),
        (lambda r: ["v=DKIM1; p= "], ("invalid", "key_syntax")),
        (lambda r: ["v=DKIM1"], ("invalid", "key_syntax")),
        (lambda r: [r[:-9]], ("invalid", "key_syntax")),
        (lambda r: [r[: r.index("p=") + 82]], ("invalid", "key_octets")),
        (lambda r: [r + "!"], ("invalid", "key_syntax")),
        (lambda r: [r + " " * keys.MAX_RECORD], ("invalid", "key_syntax")),
        (lambda r: [huge().decode()], ("invalid", "key_syntax")),
        (lambda r: [other_key()], ("invalid", "key_syntax")),
    ],
)  # fmt: skip
def test_key_records(key: Key, change: object, expected: tuple[str, str]) -> None:
    """RFC 6376 3.6.1, 6.1.2"""
    assert status(signed(key), change(key.record.decode())) == expected  # type: ignore[operator]


def test_no_question_when_the_body_was_changed(key: Key) -> None:
    watcher = Watcher()
    verifier = Verifier(Limits(), watcher)
    verifier.header([signed(key), *HEADERS])
    watcher.body(b"other\r\n")

    def fetch(name: str) -> Sequence[str] | None:
        raise AssertionError("asked")

    [one] = verifier.signatures
    verifier.judge(one, watcher.finish(), fetch)
    assert (one.status, one.reason) == ("fail", "bodyhash")


def test_a_short_key(key: Key) -> None:
    record = [key.record.decode()]
    assert status(signed(key), record, limits=Limits(min_bits={"rsa": 2048})) == ("fail", "key_short")
    [one] = judged([signed(key), *HEADERS], BODY, {NAME % "sel": record}, Limits(min_bits={"rsa": 2048}))
    assert "dkim=fail (public key too short: 1024 bits)\n\t\t header.d=" in result(one)
    assert "[verification failed - signature invalid (key too short)]" in log_line(one)


def test_only_what_is_accepted_and_in_that_order(key: Key) -> None:
    """Exim spec 14, dkim_verify_hashes, dkim_verify_keytypes"""
    ed = ed_key("ed")
    lines = [signed(key), signed(ed), signed(key).replace("rsa-sha256", "rsa-sha1", 1), *HEADERS]
    records: dict[str, list[str] | None] = {NAME % "sel": [key.record.decode()], NAME % "ed": [ed.record.decode()]}
    assert [one.algorithm for one in judged(lines, BODY, records)] == ["ed25519-sha256", "rsa-sha256"]
    limits = Limits(hashes=("sha1", "sha256"), key_types=("rsa",))
    assert [one.algorithm for one in judged(lines, BODY, records, limits)] == ["rsa-sha1", "rsa-sha256"]


def test_the_form_of_ed25519_keys_that_was_not_adopted() -> None:
    """Exim spec 58.2"""
    ed = ed_key("sel")
    raw = base64.b64decode(ed.record.partition(b"p=")[2])
    wrapped = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode()
    assert status(signed(ed), ["v=DKIM1; k=ed25519; p=" + wrapped]) == ("pass", "")
    assert status(signed(ed), ["v=DKIM1; k=ed25519; p=" + wrapped[:40]])[0] == "invalid"


def test_too_many_signatures() -> None:
    verifier = Verifier(Limits(), Watcher())
    with pytest.raises(TooMuch, match="EXCESS_SIGS"):
        verifier.header(["DKIM-Signature: v=1\r\n"] * (MAX_SIGNATURES + 1))


@pytest.mark.parametrize("piece", [1000, 16384, 70000])
def test_long_lines(piece: int) -> None:
    def feed(body: bytes) -> None:
        watcher = Watcher()
        watcher.hasher("sha256", "simple", None)
        for at in range(0, len(body), piece):
            watcher.body(body[at : at + piece])

    feed(b"x" * 16000 + b"\r\n" + b"y" * 16000 + b"\r\n" + b"z\r\n" * 10000)
    with pytest.raises(TooMuch, match="LONG_LINE"):
        feed(b"a\r\n" * 100 + b"x" * 17000 + b"\r\n")


def test_header_lines_are_chosen_from_the_bottom() -> None:
    """RFC 6376 5.4.2"""
    lines = ["A: 1\r\n", "B: 2\r\n", "a : 3\r\n"]
    assert select_headers(("a", "A", "a", "b", "c"), lines) == ["a : 3\r\n", "A: 1\r\n", "B: 2\r\n"]


def test_the_signature_is_left_out_of_what_it_signs() -> None:
    assert without_b("X: b=abc;\r\n\tbh=def; b = gh\r\n\ti;") == "X: b=;\r\n\tbh=def; b = gh\r\n\ti;"
    assert without_b("X: a=1; bh=def; b=gh") == "X: a=1; bh=def; b="


def test_junk_is_no_signature() -> None:
    assert parse_signature("DKIM-Signature: hello").problem == "syntax"
    assert parse_signature("DKIM-Signature: v=1; a=rsa-sha256; d=x; s=y; h=from; b=!!").problem == "syntax"


def test_nothing_odd_gets_into_logs_and_headers() -> None:
    found = parse_signature(
        "DKIM-Signature: v=1; a=rsa-\x01sha256; d=x\x1b[1m.y; s=a\x00b\r\n c; i=\x07@x; h=from; b=AAAA; bh=AAAA"
    )
    found.status, found.reason = "invalid", found.problem
    assert (found.domain, found.selector, found.algorithm, found.identity) == ("x?[1m.y", "a?bc", "rsa-?sha256", "?@x")
    assert result(found).isprintable() is False and not set(result(found)) & set(map(chr, (*range(9), 11, 12, 13, 27)))


def test_private_keys_are_not_shown() -> None:
    key = keys.import_private_key(rsa_key("x", 1024).pem)
    assert "RSA" not in repr(key) and "PRIVATE" not in repr(key)
    with pytest.raises(keys.PrivateKeyError) as caught:
        keys.import_private_key(b"-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n")
    assert "secret" not in str(caught.value)
