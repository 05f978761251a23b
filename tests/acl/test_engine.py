"""Verbs, messages, nesting, logs: each case was observed with Exim 4.96."""

from __future__ import annotations

import pytest

from angaros.acl.parser import AclSyntaxError, parse_text
from angaros.model.outcome import Outcome, VerifyResult
from angaros.model.text import Tainted

from .conftest import World

CASES = [
    # statements, outcome, reply text, log text
    (" accept", Outcome.ACCEPT, "", ""),
    (" deny", Outcome.DENY, "", ""),
    (" defer message = M", Outcome.DEFER, "M", "M"),
    (" drop message = xx", Outcome.DROP, "xx", "xx"),
    (" discard log_message = foo", Outcome.DISCARD, "", "foo"),
    (" warn", Outcome.DENY, "", ""),
    (" deny message = M\n log_message = L", Outcome.DENY, "M", "L"),
    (" deny hosts = 9.9.9.9\n accept", Outcome.ACCEPT, "", ""),
    (" deny !hosts = 9.9.9.9", Outcome.DENY, "", ""),
    (" require message = xxx\n hosts = a", Outcome.DENY, "xxx", "xxx"),
    (" accept hosts = a\n endpass\n hosts = *\n deny message = last", Outcome.DENY, "last", "last"),
    (" accept endpass\n message = no\n hosts = a\n accept", Outcome.DENY, "no", "no"),
    (" accept message = hello", Outcome.ACCEPT, "hello", "hello"),
    (" accept endpass\n message = hello", Outcome.ACCEPT, "", ""),
    (" accept acl = n\nn:\n drop message = hello", Outcome.DENY, "hello", "hello"),
    (" deny !acl = n\nn:\n deny message = U\n log_message = L", Outcome.DENY, "U", "L"),
    (" deny !acl = n\n log_message = X\nn:\n deny message = U\n log_message = L", Outcome.DENY, "U", "X: L"),
    (" deny !acl = n\n message = M[$acl_verify_message]\nn:\n deny message = U\n log_message = L", Outcome.DENY, "M[U]", "L"),
    (" require acl = n\nn:\n accept message = hello", Outcome.DENY, "hello", "hello"),
    (" accept acl = n\nn:\n discard", Outcome.DISCARD, "", ""),
    (
        " deny acl = n\nn:\n discard",
        Outcome.ERROR,
        "",
        'nested ACL returned "discard" for "deny" command (only allowed with "accept" or "discard")',
    ),
    (" accept condition = maybe", Outcome.DEFER, "", 'invalid "condition" value "maybe"'),
    (" accept condition = ${bad}", Outcome.ERROR, "", 'failed to expand ACL string "${bad}": bad expansion'),
    (" deny condition = ${fail}", Outcome.DENY, "", ""),
    (" accept condition = 0\n deny condition = -7", Outcome.DENY, "", ""),
    (" accept control = fooz", Outcome.ERROR, "", 'syntax error in "control=fooz"'),
    (" accept control = submission/foo", Outcome.ERROR, "", 'syntax error in "control=submission/foo"'),
    (" warn delay = xx", Outcome.ERROR, "", 'syntax error in argument for "delay" modifier: "xx" is not a time value'),
    (" accept malware = *", Outcome.ERROR, "", "cannot test malware condition in RCPT ACL"),
    (" accept acl = nothere", Outcome.ERROR, "", 'unknown ACL verb "nothere" in "nothere"'),
    (" accept acl = /nonexist", Outcome.ERROR, "", 'failed to open ACL file "/nonexist": No such file or directory'),
    (" deny message = ${bad}", Outcome.DENY, "", ""),
]


@pytest.mark.parametrize(("text", "outcome", "user", "log"), CASES)
def test_verbs(world: World, text: str, outcome: Outcome, user: str, log: str) -> None:
    verdict = world.run(text)
    assert (verdict.outcome, verdict.user_message, verdict.log_message) == (outcome, user, log)


def test_named_arguments(world: World) -> None:
    text = " deny !acl = foo a b c d e f g h i j\nfoo:\n warn logwrite = $acl_narg:$acl_arg1:$acl_arg9\n"
    text += " deny message = foo $acl_arg2"
    assert world.run(text).user_message == "foo b"
    assert world.log.lines == ["9:a:i"]


def test_nesting_limit(world: World) -> None:
    verdict = world.run(" accept acl = rcpt")
    assert verdict.outcome is Outcome.ERROR
    assert verdict.log_message == "ACL nested too deep: possible loop"


def test_tainted_acl_text(world: World) -> None:
    world.session.acl_c["c0"] = Tainted("accept")
    scope = world.scope()
    verdict = world.engine.run(Tainted("accept"), "rcpt", scope)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.log_message == "internal configuration error"
    assert world.log.panics == ['attempt to use tainted ACL text "accept"']


def test_unset_options(world: World) -> None:
    assert world.engine.run_option("data", world.scope()).outcome is Outcome.ACCEPT
    assert world.engine.run_option("vrfy", world.scope()).outcome is Outcome.DENY


def test_forced_failure_of_the_option(world: World) -> None:
    assert world.engine.run("${fail}", "rcpt", world.scope()).outcome is Outcome.ACCEPT


def test_discard_where_it_makes_no_sense(world: World) -> None:
    assert world.run(" discard", "helo").outcome is Outcome.ERROR
    assert world.log.panics == ['"discard" verb not allowed in EHLO or HELO ACL']


def test_warn_logs_once(world: World) -> None:
    world.run(" warn log_message = abc\n warn log_message = abc\n accept")
    assert world.log.lines == ["H=(test) [1.2.3.4] Warning: abc"]


def test_warn_message_is_a_header(world: World) -> None:
    world.run(" warn message = X-foo: bar\n accept")
    assert world.message.effects.added_headers == ["X-foo: bar\n"]
    world.run(" warn message = foo\n accept", "helo")
    assert "non-message (EHLO or HELO) ACL" in world.log.panics[0]


def test_warn_skipped(world: World) -> None:
    world.run(" warn condition = rhubarb\n accept")
    assert world.log.lines == [
        "H=(test) [1.2.3.4] Warning: ACL 'warn' statement skipped (in ACL rcpt at line 2 of FILE): "
        'condition test deferred: invalid "condition" value "rhubarb"'
    ]


def test_verify_message_in_warn(world: World) -> None:
    text = " warn !verify = recipient\n set acl_m1 = $acl_verify_message\n log_message = foo $acl_verify_message\n accept"
    world.run(text)
    assert world.message.acl_m["m1"] == "Unrouteable address"
    assert world.log.lines == ["H=(test) [1.2.3.4] Warning: foo Unrouteable address"]
    assert not world.message.effects.added_headers


def test_recipient_failure(world: World) -> None:
    verdict = world.run(" deny !verify = recipient\n message = foo\n log_message = bar $acl_verify_message")
    assert (verdict.user_message, verdict.log_message) == ("foo", "bar Unrouteable address: Unrouteable address")


def test_sender_failure_is_told_once(world: World) -> None:
    verdict = world.run(" require verify = sender")
    assert (verdict.user_message, verdict.log_message) == ("Sender verify failed", "Sender verify failed")
    assert verdict.sender_failure is not None
    assert verdict.sender_failure.lines == "Verification failed for <x@y>\nUnrouteable address"
    assert world.run(" require verify = sender").sender_failure is None
    assert len(world.verifier.calls) == 1


def test_sender_no_details(world: World) -> None:
    verdict = world.run(" require verify = sender/no_details")
    assert verdict.outcome is Outcome.DENY
    assert verdict.sender_failure is None


def test_sender_deferred(world: World) -> None:
    world.verifier.answers["x@y"] = VerifyResult(Outcome.DEFER, log_message="Connection refused", callout=True)
    verdict = world.run(" require verify = sender/callout")
    assert verdict.outcome is Outcome.DEFER
    assert verdict.user_message == "Could not complete sender verify callout"
    assert verdict.sender_failure is not None
    assert (verdict.sender_failure.deferred, verdict.sender_failure.log) == (True, "Connection refused")
    assert world.run(" require verify = sender/callout=defer_ok\n accept").outcome is Outcome.ACCEPT


def test_log_reject_target(world: World) -> None:
    assert world.run(" deny").log_targets == ("main", "reject")
    assert world.run(" deny log_reject_target = panic").log_targets == ("panic",)
    assert world.run(" deny log_reject_target =").log_targets == ()
    world.run(" deny log_reject_target = foo")
    assert world.log.panics == ['unknown log name "foo" in "log_reject_target" in RCPT ACL']


def test_logwrite(world: World) -> None:
    world.run(" warn logwrite = :foo: bar\n logwrite = :panic,main,reject: x\n logwrite = ::zz")
    assert world.log.lines == [
        'main,panic: unknown log name in ":foo: bar" in "logwrite" in RCPT ACL',
        "main,reject,panic: x",
        "zz",
    ]


def test_delay(world: World) -> None:
    flushed: list[int] = []
    world.session.effects.flush = lambda: flushed.append(1)
    world.run(" warn delay = 1m30s\n accept")
    assert (world.waiter.slept, flushed) == ([90], [1])
    world.run(" warn control = no_delay_flush\n delay = 1s\n accept")
    assert flushed == [1]


def test_long_message_is_split(world: World) -> None:
    text = "This is a very long message that goes on for quite some time and then goes on for ever, more or less and never ends."
    assert world.run(f" deny message = {text}").user_message.split("\n") == [
        "This is a very long message that goes on for quite some time and then goes",
        "on for ever, more or less and never ends.",
    ]


def test_trace(world: World) -> None:
    world.log.tracing = True
    world.run(" warn set acl_m0 = $domain\n deny !acl = n\nn:\n  deny message = M")
    assert world.log.traces == [
        'using ACL "rcpt"',
        'processing ACL rcpt "warn" (FILE 2)',
        "check set acl_m0 = $domain",
        "                 = c",
        "warn: condition test succeeded in ACL rcpt",
        'processing ACL rcpt "deny" (FILE 3)',
        "check !acl = n",
        ' using ACL "n"',
        ' processing ACL n "deny" (FILE 5)',
        "   message: M",
        " deny: condition test succeeded in ACL n",
        " end of ACL n: DENY",
        "deny: condition test succeeded in ACL rcpt",
        "end of ACL rcpt: DENY",
    ]


ERRORS = [
    ("accep hosts = *", 'unknown ACL verb "accep" in "accep hosts = *"'),
    ("accept foo = bar", 'unknown ACL condition/modifier in "accept foo = bar"'),
    ("accept hosts", '"=" missing after ACL "hosts" condition'),
    ("accept message x", '"=" missing after ACL "message" modifier'),
    ("accept !message = foo", 'ACL error: negation is not allowed with "message"'),
    ("deny endpass", 'ACL error: "endpass" is not allowed with "deny"'),
    ("deny !endpass", 'ACL error: negation is not allowed with "endpass"'),
    (
        "deny set foo = bar",
        'invalid variable name after "set" in ACL modifier "set foo = bar" (must start "acl_c" or "acl_m")',
    ),
    (
        "deny set acl_c = bar",
        'invalid variable name after "set" in ACL modifier "set acl_c = bar" (digit or underscore must follow acl_c or acl_m)',
    ),
    ("warn set acl_m1-3 = x", 'invalid character "-" in variable name in ACL modifier "set acl_m1-3 = x"'),
    ("deny set acl_m1 bar", '"=" missing after ACL "set" modifier'),
    ("1rcpt:", 'unknown ACL verb "" in "1rcpt:"'),
]


@pytest.mark.parametrize(("text", "error"), ERRORS)
def test_syntax_errors(text: str, error: str) -> None:
    with pytest.raises(AclSyntaxError) as caught:
        parse_text(text)
    assert caught.value.text == error


def test_continuation_and_comments() -> None:
    (statement,) = parse_text("# comment\n\n deny hosts = a : \\\n    b\n  ! verify = recipient\n message = x # y\n")
    assert [(item.title, item.text) for item in statement.items] == [
        ("hosts", "a : b"),
        ("!verify", "recipient"),
        ("message", "x # y"),
    ]
