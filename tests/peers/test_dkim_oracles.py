"""A mailbox of 2,000 messages, signed by dkimpy, OpenDKIM and us, spoilt in forty ways, judged by all three.

Where they differ the RFC decides; each difference stands here with its line.
"""

from __future__ import annotations

import ctypes
import random
from collections import Counter

import pytest

pytest.importorskip("dkim", reason="PyPI package dkimpy is missing")
pytest.importorskip("nacl", reason="PyPI package pynacl (Ed25519 of dkimpy) is missing")
try:
    ctypes.CDLL("libopendkim.so.11")
except OSError:
    pytest.skip("Debian package libopendkim11 is missing", allow_module_level=True)

from tests.mailauth.oracles import corpus
from tests.mailauth.oracles.judges import OpenDkims, dkimpys, ours

COUNT = 2000

EXPLAINED = {
    # mutation: (ours, dkimpy, OpenDKIM), why we are right
    ("key_other_hash", (False, True, False)): "RFC 6376 6.1.2, step 6: a hash that the key's h= does not list is a PERMFAIL",
    ("key_no_subdomains", (False, True, False)): "RFC 6376 3.6.1, t=s: the domain of i= MUST be that of d=",
}


@pytest.fixture(scope="module")
def mailbox() -> list[corpus.Mail]:
    return corpus.mailbox(COUNT)


def test_three_judges_agree(mailbox: list[corpus.Mail]) -> None:
    opendkim = OpenDkims()
    seen: Counter[str] = Counter()
    passed = 0
    for mail in mailbox:
        verdicts = (ours(mail), dkimpys(mail), opendkim(mail))
        passed += verdicts[0]
        seen[mail.how] += 1
        assert len(set(verdicts)) == 1 or (mail.how, verdicts) in EXPLAINED, (mail.name, mail.how, verdicts)
    assert set(seen) == set(corpus.MUTATIONS) and min(seen.values()) >= 40
    assert 0.3 < passed / len(mailbox) < 0.6  # neither is everything refused nor everything taken


def mail(line: bytes, headers: list[bytes], body: bytes, key: corpus.Key) -> corpus.Mail:
    return corpus.Mail([line, *headers], body, {f"{key.selector}._domainkey.{corpus.DOMAIN}": key.record}, "")


HEADERS = [f"From: a@{corpus.DOMAIN}\r\n".encode(), b"Subject: hello\r\n"]
BODY = b"one\r\ntwo\r\n"


def test_length_shorter_than_the_body() -> None:
    """All take a body that goes on after l=. # RFC 6376 3.5, l="""
    key = corpus.rsa_key("k", 2048)
    line = corpus.by_dkimpy(random.Random(1), HEADERS, BODY, key, length=True)
    found = mail(line, HEADERS, BODY + b"more\r\n", key)
    assert (ours(found), dkimpys(found), OpenDkims()(found)) == (True, True, True)
    short = mail(line, HEADERS, BODY[:-5], key)
    assert (ours(short), dkimpys(short), OpenDkims()(short)) == (False, False, False)


def test_from_that_is_not_signed() -> None:
    """RFC 6376 6.1.1 wants a PERMFAIL; Exim leaves it to the administrator, and so do we. # Exim spec 58.3, $dkim_headernames"""
    key = corpus.rsa_key("k", 2048)
    line = corpus.by_us(random.Random(1), HEADERS, BODY, key, names="subject")
    found = mail(line, HEADERS, BODY, key)
    assert (ours(found), dkimpys(found), OpenDkims()(found)) == (True, True, False)


def test_short_keys() -> None:
    """RFC 8301 3.2: RSA keys under 1024 bits MUST NOT pass."""
    key = corpus.rsa_key("k", 1024)
    line = corpus.by_us(random.Random(1), HEADERS, BODY, key)
    found = mail(line, HEADERS, BODY, key)
    assert ours(found) and dkimpys(found) and OpenDkims()(found)
    from angaros.mailauth.dkim.verify import Limits

    assert Limits().min_bits["rsa"] == 1024
