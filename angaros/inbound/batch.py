"""Batched SMTP on standard input (-bS): no replies; the first error ends it all. Exim spec 49.11"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from angaros.inbound.limits import message_size_limit
from angaros.inbound.sender import may_set_sender, own_address
from angaros.inbound.submission import LocalMessage
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.message import Recipient
from angaros.model.text import concat
from angaros.smtp.server import Command, Data, ServerCore

if TYPE_CHECKING:
    from angaros.inbound.options import SessionOptions
    from angaros.inbound.receive import Reception
    from angaros.model.interfaces import Services, Stream

IGNORED = frozenset({"NOOP", "HELP", "VRFY", "EXPN", "ETRN"})
RESETTING = frozenset({"HELO", "EHLO", "RSET"})


class BatchError(Exception):
    """Reply text for the error, and the command at fault ("" when it is the data)."""

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.command = command


class Batch:
    """The whole batch."""

    def __init__(self, services: Services, options: SessionOptions, stream: Stream) -> None:
        self.services = services
        self.main = services.config.main
        self.submission = options.submission
        self.stream = stream
        self.core = ServerCore()
        self.line = 0
        self.transaction_line = 0
        self.accepted = 0
        self.helo = ""
        self.local = self._fresh()
        self.sender_given = False
        self.over = False

    def _fresh(self) -> LocalMessage:
        local = LocalMessage(self.services, self.submission, protocol=self.submission.claims.protocol or "local-bsmtp")
        local.session.smtp = local.session.batched = True
        local.message.sender_local = False
        if self.submission.caller.trusted:
            local.not_from_caller()
        local.session.sender_helo_name = self.helo
        return local

    def run(self) -> int:
        """Returns the exit status."""
        try:
            while not self.over:
                event = self.core.next_event()
                if event is None:
                    self._read()
                elif isinstance(event, Command):
                    self.line += 1
                    self._command(event)
        except BatchError as error:
            self._complain(error)
            return 1 if self.accepted else 2
        return 0

    def _read(self) -> None:
        data = self.stream.read(65536, None)
        if data:
            self.core.receive(data)
            return
        if self.sender_given or self.local.reception is not None:
            raise BatchError("554 Unexpected end of file")
        self.over = True

    def _command(self, command: Command) -> None:
        verb = command.verb
        if verb in RESETTING:
            if verb != "RSET":
                self.helo = command.argument
            self._reset()
        elif verb == "MAIL":
            self._mail(command)
        elif verb == "RCPT":
            self._rcpt(command)
        elif verb == "DATA":
            self._data(command)
        elif verb == "QUIT":
            self.over = True
        elif verb not in IGNORED:
            raise BatchError("500 Command unrecognized", command.line)

    def _reset(self) -> None:
        self.sender_given = False
        self.local = self._fresh()
        self.transaction_line = self.line

    def _mail(self, command: Command) -> None:
        if self.sender_given:
            raise BatchError("503 Sender already given", command.line)
        if not command.argument:
            raise BatchError("501 MAIL FROM must have an address operand", command.line)
        self.transaction_line = self.line - 1
        found = extract_address(command.argument, AddressRules.of(self.main))
        if found.error:
            raise BatchError(f"501 {found.error}", command.line)
        address = found.address
        if address and not found.domain:
            if self.submission.unqualified:
                raise BatchError("501 sender address must contain a domain", command.line)
            address = concat([address, "@", self.main.qualify_domain or ""])
        message = self.local.message
        if may_set_sender(address, self.submission, self.local.scope):
            message.sender_address = message.raw_sender = address
        else:
            message.sender_address = message.raw_sender = own_address(self.services, self.submission)
        self.sender_given = True

    def _rcpt(self, command: Command) -> None:
        if not self.sender_given:
            raise BatchError("503 No sender yet given", command.line)
        if not command.argument:
            raise BatchError("501 RCPT TO must have an address operand", command.line)
        if self.local.too_many() is not None:
            raise BatchError("552 too many recipients", command.line)
        found = extract_address(command.argument, AddressRules.of(self.main), allow_null=False)
        if found.error:
            raise BatchError(f"501 {found.error}", command.line)
        address = found.address
        if not found.domain:
            if self.submission.unqualified:
                raise BatchError("501 recipient address must contain a domain", command.line)
            address = concat([address, "@", self.main.qualify_recipient or ""])
        self.local.message.recipients.append(Recipient(address))

    def _data(self, command: Command) -> None:
        if not self.local.message.recipients:
            raise BatchError("503 MAIL FROM:<sender> command must precede DATA" if not self.sender_given else
                             "503 valid RCPT TO:<recipient> must precede DATA", command.line)  # fmt: skip
        local = self.local
        local.size_limit = max(message_size_limit(local.scope), 0)
        local.run_start_acl()
        reception = local.begin()
        reception.how.smtp = True
        reception.how.accepts_from_line = self.main.ignore_fromline_local
        self.core.begin_data()
        while True:
            event = self.core.next_event()
            if event is None:
                data = self.stream.read(65536, None)
                if not data:
                    self._lost(reception)
                self.core.receive(data)
            elif isinstance(event, Data):
                self.line += event.octets.count(b"\n") + event.last
                reception.feed(event.octets)
                if event.last:
                    break
        reception.end()
        if reception.problem is not None:
            reception.abandon()
            raise BatchError(f"{reception.problem.code} {reception.problem.text}")
        self._keep(local)
        self.accepted += 1
        self._reset()

    def _lost(self, reception: Reception) -> None:
        """The input breaks off inside a message."""
        held = self.core.peek(1 << 20)
        self.line += held.count(b"\n") + (not reception.where())
        self.services.log.write(
            f"SMTP connection from {self.local.session.sender_ident} lost while reading message data{reception.where(held)}",
            message_id=self.local.message.id,
            selector="lost_incoming_connection",
        )
        reception.abandon()
        raise BatchError("421 Lost incoming connection")

    def _keep(self, local: LocalMessage) -> None:
        fault = local.policy()
        assert local.reception is not None
        if fault is not None:
            local.reception.abandon()
            raise BatchError(f"550 {fault.text}")
        try:
            local.keep()
        except OSError as error:
            local.reception.abandon()
            raise BatchError(f"451 Error while writing spool file: {error.strerror or error}") from error

    def _complain(self, error: BatchError) -> None:
        """For programs on standard output, for people on standard error."""
        out, err = sys.stdout, sys.stderr
        out.write(f"{error.text}\nTransaction started in line {self.transaction_line}\nError detected in line {self.line}\n")
        if error.command:
            out.write(f"{error.command}\n")
        out.flush()
        err.write(
            "An error was detected while processing a file of BSMTP input.\nThe error message was:\n\n"
            f"  {error.text}\n\nThe SMTP transaction started in line {self.transaction_line}.\n"
            f"The error was detected in line {self.line}.\n"
        )
        if error.command:
            err.write(f"The SMTP command at fault was:\n\n   {error.command}\n\n")
        count = self.accepted
        what = "previous message was" if count == 1 else "previous messages were"
        err.write(f"{count} {what} successfully processed.\nThe rest of the batch was abandoned.\n")
        err.flush()


def serve_batch(services: Services, options: SessionOptions, stream: Stream) -> int:
    """-bS."""
    return Batch(services, options, stream).run()
