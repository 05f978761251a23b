"""Reading -H files: what any Exim since 4.0 wrote (Exim spec 57.1). See `spool.codec`."""

from __future__ import annotations

from collections.abc import Callable

from angaros.model.errors import AngarosError
from angaros.model.extensions import SPOOL_NAME, parse_extensions
from angaros.model.message import Header, Message, Recipient
from angaros.model.text import Tainted, quoted_for, taint, untaint
from angaros.model.tls import TlsFacts


class SpoolFormatError(AngarosError):
    """The -H file cannot be understood. `message` has what was read until there."""

    def __init__(self, section: str, message: Message, size: int) -> None:
        super().__init__(f"Format error in spool file {message.id}-H: size={size}")
        self.section = section
        self.message = message
        self.size = size


def read_header(data: bytes, message_id: str, *, with_headers: bool = True) -> Message:
    """Parse a -H file. Raises SpoolFormatError. Body facts that are not in it (size, offset) are left to the store.

    Without `with_headers` header lines are measured and checked but not kept (queue listings)."""
    return _Reader(data, message_id, with_headers).read()


class _Reader:
    """State of one parse."""

    def __init__(self, data: bytes, message_id: str, with_headers: bool) -> None:
        self.keep = with_headers
        self.text = data.decode("latin-1")
        self.at = 0
        self.message = Message(id=message_id)
        self.message.session.smtp = False

    def read(self) -> Message:
        message = self.message
        try:
            self._read_start()
            line = self._read_items()
            line = self._read_tree(line)
            self._read_recipients(line)
            self._read_headers()
        except (ValueError, IndexError) as error:
            raise SpoolFormatError(str(error), message, len(self.text)) from None
        session = message.session
        session.smtp = "smtp" in session.protocol
        session.esmtp = "esmtp" in session.protocol
        session.batched = session.protocol.endswith("-bsmtp")
        return message

    def _line(self) -> str:
        end = self.text.index("\n", self.at)
        line = self.text[self.at : end]
        self.at = end + 1
        return line

    def _read_start(self) -> None:
        message, session = self.message, self.message.session
        if self._line() != f"{message.id}-H":
            raise ValueError("file name")
        login, uid, gid = self._line().rsplit(" ", 2)
        session.originator_login, session.originator_uid, session.originator_gid = login, int(uid), int(gid)
        sender = self._line()
        if not (sender.startswith("<") and sender.endswith(">")):
            raise ValueError("sender")
        message.sender_address = taint(sender[1:-1])
        seconds, count = self._line().split()
        message.received_time = float(int(seconds))
        message.warning_count = int(count)

    def _read_items(self) -> str:
        """All lines with a hyphen; returns the first one without."""
        while True:
            line = self._line()
            if not line.startswith("-"):
                return line
            line = line[1:]
            tainted, quoter = line.startswith("-"), ""
            if tainted:
                line = line[1:]
                if line.startswith("("):
                    quoter, _, line = line[1:].partition(")")
            name, _, value = line.partition(" ")
            if name in ("acl", "aclc", "aclm"):
                self._read_acl(name, value, tainted, quoter)
                continue
            if tainted:
                value = quoted_for(value, quoter)
            reader = _ITEMS.get(name)
            if reader is not None:
                reader(self.message, value)
            else:
                self.message.spool_variables[name] = value

    def _read_acl(self, kind: str, rest: str, tainted: bool, quoter: str) -> None:
        name, _, length_text = rest.rpartition(" ")
        length = int(length_text)
        value = self.text[self.at : self.at + length]
        if len(value) != length or self.text[self.at + length] != "\n":
            raise ValueError("ACL variable")
        self.at += length + 1
        if tainted:
            value = quoted_for(value, quoter)
        if kind == "acl":  # before Exim 4.61: 0 to 9 are connection variables, 10 to 19 message variables
            number = int(name)
            kind, name = ("aclc", str(number)) if number < 10 else ("aclm", str(number - 10))
        if f"m{name}" == SPOOL_NAME and kind == "aclm" and self._read_extensions(value):
            return
        if kind == "aclc":
            self.message.session.acl_c[f"c{name}"] = value
        else:
            self.message.acl_m[f"m{name}"] = value

    def _read_extensions(self, value: str) -> bool:
        """Whether it is ours; else it is a variable that a configuration has set."""
        try:
            self.message.extensions = parse_extensions(value)
        except ValueError:
            return False
        return True

    def _read_tree(self, line: str) -> str:
        """The non-recipients; returns the line after them."""
        if line == "XX":
            return self._line()
        pending = 1
        while True:
            if len(line) < 4 or line[0] not in "YN" or line[1] not in "YN" or line[2] != " ":
                raise ValueError("non-recipients")
            self.message.non_recipients.add(line[3:])
            pending += (line[0] == "Y") + (line[1] == "Y") - 1
            line = self._line()
            if pending == 0:
                return line

    def _read_recipients(self, line: str) -> None:
        for _ in range(int(line)):
            self.message.recipients.append(read_recipient(self._line()))
        if self._line():
            raise ValueError("end of envelope")

    def _read_headers(self) -> None:
        text, end = self.text, len(self.text)
        headers = self.message.headers
        size = 0
        while self.at < end:
            digits = self.at
            while text[digits].isdigit():
                digits += 1
            length = int(text[self.at : digits])
            kind = text[digits]
            if text[digits + 1] != " ":
                raise ValueError("header")
            start = digits + 2
            self.at = start + length
            if self.at > end:
                raise ValueError("header length")
            if kind != "*":
                size += length
            if self.keep:
                headers.append(Header(Tainted(text[start : self.at]), kind))
        self.message.message_size = size


def read_recipient(line: str) -> Recipient:
    """One recipient line, with the fields after the address read from its end."""
    before, mark, flag_text = line.rpartition("#")
    if not mark or not flag_text.isdigit() or not before[-1:].isdigit():
        return _old_recipient(line)
    flags = int(flag_text)
    one = Recipient("")
    if flags & 1:
        before, length, parent = _field_lengths(before)
        one.parent = parent
        before, errors_to = _cut(before, length)
        one.errors_to = taint(errors_to) if errors_to else None
    if flags & 2:
        before, length, one.dsn_flags = _field_lengths(before)
        before, orcpt = _cut(before, length)
        one.orcpt = taint(orcpt)
    one.address = taint(before)
    return one


def _field_lengths(text: str) -> tuple[str, int, int]:
    """Split `... <length>,<number>` from the end."""
    rest, _, pair = text.rpartition(" ")
    length, _, number = pair.partition(",")
    return rest, int(length), int(number)


def _cut(text: str, length: int) -> tuple[str, str]:
    """Split ` <value of that length>` from the end."""
    at = len(text) - length
    if at < 1 or text[at - 1] != " ":
        raise ValueError("recipient")
    return text[: at - 1], text[at:]


def _old_recipient(line: str) -> Recipient:
    """A plain address, or Exim 3's `address parent,?,?` of one-time aliases (the number is dropped as Exim does)."""
    if " " in line and not line.startswith('"') and line[-1:].isdigit():
        address, _, tail = line.rpartition(" ")
        if tail.replace(",", "").isdigit():
            return Recipient(taint(address))
    return Recipient(taint(line))


def _address_and_port(value: str) -> tuple[str, int]:
    """`[1.2.3.4]:25`, or the older `1.2.3.4.25`."""
    if value.startswith("["):
        address, _, port = value[1:].partition("]")
        return address, int(port.removeprefix(":") or 0)
    address, _, port = value.rpartition(".")
    if address.count(".") >= 3 or ":" in address:
        return address, int(port)
    return value, 0


def _set_host(message: Message, value: str) -> None:
    address, port = _address_and_port(value)
    message.session.sender_host_address = taint(address)
    message.session.sender_host_port = port


def _set_interface(message: Message, value: str) -> None:
    address, port = _address_and_port(value)
    message.session.interface_address = untaint(address)
    message.session.interface_port = port


def _set_fraction(message: Message, value: str) -> None:
    message.received_time += float("0" + value)


def _set_frozen(message: Message, value: str) -> None:
    message.frozen = True
    message.frozen_time = float(value or 0)


def _set_local(message: Message, value: str) -> None:
    message.local = message.sender_local = True


def _tls(message: Message) -> TlsFacts:
    if message.session.tls is None:
        message.session.tls = TlsFacts()
    return message.session.tls


def _unescaped(value: str) -> bytes:
    return value.replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\").encode("latin-1")


def _set_resumption(message: Message, value: str) -> None:
    state = (ord(value[0]) - ord("A")) if value else 0
    if state > 0 or message.session.tls is not None:
        _tls(message).resumption = state


def _text(name: str) -> Callable[[Message, str], None]:
    return lambda message, value: setattr(message.session, name, value)


def _flag(name: str) -> Callable[[Message, str], None]:
    return lambda message, value: setattr(message, name, True)


def _number(name: str) -> Callable[[Message, str], None]:
    return lambda message, value: setattr(message, name, int(value))


def _session_flag(name: str) -> Callable[[Message, str], None]:
    return lambda message, value: setattr(message.session, name, True)


def _tls_text(name: str) -> Callable[[Message, str], None]:
    return lambda message, value: setattr(_tls(message), name, value)


_ITEMS: dict[str, Callable[[Message, str], None]] = {
    "received_time_usec": _set_fraction,
    "received_time_complete": lambda m, v: setattr(m, "received_time_complete", float(v)),
    "active_hostname": _text("active_hostname"),
    "allow_unqualified_recipient": _flag("allow_unqualified_recipient"),
    "allow_unqualified_sender": _flag("allow_unqualified_sender"),
    "auth_id": _text("authenticated_id"),
    "auth_sender": _text("authenticated_sender"),
    "body_linecount": _number("body_linecount"),
    "body_zerocount": _number("body_zerocount"),
    "deliver_firsttime": _flag("deliver_firsttime"),
    "dsn_envid": lambda m, v: setattr(m, "dsn_envid", v),
    "dsn_ret": _number("dsn_ret"),
    "frozen": _set_frozen,
    "helo_name": _text("sender_helo_name"),
    "host_address": _set_host,
    "host_auth": _text("sender_host_authenticated"),
    "host_lookup_deferred": _session_flag("host_lookup_deferred"),
    "host_lookup_failed": _session_flag("host_lookup_failed"),
    "host_name": _text("sender_host_name"),
    "ident": _text("sender_ident"),
    "interface_address": _set_interface,
    "local": _set_local,
    "localerror": _flag("local_error_message"),
    "manual_thaw": _flag("manually_thawed"),
    "max_received_linelength": _number("max_received_linelength"),
    "N": _flag("dont_deliver"),
    "received_protocol": _text("protocol"),
    "sender_set_untrusted": _flag("sender_set_untrusted"),
    "smtputf8": _flag("smtputf8"),
    "spool_file_wireformat": _flag("wireformat"),
    "tls_certificate_verified": lambda m, v: setattr(_tls(m), "certificate_verified", True),
    "tls_cipher": _tls_text("cipher"),
    "tls_ocsp": lambda m, v: setattr(_tls(m), "ocsp", int(v)),
    "tls_ourcert": lambda m, v: setattr(_tls(m), "our_certificate", _unescaped(v)),
    "tls_peercert": lambda m, v: setattr(_tls(m), "peer_certificate", _unescaped(v)),
    "tls_peerdn": _tls_text("peer_dn"),
    "tls_resumption": _set_resumption,
    "tls_sni": _tls_text("sni"),
    "tls_ver": _tls_text("version"),
    "utf8_downcvt": lambda m, v: setattr(m, "utf8_downgrade", 1),
    "utf8_optdowncvt": lambda m, v: setattr(m, "utf8_downgrade", -1),
}
"""Readers of the items that have a field of their own."""
