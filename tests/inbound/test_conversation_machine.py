"""A hypothesis state machine over whole sessions: each command has one reply, in order; nothing half done stays behind."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.inbound.smtp_world import Talk, World

COMMANDS = [
    "EHLO there", "HELO there", "EHLO", "MAIL FROM:<a@far.test>", "MAIL FROM:<>", "MAIL FROM:<a@far.test> SIZE=10 BODY=8BITMIME",
    "MAIL FROM:a b", "MAIL", "RCPT TO:<r@here.test>", "RCPT TO:<later@here.test>", "RCPT TO:<>", "RCPT TO:<no-domain>", "RCPT",
    "RSET", "NOOP", "NOOP x", "HELP", "VRFY r", "EXPN r", "ETRN #x", "AUTH PLAIN", "STARTTLS", "BDAT", "BDAT 0", "DATA x",
    "XYZZY", "ATRN", "WELLKNOWN x", "XCLIENT ADDR=1.2.3.4", "",
]  # fmt: skip
ACL = """
check_rcpt:
  defer local_parts = later
  accept
"""
MAIN = """
acl_smtp_rcpt = check_rcpt
acl_smtp_vrfy = deny
chunking_advertise_hosts = *
smtp_max_synprot_errors = 1000
smtp_max_unknown_commands = 1000
smtp_accept_max_nonmail = 1000
no_smtp_enforce_sync
"""


@cache
def shared_world() -> World:
    """One server for all sessions: making one takes longer than a session."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return World(directory, main=MAIN, acl=ACL)


def finals(lines: list[str]) -> list[str]:
    """The last lines of replies."""
    return [line for line in lines if line[3:4] != "-"]


class SessionMachine(RuleBasedStateMachine):
    """One session."""

    def __init__(self) -> None:
        super().__init__()
        self.world = shared_world()
        self.before = len(self.world.files())
        self.talk: Talk = self.world.connect()
        self.accepted = 0

    def teardown(self) -> None:
        self.talk.hang_up()
        assert len(self.world.files()) - self.before == 2 * self.accepted

    @rule(line=st.sampled_from(COMMANDS))
    def command(self, line: str) -> None:
        """One reply."""
        assert len(finals(self.talk.say(line))) == 1

    @rule(lines=st.lists(st.sampled_from([c for c in COMMANDS if not c.startswith("BDAT")]), min_size=2, max_size=8))
    def group(self, lines: list[str]) -> None:
        """As many replies as commands."""
        assert len(finals(self.talk.say(*lines))) == len(lines)

    @rule(text=st.sampled_from(["Subject: x\r\n\r\nbody\r\n", "", "no header\r\n", ".dot\r\n", "x: y\r\n\r\n..\r\n.\n.\r\n"]))
    def message(self, text: str) -> None:
        """DATA is refused, or takes a message and answers once."""
        (reply,) = finals(self.talk.say("DATA"))
        if reply.startswith("354"):
            stuffed = f"\r\n{text}".replace("\r\n.", "\r\n..")[2:]
            (reply,) = finals(self.talk.send(stuffed.encode() + b".\r\n"))
            assert reply.startswith("250")
            self.accepted += 1

    @rule(size=st.integers(1, 60), last=st.booleans())
    def chunk(self, size: int, last: bool) -> None:
        """BDAT: its octets are read whatever the answer, which is one."""
        octets = b"Subject: x\r\n\r\nQUIT\r\nRSET\r\n.\r\nDATA\r\n0123456789012345678901234567890"[:size]
        (reply,) = finals(self.talk.send(b"BDAT %d%s\r\n" % (size, b" LAST" if last else b"") + octets))
        self.accepted += last and reply.startswith("250")

    @precondition(lambda self: self.talk.conversation.txn.sender_given)
    @rule()
    def a_transaction_has_a_sender(self) -> None:
        assert finals(self.talk.say("MAIL FROM:<z@far.test>"))[0].startswith("503")

    @invariant()
    def the_session_goes_on(self) -> None:
        assert not self.talk.done


SessionMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestSessionMachine = SessionMachine.TestCase
