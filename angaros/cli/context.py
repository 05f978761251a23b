"""What every mode of the command line starts from: the configuration, the caller, and services made when first used."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from angaros.cli.caller import Caller, identify
from angaros.cli.invocation import Invocation
from angaros.cli.parse import UsageError
from angaros.config.config import Config
from angaros.config.environment import WARNING as PURGE_WARNING
from angaros.config.environment import apply_environment
from angaros.config.site import Site, read_site
from angaros.model.errors import ConfigError
from angaros.model.record import dataclass, replace

if TYPE_CHECKING:
    from angaros.config.harness import Harness
    from angaros.model.interfaces import Courier, Services

ADMIN_MODES = frozenset({"atrn", "daemon", "bmalware"})
"""Modes for administrators only, whatever the options say."""

MAX_TAG = 32
"""Characters of -L. # Exim spec 5.3"""

CHECKS = frozenset({"be", "bF", "bf", "bh", "bP", "brt", "brw", "bt", "bv", "bvs"})
"""Modes that `commandline_checks_require_admin` keeps from others. # Exim spec 14.23"""


@dataclass(slots=True)
class Context:
    """One call of the program."""

    call: Invocation
    site: Site
    config: Config
    caller: Caller
    harness: Harness | None
    services: Services
    privileged: bool
    """Root's power is there (effective uid 0) and the configuration may be trusted with it."""


def open_context(call: Invocation) -> Context:
    """Read site file and configuration, identify the caller, wire the services. Raises ConfigError, UsageError."""
    from angaros.assembly.process import open_services, read_configuration

    site = read_site()
    for warning in site.warnings:
        print(f"exim: {warning}", file=sys.stderr)
    harness = None
    if site.test_harness:
        from angaros.config.harness import Harness

        harness = Harness()
    if call.debug_early:
        from angaros.assembly.version import version_banner

        print(f"{version_banner()} uid={os.getuid()} gid={os.getgid()} pid={os.getpid()}", file=sys.stderr)
        print(f"reading configuration: {call.config_files or site.configure_file}", file=sys.stderr)
    keep_lines = call.mode == "bP" and "config" in call.arguments
    config = read_configuration(call.config_files, call.macros, site, harness, keep_lines=keep_lines)
    if not config.trusted and os.geteuid() != os.getuid():
        from angaros.daemon.privilege import become_caller

        become_caller()
    purged = apply_environment(config.main)
    caller = identify(config, site)
    check_permission(call, config, caller)
    if call.syslog_tag is not None:
        config = log_to_syslog(config, call.syslog_tag)
    try:
        services = open_services(config, site, harness, _fork_courier, debug=call.debug)
        hold_debugging(services, call)
    except ValueError as error:
        raise UsageError(f"exim: {error}") from None
    services.run.deliver_now = call.delivery == "foreground"
    if call.verbose and call.debug is None:
        verbose(services)
    if purged and harness is None:
        _warn_of_purge(call, services)
    context = Context(call, site, config, caller, harness, services, os.geteuid() == 0)
    if call.mode != "daemon":
        services.hooks.queue_size = lambda: _ask_queue_size(context)
    return context


def _ask_queue_size(context: Context) -> int | None:
    from angaros.daemon.notifier import ask

    path = notifier_path(context)
    found = ask(path, "queue_size") if path else None
    return found if isinstance(found, int) else None


def log_to_syslog(config: Config, tag: str) -> Config:
    """-L. # Exim spec 5.3"""
    if len(tag) > MAX_TAG:
        raise UsageError(f'exim: the -L syslog name is too long: "{tag}"')
    return replace(config, main=config.main.with_(syslog_processname=tag, log_file_path="syslog"))


def _fork_courier(services: Services) -> Courier:
    from angaros.daemon.couriers import ForkCourier

    return ForkCourier()


def hold_debugging(services: Services, call: Invocation) -> None:
    """-dp and -dt: what -d shows waits in a buffer for its trigger."""
    modes = getattr(services.log, "modes", None)
    if modes is not None and call.debug_buffer > 0 and call.debug_trigger != "now":
        modes.debug.hold(call.debug_buffer, on_panic=call.debug_trigger == "paniclog")


def only_test(services: Services) -> None:
    """Nothing is written to the logs: entries appear on standard error (-be, -bh, -bf, ...)."""
    modes = getattr(services.log, "modes", None)
    if modes is not None:
        modes.testing = True


def log_on_stderr(services: Services) -> None:
    """Log entries go to standard error as they would stand in the log (-be, -brw)."""
    modes = getattr(services.log, "modes", None)
    if modes is not None:
        modes.stderr_only = True


def verbose(services: Services) -> None:
    """-v: log entries and SMTP dialogues are shown on standard error."""
    modes = getattr(services.log, "modes", None)
    if modes is not None:
        modes.debug.selectors = frozenset({"v"})


def door_path(site: Site) -> str:
    """The daemon's socket for local users: SUBMISSION_SOCKET of the site file."""
    from angaros.daemon.door import DEFAULT_PATH

    return site.other.get("SUBMISSION_SOCKET", DEFAULT_PATH)


def notifier_path(context: Context) -> str:
    """`notifier_socket`, expanded; "" for none."""
    from angaros.model.errors import ExpansionError
    from angaros.model.scope import Scope

    try:
        return Scope(context.services).expand(context.config.main.notifier_socket or "")
    except ExpansionError:
        return ""


def _warn_of_purge(call: Invocation, services: Services) -> None:
    """Once for each daemon in its log; to who looks at the version or the queue on standard error, as observed with Exim."""
    if call.mode == "daemon":
        services.log.write(PURGE_WARNING)
    elif call.mode in ("bV", "bp"):
        import time

        print(time.strftime("%Y-%m-%d %H:%M:%S"), PURGE_WARNING, file=sys.stderr)


def check_permission(call: Invocation, config: Config, caller: Caller) -> None:
    """Refuse what only administrators may do (spec 5.2)."""
    if caller.admin:
        return
    main = config.main
    denied = (
        call.mode in ADMIN_MODES
        or (call.mode in CHECKS and main.commandline_checks_require_admin)
        or (call.mode == "bp" and main.queue_list_requires_admin)
        or (call.mode in ("q", "M") and (main.prod_requires_admin or call.message_action not in ("deliver", "")))
    )
    if denied and call.mode == "M" and call.message_action == "remove":
        return  # decided message by message: owners may remove their own
    if denied:
        raise UsageError("exim: permission denied")
    if (call.debug is not None or call.syslog_tag is not None) and not caller.admin:
        raise UsageError("exim: permission denied")


def report_config_error(error: ConfigError, call: Invocation) -> int:
    """Exim's message for a wrong configuration, on standard error and in the panic log; the exit status."""
    from angaros.assembly.process import log_config_error

    known = call.config_files is None or error.log_file_path is not None
    """A file that is only tried with -C, and has not said where its logs are, does not fill the site's panic log."""
    as_entry = call.mode == "bP" and "config" not in call.arguments
    log_config_error(error, read_site(), shown="entry" if as_entry else "stamped", panic_log=call.mode != "bV" and known)
    return 1
