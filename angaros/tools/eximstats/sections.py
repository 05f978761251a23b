"""A `Stats` made into what is shown: sections in order, with their numbers as texts. The writers know nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from angaros.tools.eximstats.options import Options
from angaros.tools.eximstats.stats import Row, Stats, Table, Times

WIDEST = 50
"""Dots in a histogram, about."""
COLUMN = {"host": "Hosts", "domain": "Domains", "email": "Emails", "edomain": "Edomains"}


def rounded(octets: int) -> int:
    """A volume as it is shown, in octets again: averages are of what the reader sees."""
    for unit in (1, 1024, 1024**2):
        if octets < 10_000 * unit:
            return (octets + unit // 2) // unit * unit
    return (octets + 1024**3 // 2) // 1024**3 * 1024**3


def volume(octets: int, options: Options) -> str:
    """In octets below ten thousand, then KB, MB, GB."""
    if not options.round_volumes or octets < 10_000:
        return str(octets)
    for name, unit in (("KB", 1024), ("MB", 1024**2)):
        if octets < 10_000 * unit:
            return f"{(octets + unit // 2) // unit}{name}"
    return f"{(octets + 1024**3 // 2) // 1024**3}GB"


def duration(seconds: int) -> str:
    """`1m`, `3h`, `1d`, `1d12h`."""
    out = ""
    for name, size in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size:
            out += f"{seconds // size}{name}"
            seconds %= size
    return out or "0s"


@dataclass(slots=True)
class Grand:
    """The first table."""

    columns: list[str]
    rows: list[tuple[str, list[str], list[str]]]
    """Name; volume, messages, addresses, then a number a column; delayed and failed with percentages."""
    title: str = "Grand total summary"
    anchor: str = "Grandtotal"


@dataclass(slots=True)
class Grid:
    """A table: heads, rows of texts, the name in the last column (`name_last`) or the first."""

    title: str
    anchor: str
    heads: list[str]
    rows: list[list[str]]
    name_last: bool = True
    numbers: list[int] = field(default_factory=list)
    """For a chart."""
    left: bool = False


@dataclass(slots=True)
class Histogram:
    """Numbers by time of day."""

    title: str
    anchor: str
    labels: list[str]
    numbers: list[int]
    dot: int


@dataclass(slots=True)
class Spent:
    """How many took how long."""

    title: str
    anchor: str
    rows: list[tuple[str, str, int, str, str]]
    """Under/Over, time, messages, percentage, cumulative percentage."""


@dataclass(slots=True)
class Relays:
    """From, to, how often."""

    rows: list[tuple[int, str, str]]
    unshown: int
    title: str = "Relayed messages"
    anchor: str = "Relayed messages"


@dataclass(slots=True)
class Errors:
    """Texts and how often."""

    rows: list[tuple[int, str]]
    total: int
    title: str = "List of errors"
    anchor: str = "errors"


Section = Grand | Grid | Histogram | Spent | Relays | Errors


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0.0:4.1f}%"


def grand(stats: Stats, options: Options) -> Grand:
    """Totals."""
    rows = []
    delays = [str(stats.delayed), _percent(stats.delayed, stats.received.messages)]
    fails = [str(stats.failed), _percent(stats.failed, stats.received.messages)]
    for name, row in (("Received", stats.received), ("Delivered", stats.delivered)):
        addresses = str(row.addresses) if name == "Delivered" else ""
        sites = [str(stats.site_count(name, kind)) for kind in options.by]
        extra = [*delays, *fails] if name == "Received" else []
        rows.append((name, [volume(row.octets, options), str(row.messages), addresses, *sites], extra))
    for name, number in (("Rejects", stats.rejects), ("Temp Rejects", stats.temporary_rejects)):
        if number:
            sites = [str(stats.site_count(name, kind)) if kind == "host" else "" for kind in options.by]
            rows.append((name, ["", str(number), "", *sites], []))
    return Grand([COLUMN[kind] for kind in options.by], rows)


def _histogram(what: str, unit: tuple[str, str], numbers: list[int], options: Options, anchor: str) -> Histogram:
    dot = max(1, (max(numbers, default=0) + WIDEST // 2) // WIDEST)
    minutes = 60 // options.divisions
    every = "hour" if minutes == 60 else "minute" if minutes == 1 else f"{minutes} minutes"
    title = f"{what} per {every} (each dot is {dot} {unit[0] if dot == 1 else unit[1]})"
    labels = []
    for at in range(len(numbers)):
        hour, part = divmod(at, options.divisions)
        if options.divisions == 1:
            labels.append(f"{hour:02d}-{hour + 1:02d}")
        else:
            labels.append(f"{hour:02d}:00" if part == 0 else f"  :{part * minutes:02d}")
    return Histogram(title, anchor, labels, numbers, dot)


def spent(title: str, times: Times) -> Spent:
    """Bins that have something."""
    total, sofar = sum(times.bins), 0
    rows: list[tuple[str, str, int, str, str]] = []
    for at, number in enumerate(times.bins):
        if not number:
            continue
        sofar += number
        last = at == len(times.limits)
        word = "Over" if last else "" if rows else "Under"
        limit = duration(times.limits[-1 if last else at]) if times.limits else ""
        rows.append((word, limit, number, f"{100 * number / total:5.1f}%", f"{100 * sofar / total:5.1f}%"))
    return Spent(title, title.replace(":", ""), rows)


def _top(table: Table, by_volume: bool, options: Options) -> list[tuple[str, Row]]:
    def rank(item: tuple[str, Row]) -> tuple[int, int, str]:
        name, row = item
        return (-row.octets, -row.messages, name) if by_volume else (-row.messages, -row.octets, name)

    return sorted((item for item in table.items() if item[1].messages), key=rank)[: options.top]


def _top_grids(title: str, name: str, table: Table, options: Options, addresses: bool, always: bool = False) -> Iterator[Grid]:
    if not table and not always:
        return
    addresses = addresses and bool(table)
    for by_volume in (False, True):
        rows: list[list[str]] = []
        numbers: list[int] = []
        for key, row in _top(table, by_volume, options):
            shown = rounded(row.octets) if options.round_volumes else row.octets
            average = shown // row.messages if row.messages else 0
            numbers.append(row.octets if by_volume else row.messages)
            more = [str(row.addresses)] if addresses else []
            rows.append([str(row.messages), *more, volume(row.octets, options), volume(average, options), key])
        heads = ["Messages", *(["Addresses"] if addresses else []), "Bytes", "Average", name]
        how = "volume" if by_volume else "message count"
        anchor = f"{name} {'volume' if by_volume else 'count'}"
        yield Grid(f"Top {options.top} {title} by {how}", anchor, heads, rows, True, numbers, name.startswith("Local"))


def _count_grid(title: str, name: str, table: dict[str, int], options: Options) -> Iterator[Grid]:
    if table:
        items = sorted(table.items(), key=lambda item: (-item[1], item[0]))[: options.top]
        rows = [[str(number), text] for text, number in items]
        yield Grid(
            f"Top {options.top} {title} by message count", f"{name} count", ["Messages", name], rows, True, [n for _, n in items]
        )


def sections(stats: Stats, options: Options) -> Iterator[Section]:
    """All that is asked for, in Exim's order."""
    yield grand(stats, options)
    if stats.patterns:
        rows = [[name, str(number)] for name, number in sorted(stats.patterns.items())]
        yield Grid("User Specified Patterns", "Patterns", ["Total"], rows, name_last=False)
        for name, numbers in sorted(stats.patterns_in.items()) if options.divisions else ():
            yield _histogram(name, ("occurence", "occurences"), numbers, options, f"Pattern {name}")
    if options.transports:
        rows = [[name, volume(row.octets, options), str(row.messages)] for name, row in sorted(stats.transports.items())]
        numbers = [row.messages for _, row in sorted(stats.transports.items())]
        yield Grid("Deliveries by transport", "Transport", ["Volume", "Messages"], rows, False, numbers)
    if options.divisions:
        yield _histogram("Messages received", ("message", "messages"), stats.received_in, options, "Messages received")
        yield _histogram("Deliveries", ("delivery", "deliveries"), stats.delivered_in, options, "Deliveries")
    yield from _all_times(stats, options)
    if options.relay:
        yield Relays([(n, *pair) for pair, n in sorted(stats.relayed.items(), key=_relay_key)], stats.relayed_unshown)
    if options.top:
        yield from _lists(stats, options)
    if options.errors and stats.errors:
        yield Errors([(number, text) for text, number in sorted(stats.errors.items())], sum(stats.errors.values()))


def _relay_key(item: tuple[tuple[str, str], int]) -> str:
    return f"{item[0][0]} => {item[0][1]}"


def _all_times(stats: Stats, options: Options) -> Iterator[Spent]:
    remote = "messages with at least one remote delivery"
    if options.queue_times:
        yield spent("Time spent on the queue: all messages", stats.queue_all)
        yield spent(f"Time spent on the queue: {remote}", stats.queue_remote)
    if options.delivery_times:
        yield spent("Delivery times: all messages", stats.delivery_all)
        yield spent(f"Delivery times: {remote}", stats.delivery_remote)
    if options.receipt_times:
        yield spent("Receipt times: all messages", stats.receipt_all)
        for protocol, times in sorted(stats.receipt_by.items()):
            yield spent(f"Receipt times: {protocol} messages", times)


def _lists(stats: Stats, options: Options) -> Iterator[Grid]:
    yield from _count_grid("mail rejection reasons", "Mail rejection reason", stats.reasons, options)
    yield from _count_grid(
        "mail temporary rejection reasons", "Mail temporary rejection reason", stats.temporary_reasons, options
    )
    for kind in options.by:
        yield from _top_grids(f"sending {kind}s", f"Sending {kind}", stats.sending[kind], options, False, always=True)
    if options.local or options.remote_users:
        yield from _top_grids("local senders", "Local sender", stats.sending["user"], options, False)
    for kind in options.by:
        table = stats.destination[kind]
        yield from _top_grids(f"{kind} destinations", f"{kind.capitalize()} destination", table, options, True, always=True)
    if options.local or options.remote_users:
        yield from _top_grids("local destinations", "Local destination", stats.destination["user"], options, True)
    if options.local_domain:
        table = stats.destination["localdomain"]
        yield from _top_grids("local domain destinations", "Local domain destination", table, options, True)
    yield from _count_grid("rejected ips", "Rejected ip", stats.rejected_ips, options)
    yield from _count_grid("temporarily rejected ips", "Temporarily rejected ip", stats.temporary_ips, options)
