"""The autoreply transport: answers to messages, mostly vacation notices (Exim spec 27)."""

from __future__ import annotations

import re
from typing import Any

from angaros.config import values
from angaros.logs.times import tod_log
from angaros.mime.addresses import AddressRules, extract_address, split_address_list
from angaros.model.delivery import DeliveryResult
from angaros.model.errors import AngarosError, ExpansionError
from angaros.model.reply import Reply
from angaros.model.text import like
from angaros.transports.headers import TransportError, header_text
from angaros.transports.local import LocalTransport, Setup, perform, refuse_tainted
from angaros.transports.plan import AppendTextPlan, OncePlan
from angaros.transports.writer import read_body, to_lf

READ_LIMIT = 1 << 20
"""Octets of `file`: a reply is a note, not an archive."""
RETURN_BLOCK = 8192
"""`bounce_return_size_limit` is rounded up to a multiple of this, as in Exim."""
MAX_REFERENCES = 12
"""Message ids taken over into References:: the first and the last ones. RFC 5322 wants them all, prudence a few."""

_HEADER_FIELDS = (("from_", "From"), ("reply_to", "Reply-To"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("subject", "Subject"))
_MESSAGE_IDS = re.compile(r"<[^<>\s]+>")


class Autoreply(LocalTransport):
    """Driver `autoreply`."""

    def run(self, setup: Setup) -> DeliveryResult:
        """Send the reply, unless this recipient has had it."""
        reply: Reply = setup.first.reply if setup.first.reply is not None else self._from_options(setup)
        if self.options.never_mail:
            self._drop_never_mail(reply, setup)
        elif reply.never_mail:
            _drop_recipients(reply, lambda address: address.lower() in reply.never_mail.lower().split(","), setup)
        if (self.options.never_mail or reply.never_mail) and not (reply.to or reply.cc or reply.bcc):
            return DeliveryResult("ok")
        if reply.oncelog and reply.to and self._sent_before(reply, setup):
            return DeliveryResult("ok")
        text = self._text(reply, setup)
        if reply.oncelog and reply.to:
            self._once(reply, setup, note=True)
        self._submit(text, setup)
        if reply.logfile:
            self._log(reply, setup)
        return DeliveryResult("ok")

    # --- what the options say -----------------------------------------------------------------------------------------

    def _from_options(self, setup: Setup) -> Reply:
        options = self.options
        reply = Reply(file_expand=options.file_expand, return_message=options.return_message)
        for name, _ in _HEADER_FIELDS:
            setattr(reply, name, self._expand(getattr(options, name), setup, header=True))
        reply.headers = self._expand(options.headers, setup)
        reply.text = self._expand(options.text, setup)
        reply.file = self._expand(options.file, setup)
        reply.logfile = self._expand(options.log, setup)
        reply.oncelog = self._expand(options.once, setup)
        if options.once_repeat:
            text = self._expand(options.once_repeat, setup)
            reply.once_repeat = values.parse_time(text)
            if reply.once_repeat < 0:
                raise TransportError(f'Invalid time value "{text}" for "once_repeat" in {setup.name} transport', fail=True)
        return reply

    def _expand(self, text: str | None, setup: Setup, *, header: bool = False) -> str:
        """One option; header fields must be printable (newlines before white space are)."""
        if not text:
            return ""
        try:
            value = setup.scope.expand(text)
        except ExpansionError as error:
            raise TransportError(f'Expansion of "{text}" failed in {setup.name} transport: {error}', fail=True) from None
        if header:
            top = setup.scope.services.config.main.print_topbitchars
            code = _unprintable(value, top_bit=top)
            if code >= 0:
                raise TransportError(f'Expansion of "{text}" in {setup.name} transport contains non-printing character {code}')
        return value

    # --- recipients that never get one ---------------------------------------------------------------------------------

    def _drop_never_mail(self, reply: Reply, setup: Setup) -> None:
        items, scope = self.options.never_mail, setup.scope
        lists = scope.services.lists
        _drop_recipients(reply, lambda address: bool(lists.match_address(address, items, scope)), setup)

    # --- once ---------------------------------------------------------------------------------------------------------

    def _sent_before(self, reply: Reply, setup: Setup) -> bool:
        """Whether this recipient has had an answer (not too long ago, with `once_repeat`)."""
        last = float(self._once(reply, setup, note=False).detail.get("last", 0.0))
        if not last:
            return False
        return not reply.once_repeat or setup.scope.services.clock.now() - last < reply.once_repeat

    def _once(self, reply: Reply, setup: Setup, *, note: bool) -> DeliveryResult:
        refuse_tainted(reply.oncelog, "once file", setup)
        size = self.options.once_file_size
        plan = OncePlan(str(reply.oncelog), str(reply.to), setup.scope.services.clock.now(), note, size, reply.once_keep_days)
        result = perform(setup, plan, with_body=False)
        if result.status != "ok":
            kind = '"once" file' if size > 0 else "database file"
            text = f"Failed to open {kind} {reply.oncelog} when sending message from {setup.name} transport: {result.message}"
            raise TransportError(text, result.basic_errno)
        return result

    # --- the message --------------------------------------------------------------------------------------------------

    def _text(self, reply: Reply, setup: Setup) -> str:
        lines = [f"{label}: {getattr(reply, name)}\n" for name, label in _HEADER_FIELDS if getattr(reply, name)]
        lines += _threading(setup)
        lines.append("Auto-Submitted: auto-replied\n")
        if reply.headers:
            lines.append(f"{reply.headers}\n")
        lines.append("\n")
        if reply.text:
            lines.append(reply.text if reply.text.endswith("\n") else reply.text + "\n")
        if reply.file:
            lines.append(self._file(reply, setup))
        if reply.return_message or self.options.return_message:
            lines.append(self._returned(setup))
        return "".join(lines)

    def _file(self, reply: Reply, setup: Setup) -> str:
        """Contents of `file`, perhaps expanded line by line; a line that cannot be expanded stays as it is."""
        refuse_tainted(reply.file, "file", setup)
        path = str(reply.file) if reply.file.startswith("/") else f"{setup.directory}/{reply.file}"
        try:
            data, _ = setup.scope.services.courier.read_file(path, setup.owner, limit=READ_LIMIT)
        except OSError as error:
            if self.options.file_optional:
                return ""
            reason = error.strerror or str(error)
            text = f"Failed to open file {reply.file} when sending message from {setup.name} transport: {reason}"
            raise TransportError(text, error.errno or 0) from None
        text = data[:READ_LIMIT].decode("latin-1")
        if not reply.file_expand:
            return text
        return "".join(self._expand_line(line, reply, setup) for line in text.splitlines(keepends=True))

    def _expand_line(self, line: str, reply: Reply, setup: Setup) -> str:
        scope = setup.scope
        if reply.expand_forbid:
            scope = scope.child()
            scope.local["expand_forbid"] = reply.expand_forbid
        try:
            return scope.expand(line)
        except ExpansionError:
            return line

    def _returned(self, setup: Setup) -> str:
        """The original message (`return_message`), cut at `bounce_return_size_limit`."""
        options, message = self.options, setup.message
        if options.headers_only:
            rubric = "------ This is a copy of the message's header lines.\n"
        elif options.body_only:
            rubric = "------ This is a copy of the body of the message, without the headers.\n"
        else:
            rubric = "------ This is a copy of the message, including all the headers.\n"
        limit = setup.scope.services.config.main.bounce_return_size_limit
        most = (limit // RETURN_BLOCK + 1) * RETURN_BLOCK if limit > 0 else message.body_size
        out = f"\n{rubric}"
        if not options.headers_only and message.body_size > most:
            out += (
                f"------ The body of the message is {message.body_size} characters long; only the first\n"
                f"------ {most // 1000 * 1000} or so are included here.\n"
            )
        out += "\n"
        if not options.body_only:
            out += header_text(setup.scope, setup.deliveries, setup.instance, setup.return_path) + "\n"
        return out if options.headers_only else out + _body(setup, most)

    def _submit(self, text: str, setup: Setup) -> None:
        submitter = setup.scope.services.submitter
        assert submitter is not None
        try:
            submitter.submit(text.encode("latin-1"), setup.scope, sender="", reference=setup.message.id, owner=setup.owner)
        except AngarosError:
            raise TransportError(f"Failed to send message from {setup.name} transport (1)") from None

    def _log(self, reply: Reply, setup: Setup) -> None:
        """A record of the reply in the user's log file; failing to write it is only noted."""
        out = [f"{tod_log(setup.scope.services.clock.now())}\n"]
        for name, label in (("from_", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("subject", "Subject")):
            value = getattr(reply, name)
            if value:
                out.append(f"  {label}: {value}\n")
        if reply.headers:
            out.append(f"  {reply.headers}\n")
        plan = AppendTextPlan(str(reply.logfile), "".join(out), self.options.mode)
        result = perform(setup, plan, with_body=False)
        if result.status != "ok":
            text = f"Failed to open log file {reply.logfile} when sending message from {setup.name} transport"
            setup.scope.services.log.write(text, message_id=setup.message.id)


def _unprintable(value: str, *, top_bit: bool) -> int:
    """Code of the first character that may not stand in a header line, or -1."""
    for at, one in enumerate(value):
        code = ord(one)
        if one == "\n" and value[at + 1 : at + 2] in (" ", "\t"):
            continue
        if one == "\t" or 32 <= code < 127 or (code > 127 and top_bit):
            continue
        return code
    return -1


def _drop_recipients(reply: Reply, unwanted: Any, setup: Setup) -> None:
    """Take addresses out of To, Cc and Bcc."""
    rules = AddressRules.of(setup.scope.services.config.main, utf8=setup.message.smtputf8)
    for name in ("to", "cc", "bcc"):
        text: str = getattr(reply, name)
        if text:
            setattr(reply, name, _without(text, unwanted, rules))


def _without(text: str, unwanted: Any, rules: AddressRules) -> str:
    kept: list[str] = []
    for piece in split_address_list(text):
        item = str(text)[piece.start : piece.end]
        found = extract_address(item, rules, allow_null=False)
        if not (found.ok and unwanted(like(found.address, text))):
            kept.append(item)
    return like(",".join(kept), text) if kept else ""


def _threading(setup: Setup) -> list[str]:
    """In-Reply-To: and References: # RFC 5322 3.6.4, RFC 3834 3.1.5"""
    headers = {header.name.lower(): header for header in reversed(setup.message.headers) if header.kind != "*"}
    out: list[str] = []
    identity = headers.get("message-id")
    if identity is not None:
        out.append(f"In-Reply-To: {identity.value.strip()}\n")
    source = headers.get("references") or headers.get("in-reply-to")
    ids = _MESSAGE_IDS.findall(source.value) if source is not None else []
    if len(ids) > MAX_REFERENCES:
        ids = ids[:1] + ids[1 - MAX_REFERENCES :]
    if identity is not None:
        ids += _MESSAGE_IDS.findall(identity.value)
    if ids:
        out.append(f"References: {' '.join(ids)}\n")
    return out


def _body(setup: Setup, limit: int) -> str:
    message = setup.message
    import os

    fd = os.open(message.body_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = read_body(fd, message.body_offset, min(limit, message.body_size))
        return b"".join(to_lf(pieces) if message.wireformat else pieces).decode("latin-1")
    finally:
        os.close(fd)
