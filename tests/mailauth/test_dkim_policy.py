"""What an administrator sees of DKIM: the ACL and its variables, the log, Authentication-Results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.inbound.dkim import MailauthWatch, watch_message
from angaros.model.outcome import Outcome, Verdict
from tests.mailauth.oracles.corpus import DOMAIN, Key, ed_key, rsa_key
from tests.mailauth.test_dkim_verify import BODY, HEADERS, signed
from tests.mailauth.zones import SILENT
from tests.policy import PolicyWorld

SEL, ED = rsa_key("sel", 1024), ed_key("ed")
ZONES: dict[str, list[Any]] = {
    f"sel._domainkey.{DOMAIN}": [{"TXT": SEL.record.decode().replace("k=rsa;", "k=rsa; t=y; n=note; g=x; s=email;")}],
    f"ed._domainkey.{DOMAIN}": [{"TXT": ED.record.decode()}],
    f"slow._domainkey.{DOMAIN}": [SILENT],
}


def world(directory: Path, options: str = "", acl: str = "") -> PolicyWorld:
    text = f"log_selector = +dkim_verbose\n{options}\nbegin acl\n{acl}\n"
    return PolicyWorld(directory, text, ZONES)


def received(made: PolicyWorld, lines: list[str], body: bytes = BODY, *, regular: bool = True) -> Verdict | None:
    """The message passes by, as reception shows it."""
    [watch] = watch_message(made.scope)
    assert isinstance(watch, MailauthWatch)
    if watch.header(lines, regular=regular):
        watch.body(body)
    return watch.finish(made.scope)


def authres(made: PolicyWorld) -> str:
    return made.shown("${authresults{mx}}").removeprefix("Authentication-Results: mx").replace(";\n\t", " / ")


def line(key: Key, identity: str = "") -> str:
    made = signed(key)
    return made.replace("q=dns/txt", f"q=dns/txt; i={identity}") if identity else made


PASSED = f"DKIM: d={DOMAIN} s=sel c=relaxed/relaxed a=rsa-sha256 b=1024 [verification succeeded]"


def test_without_acl(tmp_path: Path) -> None:
    made = world(tmp_path)
    assert received(made, [line(SEL), *HEADERS]) is None
    assert made.log.lines == [PASSED]
    assert made.message.effects.caches["dkim_log"] == DOMAIN
    assert "iprev" not in authres(made) and authres(made) == f" / dkim=pass header.d={DOMAIN} header.s=sel header.a=rsa-sha256"
    assert made.shown("$dkim_verify_status|$dkim_signers") == f"|{DOMAIN}"
    [fact] = made.message.effects.mailauth.dkim
    assert (fact.domain, fact.selector, fact.status, fact.result) == (DOMAIN, "sel", "pass", "pass")


SHOW = """
dkim:
  accept logwrite = $dkim_cur_signer|$dkim_verify_status|$dkim_verify_reason|$dkim_domain|$dkim_selector|$dkim_algo|\
$dkim_key_length|$dkim_key_testing|$dkim_key_nosubdomains|$dkim_key_srvtype|$dkim_key_granularity|$dkim_key_notes|\
$dkim_canon_headers/$dkim_canon_body|$dkim_headernames|$dkim_bodylength|$dkim_created|$dkim_expires|$dkim_identity
"""
BIG = "9999999999999"


def test_variables_in_the_acl(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = dkim", SHOW)
    assert received(made, [line(SEL), *HEADERS]) is None
    assert made.log.lines[0] == (
        f"{DOMAIN}|pass||{DOMAIN}|sel|rsa-sha256|1024|1|0|email|x|note|relaxed/relaxed|Subject:From|{BIG}|0|{BIG}|"
    )
    assert made.shown("$dkim_verify_status|$dkim_domain|$dkim_algo") == f"pass|{DOMAIN}|rsa-sha256"  # as Exim leaves them


def test_a_signer_without_signature(tmp_path: Path) -> None:
    """Exim spec 58.3: the variables of a signature are empty; the key's length is that of the last key, as Exim has it."""
    made = world(tmp_path, f"acl_smtp_dkim = dkim\ndkim_verify_signers = {DOMAIN}:other.example:{DOMAIN}", SHOW)
    received(made, [line(SEL), *HEADERS])
    assert [text.split("|")[:4] for text in made.log.lines] == [
        [DOMAIN, "pass", "", DOMAIN], [PASSED], ["other.example", "none", "", ""],
    ]  # fmt: skip
    assert made.shown("$dkim_verify_status|$dkim_verify_signers") == f"pass:none|{DOMAIN}:other.example:{DOMAIN}"


def test_no_signers_wanted(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = deny\ndkim_verify_signers = ${if eq{1}{2}{x}}")
    assert received(made, [line(SEL), *HEADERS]) is None
    assert made.log.lines == [PASSED]


def test_identities_are_signers_too(tmp_path: Path) -> None:
    identity = f"u@{DOMAIN}"
    made = world(tmp_path, "acl_smtp_dkim = dkim", "dkim:\n  accept logwrite = $dkim_cur_signer of $dkim_signers")
    received(made, [line(SEL, identity), *HEADERS])
    assert [text for text in made.log.lines if " of " in text] == [
        f"{DOMAIN} of {DOMAIN}:{identity}", f"{identity} of {DOMAIN}:{identity}",
    ]  # fmt: skip


FORCE = """
dkim:
  warn condition = ${if eq {$dkim_algo}{rsa-sha256}}
       set dkim_verify_status = fail
       set dkim_verify_reason = too weak
  accept
data:
  accept dkim_status = pass
         logwrite = some pass
  accept logwrite = none passes
"""


def test_the_acl_has_the_last_word(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = dkim\nacl_smtp_data = data", FORCE)
    received(made, [line(SEL), *HEADERS])
    assert made.log.lines[-1].endswith("b=1024 [fail - too weak]")
    assert authres(made) == f" / dkim=policy (fail - too weak) header.d={DOMAIN} header.s=sel header.a=rsa-sha256"
    assert "dkim_log" not in made.message.effects.caches
    assert made.message.effects.mailauth.dkim[0].status == "fail"
    made.run("data")
    assert made.log.lines[-1] == "none passes"


def test_at_least_one_passes(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = dkim\nacl_smtp_data = data", FORCE)
    received(made, [line(SEL), line(ED), *HEADERS])
    made.run("data")
    assert made.log.lines[-1] == "some pass"
    assert made.message.effects.caches["dkim_log"] == DOMAIN


def test_a_refusal_ends_it(tmp_path: Path) -> None:
    acl = "dkim:\n  deny dkim_signers = sender.example\n       dkim_status = none:invalid:fail\n       message = no\n  accept"
    made = world(tmp_path, "acl_smtp_dkim = dkim", acl)
    assert received(made, [line(SEL), *HEADERS]) is None
    made.new_message()
    verdict = received(made, [line(SEL), *HEADERS], b"changed\r\n")
    assert verdict is not None and verdict.outcome is Outcome.DENY and verdict.user_message == "no"
    assert "body hash mismatch" in made.log.lines[-1]


def test_minimal(tmp_path: Path) -> None:
    made = world(tmp_path, "dkim_verify_minimal")
    received(made, [line(SEL), line(ED), *HEADERS])
    assert [text.split()[2] for text in made.log.lines] == ["s=ed"]


def test_disabled(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = deny")
    made.message.effects.dkim_disable_verify = True
    assert received(made, [line(SEL), *HEADERS]) is None
    assert made.log.lines == [] and authres(made) == ""


def test_a_header_with_bare_line_ends_is_not_verified(tmp_path: Path) -> None:
    made = world(tmp_path)
    received(made, [line(SEL), *HEADERS], regular=False)
    assert made.log.lines == [] and authres(made) == ""


@pytest.mark.parametrize(
    ("selector", "logged", "shown"),
    [
        ("slow", "[invalid - public key record (currently?) unavailable]", "tmperror (pubkey unavailable)"),
        ("gone", "[invalid - public key record (currently?) unavailable]", "tmperror (pubkey unavailable)"),
    ],
)
def test_keys_that_cannot_be_had(tmp_path: Path, selector: str, logged: str, shown: str) -> None:
    made = world(tmp_path)
    received(made, [line(SEL).replace("s=sel", f"s={selector}"), *HEADERS])
    assert made.log.lines[0] == f"DKIM: d={DOMAIN} s={selector} [failed key import]"
    assert made.log.lines[1].endswith(logged)
    assert authres(made) == f" / dkim={shown}\n\t\t header.d={DOMAIN} header.s={selector} header.a=rsa-sha256"


def test_a_changed_header(tmp_path: Path) -> None:
    made = world(tmp_path)
    received(made, [line(SEL), HEADERS[0], "Subject: other\r\n"])
    assert made.log.lines[0] == "DKIM: validation error: error:02000068:rsa routines::bad signature"
    assert made.log.lines[1].endswith("[verification failed - signature did not verify (headers probably modified in transit)]")


def test_limits(tmp_path: Path) -> None:
    made = world(tmp_path, "acl_smtp_dkim = deny")
    assert received(made, [line(SEL), *HEADERS], b"x" * 17000 + b"\r\n") is None
    assert made.log.lines == [
        "DKIM: validation error: LONG_LINE",
        "DKIM: Error during validation, disabling signature verification: LONG_LINE",
    ]
    made.log.lines.clear()
    made.new_message()
    assert received(made, [line(SEL)] * 21 + HEADERS) is None
    assert made.log.lines[-1].endswith("EXCESS_SIGS") and authres(made) == ""


def test_results_are_those_of_this_message(tmp_path: Path) -> None:
    made = world(tmp_path)
    received(made, [line(SEL), *HEADERS])
    made.new_message()
    received(made, HEADERS)
    assert made.shown("$dkim_signers|$dkim_verify_status") == "|" and authres(made) == ""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", "pass/"),
        ("dkim_verify_min_keysizes = rsa=2048 : ed25519=250", "fail/pubkey_too_short"),
        ("dkim_verify_min_keysizes = rsa=512", "pass/"),
    ],
)
def test_minimum_key_sizes(tmp_path: Path, setting: str, expected: str) -> None:
    """Exim spec 14, dkim_verify_min_keysizes"""
    acl = "dkim:\n  accept logwrite = $dkim_verify_status/$dkim_verify_reason\n"
    made = world(tmp_path, f"acl_smtp_dkim = dkim\n{setting}", acl)
    received(made, [line(SEL), *HEADERS])
    assert made.log.lines[0].startswith(expected)


def test_copied_headers(tmp_path: Path) -> None:
    """z= is shown as it is; nothing depends on it. # RFC 6376 3.5"""
    made = world(tmp_path, "acl_smtp_dkim = dkim", "dkim:\n  accept logwrite = $dkim_copiedheaders/$dkim_verify_status\n")
    received(made, [line(SEL).replace("q=dns/txt", "q=dns/txt; z=From:a=40b|Subject:hello"), *HEADERS])
    assert "From:a=40b|Subject:hello/fail" in made.log.lines
