"""`exicyclog`: shuffle the log files down by one (Exim spec 54.6)."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from angaros.config.site import read_site
from angaros.logs.paths import parse_log_file_path
from angaros.tools.program import ToolError, finish, settings

KEEP = 10
"""Files kept, unless told otherwise (spec 54.6)."""
SUFFIX = ".gz"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose new log files are; -1: ours."""

    uid: int = -1
    gid: int = -1


def numbered(path: str, number: int, keep: int) -> str:
    """`mainlog.01`; three digits when more than 99 are kept."""
    return f"{path}.{number:0{3 if keep > 99 else 2}d}"


def cycle(path: str, keep: int, owner: Owner) -> bool:
    """One log file, if it is there and not empty of meaning; False when there is none."""
    if not os.path.exists(path):
        return False
    for suffix in ("", SUFFIX):
        with suppress(FileNotFoundError):
            os.unlink(numbered(path, keep, keep) + suffix)
    for number in range(keep - 1, 0, -1):
        for suffix in ("", SUFFIX):
            old = numbered(path, number, keep) + suffix
            if os.path.exists(old):
                os.rename(old, numbered(path, number + 1, keep) + suffix)
    facts = os.stat(path)
    os.rename(path, numbered(path, 1, keep))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, facts.st_mode & 0o777)
    os.fchmod(fd, facts.st_mode & 0o777)
    if os.geteuid() == 0:
        os.fchown(fd, facts.st_uid if owner.uid < 0 else owner.uid, facts.st_gid if owner.gid < 0 else owner.gid)
    os.close(fd)
    for number in range(2, keep + 1):
        if os.path.exists(numbered(path, number, keep)):
            _compress(numbered(path, number, keep))
    return True


def _compress(path: str) -> None:
    """Into a file of the same owner, mode and times. The one before is written no more: that was two cycles ago."""
    import gzip
    import shutil

    facts = os.stat(path)
    temporary = f"{path}{SUFFIX}.tmp"
    with open(path, "rb") as source, gzip.open(temporary, "wb") as target:
        shutil.copyfileobj(source, target)
    os.chmod(temporary, facts.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(temporary, facts.st_uid, facts.st_gid)
    os.utime(temporary, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.rename(temporary, path + SUFFIX)
    os.unlink(path)


def _parse(arguments: list[str]) -> tuple[int, str | None, list[str]]:
    keep, path, config = KEEP, None, []
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if option not in ("-k", "-l", "-C"):
            raise ToolError(f"** exicyclog: unknown option {option}")
        if not rest:
            raise ToolError(f"** exicyclog: {option} must be followed by a value")
        value = rest.pop(0)
        if option == "-k":
            if not value.isdigit() or int(value) < 1:
                raise ToolError(f"** exicyclog: {value} is not a number of log files")
            keep = int(value)
        elif option == "-l":
            path = value
        else:
            config = ["-C", value]
    return keep, path, config


def _run() -> int:
    keep, path, config = _parse(sys.argv[1:])
    site = read_site()
    spool = site.spool_directory
    if path is None:
        values = settings(["log_file_path", "spool_directory"], config)
        path, spool = values.get("log_file_path", ""), values.get("spool_directory", "") or spool
    place = parse_log_file_path(path, site.log_file_path, spool)
    if not place.template:
        raise ToolError('*** "syslog" is the only log destination: nothing to cycle')
    if "%D" in place.template or "%M" in place.template:
        raise ToolError("*** Cannot cycle log files with dates in their names")
    for kind in ("main", "reject", "panic"):
        cycle(place.template.replace("%s", kind), keep, Owner())
    return 0


def main() -> int:
    """`exicyclog [-k count] [-l path] [-C config]`"""
    return finish(_run)
