"""`exim_id_update`: change the ids of queued messages to the long form of Exim 4.97, or back for a downgrade.

To be run while no Exim runs on the spool. Each message is moved in steps that a second run can finish: the new -D file first,
then the -H file is renamed (from here on the message has its new name) and its contents are replaced, then the old -D file goes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

from angaros.spool.ids import base62, from_base62
from angaros.spool.locks import try_lock
from angaros.tools.program import ToolError, complain, finish

USAGE = """Usage: exim_id_update [-v] -u|-d <input directory> ...
  -u  upgrade: to the ids of Exim 4.97 and later
  -d  downgrade: to the ids of Exim 4.96 and earlier"""
OLD = re.compile(r"([0-9A-Za-z]{6})-([0-9A-Za-z]{6})-([0-9A-Za-z]{2})")
NEW = re.compile(r"([0-9A-Za-z]{6})-([0-9A-Za-z]{11})-([0-9A-Za-z]{4})")
STEP = 500
"""Microseconds in a step of the old form; those of the new form are microseconds (spec 3.4, no localhost_number)."""
LARGEST_OLD_PART = 62**2 - 1


def upgraded(message_id: str) -> str:
    """The long form of an old id."""
    match = OLD.fullmatch(message_id)
    assert match is not None
    return f"{match[1]}-{match[2].rjust(11, '0')}-{base62(from_base62(match[3]) * STEP, 4)}"


def downgraded(message_id: str) -> str:
    """The old form of a long id."""
    match = NEW.fullmatch(message_id)
    assert match is not None
    part = min(from_base62(match[3]) // STEP, LARGEST_OLD_PART)
    return f"{match[1]}-{match[2][-6:]}-{base62(part, 2)}"


def next_id(message_id: str) -> str:
    """The id after this one, when it is taken."""
    head, _, part = message_id.rpartition("-")
    value = from_base62(part) + 1
    return f"{head}-{base62(value % 62 ** len(part), len(part))}"


def directories(base: str) -> Iterator[str]:
    """The directory and its one-character ones (split_spool_directory)."""
    yield base
    for name in sorted(os.listdir(base)):
        if len(name) == 1 and os.path.isdir(f"{base}/{name}"):
            yield f"{base}/{name}"


def _replace_first_line(source: str, target: str, line: str) -> None:
    """Copy with another first line, same owner and mode; flushed to the disk."""
    facts = os.stat(source)
    with open(source, "rb") as old, open(target, "wb") as new:
        old.readline()
        new.write(line.encode() + b"\n")
        while chunk := old.read(1 << 18):
            new.write(chunk)
        new.flush()
        os.fchmod(new.fileno(), facts.st_mode & 0o777)
        if os.geteuid() == 0:
            os.fchown(new.fileno(), facts.st_uid, facts.st_gid)
        os.utime(new.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
        os.fsync(new.fileno())


def move(directory: str, old: str, new: str) -> bool:
    """Give a message its new id; False when somebody has it locked."""
    fd = os.open(f"{directory}/{old}-D", os.O_RDWR)
    try:
        if not try_lock(fd, len(old) + 3):
            return False
        _replace_first_line(f"{directory}/{old}-D", f"{directory}/{new}-D", f"{new}-D")
        temporary = f"{directory}/hdr.{new}"
        _replace_first_line(f"{directory}/{old}-H", temporary, f"{new}-H")
        os.rename(f"{directory}/{old}-H", f"{directory}/{new}-H")
        os.rename(temporary, f"{directory}/{new}-H")
        for suffix in ("-J", "-K"):
            if os.path.exists(f"{directory}/{old}{suffix}"):
                os.rename(f"{directory}/{old}{suffix}", f"{directory}/{new}{suffix}")
        _move_message_log(directory, old, new)
        os.unlink(f"{directory}/{old}-D")
    finally:
        os.close(fd)
    return True


def _move_message_log(directory: str, old: str, new: str) -> None:
    head, _, tail = directory.rpartition("/input")
    place = f"{head}/msglog{tail}"
    if head and os.path.exists(f"{place}/{old}"):
        os.rename(f"{place}/{old}", f"{place}/{new}")


def repair(directory: str, message_id: str) -> None:
    """Finish what an earlier run left: a -H file that has its new name and still the old first line."""
    path = f"{directory}/{message_id}-H"
    with open(path, "rb") as file:
        first = file.readline().decode("latin-1").rstrip("\n")
    if first == f"{message_id}-H" or not re.fullmatch(rf"(?:{OLD.pattern}|{NEW.pattern})-H", first):
        return
    temporary = f"{directory}/hdr.{message_id}"
    _replace_first_line(path, temporary, f"{message_id}-H")
    os.rename(temporary, path)
    if os.path.exists(f"{directory}/{message_id}-D") and os.path.exists(f"{directory}/{first[:-2]}-D"):
        os.unlink(f"{directory}/{first[:-2]}-D")


def update(directory: str, upgrade: bool, verbose: bool) -> bool:
    """All messages in one directory; False when some could not be moved."""
    complete = True
    form, change = (OLD, upgraded) if upgrade else (NEW, downgraded)
    for name in sorted(os.listdir(directory)):
        old = name[:-2]
        if not name.endswith("-H"):
            continue
        if not form.fullmatch(old):
            repair(directory, old)
            continue
        new = change(old)
        while os.path.exists(f"{directory}/{new}-H"):
            new = next_id(new)
        try:
            moved = move(directory, old, new)
        except OSError as error:
            complain(f"{old}: {error.strerror}")
            complete = False
            continue
        if not moved:
            complain(f"{old}: message is locked")
            complete = False
        elif verbose:
            print(f"{old} -> {new}")
    return complete


def _run() -> int:
    flags = [one for one in sys.argv[1:] if one.startswith("-")]
    places = [one for one in sys.argv[1:] if not one.startswith("-")]
    modes = [one for one in flags if one in ("-u", "-d")]
    if len(modes) != 1 or set(flags) - {"-u", "-d", "-v"} or not places:
        raise ToolError(USAGE)
    complete = True
    for place in places:
        try:
            for directory in list(directories(place.rstrip("/"))):
                complete = update(directory, modes[0] == "-u", "-v" in flags) and complete
        except OSError as error:
            raise ToolError(f"exim_id_update: {place}: {error.strerror}") from error
    return 0 if complete else 1


def main() -> int:
    """`exim_id_update -u|-d directory ...`"""
    return finish(_run)
