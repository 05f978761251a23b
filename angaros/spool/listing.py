"""Listing the queue: `-bp` and its forms (Exim spec 5.3). Texts are Exim's; a message at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from angaros.logs.times import tod_log
from angaros.spool.codec import SpoolFormatError
from angaros.spool.glance import glance
from angaros.spool.store import QueueEntry, Store


def age_text(seconds: float) -> str:
    """Age of a message in four columns: `25m`, `3h`, `12d`."""
    minutes = max(0, int(seconds)) // 60
    if minutes <= 90:
        return f"{minutes:2d}m "
    hours = (minutes + 30) // 60
    if hours <= 72:
        return f"{hours:2d}h "
    return f"{(hours + 12) // 24:2d}d "


def size_text(size: int) -> str:
    """A size in five columns: `  252`, ` 2.9K`, `  31K`, ` 4.0M`."""
    if size == 0:
        return "     "
    if size < 1024:
        return f"{size:5d}"
    if size < 10 * 1024:
        return f"{size / 1024:4.1f}K"
    if size < 1024 * 1024:
        return f"{(size + 512) // 1024:4d}K"
    if size < 10 * 1024 * 1024:
        return f"{size / (1024 * 1024):4.1f}M"
    return f"{(size + 512 * 1024) // (1024 * 1024):4d}M"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which form of `-bp`: its letters are a, c, i, r, u."""

    delivered_children: bool = False
    """a: generated addresses that are done, flagged `+D`."""
    only_undelivered: bool = False
    """u"""
    unsorted: bool = False
    """r"""
    only_ids: bool = False
    """i"""

    @classmethod
    def of(cls, letters: str) -> Listing:
        """From the letters after `-bp`."""
        return cls("a" in letters, "u" in letters, "r" in letters, "i" in letters)


def select(store: Store, ids: Iterable[str], queue_name: str, unsorted: bool) -> list[QueueEntry]:
    """The whole queue, or the given messages of it."""
    wanted = list(ids)
    if not wanted:
        return store.scan(queue_name, ordered=not unsorted)
    found = ((one, store.find(one, queue_name)) for one in wanted)
    return [QueueEntry(one, queue_name, directory) for one, directory in found if directory is not None]


def list_queue(store: Store, form: Listing, now: float, ids: Iterable[str] = (), queue_name: str = "") -> Iterator[str]:
    """The text of `-bp`, a message at a time."""
    entries = select(store, ids, queue_name, form.unsorted)
    if form.only_ids:
        yield from (f"{entry.message_id}\n" for entry in entries)
        return
    for entry in entries:
        text = _list_message(entry, form, now)
        if text:
            yield text


def _list_message(entry: QueueEntry, form: Listing, now: float) -> str:
    try:
        found = glance(entry.directory, entry.message_id)
    except SpoolFormatError as error:
        return f"      {entry.message_id}\n    *** spool format error: size={error.size} ***\n\n"
    except OSError as error:
        if not os.path.exists(entry.header_path) or not os.path.exists(f"{entry.directory}/{entry.message_id}-D"):
            return ""  # delivered meanwhile
        return f"      {entry.message_id}\n    *** spool read error: {error.strerror} ***\n\n"
    login = f" ({found.login})" if found.login else ""
    state = " *** frozen ***" if found.frozen else ""
    if found.release > now:
        state += f" *** held until {tod_log(found.release)} ***"
    out = [f"{age_text(now - found.received)}{size_text(found.size)} {entry.message_id} <{found.sender}>{login}{state}\n"]
    done = found.done
    for address in found.recipients:
        if address not in done:
            out.append(f"          {address}\n")
        elif not form.only_undelivered:
            out.append(f"        D {address}\n")
    if form.delivered_children and done:
        out.extend(f"       +D {address}\n" for address in sorted(done.difference(found.recipients)))
    out.append("\n")
    return "".join(out)
