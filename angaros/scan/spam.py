"""SpamAssassin's spamd and rspamd. Exim spec 45.2, 45.3."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from angaros.config.values import parse_time
from angaros.lists.parse import split_list
from angaros.model.errors import ExpansionError
from angaros.model.text import taint
from angaros.scan.channel import Channel, Place, ScanDefer, connect, parse_place, reason
from angaros.scan.mbox import CHUNK, scan_copy

if TYPE_CHECKING:
    from angaros.model.scope import Scope

TIMEOUT = 120
"""Seconds for the whole conversation with a server (Exim spec 45.2, tmo)."""
CONNECT_TIMEOUT = 5
MAX_SERVERS = 32
MAX_BAR = 50
"""Characters of `$spam_bar`."""

_SCORE = re.compile(r"Spam:\s*(\w+)\s*;\s*(-?[0-9.]+)\s*/\s*(-?[0-9.]+)")
_METRIC = re.compile(r"Metric:\s*\w+;\s*(\w+);\s*(-?[0-9.]+)\s*/\s*(-?[0-9.]+)")
_ACTION = re.compile(r"^Action:\s*(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SpamResult:
    """Answer for the condition."""

    matched: bool = False
    deferred: bool = False
    defer_ok: bool = False


@dataclass(slots=True)
class Server:
    """One item of `spamd_address`."""

    place: Place
    priority: int = 1
    weight: int = 1
    window: tuple[int, int] | None = None
    """Seconds of the day."""
    retry: int = 0
    timeout: int = TIMEOUT
    """Seconds for all of it."""
    rspamd: bool = False


@dataclass(slots=True)
class Report:
    """What a scanner said."""

    spam: bool = False
    score: float = 0.0
    threshold: float = 0.0
    text: str = ""
    action: str = ""
    names: dict[str, str] = field(default_factory=dict)


def scan_message(scope: Scope, argument: str) -> SpamResult:
    """`spam = user[:true][/defer_ok]`."""
    words = [word.strip() for word in split_list(argument, "/")]
    user = words[0] if words else ""
    defer_ok = any(word.lower() == "defer_ok" for word in words[1:])
    if user.lower() in ("", "0", "false"):
        return SpamResult()
    always = user.endswith(":true")
    user = user.removesuffix(":true")
    message = scope.message
    assert message is not None
    known = message.effects.caches.get("spam")
    address = scope.services.config.main.spamd_address or ""
    if known is not None and known[0] == user and not address.startswith("$"):
        return SpamResult(known[1] or always)
    try:
        report = _scan(scope, str(user), address)
    except ScanDefer as problem:
        _log(scope, str(problem))
        return SpamResult(deferred=True, defer_ok=defer_ok)
    spam = report.score >= report.threshold
    _set_variables(scope, report, spam)
    message.effects.caches["spam"] = (user, spam)
    return SpamResult(spam or always)


def _log(scope: Scope, text: str) -> None:
    message_id = scope.message.id if scope.message is not None else ""
    scope.services.log.write(f"spam acl condition: {text}", message_id=message_id)


def _set_variables(scope: Scope, report: Report, spam: bool) -> None:
    score = f"{report.score:.1f}"
    count = min(int(abs(report.score)), MAX_BAR)
    bar = ("+" if report.score > 0 else "-") * count or "/"
    values = {"spam_score": score, "spam_score_int": str(int(report.score * 10)), "spam_bar": bar}
    scope.state.update(values)
    scope.state["spam_report"] = taint(report.text)
    scope.state["spam_action"] = taint(report.action) if report.action else ("reject" if spam else "no action")
    assert scope.message is not None
    scope.message.spool_variables.update(values)


# --- Servers -------------------------------------------------------------------------------------------------------------


def _scan(scope: Scope, user: str, address: str) -> Report:
    if address.startswith("$"):
        try:
            address = scope.expand(address)
        except ExpansionError as error:
            raise ScanDefer(f"spamassassin acl condition: spamd_address starts with $, but expansion failed: {error}") from None
    servers = _in_order(scope, [parse_server(item) for item in split_list(address)[:MAX_SERVERS] if item])
    if not servers:
        raise ScanDefer("no useable spamd server addresses in spamd_address configuration option.")
    for server in servers:
        channel = _connect(scope, server)
        if channel is not None:
            try:
                return _talk(scope, channel, user, server)
            except OSError as error:
                raise ScanDefer(f"{reason(error)} on spamd {server.place}, socket") from None
            finally:
                channel.close()
    raise ScanDefer("all spamd servers failed")


def parse_server(item: str) -> Server:
    """Raises `ScanDefer`."""
    words = item.split()
    count = 1 if words and words[0].startswith("/") else 2
    try:
        server = Server(parse_place(" ".join(words[:count])))
    except ValueError as error:
        raise ScanDefer(f"warning - invalid spamd address: '{item}'") from error
    for word in words[count:]:
        _option(server, word)
    return server


def _option(server: Server, word: str) -> None:
    name, _, value = word.partition("=")
    if name == "pri" and value.isdigit():
        server.priority = int(value)
    elif name == "weight" and value.isdigit():
        server.weight = int(value)
    elif name == "retry" and parse_time(value) >= 0:
        server.retry = parse_time(value)
    elif name == "tmo" and parse_time(value) >= 0:
        server.timeout = parse_time(value)
    elif name == "time":
        server.window = _window(value)
    elif name == "variant" and value == "rspamd":
        server.rspamd = True
    else:
        raise ScanDefer(f"warning - invalid spamd option: '{word}'")


def _window(text: str) -> tuple[int, int]:
    """`hh.mm.ss-hh.mm.ss`, also with colons."""
    begin, dash, end = text.partition("-")
    try:
        return (_seconds(begin), _seconds(end)) if dash else (0, 86400)
    except ValueError:
        raise ScanDefer(f"warning - invalid spamd time value: '{text}'") from None


def _seconds(text: str) -> int:
    parts = [int(part) for part in re.split(r"[.:]", text)]
    parts += [0] * (3 - len(parts))
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def _in_order(scope: Scope, servers: list[Server]) -> list[Server]:
    """Higher priority first; equal ones at random by weight; those out of their hours are left out."""
    moment = time.localtime(scope.services.clock.now())
    second = moment.tm_hour * 3600 + moment.tm_min * 60 + moment.tm_sec
    waiting = [one for one in servers if one.window is None or one.window[0] <= second < one.window[1]]
    ordered: list[Server] = []
    while waiting:
        best = max(one.priority for one in waiting)
        equals = [one for one in waiting if one.priority == best]
        position = scope.services.random.below(max(sum(one.weight for one in equals), 1)) if len(equals) > 1 else 0
        for chosen in equals:
            position -= chosen.weight
            if position < 0:
                break
        ordered.append(chosen)
        waiting.remove(chosen)
    return ordered


def _connect(scope: Scope, server: Server) -> Channel | None:
    for attempt in range(2):
        deadline = scope.services.clock.monotonic() + server.timeout
        try:
            return connect(server.place, scope, min(CONNECT_TIMEOUT, server.timeout), deadline)
        except OSError as error:
            if attempt == 0 and server.retry:
                scope.services.waiter.sleep(server.retry)
                continue
            host = server.place.host or server.place.path
            _log(scope, f"spamd: failed to connect to any address for {host}: {reason(error)}")
            return None
    return None


# --- Conversation --------------------------------------------------------------------------------------------------------


def _talk(scope: Scope, channel: Channel, user: str, server: Server) -> Report:
    copy = scan_copy(scope)
    request = _rspamd_request(scope, copy.size) if server.rspamd else _spamd_request(user, copy.size)
    channel.write(request.encode("latin-1"))
    with open(copy.path, "rb") as file:
        while chunk := file.read(CHUNK):
            channel.write(chunk)
    channel.half_close()
    answer = channel.read_all().decode("latin-1").replace("\r\n", "\n")
    if not answer:
        raise ScanDefer("invalid spamd server return: empty")
    return _parse_rspamd(answer) if server.rspamd else _parse_spamd(answer)


def _spamd_request(user: str, size: int) -> str:
    return f"REPORT SPAMC/1.2\r\nUser: {user}\r\nContent-length: {size}\r\n\r\n"


def _rspamd_request(scope: Scope, size: int) -> str:
    message, session = scope.message, scope.session
    assert message is not None and session is not None
    lines = [
        "CHECK RSPAMC/1.3",
        f"Content-length: {size}",
        f"Queue-Id: {message.id}",
        f"From: <{message.sender_address}>",
        f"Recipient-Number: {len(message.recipients)}",
        *(f"Rcpt: <{recipient.address}>" for recipient in message.recipients),
    ]
    for name, value in (
        ("Helo", session.sender_helo_name),
        ("Hostname", session.sender_host_name),
        ("IP", session.sender_host_address),
        ("User", session.authenticated_id or (session.sender_ident if not session.is_remote else "")),
    ):
        if value:
            lines.append(f"{name}: {value}")
    return "".join(f"{line}\r\n" for line in lines) + "\r\n"


def _parse_spamd(answer: str) -> Report:
    head = answer.partition("\n")[0]
    found = _SCORE.search(answer)
    if not head.startswith("SPAMD/") or found is None:
        raise ScanDefer(f"cannot parse spamd {head.split(' ')[0]} output")
    body = answer[found.end() :].lstrip("\n")
    return Report(found.group(1) == "True", float(found.group(2)), float(found.group(3)), _folded(body))


def _parse_rspamd(answer: str) -> Report:
    found = _METRIC.search(answer)
    if not answer.startswith("RSPAMD/") or found is None:
        raise ScanDefer("cannot parse rspamd output")
    body = answer[found.end() :].partition("\n")[2]
    action = _ACTION.search(body)
    report = Report(found.group(1) == "True", float(found.group(2)), float(found.group(3)), _folded(body))
    report.action = action.group(1) if action is not None else ""
    return report


def _folded(text: str) -> str:
    """The report with each further line indented, so that it can stand in a header line."""
    return text.rstrip("\n").rstrip().replace("\n", "\n ")
