"""DCC, the Distributed Checksum Clearinghouses: asks dccifd whether others have had the same message. # dccifd(8)

dccifd is given lines (options, client, HELO, sender, recipients, an empty one) and the message, then our half of the connection
ends. It answers with a line for the whole message, a line with a letter for each recipient, and the X-DCC header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.lists.parse import split_list
from angaros.model.message import Header
from angaros.model.outcome import Outcome
from angaros.model.record import dataclass
from angaros.model.text import concat, taint
from angaros.scan.channel import Channel, Place, ScanDefer, connect, parse_place, reason
from angaros.scan.mbox import body_of, forget_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from angaros.model.message import Message
    from angaros.model.scope import Scope

TIMEOUT = 120
"""Seconds for the whole conversation; dccifd waits for servers of the DCC network."""
CONNECT_TIMEOUT = 5
MAX_HEADER = 4096
"""Octets of the X-DCC header."""

_CACHE = "dcc"

_OUTCOMES = {"A": Outcome.ACCEPT, "S": Outcome.ACCEPT, "R": Outcome.DENY, "G": Outcome.DENY, "T": Outcome.DEFER}
"""Accept, accept for some recipients, reject, greylist, temporary failure."""


@dataclass(frozen=True, slots=True)
class DccResult:
    """Answer for the condition."""

    outcome: Outcome
    defer_ok: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    letter: str
    header: str


def scan_message(scope: Scope, argument: str) -> DccResult:
    """`dcc = *[/defer_ok]`; sets `$dcc_result` and `$dcc_header`, adds the header to the message."""
    words = [word.strip() for word in split_list(argument, "/")]
    if not words or words[0].lower() in ("", "0", "false"):
        return DccResult(Outcome.DENY)
    defer_ok = any(word.lower() == "defer_ok" for word in words[1:])
    message = scope.message
    assert message is not None
    answer = message.effects.caches.get(_CACHE)
    if answer is None:
        try:
            answer = message.effects.caches[_CACHE] = _ask(scope, message)
        except ScanDefer as problem:
            scope.log(f"dcc acl condition: {problem}", panic=True)
            return DccResult(Outcome.DEFER, defer_ok)
        _add_header(scope, message, answer.header)
    scope.state["dcc_result"] = answer.letter
    scope.state["dcc_header"] = taint(answer.header)
    return DccResult(_OUTCOMES[answer.letter], defer_ok)


def _ask(scope: Scope, message: Message) -> _Answer:
    text = scope.services.config.main.dccifd_address
    try:
        place = Place(path=text) if text.startswith("/") else parse_place(text)
    except ValueError:
        raise ScanDefer(f"warning - invalid dccifd address: '{text}'") from None
    deadline = scope.services.clock.monotonic() + TIMEOUT
    try:
        channel = connect(place, scope, CONNECT_TIMEOUT, deadline)
    except OSError as error:
        raise ScanDefer(f"warning - unable to connect to dccifd {place}: {reason(error)}") from None
    try:
        for chunk in _request(scope, message):
            channel.write(chunk)
        channel.half_close()
        return _read(channel)
    except OSError as error:
        raise ScanDefer(f"{reason(error)} on dccifd {place}") from None
    finally:
        channel.close()


def _request(scope: Scope, message: Message) -> Iterator[bytes]:
    session = scope.session
    assert session is not None
    address = message.acl_m.get("m_dcc_override_client_ip") or session.sender_host_address
    lines = [
        scope.services.config.main.dccifd_options,
        f"{address}\r{session.sender_host_name}" if session.sender_host_name else address,
        session.sender_helo_name,
        message.sender_address,
        *(recipient.address for recipient in message.recipients),
        "",
    ]
    yield "".join(f"{_one_line(line)}\n" for line in lines).encode("latin-1")
    yield "".join(str(header.text) for header in message.headers if header.kind != "*").encode("latin-1") + b"\n"
    yield from body_of(message)


def _one_line(text: str) -> str:
    return str(text).replace("\n", " ")


def _read(channel: Channel) -> _Answer:
    first = (channel.read_line() or b"").decode("latin-1").strip()
    if first not in _OUTCOMES:
        raise ScanDefer(f"unexpected answer of dccifd: '{first}'")
    channel.read_line()  # a letter for each recipient: all get the same message here
    rest = channel.read_all()[:MAX_HEADER].decode("latin-1").replace("\r\n", "\n")
    header: list[str] = []
    for line in rest.split("\n"):
        if line.startswith((" ", "\t") if header else "X-DCC"):
            header.append(line)
        elif header:
            break
    return _Answer(first, "\n".join(header))


def _add_header(scope: Scope, message: Message, header: str) -> None:
    """To what ACLs add; with `dcc_direct_add_header` at once, so that other scanners see it."""
    more = message.acl_m.get("m_dcc_add_header", "")
    if not header:
        return
    if not scope.services.config.main.dcc_direct_add_header:
        message.effects.added_headers.append(taint(f"{header}\n"))
        return
    text = concat([taint(header), "\n", more])
    message.headers.append(Header(text if text.endswith("\n") else concat([text, "\n"])))
    forget_copy(message)
