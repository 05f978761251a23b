"""Which configuration file is read, and whether root's power may be kept with it (Exim spec 5.3 -C and -D, 6.1).

Laws:
- A file read with root's power belongs to root or CONFIGURE_OWNER and nobody else may write it.
- -C and -D given by anyone but root end root's power, except for files and macros that the site file trusts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence

from angaros.config.site import Site
from angaros.config.users import find_group, find_user
from angaros.model.errors import ConfigError
from angaros.model.record import dataclass

_SAFE_VALUE = re.compile(r"[A-Za-z0-9_/.-]*\Z")
_WORLD = stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    files: tuple[str, ...]
    """-C, else CONFIGURE_FILE."""
    given: bool = False
    """-C was given, and it does not just repeat CONFIGURE_FILE."""
    macros: Mapping[str, str] | None = None
    """-D."""


def request(site: Site, dash_c: str | None, macros: Mapping[str, str]) -> Request:
    """The request that -C (a colon-separated list, None when absent) and -D make."""
    default = _names(site.configure_file)
    if dash_c is None or dash_c == site.configure_file:
        return Request(default, False, macros)
    return Request(_names(dash_c), True, macros)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(":") if name.strip())


def check_prefix(site: Site, files: Sequence[str]) -> None:
    """ALT_CONFIG_PREFIX confines files given by -C."""
    prefix = site.alt_config_prefix
    if prefix and any(not name.startswith(prefix) or "/../" in name for name in files):
        raise ConfigError("-C Permission denied")


def keeps_power(site: Site, wanted: Request, real_uid: int, exim_uid: int) -> bool:
    """Whether root's power may be kept for this caller."""
    insiders = {0, exim_uid} | _owners(site)
    if wanted.given and real_uid != 0 and not (real_uid in insiders and _listed(site, wanted.files)):
        return False
    return not wanted.macros or real_uid == 0 or (real_uid in insiders and _whitelisted(site, wanted.macros))


def _owners(site: Site) -> set[int]:
    if not site.configure_owner:
        return set()
    try:
        return {find_user(site.configure_owner).uid}
    except KeyError:
        return set()


def _groups(site: Site) -> set[int]:
    if not site.configure_group:
        return set()
    try:
        return {find_group(site.configure_group)}
    except KeyError:
        return set()


def _listed(site: Site, files: Sequence[str]) -> bool:
    """Whether TRUSTED_CONFIG_LIST, a file that root owns, has all these names."""
    if not site.trusted_config_list:
        return False
    try:
        with open(site.trusted_config_list, encoding="latin-1") as handle:
            facts = os.fstat(handle.fileno())
            if facts.st_uid != 0 or facts.st_mode & _WORLD or (facts.st_mode & stat.S_IWGRP and facts.st_gid != 0):
                return False
            trusted = {line.strip() for line in handle if line.startswith("/")}
    except OSError:
        return False
    return all(name in trusted for name in files)


def _whitelisted(site: Site, macros: Mapping[str, str]) -> bool:
    names = {name.strip() for name in site.whitelist_d_macros.split(":") if name.strip()}
    return all(name in names and _SAFE_VALUE.match(value) for name, value in macros.items())


def open_first(site: Site, wanted: Request, *, check: bool) -> tuple[str, str]:
    """Name and text of the first file that exists; `check`: it must belong to root or the site's owner."""
    for name in wanted.files:
        try:
            handle = open(name, encoding="latin-1", newline="")  # noqa: SIM115 - checked through its descriptor
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            where = f"(euid={os.geteuid()} egid={os.getegid()})"
            raise ConfigError(f"failed to open configuration file {name}: {error.strerror} {where}", file=name) from None
        with handle:
            if check and not _owned(site, os.fstat(handle.fileno())):
                raise ConfigError(f"Exim configuration file {name} has the wrong owner, group, or mode", file=name)
            return os.path.abspath(name), handle.read()
    raise ConfigError(f"non-existent configuration file(s): {':'.join(wanted.files)}")


def _owned(site: Site, facts: os.stat_result) -> bool:
    if facts.st_uid != 0 and facts.st_uid not in _owners(site):
        return False
    if facts.st_mode & stat.S_IWGRP and facts.st_gid != 0 and facts.st_gid not in _groups(site):
        return False
    return not facts.st_mode & _WORLD
