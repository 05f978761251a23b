"""Entry of the sendmail-style command line: parse, read the configuration, decide on privilege, dispatch by mode.

Laws:
- The caller is the real uid; what we may do is the effective uid. Modes that need no power give it up before they act.
- Imports are lazy: `exim -be` and `sendmail` load only what is on their road.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence

from angaros.cli.invocation import Invocation
from angaros.cli.parse import UsageError, parse

EX_OK, EX_FAIL, EX_USAGE, EX_TEMPFAIL = 0, 1, 64, 75


def run(program: str, arguments: Sequence[str]) -> int:
    """One call of the program; returns the exit status."""
    try:
        call = parse(program, list(arguments))
    except UsageError as error:
        print(error, file=sys.stderr)
        return EX_FAIL
    if call.mode == "help":
        return show_help()
    from angaros.cli.context import Context, open_context
    from angaros.model.errors import ConfigError, PanicError

    try:
        context = open_context(call)
    except ConfigError as error:
        from angaros.cli.context import report_config_error

        return report_config_error(error, call)
    except UsageError as error:
        print(error, file=sys.stderr)
        return EX_FAIL
    from angaros.daemon.process_info import answer

    if call.mode not in UNLOGGED and context.services.log.selected("arguments"):
        context.services.log.write(arguments_line([sys.argv[0], *arguments]))
    doing = DOING.get(call.mode, f"exim -{call.mode}")
    answer(context.config, lambda: [doing])
    action: Callable[[Context], int] = _action(call)
    gc.freeze()
    gc.enable()
    try:
        return action(context)
    except UsageError as error:
        print(error, file=sys.stderr)
        return EX_FAIL
    except PanicError as error:
        context.services.log.write(str(error), panic=True)
        return EX_FAIL


UNLOGGED = frozenset({"be", "bF", "bf", "bh", "bI", "bmalware", "bP", "brt", "brw", "bt", "bV", "bv", "bvs"})
"""Modes that only look: log selector `arguments` does not concern them."""


def arguments_line(words: Sequence[str]) -> str:
    """How we were called. # Exim spec 53.15, arguments"""
    try:
        directory = os.fsencode(os.getcwd()).decode("latin-1")
    except OSError:
        directory = "?"
    shown = (f'"{word}"' if not word or any(char.isspace() for char in word) else word for word in words)
    return f"cwd={directory} {len(words)} args: {' '.join(shown)}"


def show_help() -> int:
    """What Exim says to who does not say what to do."""
    print(
        "Exim is a Mail Transfer Agent. It is normally called by Mail User Agents,\n"
        "not directly from a shell command line. Options and/or arguments control\n"
        "what it does when called. For a list of options, see the Exim documentation.\n"
        "(This is Angaros, which speaks Exim's language; `angaros help` lists what it adds.)"
    )
    return EX_FAIL


DOING = {
    "bm": "accepting a local non-SMTP message",
    "bS": "accepting local batched SMTP messages",
    "bs": "accepting a local SMTP message",
    "daemon": "starting daemon",
    "M": "delivering specified messages",
    "q": "running queue",
}
"""What each mode says to `exiwhat`."""

MODES: dict[str, tuple[str, str]] = {
    "atrn": ("smtp", "fetch_mail"),
    "be": ("probes", "expand_strings"),
    "bF": ("filter_test", "test_filter"),
    "bf": ("filter_test", "test_filter"),
    "bh": ("smtp", "host_check"),
    "bI": ("info", "build_info"),
    "bi": ("info", "run_bi_command"),
    "bm": ("submit", "submit"),
    "bmalware": ("probes", "scan_file"),
    "bP": ("info", "show_options"),
    "bp": ("queue", "list_queue"),
    "brt": ("probes", "retry_test"),
    "brw": ("probes", "rewrite_test"),
    "bS": ("smtp", "batch"),
    "bs": ("smtp", "interactive"),
    "bt": ("probes", "address_test"),
    "bV": ("info", "version"),
    "bv": ("probes", "verify_addresses"),
    "bvs": ("probes", "verify_addresses"),
    "daemon": ("server", "start_daemon"),
    "M": ("queue", "message_action"),
    "q": ("queue", "run_queue"),
    "z": ("info", "write_log_line"),
    "": ("submit", "submit"),
}
"""Mode -> (module of this room, function)."""


def _action(call: Invocation) -> Callable[..., int]:
    import importlib

    module, name = MODES[call.mode]
    found: Callable[..., int] = getattr(importlib.import_module(f"angaros.cli.{module}"), name)
    return found


def _main(program: str, extra: list[str] | None = None) -> int:
    gc.disable()  # what is loaded and read until `run` knows what to do stays; nothing of it is worth looking through
    try:
        octets = [os.fsencode(argument).decode("latin-1") for argument in sys.argv[1:]]  # text is octets, as everywhere
        status = run(program, [*(extra or []), *octets])
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = EX_FAIL
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        pass
    # Skip the interpreter's long good-bye: nothing here has exit handlers that matter.
    sys.stderr.flush()
    os._exit(status)


def exim() -> int:
    """`exim`, `sendmail`."""
    return _main(os.path.basename(sys.argv[0]))


def mailq() -> int:
    """`mailq`: `exim -bp`."""
    return _main("mailq", ["-bp"])


def newaliases() -> int:
    """`newaliases`: `exim -bi`."""
    return _main("newaliases", ["-bi"])


def rmail() -> int:
    """`rmail`: `exim -i -oee`, sender from the UUCP `From ` line."""
    return _main("rmail", ["-i", "-oee"])


def rsmtp() -> int:
    """`rsmtp`: `exim -bS`."""
    return _main("rsmtp", ["-bS"])


def runq() -> int:
    """`runq`: `exim -q`."""
    return _main("runq", ["-q"])
