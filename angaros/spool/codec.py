"""The -H file: envelope, state and headers of a message as octets (Exim spec 57.1), in the format of Exim 4.99.

Laws:
- What `write_header` writes, Exim reads; what any Exim since 4.0 wrote, `read_header` reads.
- Items that we do not know travel through unchanged (`Message.spool_variables`).
- A file that breaks the format raises SpoolFormatError with the part that was read, so that its age is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from angaros.model.extensions import SPOOL_NAME
from angaros.model.message import Message, Recipient
from angaros.model.text import Tainted, quoted_for
from angaros.model.tls import TlsFacts
from angaros.spool.reader import SpoolFormatError, read_header

__all__ = ["SpoolFormatError", "read_header", "write_header"]


def _item(name: str, value: str) -> str:
    """One line; tainted values get the second hyphen, and the lookup type they are quoted for."""
    if "\n" in value:
        value = value.replace("\n", " ") if type(value) is not Tainted else quoted_for(value.replace("\n", " "), value.quoter)
    return f"{_lead(value)}{name} {value}\n"


def _endpoint(name: str, address: str, port: int) -> str:
    return f"{_lead(address)}{name} [{address}]:{port}\n"


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
    acl_m = message.acl_m if message.extensions is None else {**message.acl_m, SPOOL_NAME: message.extensions.text()}
    for kind, variables in (("aclc", session.acl_c), ("aclm", acl_m)):
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
        out.append(_endpoint("host_address", session.sender_host_address, session.sender_host_port))
        if session.sender_host_name:
            out.append(_item("host_name", session.sender_host_name))
    if session.sender_host_authenticated:
        out.append(_item("host_auth", session.sender_host_authenticated))
        pubname = message.spool_variables.get("host_auth_pubname")
        if pubname:
            out.append(_item("host_auth_pubname", pubname))
    if session.interface_address:
        out.append(_endpoint("interface_address", session.interface_address, session.interface_port))
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
    ("local", lambda m: m.local),
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
