"""Issue 4: a machine that says anything in any order to a real session, beside a small model of what RFC 5321 lets it do.

After each step: no exception, as many well-formed replies as commands, the code that the model expects, and a spool that holds
exactly the messages that got a 250.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.inbound.smtp_world import World

MAIN = """
queue_only
smtp_accept_max_nonmail = 1000000
smtp_max_synprot_errors = 1000000
smtp_max_unknown_commands = 1000000
message_size_limit = 20K
acl_smtp_rcpt = check_rcpt
acl_smtp_mail = check_mail
"""
ACL = """
check_mail:
  defer sender_domains = later.test
  accept
check_rcpt:
  deny  local_parts = no
  defer local_parts = later
  accept
"""

REPLY = re.compile(r"(?:(\d{3})-[^\r\n]*\r\n(?:\1-[^\r\n]*\r\n)*\1(?: [^\r\n]*)?|\d{3}(?: [^\r\n]*)?)\r\n")
"""One reply, of one line or several with the same code. # RFC 5321 4.2"""

BODIES = st.binary(max_size=300).map(lambda body: body.replace(b"\r", b"").replace(b"\n", b"\r\n"))
LINES = st.binary(max_size=80).map(lambda line: line.replace(b"\n", b" ").replace(b"\r", b" "))


class AnyOrder(RuleBasedStateMachine):
    """One connection."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.place.chmod(0o777)
        talk = World(self.place, main=MAIN, acl=ACL).connect("192.0.2.9")
        assert talk.greeting[0].startswith("220 ")
        self.talk, self.peer = talk.conversation, talk.stream
        self.greeted = self.esmtp = self.sender = self.chunks = False
        self.recipients = self.accepted = 0

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    # Talking.

    def replies(self, count: int) -> list[str]:
        """Exactly `count` replies have come since the last call; their codes."""
        self.talk.flush()
        text = self.peer.written.decode("latin-1")
        self.peer.written = b""
        found = [match.group() for match in REPLY.finditer(text)]
        assert "".join(found) == text, f"not well-formed: {text!r}"
        assert len(found) == count, f"{count} expected: {found}"
        return [reply[:3] for reply in found]

    def say(self, line: bytes) -> str:
        self.talk.core.receive(line + b"\r\n")
        self.talk.pump()
        return self.replies(1)[0]

    def reset(self) -> None:
        self.sender, self.recipients, self.chunks = False, 0, False

    # Commands.

    @precondition(lambda self: not self.chunks)
    @rule(verb=st.sampled_from(["EHLO", "HELO", "ehlo"]), name=st.sampled_from(["client.test", "[192.0.2.9]", "", "a b", "_x"]))
    def hello(self, verb: str, name: str) -> None:
        code = self.say(f"{verb} {name}".encode())
        valid = name in ("client.test", "[192.0.2.9]")
        assert code == ("250" if valid else "501")
        if valid:
            self.greeted, self.esmtp = True, verb.upper() == "EHLO"
            self.reset()

    @precondition(lambda self: not self.chunks)
    @rule(
        address=st.sampled_from(["a@b.test", "", "x@later.test", "unqualified", "@", "a@b@c", '"q"@b.test']),
        parameters=st.sampled_from(["", " SIZE=10", " SIZE=99999999", " BODY=8BITMIME", " FOO=1", " SIZE=x"]),
    )
    def mail(self, address: str, parameters: str) -> None:
        code = self.say(f"MAIL FROM:<{address}>{parameters}".encode())
        if self.sender or not self.greeted:  # hosts_require_helo = *
            assert code == "503"
            return
        good = address in ("a@b.test", "", '"q"@b.test')
        known = parameters in ("", " SIZE=10", " BODY=8BITMIME")
        if good and known and (self.esmtp or not parameters):
            assert code == "250"
        assert code in ("250", "451", "501", "552", "555"), code
        self.sender = code == "250"

    @precondition(lambda self: not self.chunks)
    @rule(
        address=st.sampled_from(["x@angaros.test", "no@angaros.test", "later@angaros.test", "", "@", "unqualified", "postmaster"])
    )
    def rcpt(self, address: str) -> None:
        code = self.say(f"RCPT TO:<{address}>".encode())
        if not self.sender:
            assert code == "503"
            return
        expected = {"x@angaros.test": "250", "postmaster": "250", "no@angaros.test": "550", "later@angaros.test": "451"}
        assert code == expected.get(address, "501")
        self.recipients += code == "250"

    @precondition(lambda self: not self.chunks)
    @rule(body=BODIES, cuts=st.lists(st.integers(0, 400), max_size=4))
    def data(self, body: bytes, cuts: list[int]) -> None:
        code = self.say(b"DATA")
        if not (self.sender and self.recipients):
            assert code == "503"
            return
        assert code == "354"
        stuffed = re.sub(rb"(?m)^\.", b"..", b"Subject: x\r\n\r\n" + body)
        whole = stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"
        last = 0
        for cut in [*sorted(cuts), len(whole)]:
            if cut > last:
                self.talk.core.receive(whole[last:cut])
                self.talk.pump()
                last = cut
        self.ended(self.replies(1)[0])

    def ended(self, code: str) -> None:
        assert code in ("250", "550", "552", "554"), code
        self.accepted += code == "250"
        self.reset()

    @rule(body=st.binary(max_size=100), last=st.booleans())
    def chunk(self, body: bytes, last: bool) -> None:
        """BDAT where it was not advertised is no command; where it was, the octets are read in any case."""
        if not self.talk.advertised.chunking:
            return
        if not self.chunks:
            body = b"Subject: x\r\n\r\n" + body
        self.talk.core.receive(b"BDAT %d%s\r\n%s" % (len(body), b" LAST" if last else b"", body))
        self.talk.pump()
        code = self.replies(1)[0]
        if not (self.sender and self.recipients):
            assert code in ("503", "504"), code
        elif last:
            self.ended(code)
        else:
            assert code in ("250", "550", "552", "554"), code
            self.chunks = self.talk.core.stage.name == "CHUNKS"
            if code != "250":
                self.sender = self.talk.txn.sender_given
                self.recipients = len(self.talk.message.recipients)

    @rule(line=st.sampled_from([b"NOOP", b"NOOP x", b"noop"]))
    def noop(self, line: bytes) -> None:
        assert self.say(line) == "250"

    @rule()
    def rset(self) -> None:
        assert self.say(b"RSET") == "250"
        self.reset()

    @precondition(lambda self: not self.chunks)
    @rule(
        line=st.sampled_from(
            [b"VRFY a", b"EXPN a", b"HELP", b"ETRN #x", b"AUTH PLAIN AAAA", b"STARTTLS", b"XCLIENT A=B", b"DATA x"]
        )
    )
    def others(self, line: bytes) -> None:
        code = self.say(line)
        assert code[0] in "245" and code != "354", (line, code)

    @precondition(lambda self: not self.chunks)
    @rule(line=LINES)
    def garbage(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb not in (b"QUIT", b"DATA", b"BDAT", b"MAIL", b"RCPT", b"RSET", b"EHLO", b"HELO"):
            assert self.say(line)[0] in "25"

    @precondition(lambda self: self.esmtp and not self.chunks and not self.sender)
    @rule(names=st.lists(st.sampled_from(["x", "no", "later"]), min_size=1, max_size=5))
    def pipelined(self, names: list[str]) -> None:
        """A whole group in one packet: replies in order. # RFC 2920"""
        group = ["MAIL FROM:<a@b.test>", *(f"RCPT TO:<{name}@angaros.test>" for name in names), "DATA"]
        self.talk.core.receive("".join(f"{line}\r\n" for line in group).encode())
        self.talk.pump()
        codes = self.replies(len(group))
        assert codes[:-1] == ["250", *({"x": "250", "no": "550", "later": "451"}[name] for name in names)]
        if "x" in names:
            assert codes[-1] == "354"
            self.talk.core.receive(b"Subject: p\r\n\r\np\r\n.\r\n")
            self.talk.pump()
            self.ended(self.replies(1)[0])
        else:
            assert codes[-1][0] == "5" or codes[-1] == "354", codes
            if codes[-1] == "354":
                self.talk.core.receive(b".\r\n")
                self.talk.pump()
                assert self.replies(1)[0][0] == "5"
                self.reset()
            else:
                self.sender = self.talk.txn.sender_given

    @invariant()
    def the_spool_holds_what_got_a_250(self) -> None:
        assert len(list(self.place.glob("spool/input/*-H"))) == self.accepted
        assert not self.talk.done


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
