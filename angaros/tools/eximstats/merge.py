"""Reports of earlier runs, text or HTML (ours or Exim's), added up into one `Stats`. Only what they show can be merged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

from angaros.tools.eximstats.collect import fresh, interval
from angaros.tools.eximstats.options import KINDS, Options
from angaros.tools.eximstats.stats import Row, Stats, Times, count, row
from angaros.tools.program import ToolError

_TITLE = re.compile(r"Exim statistics from (\S+ \S+) to (\S+ \S+)")
_TAG = re.compile(r"</?[A-Za-z!][^>]*>")
_CELL = re.compile(r"<t[dh][^>]*>(.*?)(?=<t[dh]|</t[dh]>|</tr>|$)")
_UNITS = {"": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_VOLUME = re.compile(r"(\d+)(KB|MB|GB)?")
_LABEL = re.compile(r"\s*(\d\d)?(?:-\d\d|:(\d\d))\s+(\d+)\b")


def octets(text: str) -> int:
    """`507KB`."""
    match = _VOLUME.fullmatch(text.strip())
    return int(match[1]) * _UNITS[match[2] or ""] if match else 0


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Titles and what is under them. HTML becomes lines whose cells are divided by tabs."""
    title = ""
    body: list[str] = []
    for at, line in enumerate(lines):
        text = line.rstrip("\n")
        head = re.search(r"<h[12]>(.*?)</h[12]>", text)
        underlined = at + 1 < len(lines) and text and re.fullmatch(rf"-{{{len(text)}}}", lines[at + 1].rstrip("\n"))
        report = _TITLE.search(text) if head or not text.startswith("<") else None
        if head or underlined or report:
            if title:
                yield title, body
            title, body = unescape(head[1]) if head else text, []
        elif "<t" in text or "<li>" in text:
            cells = _CELL.findall(text) or [text]
            body.append("\t".join(unescape(_TAG.sub(" ", cell)).strip() for cell in cells))
        else:
            body.append(unescape(_TAG.sub("", text)) if text.startswith("<") else text)
    if title:
        yield title, body


class Merger:
    """Adds blocks to a `Stats`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stats: Stats = fresh(options)
        self.reports = 0
        self._slots = 0
        self._seen: set[tuple[str, str]] = set()
        """Names whose row this report has already given: the list by volume repeats those of the list by count."""
        self._kinds: list[str] = []

    def add(self, title: str, body: list[str]) -> None:
        """One block."""
        report = _TITLE.search(title)
        if report:
            self.reports += 1
            self._seen = set()
            self.stats.begin, self.stats.end = min(self.stats.begin, report[1]), max(self.stats.end, report[2])
            return
        actions: tuple[tuple[str, Callable[[str, list[str]], None]], ...] = (
            ("Grand total", self._grand),
            ("User Specified", self._patterns),
            ("Deliveries by", self._transports),
            ("Messages received per", self._histogram),
            ("Deliveries per", self._histogram),
            ("Time spent", self._times),
            ("Delivery times", self._times),
            ("Receipt times", self._times),
            ("Relayed", self._relays),
            ("Top ", self._top),
            ("List of errors", self._errors),
        )
        for start, action in actions:
            if title.startswith(start):
                action(title, body)
                return

    def _grand(self, title: str, body: list[str]) -> None:
        for line in body:
            cells = line.split("\t") if "\t" in line else line.split()
            if cells[:1] == ["TOTAL"]:
                self._kinds = [kind for kind in KINDS if f"{kind.capitalize()}s" in cells]
            elif cells[:1] in (["Received"], ["Delivered"]):
                numbers = [cell for cell in cells[1:] if cell.strip()]
                self._totals(cells[0], numbers)
            elif match := re.match(r"\s*(Rejects|Temp Rejects)\s+(\d+)(?:\s+(\d+))?", line):
                self._rejects(match[1], int(match[2]), int(match[3] or 0))

    def _rejects(self, name: str, number: int, hosts: int) -> None:
        stats = self.stats
        if name == "Rejects":
            stats.rejects += number
        else:
            stats.temporary_rejects += number
        stats.sites[name, "host"] = stats.sites.get((name, "host"), 0) + hosts

    def _totals(self, name: str, numbers: list[str]) -> None:
        stats = self.stats
        total = stats.received if name == "Received" else stats.delivered
        total.octets += octets(numbers[0])
        total.messages += int(numbers[1])
        at = 2
        if name == "Delivered":
            total.addresses += int(numbers[2])
            at = 3
        for kind in self._kinds:
            key = (name, kind)
            stats.sites[key] = stats.sites.get(key, 0) + int(numbers[at])
            at += 1
        if name == "Received" and len(numbers) >= at + 3:
            stats.delayed += int(numbers[at])
            stats.failed += int(numbers[at + 2])

    def _patterns(self, title: str, body: list[str]) -> None:
        for name, numbers in self._named(body, 1):
            count(self.stats.patterns, name, int(numbers[0]))

    def _transports(self, title: str, body: list[str]) -> None:
        for name, (size, messages) in self._named(body, 2):
            found = row(self.stats.transports, name)
            found.octets += octets(size)
            found.messages += int(messages)

    @staticmethod
    def _named(body: list[str], columns: int) -> Iterator[tuple[str, list[str]]]:
        """Rows that begin with a name."""
        for line in body:
            cells = line.split("\t") if "\t" in line else line.strip().rsplit(None, columns)
            if len(cells) == columns + 1 and cells[-1].strip().isdigit():
                yield cells[0].strip(), [cell.strip() for cell in cells[1:]]

    def _histogram(self, title: str, body: list[str]) -> None:
        rows = [match for line in body if (match := _LABEL.match(line))]
        if not rows or len(rows) % 24 or not self.options.divisions:
            return
        numbers = [int(match[3]) for match in rows]
        if not self._slots:
            self._slots = len(numbers)
            self.options.divisions = len(numbers) // 24
            self.stats.received_in, self.stats.delivered_in = [0] * len(numbers), [0] * len(numbers)
        if len(numbers) != self._slots:
            raise ToolError("eximstats: reports with different histogram divisions cannot be merged")
        target = self.stats.received_in if title.startswith("Messages") else self.stats.delivered_in
        for at, number in enumerate(numbers):
            target[at] += number

    def _times(self, title: str, body: list[str]) -> None:
        times = self._bins(title)
        for line in body:
            match = re.match(r"\s*(Under|Over)?\s*(\d+[wdhms]\S*)\s+(\d+)\s+", line.replace("\t", " "))
            if match is None:
                continue
            limit = int(interval(match[2]))
            if limit not in times.limits:
                self._widen(times, limit)
            at = len(times.limits) if match[1] == "Over" else times.limits.index(limit)
            times.bins[at] += int(match[3])

    def _bins(self, title: str) -> Times:
        stats = self.stats
        remote = "at least one remote" in title
        if title.startswith("Time spent"):
            return stats.queue_remote if remote else stats.queue_all
        if title.startswith("Delivery"):
            self.options.delivery_times = self.options.delivery_times or (1,)
            return stats.delivery_remote if remote else stats.delivery_all
        self.options.receipt_times = self.options.receipt_times or (1,)
        protocol = title.partition(": ")[2].removesuffix(" messages")
        return stats.receipt_all if protocol == "all" else stats.receipt_by.setdefault(protocol, Times(()))

    @staticmethod
    def _widen(times: Times, limit: int) -> None:
        """A limit that the other reports did not have."""
        limits = tuple(sorted({*times.limits, limit}))
        old = dict(zip(times.limits, times.bins, strict=False))
        times.bins = [*(old.get(one, 0) for one in limits), times.bins[-1]]
        times.limits = limits

    def _relays(self, title: str, body: list[str]) -> None:
        number, source = 0, ""
        for line in body:
            cells = line.split("\t")
            if len(cells) == 3 and cells[0].isdigit():
                self._relay(cells[1].strip(), cells[2].strip(), int(cells[0]))
            elif match := re.match(r"\s*=> (.*)", line):
                self._relay(source, match[1].strip(), number)
            elif match := re.match(r"Total: \d+ \(plus (\d+) unshown\)", line):
                self.stats.relayed_unshown += int(match[1])
            elif match := re.match(r"\s*(\d+) (.*)", line):
                number, source = int(match[1]), match[2].strip()

    def _relay(self, source: str, target: str, number: int) -> None:
        self.stats.relayed[source, target] = self.stats.relayed.get((source, target), 0) + number

    def _top(self, title: str, body: list[str]) -> None:
        stats = self.stats
        match = re.match(r"Top \d+ (.*) by (?:message count|volume)", title)
        if match is None:
            return
        counts = {
            "mail rejection reasons": stats.reasons,
            "mail temporary rejection reasons": stats.temporary_reasons,
            "rejected ips": stats.rejected_ips,
            "temporarily rejected ips": stats.temporary_ips,
        }
        what = match[1]
        columns = 1 if what in counts else 4 if what.endswith("destinations") else 3
        for line in body:
            cells = line.split("\t") if "\t" in line else line.strip().split(None, columns)
            if len(cells) != columns + 1 or not cells[0].strip().isdigit() or (what, cells[-1]) in self._seen:
                continue
            self._seen.add((what, cells[-1]))
            if what in counts:
                count(counts[what], cells[-1].strip(), int(cells[0]))
            else:
                self._top_row(what, cells)

    def _top_row(self, what: str, cells: list[str]) -> None:
        words = what.split()
        if what == "local domain destinations":
            kind, table = "localdomain", self.stats.destination
        elif words[0] == "local":
            kind, table = "user", self.stats.sending if words[1] == "senders" else self.stats.destination
        elif words[0] == "sending":
            kind, table = words[1].removesuffix("s"), self.stats.sending
        else:
            kind, table = words[0], self.stats.destination
        found: Row = row(table.setdefault(kind, {}), cells[-1].strip())
        found.messages += int(cells[0])
        found.octets += octets(cells[-3])
        found.addresses += int(cells[1]) if len(cells) == 5 else 0
        if kind in KINDS and kind not in self.options.by:
            self.options.by = tuple(one for one in KINDS if one in (*self.options.by, kind))
            self.stats.sending.setdefault(kind, {})
            self.stats.destination.setdefault(kind, {})

    def _errors(self, title: str, body: list[str]) -> None:
        text, number = "", 0
        for line in [*body, ""]:
            if line.startswith("\t") or (text and line.startswith("      ")):
                text += " " + line.strip()
            elif match := re.match(r"\s*(\d+)(?: -)? (.*)", line):
                self._error(text, number)
                number, text = int(match[1]), match[2].strip()
            elif not line.strip():
                self._error(text, number)
                text, number = "", 0

    def _error(self, text: str, number: int) -> None:
        if text:
            count(self.stats.errors, text, number)


def merge(lines: list[str], options: Options) -> Stats:
    """All reports."""
    merger = Merger(options)
    for title, body in _blocks(lines):
        merger.add(title, body)
    if not merger.reports and not options.empty_ok:
        raise ToolError("**** No valid log lines read")
    return merger.stats
