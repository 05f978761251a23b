"""`angaros`: the commands that Exim has none for."""

from __future__ import annotations

import sys
from collections.abc import Callable

from angaros import EXIM_VERSION, __version__


def _demo(arguments: list[str]) -> int:
    from angaros.cli.demo import main as demo

    return demo(arguments)


def _check(arguments: list[str]) -> int:
    from angaros.cli.check import main as check

    return check(arguments)


def _mta_sts(arguments: list[str]) -> int:
    from angaros.cli.mta_sts import main as mta_sts

    return mta_sts(arguments)


def _version(arguments: list[str]) -> int:
    print(f"angaros {__version__} (Exim {EXIM_VERSION} compatible)")
    return 0


COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "check": (_check, "read a configuration and say everything that is wrong or not built yet"),
    "demo": (_demo, "run a small server under ./var, as `make run` does"),
    "mta-sts": (_mta_sts, "show or forget the MTA-STS policies that are kept"),
    "version": (_version, "print the version"),
}


def main() -> int:
    """Entry point."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("usage: angaros COMMAND ...\n\nCommands:")
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:10} {summary}")
        print("\nThe sendmail-style commands are exim, sendmail, mailq, runq, ...: see `exim --help`.")
        return 0
    if arguments[0] not in COMMANDS:
        print(f"angaros: unknown command {arguments[0]!r}; `angaros help` lists them", file=sys.stderr)
        return 64
    return COMMANDS[arguments[0]][0](arguments[1:])
