"""BDAT. # RFC 3030; Exim spec 14, chunking_advertise_hosts

Laws: the octets of a chunk are always read, also when the command is refused; between chunks only BDAT, RSET, NOOP and QUIT mean
anything, and every other command ends the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.data import Incoming, may_take_message, predata
from angaros.inbound.report import SYNC_ERROR, log_sync_error
from angaros.smtp.grammar import parse_bdat
from angaros.smtp.server import Stage

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command, Data


class Swallow:
    """Takes the octets of a chunk that nobody wants."""

    def __init__(self, c: Conversation, then: Incoming | None = None) -> None:
        self.c = c
        self.then = then

    def octets(self, event: Data) -> None:
        """Thrown away."""
        if event.last:
            self.c.receiver = self.then

    def connection_lost(self, error: str = "") -> None:
        """As between commands."""
        self.c.receiver = None
        self.c.lost(error)

    def timed_out(self) -> None:
        """As between commands."""
        self.c.receiver = None
        self.c.timed_out()


def do_bdat(c: Conversation, command: Command) -> None:
    """One chunk."""
    parsed = parse_bdat(command.argument)
    if parsed is None:
        c.protocol_error("protocol", 501, "", "missing size for BDAT command")
        return
    size, last = parsed
    incoming = c.extra.get("incoming")
    if size == 0 and not last:
        if incoming is None and not c.message.recipients and not c.txn.discarded:
            may_take_message(c, "BDAT")
        else:
            c.say("504 zero size for BDAT command")
        return
    if incoming is None:
        if c.core.stage is Stage.CHUNKS or not may_take_message(c, "BDAT") or predata(c) is None:
            _swallow(c, size)
            return
        incoming = Incoming(c, bdat=True)
        c.extra["incoming"] = incoming
        c.core.succeeded("BDAT")
    incoming.chunk_size = size
    incoming.chunk_total += size
    incoming.last = last
    c.receiver = incoming
    c.core.begin_chunk(size)


def _swallow(c: Conversation, size: int) -> None:
    c.receiver = Swallow(c)
    c.core.begin_chunk(size)


def chunk_complete(c: Conversation, incoming: Incoming) -> None:
    """A chunk has come whole."""
    c.receiver = None
    if incoming.last:
        c.extra.pop("incoming", None)
        incoming.complete()
        return
    problem = incoming.reception.problem
    if problem is not None:
        c.extra.pop("incoming", None)
        incoming.complete()
        return
    assert c.command is not None
    if not c.advertised.pipelining and c.checks_sync() and c.has_input():
        _out_of_step(c, incoming)
        return
    c.say(f"250 {incoming.chunk_size} byte chunk received")


def _out_of_step(c: Conversation, incoming: Incoming) -> None:
    """The client did not wait: the message is lost, and what follows counts as commands, none of which is right but RSET."""
    assert c.command is not None
    log_sync_error(c, c.command, c.message)
    c.say(f"554 {SYNC_ERROR}")
    abandon_chunks(c)
    c.extra["only_rset"], c.extra["out_of_step"] = incoming, True


def abandon_chunks(c: Conversation) -> None:
    """Forget the message whose chunks have not all come."""
    incoming = c.extra.pop("incoming", None)
    if incoming is not None:
        incoming.reception.abandon()


def start_anew(c: Conversation) -> None:
    """EHLO was accepted."""
    c.extra.pop("only_rset", None)
    abandon_chunks(c)


def between_chunks(c: Conversation, command: Command) -> bool:
    """Deal with a command that comes while more chunks are due; True when it needs no more handling."""
    incoming = c.extra.get("incoming")
    if incoming is None:
        return _after_fault(c, command)
    if command.verb in ("BDAT", "NOOP", "EHLO", "HELO"):  # a refused EHLO changes nothing. # RFC 5321 4.1.1.1
        return False
    if command.verb == "QUIT":
        incoming.log_lost()  # as Exim does: the message will never be complete
        abandon_chunks(c)
        return False
    abandon_chunks(c)
    if command.verb == "RSET":
        return False
    c.protocol_error("protocol", 503, "", "only BDAT permissible after non-LAST BDAT")
    c.extra["only_rset"] = incoming
    return True


def _after_fault(c: Conversation, command: Command) -> bool:
    """The client broke the sequence of chunks: only RSET helps, or leaving."""
    broken = c.extra.get("only_rset")
    if broken is not None and command.verb not in ("RSET", "QUIT", "EHLO", "HELO"):
        over = c.protocol_error("protocol", 503, "", "only RSET accepted now")
        parsed = parse_bdat(command.argument) if command.verb == "BDAT" and not over else None
        if parsed is not None and "out_of_step" not in c.extra:
            _swallow(c, parsed[0])
        return True
    if broken is not None and command.verb == "QUIT":
        broken.log_lost()
    if command.verb not in ("EHLO", "HELO"):
        c.extra.pop("only_rset", None)
        c.extra.pop("out_of_step", None)
    return False
