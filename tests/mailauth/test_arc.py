"""ARC: chains made by us and by dkimpy, judged by both; what can be wrong with a chain; `verify = arc` and what follows."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from angaros.config.transport_options import TRANSPORTS
from angaros.mailauth.arc.chain import MAX_INSTANCES, Chain
from angaros.mailauth.arc.sign import SealError, SealRequest, own_results, seal
from angaros.mailauth.arc.verify import Judgement, judge
from angaros.mailauth.dkim.canon import BodyHasher
from angaros.mailauth.dkim.keys import import_private_key
from angaros.mailauth.dkim.verify import Limits, Watcher
from angaros.model.outcome import Outcome
from angaros.transports.arc_sign import MONTH, Sealing
from tests.mailauth.oracles.corpus import rsa_key
from tests.mailauth.test_dkim_policy import received
from tests.policy import NOW, PolicyWorld

KEY = rsa_key("sel", 1024)
DOMAIN = "hop.example"
NAME = f"sel._domainkey.{DOMAIN}"
HEADERS = ["From: a@author.example\r\n", "To: b@rcpt.example\r\n", "Subject: hello\r\n"]
BODY = b"one\r\ntwo\r\n"


def judged(lines: list[str], body: bytes = BODY, record: str | None = None, limits: Limits | None = None) -> Judgement:
    watcher = Watcher()
    chain = Chain(lines, watcher)
    for at in range(0, len(body), 5):
        watcher.body(body[at : at + 5])

    def fetch(name: str) -> Sequence[str]:
        return [KEY.record.decode() if record is None else record] if name == NAME else []

    return judge(chain, watcher.finish(), limits or Limits(), fetch)


def as_lines(text: str) -> list[str]:
    return [line + "\r\n" for line in re.split(r"\r\n(?![ \t])", text.replace("\r\n", "\n").replace("\n", "\r\n")) if line]


def hop(lines: list[str], body: bytes = BODY, *, state: str = "", address: str = "192.0.2.1") -> list[str]:
    """The lines as one more server of ours passes them on."""
    found = judged(lines, body)
    result = f"Authentication-Results: {DOMAIN};\r\n\tspf=pass;\r\n\tarc={state or found.state}\r\n"
    hasher = BodyHasher("sha256", "simple")
    hasher.feed(body)
    request = SealRequest(DOMAIN, "sel", import_private_key(KEY.pem))
    lines = [result, *lines]
    return as_lines(seal(request, lines, hasher.finish(), address)) + lines


def test_a_chain_of_our_own() -> None:
    lines = HEADERS
    for number in range(1, 5):
        lines = hop(lines)
        found = judged(lines)
        assert (found.state, found.reason, found.oldest_pass) == ("pass", "", 1)
        assert found.received is not None and found.received.instance == number
    chain = Chain(lines)
    assert chain.domains() == ":".join([DOMAIN] * 4)
    assert [one.chain_value for one in chain.in_order()] == ["none", "pass", "pass", "pass"]


def test_the_form_of_a_set() -> None:
    """As Exim writes it."""
    first = hop(HEADERS)
    assert first[0].startswith("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=hop.example; s=sel;\r\n\t b=")
    assert first[1] == (
        "ARC-Authentication-Results: i=1; hop.example; smtp.remote-ip=192.0.2.1;\r\n\tspf=pass;\r\n\tarc=none\r\n"
    )
    assert first[2].startswith("ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed; d=hop.example; s=sel;\r\n\tbh=")
    assert "\r\n\th=Subject:To:From;\r\n\tb=" in first[2] and first[2].endswith(";\r\n")
    assert "smtp.remote-ip" not in hop(HEADERS, address="")[1]


def test_in_any_order() -> None:
    lines = hop(hop(HEADERS))
    arc = sorted(line for line in lines if line.startswith("ARC-"))
    assert judged(arc + [line for line in lines if not line.startswith("ARC-")]).state == "pass"


def test_a_list_changes_the_message() -> None:
    """The older signature fails, the newer holds: the chain passes, from there on. # RFC 8617 5.2, step 5"""
    first = hop(HEADERS)
    second = hop(first, BODY + b"footer\r\n", state="pass")
    found = judged(second, BODY + b"footer\r\n")
    assert (found.state, found.oldest_pass) == ("pass", 2)
    broken = judged(first, b"changed\r\n")
    assert (broken.state, broken.reason, broken.oldest_pass) == ("fail", "AMS body hash miscompare", 0)


def test_a_failed_chain_is_sealed_as_failed_and_then_left_alone() -> None:
    """RFC 8617 5.1.1, 5.2"""
    first = hop(HEADERS)
    second = hop(first, b"changed\r\n")
    assert Chain(second).in_order()[1].chain_value == "fail"
    found = judged(second, b"changed\r\n")
    assert (found.state, found.reason, found.received) == ("fail", "i=2 (cv)", None)
    assert hop(second, b"changed\r\n")[0].startswith("Authentication-Results")


def without(lines: list[str], *starts: str) -> list[str]:
    return [line for line in lines if not line.startswith(starts)]


def altered(lines: list[str], start: str, old: str, new: str) -> list[str]:
    return [line.replace(old, new, 1) if line.startswith(start) else line for line in lines]


TWO = hop(hop(HEADERS))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line for line in TWO if not re.match("ARC-.*i=1", line)], "(sequence; expected i=1)"),
        (without(TWO, "ARC-Seal: i=1"), "i=1 (missing header)"),
        (without(TWO, "ARC-Message-Signature: i=2"), "i=2 (missing header)"),
        ([TWO[0], *TWO], "i=2 (duplicate ARC-Seal)"),
        (altered(TWO, "ARC-Seal: i=2", "i=2", "i=0"), "(bad instance number)"),
        (altered(TWO, "ARC-Seal: i=2", "i=2", f"i={MAX_INSTANCES + 1}"), "(bad instance number)"),
        (altered(TWO, "ARC-Seal: i=2", "i=2", "i=x"), "(bad instance number)"),
        (altered(TWO, "Subject", "hello", "other"), "AMS sig nonverify"),
        (altered(TWO, "ARC-Seal: i=2", "cv=pass", "cv=none"), "i=2 (cv)"),
        (altered(TWO, "ARC-Seal: i=1", "cv=none", "cv=pass"), "AS sig nonverify"),
        (altered(TWO, "ARC-Seal: i=2", "s=sel", "s=gone"), "AS pubkey unavailable"),
        (altered(TWO, "ARC-Message-Signature: i=2", "s=sel", "s=gone"), "AMS pubkey unavailable"),
        (altered(TWO, "ARC-Authentication-Results: i=1", "spf=pass", "spf=fail"), "AS sig nonverify"),
        (altered(TWO, "ARC-Message-Signature: i=2", "\th=", "\th=ARC-Seal:"), "AMS syntax"),
        (altered(TWO, "ARC-Message-Signature: i=2", "a=rsa-sha256", "a=rsa-md5"), "AMS syntax"),
        (altered(TWO, "ARC-Seal: i=2", "cv=pass", "cv=pass; h=from"), "AS syntax"),
        (altered(TWO, "ARC-Seal: i=2", "cv=pass", "cv=fail"), "i=2 (cv)"),
    ],
)  # fmt: skip
def test_what_can_be_wrong_with_a_chain(lines: list[str], reason: str) -> None:
    found = judged(lines)
    assert (found.state, found.reason, found.oldest_pass) == ("fail", reason, 0)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("v=DKIM1; p=", "AMS pubkey syntax"),
        (KEY.record.decode().replace("k=rsa", "h=sha1"), "AMS pubkey not permitted"),
    ],
)
def test_keys(record: str, reason: str) -> None:
    assert judged(TWO, record=record).reason == reason


def test_a_short_key() -> None:
    assert judged(TWO, limits=Limits(min_bits={"rsa": 2048})).reason == "AMS pubkey too short"


def test_domains_of_an_incomplete_chain() -> None:
    """Exim's list, whose first item is empty."""
    assert Chain(without(TWO, "ARC-Seal: i=1")).domains() == f"::{DOMAIN}"
    assert Chain(HEADERS).domains() == ""


def test_results_of_our_own_only() -> None:
    lines = ["Authentication-Results: other.example; arc=pass\r\n", "authentication-results : HOP.example 1; x=y\r\n"]
    assert own_results(lines, DOMAIN) == " HOP.example 1; x=y\r\n" and own_results(lines, "none.example") == ""
    request = SealRequest(DOMAIN, "sel", import_private_key(KEY.pem))
    for headers, why in (
        (HEADERS, "no Authentication-Results header for signing"),
        ([f"Authentication-Results: {DOMAIN}; spf=pass\r\n", *HEADERS], "no ARC result in the Authentication-Results header"),
    ):
        with pytest.raises(SealError, match=why):
            seal(request, headers, b"", "")


# --- dkimpy ------------------------------------------------------------------------------------------------------------


def dkimpys(lines: list[str], body: bytes) -> str:
    import dkim

    def fetch(name: bytes, timeout: int = 5) -> bytes | None:
        return KEY.record if name.decode().rstrip(".") == NAME else None

    state, _, _ = dkim.arc_verify("".join(lines).encode() + b"\r\n" + body, dnsfunc=fetch)
    return "fail" if state is None else str(state.decode())  # None: a chain that has ended (cv=fail)


def dkimpy_hop(lines: list[str], body: bytes, state: str) -> list[str]:
    import dkim

    lines = [f"Authentication-Results: {DOMAIN}; arc={state}\r\n", *lines]
    message = "".join(lines).encode() + b"\r\n" + body
    made = dkim.arc_sign(message, b"sel", DOMAIN.encode(), KEY.pem, DOMAIN.encode(), include_headers=[b"from", b"to", b"subject"])
    return [line.decode() for line in made] + lines


MUTATIONS = (
    lambda lines, body: (lines, body),
    lambda lines, body: (lines, body + b"\r\n\r\n"),
    lambda lines, body: (lines, body + b"more\r\n"),
    lambda lines, body: (altered(lines, "Subject", "hello", "  hello "), body),
    lambda lines, body: (altered(lines, "Subject", "hello", "other"), body),
    lambda lines, body: (altered(lines, "ARC-Seal: i=1", "cv=none", "cv=fail"), body),
    lambda lines, body: (altered(lines, "ARC-Authentication-Results: i=1", "arc=none", "arc=pass"), body),
    lambda lines, body: (without(lines, "ARC-Seal: i=1"), body),
    lambda lines, body: (without(lines, "ARC-Message-Signature: i=2"), body),
    lambda lines, body: (["Received: from x by y; date\r\n", *lines], body),
    lambda lines, body: (altered(lines, "ARC-Seal: i=2", "i=2", "i=3"), body),
    lambda lines, body: ([line for line in lines if not line.startswith("ARC-")], body),
)


def test_chains_of_mixed_hops_are_judged_alike() -> None:
    """dkimpy and we seal in turns; each verdict on each chain, whole or spoilt, is the same."""
    pytest.importorskip("dkim", reason="PyPI package dkimpy is missing")
    pytest.importorskip("authres", reason="PyPI package authres (ARC of dkimpy) is missing")
    r = random.Random(8617)
    seen: set[str] = set()
    for _ in range(30):
        lines, body = HEADERS, BODY
        for _ in range(r.randrange(1, 4)):
            state = judged(lines, body).state
            if r.random() < 0.3:
                body += b"footer\r\n"
            lines = hop(lines, body, state=state) if r.random() < 0.5 else dkimpy_hop(lines, body, state)
        for change in MUTATIONS:
            spoilt, other = change(lines, body)
            ours = judged(spoilt, other).state
            assert ours == dkimpys(spoilt, other), (spoilt, other)
            seen.add(ours)
    assert seen == {"pass", "fail", "none"}


# --- The ACL and the transport ------------------------------------------------------------------------------------------

ACL = """
data:
  accept verify = arc/pass:fail
         logwrite = $arc_state|$arc_state_reason|$arc_oldest_pass|$arc_domains
  accept logwrite = otherwise
default:
  accept verify = arc
  deny
"""


def world(directory: Path) -> PolicyWorld:
    return PolicyWorld(directory, f"begin acl\n{ACL}", {NAME: [{"TXT": KEY.record.decode()}]})


def test_the_condition(tmp_path: Path) -> None:
    made = world(tmp_path)
    received(made, TWO, BODY)
    assert made.shown("$arc_state") == "" and "arc=" not in made.shown("${authresults{x}}")
    made.run("data")
    assert made.log.lines[-1] == f"pass||1|{DOMAIN}:{DOMAIN}"
    assert made.message.effects.caches["arc_log"] is True
    arc = "\n\tarc=pass (i=2) header.s=sel arc.oldest-pass=1 smtp.remote-ip=192.0.2.1"
    assert made.shown("${authresults{mx}}").endswith(arc)
    facts = made.message.effects.mailauth.arc
    assert facts is not None and [one.remote_ip for one in facts.sets] == ["192.0.2.1", "192.0.2.1"]
    made.new_message()
    received(made, TWO, b"changed\r\n")
    made.run("data")
    assert made.log.lines[-1] == f"fail|AMS body hash miscompare|0|{DOMAIN}:{DOMAIN}"
    assert "arc=fail (i=2)(AMS body hash miscompare) header.s=sel" in made.shown("${authresults{mx}}")
    assert made.run("default").outcome is Outcome.DENY
    made.new_message()
    received(made, HEADERS)
    made.run("data")
    assert made.log.lines[-1] == "otherwise" and made.shown("$arc_state|$arc_oldest_pass|$arc_domains") == "none|0|"
    assert made.run("default").outcome is Outcome.ACCEPT


def sealing(made: PolicyWorld, text: str) -> SealRequest | None:
    options: Any = TRANSPORTS["smtp"](arc_sign=text)
    return Sealing(options, made.scope).request()


def test_the_option(tmp_path: Path) -> None:
    made = world(tmp_path)
    path = tmp_path / "key"
    path.write_bytes(KEY.pem)
    found = sealing(made, f"Hop.Example : sel : {path} : timestamps, expire=+60")
    assert found is not None
    assert (found.domain, found.selector, found.created, found.expires) == (DOMAIN, "sel", int(NOW), int(NOW) + 60)
    found = sealing(made, f"x : y : {path} : expire")
    assert found is not None and (found.created, found.expires) == (None, int(NOW) + MONTH)
    found = sealing(made, f"x : y : {path} : expire=77")
    assert found is not None and found.expires == 77
    assert made.log.lines == []


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("", []),
        ("${if eq{a}{b}{x}fail}", []),
        ("x : y", ["ARC: signing failed: no private key in arc_sign"]),
        ("x : : /key", ["ARC: signing failed: no selector in arc_sign"]),
        ("x : y : /nonexist", ["unable to open file for reading: /nonexist"]),
        ("x : y : junk", ["ARC: AMS signing: privkey PEM-block import: error:1E08010C:DECODER routines::unsupported"]),
        ("$bogus", ['failed to expand arc_sign: unknown variable name "bogus"']),
    ],
)
def test_no_seal(tmp_path: Path, text: str, logged: list[str]) -> None:
    made = world(tmp_path)
    assert sealing(made, text) is None and made.log.lines == logged


def test_times_in_the_set() -> None:
    request = SealRequest(DOMAIN, "sel", import_private_key(KEY.pem), 100, 200)
    hasher = BodyHasher("sha256", "simple")
    hasher.feed(BODY)
    lines = [f"Authentication-Results: {DOMAIN}; arc=none\r\n", *HEADERS]
    made = as_lines(seal(request, lines, hasher.finish(), ""))
    assert "\r\n\tt=100;\r\n\t b=" in made[0] and "\r\n\tt=100; x=200;\r\n\tbh=" in made[2]
    assert judged(made + lines).state == "pass"
