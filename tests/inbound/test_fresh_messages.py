"""Each transaction begins with a message of its own; one that nothing has touched is not made again."""

from __future__ import annotations

from collections.abc import Callable

from tests.inbound.smtp_world import World

Make = Callable[..., World]


def test_an_untouched_message_is_kept_until_mail_fills_it(world: World) -> None:
    s = world.connect()
    before = s.conversation.message
    for command in ("EHLO client.test", "NOOP", "RSET", "MAIL FROM:<a@far.test>"):
        s.say(command)
        assert s.conversation.message is before, command
    s.say("RSET")
    assert s.conversation.message is not before


def test_nothing_is_left_of_the_transaction_before(world: World) -> None:
    s = world.greeted()
    for end in ("RSET", "EHLO again.test", ""):
        s.mail("first@far.test", "one@here.test")
        if end:
            s.say(end)
        else:
            s.message()
        assert not s.conversation.message.recipients and not s.conversation.message.sender_address
        s.mail("second@far.test", "two@here.test")
        assert [recipient.address for recipient in s.conversation.message.recipients] == ["two@here.test"]
        s.say("RSET")


def test_what_an_acl_sets_before_mail_does_not_reach_the_message(make_world: Make) -> None:
    acl = "helo:\n  warn set acl_m_x = helo\n  accept\nrcpt:\n  accept logwrite = x=<$acl_m_x>\n"
    world = make_world(main="acl_smtp_helo = helo\nacl_smtp_rcpt = rcpt", acl=acl)
    s = world.greeted()
    s.mail()
    s.message()
    assert "x=<>" in world.log()
