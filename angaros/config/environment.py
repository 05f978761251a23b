"""The environment that the program, its lookups and its commands see: purged, then added to (Exim spec 14.23 `keep_environment`,
`add_environment`, `timezone`)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from angaros.config.main_options import MainOptions
from angaros.config.settings import split_list

WARNING = "Warning: purging the environment.\n Suggested action: use keep_environment."
"""For the log, when `keep_environment` is not mentioned and the environment was not empty."""

SUPERVISOR = frozenset({"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"})
"""What systemd tells the daemon (sd_notify(3), sd_listen_fds(3)); the daemon removes them once it has read them."""


def clean_environment(main: MainOptions, given: Mapping[str, str]) -> dict[str, str]:
    """What is left of the environment `given`, and what is added."""
    patterns = split_list(main.keep_environment or "")
    kept = {name: value for name, value in given.items() if name in SUPERVISOR or _matches(name, patterns)}
    for item in split_list(main.add_environment or ""):
        name, equals, value = item.partition("=")
        if equals and name:
            kept[name] = value
    if main.timezone:
        kept["TZ"] = main.timezone
    elif main.timezone == "":
        kept.pop("TZ", None)
    return kept


def _matches(name: str, patterns: list[str]) -> bool:
    """Patterns of a list, not expanded: `*`, `*END`, `^regex`, plain; `!` in front negates (Exim spec 10.1)."""
    last_negated = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        body = pattern[1:].lstrip() if negated else pattern
        last_negated = negated
        if _matches_one(name, body):
            return not negated
    return last_negated and bool(patterns)


def _matches_one(name: str, pattern: str) -> bool:
    if pattern.startswith("^"):
        from angaros.regex import compile as compile_regex

        return compile_regex(pattern).match(name) is not None
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name == pattern


def apply_environment(main: MainOptions) -> bool:
    """Put this process's environment right; whether WARNING is due."""
    given = {name: value for name, value in os.environ.items() if not _pythons_own(name)}
    kept = clean_environment(main, given)
    for name in list(os.environ):
        if name not in kept:
            del os.environ[name]
    for name, value in kept.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if main.timezone is not None:
        import time

        time.tzset()
    return main.keep_environment is None and bool(given)


def _pythons_own(name: str) -> bool:
    """LC_CTYPE that the interpreter itself has set (PEP 538)."""
    if name != "LC_CTYPE":
        return False
    try:
        with open("/proc/self/environ", "rb") as handle:
            return not any(entry.startswith(b"LC_CTYPE=") for entry in handle.read().split(b"\0"))
    except OSError:
        return False
