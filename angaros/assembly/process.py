"""What a process starts from: the configuration read with everything it needs, and services on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from angaros import VERSION_NUMBER
from angaros.assembly.reader import Reading, read_config
from angaros.assembly.wiring import Ports, build_services
from angaros.config.config import Config
from angaros.config.harness import Harness, SystemClock
from angaros.config.site import Site
from angaros.logs.debug import Debug, parse_selectors
from angaros.logs.writer import LogModes, LogSettings, LogWriter
from angaros.model.errors import ConfigError
from angaros.model.interfaces import Courier, Log, Services
from angaros.model.scope import Scope
from angaros.net.blocking import BlockingWaiter

if TYPE_CHECKING:
    from angaros.config.features import Features


def features() -> Features:
    """What this installation can do."""
    from angaros.assembly.features import collect

    return collect()


def read_configuration(
    files: str | None, macros: Mapping[str, str], site: Site, harness: Harness | None, *, keep_lines: bool = False
) -> Config:
    """Read; strings that Exim expands at this time are expanded with what is known so far. Raises ConfigError."""

    def expand(text: str, so_far: Config) -> str:
        services = blocking_services(so_far, site, harness, _SilentLog())
        return services.expander.expand(text, Scope(services))

    return read_config(
        Reading(
            site=site,
            files=files,
            macros=macros,
            expand=expand,
            features=features,
            keep_lines=keep_lines,
            any_caller=harness is not None,
            version=VERSION_NUMBER if harness is None else harness.version,
        )
    )


def make_log(config: Config, site: Site, harness: Harness | None, modes: LogModes | None = None) -> LogWriter:
    """The log of a configuration."""
    settings = LogSettings.from_config(
        config.main,
        site.log_file_path,
        config.main.log_file_path,
        (config.exim_uid, config.exim_gid),
        syslog_log_pid=site.syslog_log_pid,
    )
    return LogWriter(settings, SystemClock(), harness=harness, modes=modes)


CourierFactory = Callable[[Services], Courier]


def _no_courier(services: Services) -> Courier:
    raise ConfigError("nothing can be done as another user while the configuration is read")


def blocking_services(
    config: Config, site: Site, harness: Harness | None, log: Log, courier: CourierFactory = _no_courier
) -> Services:
    """Services that block: for the command line."""
    return build_services(config, site, Ports(BlockingWaiter(), log, courier), harness)


def open_services(
    config: Config, site: Site, harness: Harness | None, courier: CourierFactory, *, debug: str | None = None
) -> Services:
    """Services for one call of the command line."""
    modes = LogModes()
    if debug is not None:
        modes.debug = Debug(selectors=parse_selectors(debug))
    return blocking_services(config, site, harness, make_log(config, site, harness, modes), courier)


class _SilentLog:
    """While the configuration is read there is no log yet; expansions then say what is wrong by their errors."""

    def write(self, text: str, **where: Any) -> None:
        print(f"exim: {text}", file=sys.stderr)

    def selected(self, selector: str) -> bool:
        return False

    def logs_port(self, port: int) -> bool:
        return True

    def debug(self, selector: str, text: str, *, hc: bool = False, indent: int = 0) -> None:
        return None

    def debugging(self, selector: str, *, hc: bool = False) -> bool:
        return False


def log_config_error(error: ConfigError, site: Site, *, shown: str = "stamped", panic_log: bool = True) -> None:
    """A wrong configuration goes to standard error and to the panic log, where the file had put it before the error, or the site.

    `shown`: `stamped`, or `entry` as -bP shows it."""
    if shown == "entry":
        print(f"LOG: PANIC{' DIE' if error.dies else ''}\n  {error}", file=sys.stderr)
    else:
        print(f"{_stamp()}{error}", file=sys.stderr)
    if not panic_log or os.geteuid() != 0:
        return
    try:
        from angaros.config.main_options import MainOptions

        main = MainOptions(spool_directory=error.spool_directory or site.spool_directory)
        settings = LogSettings.from_config(main, site.log_file_path, error.log_file_path, (-1, -1))
        modes = LogModes(stderr=False)
        LogWriter(settings, SystemClock(), modes=modes).write(str(error), main=False, panic=True)
    except (OSError, SystemExit, ConfigError):
        pass


def _stamp() -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S ")
