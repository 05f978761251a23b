"""The -H file: envelope, state and headers of a message as octets (Exim spec 57.1), in the format of Exim 4.99.

Laws:
- What `write_header` writes, Exim reads; what any Exim since 4.0 wrote, `read_header` reads.
- Items that we do not know travel through unchanged (`Message.spool_variables`).
- A file that breaks the format raises SpoolFormatError with the part that was read, so that its age is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from angaros.model.errors import AngarosError
from angaros.model.message import Header, Message, Recipient
from angaros.model.text import Tainted, taint, untaint
from angaros.model.tls import TlsFacts

QUOTED_SEPARATOR = "\0"


class SpoolFormatError(AngarosError):
    """The -H file cannot be understood. `message` has what was read until there."""

    def __init__(self, section: str, message: Message, size: int) -> None:
        super().__init__(f"Format error in spool file {message.id}-H: size={size}")
        self.section = section
        self.message = message
        self.size = size


# --- Writing -----------------------------------------------------------------------------------------------------------


def _item(name: str, value: str) -> str:
    """One line; tainted values get the second hyphen, and the lookup type they are quoted for."""
    if "\n" in value:
        value = value.replace("\n", " ") if type(value) is not Tainted else Tainted(value.replace("\n", " "), value.quoter)
    return f"{_lead(value)}{name} {value}\n"


def _lead(value: str) -> str:
    if type(value) is Tainted:
        return f"--({value.quoter})" if value.quoter else "--"
    return "-"


def _escaped(pem: bytes) -> str:
    return pem.decode("latin-1").replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def write_header(message: Message, *, primary_hostname: str = "") -> bytes:
    """The whole -H file. `session.active_hostname` is written when it differs from `primary_hostname`."""
    session = message.session
    out: list[str] = [
        f"{message.id}-H\n{session.originator_login} {session.originator_uid} {session.originator_gid}\n"
        f"<{message.sender_address}>\n{int(message.received_time)} {message.warning_count}\n"
        f"-received_time_usec .{_microseconds(message.received_time):06d}\n"
    ]
    if message.received_time_complete:
        complete = message.received_time_complete
        out.append(f"-received_time_complete {int(complete)}.{_microseconds(complete):06d}\n")
    _write_peer(message, primary_hostname, out)
    for kind, variables in (("aclc", session.acl_c), ("aclm", message.acl_m)):
        names = sorted(variables)
        for at, _, _ in _preorder(len(names)):  # as Exim walks its tree
            name = names[at]
            value = variables[name]
            out.append(f"{_lead(value)}{kind} {name[1:]} {len(value)}\n{value}\n")
    _write_state(message, out)
    if session.tls is not None:
        _write_tls(session.tls, out)
    _write_extensions(message, out)
    out.append(_write_tree(message.non_recipients))
    _write_recipients(message.recipients, out)
    out.append("\n")
    for header in message.headers:
        out.append(f"{len(header.text):03d}{header.kind} {header.text}")
    return "".join(out).encode("latin-1")


def _microseconds(moment: float) -> int:
    return round((moment - int(moment)) * 1_000_000) % 1_000_000


def _write_peer(message: Message, primary_hostname: str, out: list[str]) -> None:
    """Who sent it."""
    session = message.session
    if session.sender_helo_name:
        out.append(_item("helo_name", session.sender_helo_name))
    if session.sender_host_address:
        out.append(f"-host_address [{session.sender_host_address}]:{session.sender_host_port}\n")
        if session.sender_host_name:
            out.append(_item("host_name", session.sender_host_name))
    if session.sender_host_authenticated:
        out.append(_item("host_auth", session.sender_host_authenticated))
        pubname = message.spool_variables.get("host_auth_pubname")
        if pubname:
            out.append(_item("host_auth_pubname", pubname))
    if session.interface_address:
        out.append(f"-interface_address [{session.interface_address}]:{session.interface_port}\n")
    if session.active_hostname and session.active_hostname != primary_hostname:
        out.append(_item("active_hostname", session.active_hostname))
    if session.sender_ident:
        out.append(_item("ident", session.sender_ident))
    if session.protocol:
        out.append(_item("received_protocol", session.protocol))


_FLAGS: tuple[tuple[str, Callable[[Message], bool]], ...] = (
    ("allow_unqualified_recipient", lambda m: m.allow_unqualified_recipient),
    ("allow_unqualified_sender", lambda m: m.allow_unqualified_sender),
    ("deliver_firsttime", lambda m: m.deliver_firsttime),
    ("frozen", lambda m: m.frozen),
    ("N", lambda m: m.dont_deliver),
    ("host_lookup_deferred", lambda m: m.session.host_lookup_deferred),
    ("host_lookup_failed", lambda m: m.session.host_lookup_failed),
    ("local", lambda m: m.local or m.sender_local),
    ("localerror", lambda m: m.local_error_message),
    ("manual_thaw", lambda m: m.manually_thawed),
    ("sender_set_untrusted", lambda m: m.sender_set_untrusted),
)


def _write_state(message: Message, out: list[str]) -> None:
    """Sizes and flags."""
    if message.wireformat:
        out.append("-spool_file_wireformat\n")
    else:
        out.append(f"-body_linecount {message.body_linecount}\n")
    out.append(f"-max_received_linelength {message.max_received_linelength}\n")
    if message.body_zerocount > 0:
        out.append(f"-body_zerocount {message.body_zerocount}\n")
    session = message.session
    if session.authenticated_id:
        out.append(_item("auth_id", session.authenticated_id))
    if session.authenticated_sender:
        out.append(_item("auth_sender", session.authenticated_sender))
    for name, holds in _FLAGS:
        if holds(message):
            out.append(f"-frozen {int(message.frozen_time)}\n" if name == "frozen" else f"-{name}\n")
    for name, value in message.spool_variables.items():
        if name != "host_auth_pubname":
            out.append(_item(name, value) if value else f"{_lead(value)}{name}\n")


def _write_tls(tls: TlsFacts, out: list[str]) -> None:
    """The TLS session it came through."""
    if tls.certificate_verified:
        out.append("-tls_certificate_verified\n")
    if tls.cipher:
        out.append(_item("tls_cipher", tls.cipher))
    if tls.peer_certificate:
        out.append(f"--tls_peercert {_escaped(tls.peer_certificate)}\n")
    if tls.peer_dn:
        out.append(_item("tls_peerdn", tls.peer_dn))
    if tls.sni:
        out.append(_item("tls_sni", tls.sni))
    if tls.our_certificate:
        out.append(f"-tls_ourcert {_escaped(tls.our_certificate)}\n")
    if tls.ocsp:
        out.append(f"-tls_ocsp {tls.ocsp}\n")
    if tls.resumption:
        out.append(f"-tls_resumption {chr(ord('A') + tls.resumption)}\n")
    if tls.version:
        out.append(_item("tls_ver", tls.version))


def _write_extensions(message: Message, out: list[str]) -> None:
    """SMTPUTF8 and DSN."""
    if message.smtputf8:
        out.append("-smtputf8\n")
    if message.utf8_downgrade:
        out.append("-utf8_downcvt\n" if message.utf8_downgrade > 0 else "-utf8_optdowncvt\n")
    if message.dsn_envid:
        out.append(_item("dsn_envid", message.dsn_envid))
    if message.dsn_ret:
        out.append(f"-dsn_ret {message.dsn_ret}\n")


def _write_tree(addresses: set[str]) -> str:
    """The non-recipients as a balanced binary tree in preorder, or `XX`."""
    if not addresses:
        return "XX\n"
    ordered = sorted(addresses)
    return "".join(
        f"{'Y' if left else 'N'}{'Y' if right else 'N'} {ordered[at]}\n" for at, left, right in _preorder(len(ordered))
    )


def _preorder(count: int) -> Iterator[tuple[int, bool, bool]]:
    """The balanced tree over 0 to `count` - 1, roots first: index, whether there is a left and a right branch."""
    ranges = [(0, count)] if count else []
    while ranges:
        low, high = ranges.pop()
        middle = (low + high - 1) // 2
        yield middle, middle > low, middle + 1 < high
        if middle + 1 < high:
            ranges.append((middle + 1, high))
        if middle > low:
            ranges.append((low, middle))


def _write_recipients(recipients: list[Recipient], out: list[str]) -> None:
    out.append(f"{len(recipients)}\n")
    for one in recipients:
        if one.parent < 0 and not one.errors_to and not one.dsn_flags and not one.orcpt:
            out.append(f"{one.address}\n")
        else:
            errors_to = one.errors_to or ""
            out.append(
                f"{one.address} {one.orcpt} {len(one.orcpt)},{one.dsn_flags} {errors_to} {len(errors_to)},{one.parent}#3\n"
            )


# --- Reading -----------------------------------------------------------------------------------------------------------


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
                value = Tainted(value, quoter)
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
            value = Tainted(value, quoter)
        if kind == "acl":  # before Exim 4.61: 0 to 9 are connection variables, 10 to 19 message variables
            number = int(name)
            kind, name = ("aclc", str(number)) if number < 10 else ("aclm", str(number - 10))
        if kind == "aclc":
            self.message.session.acl_c[f"c{name}"] = value
        else:
            self.message.acl_m[f"m{name}"] = value

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
            self.message.recipients.append(_recipient(self._line()))
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


def _recipient(line: str) -> Recipient:
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
