"""Conditions and modifiers, one at a time, through the engine."""

from __future__ import annotations

import pytest

from angaros.model.outcome import Outcome, VerifyResult
from tests.acl.conftest import World

YES, NO = Outcome.ACCEPT, Outcome.DENY


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("senders = x@y", YES),
        ("senders = !x@y : *", NO),
        ("sender_domains = y", YES),
        ("sender_domains = z", NO),
        ("domains = c", YES),
        ("!domains = c", NO),
        ("local_parts = A.b : a.b", YES),
        ("recipients = a.b@c : A.b@c", YES),
        ("hosts = 1.2.3.4", YES),
        ("hosts = 1.2.3.5", NO),
        ("authenticated = *", NO),
        ("encrypted = *", NO),
        ("condition = yes", YES),
        ("condition = no", NO),
        ("condition = 0", NO),
        ("condition =", NO),
        ("condition = 17", YES),
        ("condition = maybe", Outcome.DEFER),
        ("condition = ${fail}", YES),
        ("condition = ${bad}", Outcome.ERROR),
        ("continue = anything", YES),
        ("set acl_c_x = 1\n condition = $acl_c_x", YES),
        ("set acl_m_y = 0\n condition = $acl_m_y", NO),
    ],
)
def test_simple_conditions(world: World, condition: str, outcome: Outcome) -> None:
    assert world.run(f" accept {condition}\n deny").outcome is outcome


def test_authenticated_and_encrypted_when_they_are(world: World) -> None:
    world.session.sender_host_authenticated = "plain"
    assert world.run(" accept authenticated = cram : plain").outcome is YES
    assert world.run(" accept authenticated = cram").outcome is NO


# --- Headers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("X-A: 1", ["X-A: 1\n"]),
        ("X-A: 1\\nX-A: 1", ["X-A: 1\n"]),
        ("no header", ["X-ACL-Warn: no header\n"]),
        (":at_start: X-A: 1", [":at_start:X-A: 1\n"]),
        (":after_received:X-A: 1\\nX-B: 2", [":after_received:X-A: 1\n", "X-B: 2\n"]),
        ("X-A: 1\\n more", ["X-A: 1\n more\n"]),
        ("\\n\\n", []),
    ],
)
def test_add_header(world: World, text: str, kept: list[str]) -> None:
    assert world.run(f" accept add_header = {text}").outcome is YES
    assert world.message.effects.added_headers == kept


def test_remove_header(world: World) -> None:
    world.run(" warn remove_header = A : B\n accept remove_header = C")
    assert world.message.effects.removed_headers == ["A : B", "C"]


# --- Controls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "attribute", "value"),
    [
        ("queue", "queue_only", True),
        ("queue_only", "queue_only", True),
        ("freeze", "freeze", True),
        ("submission", "submission", True),
        ("submission/sender_retain", "submission_sender_retain", True),
        ("submission/domain=d.e", "submission_domain", "d.e"),
        ("suppress_local_fixups", "suppress_local_fixups", True),
        ("fakereject", "fake_response", "550"),
        ("fakedefer/some text", "fake_response_text", "some text"),
        ("no_mbox_unspool", "no_mbox_unspool", True),
        ("dkim_disable_verify", "dkim_disable_verify", True),
    ],
)
def test_controls_of_the_message(world: World, control: str, attribute: str, value: object) -> None:
    assert world.run(f" accept control = {control}").outcome is YES
    assert getattr(world.message.effects, attribute) == value


@pytest.mark.parametrize(
    ("control", "attribute"),
    [
        ("no_multiline_responses", "no_multiline_responses"),
        ("no_callout_flush", "no_callout_flush"),
        ("no_delay_flush", "no_delay_flush"),
    ],
)
def test_controls_of_the_connection(world: World, control: str, attribute: str) -> None:
    assert world.run(f" accept control = {control}").outcome is YES
    assert getattr(world.session.effects, attribute) is True


@pytest.mark.parametrize(
    ("control", "where", "error"),
    [
        ("nonsense", "rcpt", 'syntax error in "control=nonsense"'),
        ("no_pipelining/x", "rcpt", 'syntax error in "control=no_pipelining/x"'),
        ("allow_auth_unadvertised", "rcpt", 'cannot use "control=allow_auth_unadvertised" in RCPT ACL'),
        ("caseful_local_part", "mail", 'cannot use "control=caseful_local_part" in MAIL ACL'),
    ],
)
def test_wrong_controls(world: World, control: str, where: str, error: str) -> None:
    verdict = world.run(f" accept control = {control}", where)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.log_message == error


def test_freeze_no_tell(world: World) -> None:
    world.run(" accept control = freeze/no_tell")
    assert world.message.effects.freeze and world.message.effects.freeze_no_tell


# --- Verification --------------------------------------------------------------------------------------------------------


def test_routing_result_outlives_a_failed_callout(world: World) -> None:
    """`verify = sender` without callout is content with routing, even after a callout failed (conformance 0398)."""
    world.verifier.answers["x@y"] = VerifyResult(Outcome.DENY, "Called", "550 no", "recipient")
    acl = " deny !verify = sender/callout\n deny message = routing\n !verify = sender\n accept"
    assert world.run(acl).outcome is NO
    assert world.run(" deny !verify = sender\n accept").outcome is YES
    assert len(world.verifier.calls) == 1
    world.run(" deny !verify = sender/callout\n accept")
    assert len(world.verifier.calls) == 2  # a failed callout is asked for again (the hints database answers)


def test_good_callout_is_reused(world: World) -> None:
    world.verifier.answers["x@y"] = VerifyResult(Outcome.ACCEPT)
    assert world.run(" accept verify = sender/callout\n verify = sender\n verify = sender/callout").outcome is YES
    assert len(world.verifier.calls) == 1
    world.run(" accept verify = sender/callout=postmaster")
    assert len(world.verifier.calls) == 2


def test_empty_fail_text(world: World) -> None:
    """`:fail:` without text: no reason, neither for the peer nor for the log (conformance 0445)."""
    world.verifier.answers["x@y"] = VerifyResult(Outcome.DENY, failure="route")
    failure = world.run(" deny !verify = sender").sender_failure
    assert failure is not None
    assert (failure.lines, failure.log) == ("Verification failed for <x@y>", "")


def test_verified_sender_stays_rewritten(world: World) -> None:
    world.verifier.answers["x@y"] = VerifyResult(Outcome.ACCEPT, rewritten="new@y")
    world.run(" accept verify = sender")
    assert (world.message.sender_address, world.message.effects.sender_unrewritten) == ("new@y", "x@y")
    world.run(" accept verify = sender")
    assert len(world.verifier.calls) == 1


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (
            "nothing",
            'expected "sender[=address]", "recipient", "helo", "header_syntax", "header_sender", "header_names_ascii" '
            'or "reverse_host_lookup" at start of ACL condition "verify nothing"',
        ),
        ("helo/x", "unexpected '/' found in \"helo/x\" (this verify item has no options)"),
        ("recipient/x", 'unknown option "x" in ACL condition "verify recipient/x"'),
        ("recipient/callout=1x", 'bad time value in ACL condition "verify recipient/callout=1x"'),
        ("sender/callout=use_sender", "use_sender or use_postmaster cannot be used for a sender verify callout"),
        ("sender/quota", "can only verify quota of recipient"),
        ("recipient/quota/callout", "cannot verify quota and do callout"),
        ("header_syntax", "cannot verify header_syntax in ACL for RCPT"),
    ],
)
def test_wrong_verify(world: World, argument: str, error: str) -> None:
    verdict = world.run(f" accept verify = {argument}")
    assert (verdict.outcome, verdict.log_message) == (Outcome.ERROR, error)


def test_callout_options(world: World) -> None:
    world.verifier.answers["a.b@c"] = world.verifier.answers["A.b@c"] = VerifyResult(Outcome.ACCEPT)
    world.run(" accept verify = recipient/callout=20s,random,connect=5s,use_sender,no_cache,defer_ok,maxwait=1m")
    options = world.verifier.calls[-1][2].callout
    assert (options.timeout, options.connect, options.maxwait) == (20, 5, 60)
    assert options.random and options.use_sender and options.no_cache and options.defer_ok


# --- The end of the session ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["deny", "defer", "drop", "discard"])
def test_nothing_is_refused_at_quit(world: World, verb: str) -> None:
    verdict = world.run(f" {verb} message = bye", "quit")
    assert verdict.outcome is Outcome.ERROR
    assert verdict.log_message == f"QUIT or not-QUIT toplevel ACL may not fail ('{verb}' verb used incorrectly)"
    assert verdict.user_message == "bye"


def test_quoted_arguments(world: World) -> None:
    world.acls('rcpt:\n accept acl = other "two words" three\nother:\n accept message = $acl_narg: $acl_arg1, $acl_arg2')
    assert world.engine.run("rcpt", "rcpt", world.scope()).user_message == "2: two words, three"
