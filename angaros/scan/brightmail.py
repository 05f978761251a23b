"""Brightmail: verdicts for a message's recipients, by the vendor's library in a process of its own.

The library is the site's: a shim over the vendor's SDK with the interface of docs/brightmail.md. It is loaded by
`scan.brightmail_child`, started when the first message wants it and kept.

Laws:
- Whatever happens to the library or its process (it crashes, hangs, answers nonsense), the message is kept, without verdicts: no
  `bmi_` precondition holds, so it is delivered as any other. The panic log says so.
- The message is sent as it comes from the spool, in pieces; nothing is kept in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from angaros.expand.coprocess import Coprocess, Dead, pack
from angaros.model.brightmail import ALTERNATE, DEFAULT, NONE, BmiVerdict, Verdicts, keep_verdicts
from angaros.scan.mbox import body_of

if TYPE_CHECKING:
    from angaros.model.message import Message
    from angaros.model.scope import Scope

TIMEOUT = 60.0
"""Seconds without an answer after which the library counts as hung: its server is beside us, or nearly."""
MAX_IDLE = 4
"""Processes kept for later messages."""
FIELDS = 5
"""Of a verdict in the child's answer: action, alternate location, verdict, tracker, rules."""

_IDLE = "brightmail"


def scan_message(scope: Scope) -> None:
    """All recipients for which policy asked for it get their verdicts."""
    message = scope.message
    assert message is not None
    wanted = [one.address for one in message.recipients if one.bmi_run or message.effects.bmi_run]
    if not wanted:
        return
    idle: list[Coprocess] = scope.services.extra.setdefault(_IDLE, [])
    try:
        process = idle.pop() if idle else _start(scope)
        try:
            verdicts = _ask(process, scope, message, wanted)
        except BaseException:
            process.close()
            raise
    except (Dead, OSError) as error:
        scope.services.log.write(f"brightmail: {error}: message accepted without a verdict", message_id=message.id, panic=True)
        return
    if len(idle) < MAX_IDLE:
        idle.append(process)
    else:
        process.close()
    keep_verdicts(message, verdicts)


def _start(scope: Scope) -> Coprocess:
    from angaros.scan import brightmail_child

    config = scope.services.config
    given = [config.main.bmi_library or "", config.main.bmi_config_file or "", str(config.exim_uid), str(config.exim_gid)]
    argv = [sys.executable, "-I", brightmail_child.__file__, *given]
    process = Coprocess(scope.services.waiter.open_command(argv), TIMEOUT)
    try:
        kind, text = process.receive()
        if kind != "R":
            raise Dead(text)
    except BaseException:
        process.close()
        raise
    return process


def _ask(process: Coprocess, scope: Scope, message: Message, recipients: list[str]) -> Verdicts:
    session = message.session
    envelope = [session.sender_host_address, session.sender_helo_name, message.sender_address, *recipients]
    process.send("M", pack(envelope))
    for piece in _octets(message):
        process.send("B", piece)
    process.send("F", b"")
    kind, text = process.receive()
    if kind != "R":
        raise Dead(text)
    fields = list(_unpack(text))
    if len(fields) != FIELDS * len(recipients):
        raise Dead("a malformed answer")
    rows = zip(*[iter(fields)] * FIELDS, strict=True)
    return {address.lower(): _verdict(*row) for address, row in zip(recipients, rows, strict=True)}


def _verdict(action: str, alternate: str, verdict: str, tracker: str, rules: str) -> BmiVerdict:
    if action not in (DEFAULT, ALTERNATE, NONE):
        raise Dead(f"an unknown action: {action}")
    return BmiVerdict(action, alternate, verdict, tracker, tuple(rules.split()))


def _octets(message: Message) -> Iterator[bytes]:
    """The message with CRLF line ends, as it was sent to us."""
    header = "".join(one.text for one in message.headers if one.kind != "*")
    yield f"{header}\n".replace("\n", "\r\n").encode("latin-1")
    for piece in body_of(message):
        yield piece.replace(b"\n", b"\r\n")


def _unpack(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = int.from_bytes(text[at : at + 4].encode("latin-1"), "big")
        yield text[at + 4 : at + 4 + size]
        at += 4 + size
