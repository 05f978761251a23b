"""Each row of the tables of points, verbs, conditions, modifiers, controls, verify types and options has a test here, and a test
proves that none is missing. All run in a real session on a real configuration (`tests.inbound.smtp_world`)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.acl.conditions.control import CONTROLS
from angaros.acl.conditions.ratelimit import _MEASURES, _MODES
from angaros.acl.conditions.verify_options import _FLAGS, _VALUES, TYPES
from angaros.acl.points import POINTS
from angaros.acl.table import ROWS, VERBS
from angaros.inbound.options import LocalCaller, Submission
from angaros.inbound.submission import submit
from angaros.model.tls import TlsFacts
from tests.inbound.smtp_world import FakeStream, Talk, World

Make = Callable[..., World]
TEXT = "From: s@far.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nbody with viagra\r\n"
PLAIN = base64.b64encode(b"\0user\0secret").decode()
AUTHENTICATOR = "plain:\n driver = plaintext\n public_name = PLAIN\n server_condition = yes\n server_set_id = $auth2"


def local(world: World, text: bytes = TEXT.replace("\r\n", "\n").encode()) -> int:
    """A message on standard input."""
    stream = FakeStream("", 0)
    stream.ready, stream.at_end = text, True
    caller = LocalCaller(1234, 1234, "joe", "Joe Doe", trusted=False, admin=False)
    return submit(world.services, Submission(caller=caller, recipients=["r@here.test"], error_handling="stderr"), stream)


# --- Points -----------------------------------------------------------------------------------------------------------------


def _dkim(s: Talk) -> None:
    s.mail()
    s.message(f"DKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=x; h=from; bh=AAAA; b=AAAA\r\n{TEXT}")


def _prdr(s: Talk) -> None:
    s.say("MAIL FROM:<s@far.test> PRDR", "RCPT TO:<a@here.test>", "RCPT TO:<b@here.test>")
    s.message()


def _receive(s: Talk) -> None:
    s.mail()
    s.message(TEXT)


REACH: dict[str, Callable[[Talk], object]] = {
    "connect": lambda s: None,
    "helo": lambda s: None,
    "starttls": lambda s: s.say("STARTTLS"),
    "auth": lambda s: s.say(f"AUTH PLAIN {PLAIN}"),
    "mailauth": lambda s: (s.say(f"AUTH PLAIN {PLAIN}"), s.say("MAIL FROM:<s@far.test> AUTH=x@far.test")),
    "mail": lambda s: s.say("MAIL FROM:<s@far.test>"),
    "rcpt": lambda s: s.mail(),
    "predata": _receive,
    "dkim": _dkim,
    "mime": _receive,
    "prdr": _prdr,
    "data": _receive,
    "quit": lambda s: s.say("QUIT"),
    "notquit": lambda s: s.hang_up(),
    "etrn": lambda s: s.say("ETRN #x"),
    "atrn": lambda s: (s.say(f"AUTH PLAIN {PLAIN}"), s.say("ATRN here.test")),
    "expn": lambda s: s.say("EXPN r"),
    "vrfy": lambda s: s.say("VRFY r@here.test"),
    "wellknown": lambda s: s.say("WELLKNOWN x"),
}
LOCAL_POINTS = {"notsmtp_start", "notsmtp", "notsmtp_mime"}
OPTIONS = """
acl_smtp_rcpt = accept
auth_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = /nonexistent
prdr_enable
wellknown_advertise_hosts = *
"""


def point_world(make: Make, option: str, acl: str) -> World:
    main = "".join(line + "\n" for line in OPTIONS.splitlines() if not line.startswith(f"{option} "))
    return make(main=f"{main}{option} = probe\n", acl=f"probe:\n{acl}", authenticators=AUTHENTICATOR)


def test_every_point_is_reached_by_a_test() -> None:
    assert set(REACH) | LOCAL_POINTS - {"notsmtp_mime"} == set(POINTS) - {"delivery", "unknown"}


@pytest.mark.parametrize("where", sorted(REACH))
def test_point(make_world: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The ACL of the point runs there, and nowhere else, and knows where it is."""
    monkeypatch.setattr("angaros.net.tls_config.server_context", lambda *_: object())
    world = point_world(make_world, POINTS[where].option, f"  warn logwrite = at {where}\n  accept\n")
    s = world.connect()
    s.stream.handshake = TlsFacts(cipher="x")
    if where != "connect":
        s.say("EHLO client.test")
        assert (f"at {where}" in world.log()) == (where == "helo")
    REACH[where](s)
    assert f"at {where}" in "\n".join(world.log())


@pytest.mark.parametrize(
    ("option", "where"), [("acl_not_smtp_start", "start"), ("acl_not_smtp", "end"), ("acl_not_smtp_mime", "mime")]
)
def test_local_point(make_world: Make, option: str, where: str) -> None:
    world = make_world(main=f"{option} = probe\n", acl=f"probe:\n  warn logwrite = at {where}\n  accept\n")
    assert local(world) == 0
    assert any(f"at {where}" in line for line in world.log())


DENIED = {
    "helo": "550", "auth": "503", "mail": "550", "rcpt": "550", "predata": "550", "data": "550", "etrn": "458", "expn": "550",
    "vrfy": "252",
}  # fmt: skip


@pytest.mark.parametrize(("where", "code"), sorted(DENIED.items()))
def test_code_of_a_denial(make_world: Make, where: str, code: str) -> None:
    """# Exim spec 44.2, 44.14"""
    world = point_world(make_world, POINTS[where].option, "  deny\n")
    s = world.connect()
    if where == "helo":
        assert s.code("EHLO client.test") == code
        return
    s.say("EHLO client.test")
    lines = {
        "auth": [f"AUTH PLAIN {PLAIN}"], "mail": ["MAIL FROM:<s@far.test>"], "etrn": ["ETRN #x"], "expn": ["EXPN r"],
        "vrfy": ["VRFY r@here.test"], "rcpt": ["MAIL FROM:<s@far.test>", "RCPT TO:<r@here.test>"],
        "predata": ["MAIL FROM:<s@far.test>", "RCPT TO:<r@here.test>", "DATA"],
    }  # fmt: skip
    if where == "data":
        s.mail()
        assert s.message()[-1].startswith(code)
    else:
        assert [s.code(line) for line in lines[where]][-1] == code


# --- Verbs ------------------------------------------------------------------------------------------------------------------

VERB_TESTS = {
    "accept": ("  accept\n", "250", False),
    "defer": ("  defer\n", "451", False),
    "deny": ("  deny\n", "550", False),
    "discard": ("  discard\n", "250", False),
    "drop": ("  drop\n", "550", True),
    "require": ("  require condition = no\n  accept\n", "550", False),
    "warn": ("  warn\n  accept\n", "250", False),
}


@pytest.mark.parametrize("verb", sorted(VERB_TESTS))
def test_verb(make_world: Make, verb: str) -> None:
    acl, code, dropped = VERB_TESTS[verb]
    world = make_world(main="acl_smtp_rcpt = probe", acl=f"probe:\n{acl}")
    s = world.greeted()
    assert s.mail() == code
    assert s.done == dropped
    if verb == "discard":
        assert s.message()[-1].startswith("250")
        assert world.spooled() == []


def test_every_verb_has_a_test() -> None:
    assert set(VERB_TESTS) == set(VERBS)


# --- Conditions and modifiers -----------------------------------------------------------------------------------------------

# name -> (point, statement that accepts when the row does what it should, words in the main log or "")
ROW_TESTS: dict[str, tuple[str, str, str]] = {
    "acl": ("rcpt", "accept acl = inner 1 two", ""),
    "add_header": ("data", "accept add_header = X-New: yes", ""),
    "authenticated": ("rcpt", "accept !authenticated = *", ""),
    "condition": ("rcpt", "accept condition = ${if eq{$local_part}{r}}", ""),
    "continue": ("rcpt", "accept continue = ${reduce{a:b}{}{$value$item}}", ""),
    "control": ("rcpt", "accept control = freeze", ""),
    "decode": ("mime", "accept decode = default\n  condition = ${if exists{$mime_decoded_filename}}", ""),
    "delay": ("rcpt", "accept delay = 7s", ""),
    "dkim_signers": ("dkim", "accept dkim_signers = far.test", ""),
    "dkim_status": ("dkim", "accept !dkim_status = pass", ""),
    "dmarc_status": ("data", "accept !dmarc_status = reject", ""),
    "dnslists": ("rcpt", "accept dnslists = bl.test\n  condition = ${if eq{$dnslist_value}{127.0.0.2}}", ""),
    "domains": ("rcpt", "accept domains = +local_domains", ""),
    "encrypted": ("rcpt", "accept !encrypted = *", ""),
    "endpass": ("rcpt", "accept condition = yes\n  endpass\n  condition = yes", ""),
    "hosts": ("rcpt", "accept hosts = 192.0.2.0/24", ""),
    "local_parts": ("rcpt", "accept local_parts = q : r", ""),
    "log_message": ("rcpt", "warn log_message = found it\n  accept", "Warning: found it"),
    "log_reject_target": ("rcpt", "deny log_reject_target = reject\n  condition = no\n  accept", ""),
    "logwrite": ("rcpt", "accept logwrite = seen $local_part", "seen r"),
    "message": ("rcpt", "accept message = 250 taken", ""),
    "mime_regex": ("mime", "accept mime_regex = viagra", ""),
    "queue": ("rcpt", "accept queue = slow", ""),
    "ratelimit": ("rcpt", "accept !ratelimit = 5 / 1h / per_cmd", ""),
    "recipients": ("rcpt", "accept recipients = r@here.test", ""),
    "regex": ("data", "accept regex = via[g]ra", ""),
    "remove_header": ("data", "accept remove_header = subject", ""),
    "seen": ("rcpt", "deny seen = -5m / key=x\n  accept", ""),
    "sender_domains": ("rcpt", "accept sender_domains = far.test", ""),
    "senders": ("rcpt", "accept senders = s@far.test", ""),
    "set": ("rcpt", "warn set acl_m_a = 1\n  accept condition = $acl_m_a", ""),
    "spf": ("rcpt", "accept !spf = pass", ""),
    "spf_guess": ("rcpt", "accept !spf_guess = pass", ""),
    "udpsend": ("rcpt", "accept udpsend = <; 127.0.0.1 ; 9 ; hello", ""),
    "verify": ("rcpt", "accept verify = recipient", ""),
}
ELSEWHERE = {"malware", "spam", "dcc", "atrn_domains"}
"""The first three need a scanner (tests/scan and the conformance suite have one), the last has tests in tests/inbound."""


def test_every_row_has_a_test() -> None:
    assert set(ROW_TESTS) | ELSEWHERE == set(ROWS)


def row_world(make: Make, name: str) -> tuple[World, Talk]:
    where, text, _ = ROW_TESTS[name]
    point = POINTS[where].option
    main = f"{point} = probe\n" + ("" if where == "rcpt" else "acl_smtp_rcpt = accept\n")
    statements = text.replace("\n  accept", "\n accept")
    acl = f"inner:\n  accept condition = ${{if eq{{$acl_arg2}}{{two}}}}\nprobe:\n {statements}\n deny message = no\n"
    world = make(main=main, acl=acl)
    world.dns.records[("7.2.0.192.bl.test", "A")] = ["127.0.0.2"]
    return world, world.greeted()


@pytest.mark.parametrize("name", sorted(ROW_TESTS))
def test_row(make_world: Make, name: str) -> None:
    world, s = row_world(make_world, name)
    where, _, line = ROW_TESTS[name]
    if where == "dkim":
        _dkim(s)
        assert len(world.spooled()) == 1
    else:
        assert s.mail() == "250"
        assert s.message(TEXT)[-1][:3] == "250"
    if line:
        assert line in "\n".join(world.log())
    check = AFTER.get(name)
    if check is not None:
        check(world, s)


def _headers(world: World) -> list[str]:
    return [header.name for header in world.spooled()[0][0].headers if header.kind != "*"]


def _queue(world: World, _: Talk) -> None:
    assert [entry.name for entry in Path(world.path, "spool", "slow", "input").iterdir() if entry.name.endswith("-H")]


def _check(value: bool) -> None:
    assert value


AFTER: dict[str, Callable[[World, Talk], None]] = {
    "add_header": lambda w, s: _check("X-New" in _headers(w)),
    "remove_header": lambda w, s: _check("Subject" not in _headers(w)),
    "control": lambda w, s: _check(w.spooled()[0][0].frozen),
    "delay": lambda w, s: _check(7 in w.waiter.slept),
    "continue": lambda w, s: None,
}


def test_queue_puts_the_message_into_the_named_queue(make_world: Make) -> None:
    world, s = row_world(make_world, "queue")
    s.mail()
    s.message()
    _queue(world, s)


# --- Controls ---------------------------------------------------------------------------------------------------------------


def controlled(make: Make, control: str, where: str = "rcpt") -> tuple[World, Talk]:
    main = f"{POINTS[where].option} = probe\nwellknown_advertise_hosts = *\nauth_advertise_hosts =\n"
    main += "" if where == "rcpt" else "acl_smtp_rcpt = accept\n"
    world = make(main=main, acl=f"probe:\n  accept control = {control}\n", authenticators=AUTHENTICATOR)
    s = world.greeted()
    s.mail()
    return world, s


CONTROL_EFFECTS: dict[str, tuple[str, Callable[[Talk], object], object]] = {
    "caseful_local_part": ("caseful_local_part", lambda s: s.code("RCPT TO:<X@here.test>"), "250"),
    "caselower_local_part": ("caselower_local_part", lambda s: s.code("RCPT TO:<X@here.test>"), "250"),
    "cutthrough_delivery": ("cutthrough_delivery/defer=pass", lambda s: s.code("NOOP"), "250"),
    "debug": ("debug/tag=.x/opts=+acl/kill", lambda s: s.code("NOOP"), "250"),
    "dkim_disable_verify": ("dkim_disable_verify", lambda s: s.conversation.message.effects.dkim_disable_verify, True),
    "dmarc_disable_verify": ("dmarc_disable_verify", lambda s: s.conversation.message.effects.dmarc_disable_verify, True),
    "dmarc_enable_forensic": ("dmarc_enable_forensic", lambda s: s.conversation.message.effects.dmarc_enable_forensic, True),
    "dscp": ("dscp/ef", lambda s: s.conversation.session.effects.dscp, 0xB8),
    "enforce_sync": ("enforce_sync", lambda s: s.conversation.session.effects.enforce_sync, True),
    "fakedefer": ("fakedefer/later", lambda s: s.message()[-1], "450 later"),
    "fakereject": ("fakereject/never", lambda s: s.message()[-1], "550 never"),
    "freeze": ("freeze/no_tell", lambda s: s.conversation.message.effects.freeze_no_tell, True),
    "no_callout_flush": ("no_callout_flush", lambda s: s.conversation.session.effects.no_callout_flush, True),
    "no_delay_flush": ("no_delay_flush", lambda s: s.conversation.session.effects.no_delay_flush, True),
    "no_enforce_sync": ("no_enforce_sync", lambda s: s.conversation.session.effects.enforce_sync, False),
    "no_mbox_unspool": ("no_mbox_unspool", lambda s: s.conversation.message.effects.no_mbox_unspool, True),
    "no_multiline_responses": ("no_multiline_responses", lambda s: len(s.say("HELP")), 2),
    "no_pipelining": ("no_pipelining", lambda s: "250-PIPELINING" in s.say("EHLO x"), False),
    "queue": ("queue/first_pass_route", lambda s: s.conversation.message.effects.queue_smtp, True),
    "queue_only": ("queue_only", lambda s: s.conversation.message.effects.queue_only, True),
    "submission": (
        "submission/sender_retain/domain=sub.test/name=Me",
        lambda s: (s.conversation.message.effects.submission_domain, s.conversation.message.effects.submission_name),
        ("sub.test", "Me"),
    ),
    "suppress_local_fixups": ("suppress_local_fixups", lambda s: s.conversation.message.effects.suppress_local_fixups, True),
    "utf8_downconvert": ("utf8_downconvert/-1", lambda s: s.conversation.message.utf8_downgrade, -1),
}


@pytest.mark.parametrize("name", sorted(CONTROL_EFFECTS))
def test_control(make_world: Make, name: str) -> None:
    text, look, expected = CONTROL_EFFECTS[name]
    _, s = controlled(make_world, text)
    assert look(s) == expected


def test_control_allow_auth_unadvertised(make_world: Make) -> None:
    world = make_world(
        main="acl_smtp_connect = probe\nauth_advertise_hosts =\n",
        acl="probe:\n  accept control = allow_auth_unadvertised\n",
        authenticators=AUTHENTICATOR,
    )
    assert world.greeted().code(f"AUTH PLAIN {PLAIN}") == "235"


def test_control_wellknown(make_world: Make, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("one\n")
    world = make_world(
        main="acl_smtp_wellknown = probe\nwellknown_advertise_hosts = *\n",
        acl=f"probe:\n  accept control = wellknown/{tmp_path}/page\n",
    )
    assert world.greeted().say("WELLKNOWN page")[-1].startswith("250 one")


def test_every_control_has_a_test() -> None:
    elsewhere = {"allow_auth_unadvertised", "wellknown", "bmi_run"}  # the last: tests/scan/test_brightmail.py
    assert set(CONTROL_EFFECTS) | elsewhere == set(CONTROLS)


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_a_control_at_the_wrong_point_is_an_error(make_world: Make, name: str) -> None:
    row = CONTROLS[name]
    if "notquit" in row.allowed and "rcpt" in row.allowed:
        return
    wrong = "mail" if "mail" not in row.allowed else "quit" if "quit" not in row.allowed else "notquit"
    world = make_world(main=f"acl_smtp_rcpt = accept\nacl_smtp_{wrong} = probe\n", acl=f"probe:\n  accept control = {name}\n")
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>") if wrong == "mail" else s.hang_up() if wrong == "notquit" else s.say("QUIT")
    assert f'cannot use "control={name}"' in "\n".join(world.log())


# --- Verify -----------------------------------------------------------------------------------------------------------------

# type -> (point, argument, a message or address that passes, one that does not)
GOOD, BAD = TEXT, "From: @@broken\r\nSubject: x\r\n\r\nb\r\n"
VERIFY_TESTS: dict[str, tuple[str, str, str, str]] = {
    "recipient": ("rcpt", "recipient", "r", "unknown"),
    "sender": ("rcpt", "sender", "ok@here.test", "bad@here.test"),
    "sender=": ("rcpt", "sender=$sender_address", "ok@here.test", "bad@here.test"),
    "helo": ("rcpt", "helo", "[192.0.2.7]", "liar.test"),
    "header_syntax": ("data", "header_syntax", GOOD, BAD),
    "header_sender": ("data", "header_sender", "From: ok@here.test\r\n\r\nb\r\n", "From: bad@here.test\r\n\r\nb\r\n"),
    "header_names_ascii": ("data", "header_names_ascii", GOOD, ""),
    "not_blind": ("data", "not_blind", "To: r@here.test\r\n\r\nb\r\n", "To: q@here.test\r\n\r\nb\r\n"),
}
VERIFY_ALONE = {"certificate", "reverse_host_lookup", "csa", "arc"}
"""Each has a test of its own below."""


def test_every_verify_type_has_a_test() -> None:
    assert {name.rstrip("=") for name in VERIFY_TESTS} | VERIFY_ALONE == set(TYPES)


@pytest.mark.parametrize("name", sorted(VERIFY_TESTS))
@pytest.mark.parametrize("good", [True, False])
def test_verify(make_world: Make, name: str, good: bool) -> None:
    where, argument, right, wrong = VERIFY_TESTS[name]
    if not good and not wrong:
        return  # reception takes no such header line
    main = f"{POINTS[where].option} = probe\n" + ("" if where == "rcpt" else "acl_smtp_rcpt = accept\n")
    world = make_world(main=main, acl=f"probe:\n  require verify = {argument}\n  accept\n")
    s = world.connect()
    subject = right if good else wrong
    s.say(f"EHLO {subject}" if name == "helo" else "EHLO client.test")
    if name == "recipient":
        code = s.mail(recipient=f"{subject}@here.test")
    elif name.startswith("sender"):
        code = s.mail(sender=subject)
    elif name == "helo":
        code = s.mail()
    else:
        s.mail()
        code = s.message(subject)[-1][:3]
    assert code == ("250" if good else "550")


def test_verify_certificate(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = probe\n", acl="probe:\n  require verify = certificate\n  accept\n")
    s = world.greeted()
    assert s.mail() == "550"
    s.conversation.session.tls = TlsFacts(cipher="x", certificate_verified=True)
    assert s.code("RCPT TO:<r@here.test>") == "250"


def test_verify_reverse_host_lookup(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = probe\n", acl="probe:\n  require verify = reverse_host_lookup\n  accept\n")
    assert world.greeted().mail() == "550"
    world.dns.records[("7.2.0.192.in-addr.arpa", "PTR")] = ["client.test"]
    world.dns.records[("client.test", "A")] = ["192.0.2.7"]
    assert world.greeted().mail() == "250"


def test_verify_csa(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = probe\n", acl="probe:\n  require verify = csa\n  accept\n")
    world.dns.records[("_client._smtp.client.test", "SRV")] = [(1, 1, 0, "client.test")]
    assert world.greeted().mail() == "550"


def test_verify_arc(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = accept\nacl_smtp_data = probe\n", acl="probe:\n  accept verify = arc/none\n  deny\n")
    s = world.greeted()
    s.mail()
    assert s.message(TEXT)[-1][:3] == "250"


VERIFY_OPTIONS = {
    "defer_ok": ("recipient", "later", "250", "451"),
    "callout_defer_ok": ("recipient/callout", "r", "250", "250"),
    "no_details": ("sender", "r", "250", "250"),
    "success_on_redirect": ("recipient", "r", "250", "250"),
    "check_postmaster": ("recipient", "r", "250", "250"),
}


@pytest.mark.parametrize("option", sorted(VERIFY_OPTIONS))
def test_verify_option(make_world: Make, option: str) -> None:
    kind, local_part, with_option, without = VERIFY_OPTIONS[option]
    for text, code in ((f"{kind}/{option}", with_option), (kind, without)):
        world = make_world(main="acl_smtp_rcpt = probe\n", acl=f"probe:\n  require verify = {text}\n  accept\n")
        assert world.greeted().mail(sender="ok@here.test", recipient=f"{local_part}@here.test") == code


def test_not_blind_case_insensitive(make_world: Make) -> None:
    for option, code in (("", "550"), ("/case_insensitive", "250")):
        main = "acl_smtp_rcpt = accept\nacl_smtp_data = probe\n"
        world = make_world(main=main, acl=f"probe:\n  require verify = not_blind{option}\n  accept\n")
        s = world.greeted()
        s.mail()
        assert s.message("To: R@here.test\r\n\r\nb\r\n")[-1][:3] == code


# --- Callout and ratelimit options: the parser takes each, and says what is wrong with the others ---------------------------

CALLOUT_WORDS = {**dict.fromkeys(_FLAGS, ""), **dict.fromkeys(_VALUES, "=5s"), "postmaster": "", "20s": ""}
QUOTA_WORDS = {"cachepos": "=1m", "cacheneg": "=1m", "no_cache": ""}


def outcome(make: Make, condition: str) -> tuple[str, str]:
    """Code for RCPT, and the log."""
    world = make(main="acl_smtp_rcpt = probe\n", acl=f"probe:\n  require {condition}\n  accept\n")
    return world.greeted().mail(sender="ok@here.test"), "\n".join(world.log())


@pytest.mark.parametrize("word", sorted(CALLOUT_WORDS))
def test_callout_option(make_world: Make, word: str) -> None:
    """For a local address nobody is asked, whatever the options."""
    kind = "recipient"
    code, log = outcome(make_world, f"verify = {kind}/callout={word}{CALLOUT_WORDS[word]}")
    if word == "mailfrom":
        assert code == "451"
        assert '"mailfrom" is allowed as a callout option only for verify=header_sender' in log
    else:
        assert (code, log) == ("250", "")


@pytest.mark.parametrize("word", sorted(QUOTA_WORDS))
def test_quota_option(make_world: Make, word: str) -> None:
    assert outcome(make_world, f"verify = recipient/quota={word}{QUOTA_WORDS[word]}")[0] == "250"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("verify = recipient/callout=connect", "'=' expected after \"connect\""),
        ("verify = recipient/callout=sometime", "bad time value"),
        ("verify = sender/callout=use_sender", "cannot be used for a sender verify callout"),
        ("verify = sender/quota", "can only verify quota of recipient"),
        ("verify = recipient/quota/callout", "cannot verify quota and do callout"),
        ("verify = helo/defer_ok", "this verify item has no options"),
        ("verify = nonsense", 'expected "sender[=address]"'),
    ],
)
def test_wrong_verify_options_are_temporary_errors(make_world: Make, text: str, error: str) -> None:
    code, log = outcome(make_world, text)
    assert code == "451"
    assert error in log


RATE_WORDS = {**dict.fromkeys(_MEASURES, ""), **dict.fromkeys(_MODES, ""), "count=": "2", "unique=": "$local_part"}


@pytest.mark.parametrize("word", sorted(RATE_WORDS))
def test_ratelimit_option(make_world: Make, word: str) -> None:
    """Below the limit the condition is false with each option (`per_mail` may only read at RCPT, so may not be strict)."""
    code, log = outcome(make_world, f"!ratelimit = 100 / 1h / {word}{RATE_WORDS[word]} / key")
    assert (code, log) == ("250", "")


def test_ratelimit_counts(make_world: Make) -> None:
    world = make_world(main="acl_smtp_rcpt = probe\n", acl="probe:\n  defer ratelimit = 2.5 / 1h / per_rcpt / strict\n  accept\n")
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>")
    codes = [s.code(f"RCPT TO:<r{number}@here.test>") for number in range(5)]
    assert codes == ["250", "250", "451", "451", "451"]


def test_ratelimit_unique_counts_each_event_once(make_world: Make) -> None:
    world = make_world(
        main="acl_smtp_rcpt = probe\n",
        acl="probe:\n  defer ratelimit = 3 / 1h / per_rcpt / unique=$local_part / strict\n  accept\n",
    )
    s = world.greeted()
    s.say("MAIL FROM:<s@far.test>")
    assert [s.code("RCPT TO:<same@here.test>") for _ in range(6)] == ["250"] * 6


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("ratelimit = x / 1h", "is not a positive number"),
        ("ratelimit = 5 / soon", "is not a time value"),
        ("ratelimit = 5 / 1h / strict / leaky", "conflicting update modes"),
        ("ratelimit = 5 / 1h / per_rcpt / per_cmd", "conflicting per_* options"),
        ("ratelimit = 5 / 1h / count=-1", "is not a positive number"),
    ],
)
def test_wrong_ratelimit_options_are_temporary_errors(make_world: Make, text: str, error: str) -> None:
    code, log = outcome(make_world, text)
    assert code == "451"
    assert error in log


@pytest.mark.parametrize(("selector", "logged"), [("log_selector = +dnslist_defer\n", True), ("", False)])
def test_dnslist_defer(make_world: Make, selector: str, logged: bool) -> None:
    """Exim spec 53.15"""
    world = make_world(main=f"{selector}acl_smtp_rcpt = probe\n", acl="probe:\n  deny dnslists = slow.test\n  accept\n")
    world.dns.records[("7.2.0.192.slow.test", "A")] = "again"
    assert world.greeted().mail() == "250"
    assert any("DNS list lookup defer (probably timeout) for 7.2.0.192.slow.test" in line for line in world.log()) == logged
