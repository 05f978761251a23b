"""Log lines into a `Stats`. A line's meaning is told by its flag (Exim spec 53.6); others may be rejections."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from angaros.regex import Regex, RegexError
from angaros.tools.eximstats.options import Options
from angaros.tools.eximstats.reasons import culprit, is_rejection, reason
from angaros.tools.eximstats.stats import Stats, Times, count, row
from angaros.tools.logline import LogLine, parse_line, seconds
from angaros.tools.program import ToolError

_HOST = re.compile(r" H=(?:(\(\S*?\)|[^\s\[(]\S*)(?: \(\S*?\))? ?)?(?:DS )?(?:\[([0-9A-Fa-f.:]+)\])?")
_SIZE = re.compile(r" S=(\d+)")
_USER = re.compile(r" U=(\S+)")
_PROTOCOL = re.compile(r" P=(\S+)")
_TRANSPORT = re.compile(r" T=(\S+)")
_FIELD = re.compile(r" (?=(?:F|P|R|T|H|S|ST|QT|DT|X|A|C)=)")
_ORIGINAL = re.compile(r" <[^>]*>$| \([^)]*\) <[^>]*>$")
_DELIVERY_TIME = re.compile(r" DT=(\S+)")
_QUEUE_TIME = re.compile(r"Completed QT=(\S+)")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_TIME_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def interval(text: str) -> float:
    """`1m3s`, `0.123s` in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in _TIME_PART.findall(text))


def host_domain(host: str) -> str:
    """Without its first label; hosts that have no domain of their own, and this one, are in `localdomain`."""
    if host.startswith("["):
        return host
    if host.replace(".", "").isdigit():
        return host
    bare = host.strip("()").lower()
    if bare.count(".") < 2:
        return "localdomain"
    domain = bare.partition(".")[2]
    return f"(.{domain})" if host.startswith("(") else domain


@dataclass(slots=True)
class Known:
    """A message whose arrival was seen."""

    size: int
    arrived: float
    host: str
    address: str
    sender: str
    protocol: str
    remote_delivery: bool = False
    delayed: bool = False
    failed: bool = False


def _pattern(text: str) -> Regex | None:
    if not text:
        return None
    try:
        return Regex(text)
    except RegexError as error:
        raise ToolError(f"eximstats: {error}") from error


class Collector:
    """Takes lines; `stats` has the sums."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stats = fresh(options)
        self.lines = 0
        """Valid ones."""
        self._known: dict[str, Known] = {}
        self._relay = _pattern(options.relay_pattern)
        self._transports = _pattern(options.transport_pattern)
        self._patterns = [(name, _pattern(text)) for name, text in options.patterns]
        self._slots = max(1, options.divisions)

    def feed(self, lines: Iterable[str]) -> None:
        """All of them."""
        stats, patterns = self.stats, self._patterns
        flags = {"<=": self._arrival, "=>": self._delivery, "->": self._more, "==": self._delay, "**": self._failure}
        for raw in lines:
            line = parse_line(raw)
            if line is None:
                continue
            self.lines += 1
            stamp = line.stamp[:19]
            for name, pattern in patterns:
                if pattern is not None and pattern.matches(line.text):
                    stats.patterns[name] += 1
                    stats.patterns_in[name][self._slot(stamp)] += 1
            action = flags.get(line.rest[:2]) if line.message_id and line.rest[2:3] == " " else None
            if action is None and line.message_id and line.rest.startswith("Completed"):
                action = self._completion
            elif action is None and is_rejection(line.rest):
                action = self._rejection
            elif action is not None and self._transports is not None and self._hidden(line.rest):
                action = self._nothing
            if action is not None:
                self._note_time(stamp)
                action(line)

    def _note_time(self, stamp: str) -> None:
        """The time that the report covers begins and ends with lines that count in it."""
        if stamp < self.stats.begin:
            self.stats.begin = stamp
        elif stamp > self.stats.end:
            self.stats.end = stamp

    def _nothing(self, line: LogLine) -> None:
        """An entry that -nt hides."""

    def _slot(self, stamp: str) -> int:
        return int(stamp[11:13]) * self._slots + int(stamp[14:16]) * self._slots // 60

    # --- Arrivals -----------------------------------------------------------------------------------------------------

    def _arrival(self, line: LogLine) -> None:
        stats, rest = self.stats, line.rest
        sender = rest[3:].split(" ", 1)[0].rstrip()
        size = int(found[1]) if (found := _SIZE.search(rest)) else 0
        protocol = found[1] if (found := _PROTOCOL.search(rest)) else ""
        host, address = _host_of(rest)
        if host == "local" and (user := _USER.search(rest)):
            row(stats.sending["user"], user[1]).add(size)
        elif host != "local" and self.options.remote_users:
            row(stats.sending["user"], sender).add(size)
        self._known[line.message_id] = Known(size, seconds(line.stamp), host, address, sender, protocol)
        stats.received.add(size)
        stats.received_in[self._slot(line.stamp)] += 1
        for kind in self.options.by:
            row(stats.sending[kind], self._name(kind, host, sender)).add(size)

    @staticmethod
    def _name(kind: str, host: str, address: str) -> str:
        if kind == "host":
            return host
        if kind == "domain":
            return host_domain(host)
        if kind == "email":
            return address
        return address if address == "<>" else address.rpartition("@")[2].lower() if "@" in address else ""

    # --- Deliveries ---------------------------------------------------------------------------------------------------

    def _delivery(self, line: LogLine) -> None:
        stats, rest = self.stats, line.rest
        message = self._known.get(line.message_id)
        size = message.size if message else 0
        full = _FIELD.split(rest[3:].rstrip("\n"), maxsplit=1)[0].strip()
        address = _ORIGINAL.sub("", full)
        host, host_address = _host_of(rest)
        shown = full if self.options.original or address[:1] in ("/", "|") else address
        stats.delivered.add(size)
        stats.delivered_in[self._slot(line.stamp)] += 1
        transport = found[1].rstrip(":") if (found := _TRANSPORT.search(rest)) else ":blackhole:"
        row(stats.transports, transport).add(size)
        self._destinations(host, full if self.options.original else address, shown, size)
        if message is not None and host != "local":
            message.remote_delivery = True
            if message.host != "local" and address == full:
                self._relayed(message, f"{host}{host_address} {address}")
        if found := _DELIVERY_TIME.search(rest):
            stats.delivery_all.add(interval(found[1]))
            if host != "local":
                stats.delivery_remote.add(interval(found[1]))

    def _hidden(self, rest: str) -> bool:
        """-nt/pattern/: entries with such a transport do not count."""
        found = _TRANSPORT.search(rest)
        return found is not None and self._transports is not None and self._transports.matches(found[1].rstrip(":"))

    def _destinations(self, host: str, address: str, shown: str, size: int) -> None:
        stats, options = self.stats, self.options
        for kind in options.by:
            row(stats.destination[kind], self._name(kind, host, address)).add(size)
        if host == "local" or options.remote_users:
            row(stats.destination["user"], shown).add(size)
        if host == "local" and options.local_domain:
            row(stats.destination["localdomain"], shown.rpartition("@")[2].rstrip(">").lower() if "@" in shown else "").add(size)

    def _relayed(self, message: Known, target: str) -> None:
        source, target = f"{message.host}{message.address} {message.sender}".lower(), target.lower()
        if self._relay is not None and self._relay.matches(f"{source} => {target}"):
            self.stats.relayed_unshown += 1
        else:
            self.stats.relayed[source, target] = self.stats.relayed.get((source, target), 0) + 1

    def _more(self, line: LogLine) -> None:
        """`->`: another address of the same delivery."""
        host, _ = _host_of(line.rest)
        address = _ORIGINAL.sub("", _FIELD.split(line.rest[3:].rstrip("\n"), maxsplit=1)[0].strip())
        self.stats.delivered.addresses += 1
        for kind in self.options.by:
            row(self.stats.destination[kind], self._name(kind, host, address)).addresses += 1

    def _delay(self, line: LogLine) -> None:
        message = self._known.get(line.message_id)
        if message is not None and not message.delayed:
            message.delayed = True
            self.stats.delayed += 1

    def _failure(self, line: LogLine) -> None:
        count(self.stats.errors, line.rest[3:].strip())
        message = self._known.get(line.message_id)
        if message is not None and not message.failed:
            message.failed = True
            self.stats.failed += 1

    def _completion(self, line: LogLine) -> None:
        message = self._known.pop(line.message_id, None)
        if message is None:
            return
        stats = self.stats
        spent = seconds(line.stamp) - message.arrived
        stats.queue_all.add(spent)
        if message.remote_delivery:
            stats.queue_remote.add(spent)
        if found := _QUEUE_TIME.search(line.rest):
            receipt = max(0.0, interval(found[1]) - spent)
            stats.receipt_all.add(receipt)
            if message.protocol:
                stats.receipt_by.setdefault(message.protocol, Times(self.options.receipt_times)).add(receipt)

    # --- Rejections ---------------------------------------------------------------------------------------------------

    def _rejection(self, line: LogLine) -> None:
        stats, rest = self.stats, line.rest.strip()
        text, temporary = reason(rest)
        if temporary:
            stats.temporary_rejects += 1
        else:
            stats.rejects += 1
        count(stats.temporary_reasons if temporary else stats.reasons, text)
        if host := culprit(rest):
            count(stats.temporary_ips if temporary else stats.rejected_ips, host)


def _host_of(rest: str) -> tuple[str, str]:
    """Host and `[address]`; `local` when the line has none."""
    found = _HOST.search(rest)
    if found is None:
        return "local", ""
    address = f"[{found[2]}]" if found[2] else ""
    return found[1] or address or "local", address


def fresh(options: Options) -> Stats:
    """With empty tables for what will be counted."""
    stats = Stats()
    slots = 24 * max(1, options.divisions)
    stats.received_in, stats.delivered_in = [0] * slots, [0] * slots
    stats.sending = {kind: {} for kind in (*options.by, "user")}
    stats.destination = {kind: {} for kind in (*options.by, "user", "localdomain")}
    stats.queue_all, stats.queue_remote = Times(options.queue_times), Times(options.queue_times)
    stats.delivery_all, stats.delivery_remote = Times(options.delivery_times), Times(options.delivery_times)
    stats.receipt_all = Times(options.receipt_times)
    stats.patterns = {name: 0 for name, _ in options.patterns}
    stats.patterns_in = {name: [0] * slots for name, _ in options.patterns}
    return stats
