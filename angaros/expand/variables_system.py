"""Variables about the machine, the program, the clock and the configuration."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.model.scope import Scope

LOAD_STEP = 10
"""In Exim's test mode the load average starts at 0 and grows by this each time it is read."""


def _main(option: str) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        value = getattr(scope.services.config.main, option)
        return "" if value is None else str(value)

    return get


def _now(scope: Scope) -> float:
    return scope.services.clock.now()


# --- Time --------------------------------------------------------------------------------------------------------------


def tod_log(scope: Scope) -> str:
    """`$tod_log`."""
    services = scope.services
    now = services.clock.now()
    known = services.extra.get("tod_log")
    if known is not None and known[0] == int(now):
        text: str = known[1]
        return text
    from angaros.logs.times import tod_log as show

    millisec = services.log.selected("millisec")
    text = show(now, with_zone=bool(services.config.main.log_timezone), millisec=millisec)
    if not millisec:
        services.extra["tod_log"] = (int(now), text)
    return text


def tod_full(scope: Scope) -> str:
    """`$tod_full`."""
    from angaros.logs.times import tod_full as show

    return show(_now(scope))


def tod_bsdinbox(scope: Scope) -> str:
    """`$tod_bsdinbox`."""
    from angaros.logs.times import tod_bsdinbox as show

    return show(_now(scope))


def tod_zone(scope: Scope) -> str:
    """`$tod_zone`."""
    from angaros.logs.times import zone

    return zone(time.localtime(_now(scope)))


# --- The machine -------------------------------------------------------------------------------------------------------


def load_average(scope: Scope) -> str:
    """`$load_average`: times 1000."""
    if scope.services.harness is not None:
        return str(scope.services.harness.load_average())
    try:
        return str(int(os.getloadavg()[0] * 1000))
    except OSError:
        return "-1"


def _space(directory: Callable[[Scope], str], inodes: bool) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        try:
            found = os.statvfs(directory(scope).encode("latin-1"))
        except OSError:
            return "-1"
        if inodes:
            return str(found.f_favail if found.f_files else -1)
        return str(found.f_bavail * found.f_frsize // 1024)

    return get


def _spool_directory(scope: Scope) -> str:
    return scope.services.config.main.spool_directory or "/"


def _log_directory(scope: Scope) -> str:
    path = scope.services.config.main.log_file_path or ""
    for item in path.split(":"):
        item = item.strip()
        if item.startswith("/"):
            return os.path.dirname(item) or "/"
    return f"{_spool_directory(scope)}/log"


def queue_size(scope: Scope) -> str:
    """`$queue_size`: how many messages wait, as the daemon counts them at most once a minute. "" without a daemon."""
    hook = scope.services.hooks.queue_size
    size = hook() if hook is not None else None
    return "" if size is None else str(size)


def primary_hostname(scope: Scope) -> str:
    """`$primary_hostname`."""
    return scope.services.config.main.primary_hostname or ""


def _extra(name: str, unset: Callable[[], str]) -> Callable[[Scope], str]:
    def get(scope: Scope) -> str:
        value = scope.services.extra.get(name)
        return unset() if value is None else str(value)

    return get


def config_file(scope: Scope) -> str:
    """`$config_file`."""
    return scope.services.config.main_file


def config_dir(scope: Scope) -> str:
    """`$config_dir`."""
    return os.path.dirname(scope.services.config.main_file)


def compile_number(scope: Scope) -> str:
    """`$compile_number`: we have one build only."""
    return "1"


def compile_date(scope: Scope) -> str:
    """`$compile_date`: when this program's package was installed."""
    import angaros

    try:
        moment = time.localtime(os.stat(angaros.__file__ or "/").st_mtime)
    except OSError:
        moment = time.localtime(0)
    return time.strftime("%d-%b-%Y %H:%M:%S", moment)


def regex_cachesize(scope: Scope) -> str:
    """`$regex_cachesize`."""
    from angaros.regex import cache_size

    return str(cache_size())


def localhost_number(scope: Scope) -> str:
    """`$localhost_number`."""
    text = scope.services.config.main.localhost_number
    return scope.expand(text).strip() if text else "0"


TABLE: dict[str, Callable[[Scope], str]] = {
    "bounce_return_size_limit": _main("bounce_return_size_limit"),
    "caller_gid": lambda scope: str(os.getgid()),
    "caller_uid": lambda scope: str(os.getuid()),
    "compile_date": compile_date,
    "compile_number": compile_number,
    "config_dir": config_dir,
    "config_file": config_file,
    "exim_gid": lambda scope: str(scope.services.config.exim_gid),
    "exim_path": _main("exim_path"),
    "exim_uid": lambda scope: str(scope.services.config.exim_uid),
    "exim_version": _main("exim_version"),
    "initial_cwd": _extra("initial_cwd", os.getcwd),
    "load_average": load_average,
    "localhost_number": localhost_number,
    "log_inodes": _space(_log_directory, True),
    "log_space": _space(_log_directory, False),
    "pid": lambda scope: str(os.getpid()),
    "primary_hostname": primary_hostname,
    "qualify_domain": _main("qualify_domain"),
    "qualify_recipient": _main("qualify_recipient"),
    "queue_size": queue_size,
    "regex_cachesize": regex_cachesize,
    "spf_guess": _main("spf_guess"),
    "spool_directory": _main("spool_directory"),
    "spool_inodes": _space(_spool_directory, True),
    "spool_space": _space(_spool_directory, False),
    "tod_bsdinbox": tod_bsdinbox,
    "tod_epoch": lambda scope: str(int(_now(scope))),
    "tod_epoch_l": lambda scope: str(int(_now(scope) * 1000000)),
    "tod_full": tod_full,
    "tod_log": tod_log,
    "tod_logfile": lambda scope: time.strftime("%Y%m%d", time.localtime(_now(scope))),
    "tod_zone": tod_zone,
    "tod_zulu": lambda scope: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(_now(scope))),
    "version_number": _main("exim_version"),
}
