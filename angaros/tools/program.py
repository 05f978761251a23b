"""What the utilities share: options as their users type them, the `exim` program, log files, output in octets.

The utilities are separate programs (Exim spec 54): they learn about the configuration by asking `exim -bP`, so that they see what
the server sees, and no shell is between.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast


class ToolError(Exception):
    """`str()` goes to standard error, `status` to the caller."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def write(text: str) -> None:
    """Octets to standard output."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        buffer.write(text.encode("latin-1", "replace"))


def complain(text: str) -> None:
    """A line on standard error."""
    sys.stdout.flush()
    print(text, file=sys.stderr)


def finish(action: object) -> int:
    """Run `action()`; errors become a message and a status. A reader that went away (`| head`) is no error."""
    try:
        status: int = action()  # type: ignore[operator]
        sys.stdout.flush()
        return status
    except ToolError as error:
        if str(error):
            complain(str(error))
        return error.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


# --- Options --------------------------------------------------------------------------------------------------------------


def long_options(arguments: Sequence[str], table: Mapping[str, tuple[str, bool]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with one or two hyphens, `=value` or the next argument, unique abbreviations, mixed with other arguments.

    `table`: spelling -> (key, takes a value). Raises ToolError `Unknown option: x` with status 2."""
    found: list[tuple[str, str]] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return found, rest + waiting
        if not argument.startswith("-") or argument == "-":
            rest.append(argument)
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        key, takes = _row(name, table)
        if takes and not equals:
            if not waiting:
                raise ToolError(f"Option {name} requires an argument", 2)
            value = waiting.pop(0)
        found.append((key, value))
    return found, rest


def _row(name: str, table: Mapping[str, tuple[str, bool]]) -> tuple[str, bool]:
    if name in table:
        return table[name]
    rows = {row for spelling, row in table.items() if len(name) > 1 and spelling.startswith(name)}
    if len(rows) != 1:
        raise ToolError(f"Unknown option: {name}" if not rows else f"Option {name} is ambiguous", 2)
    return rows.pop()


# --- The exim program -------------------------------------------------------------------------------------------------------


def exim_path(given: str = "") -> str:
    """The program to ask: given, beside this one, or in PATH."""
    if given:
        return given
    for start in (sys.argv[0], os.path.realpath(sys.argv[0]), sys.executable):
        beside = os.path.join(os.path.dirname(os.path.abspath(start)), "exim")
        if os.access(beside, os.X_OK):
            return beside
    import shutil

    return shutil.which("exim") or "exim"


def call_exim(arguments: Sequence[str], path: str = "") -> tuple[int, str, str]:
    """Run `exim arguments`: status, standard output, standard error. Raises ToolError when it cannot be run."""
    import subprocess

    program = exim_path(path)
    try:
        done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise ToolError(f"can't run {program}: {error.strerror}") from error
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


@dataclass(slots=True)
class Reading:
    """Output of a program that runs."""

    lines: Iterator[str]
    status: int = 0
    """When it has ended."""


@contextmanager
def reading_exim(arguments: Sequence[str], path: str = "") -> Iterator[Reading]:
    """Run `exim arguments` and read its output a line at a time: it may be long. What it says on standard error is passed on at
    its end. Raises ToolError when it cannot be run."""
    import subprocess
    import tempfile

    program = exim_path(path)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise ToolError(f"can't run {program}: {error.strerror}") from error
        with process:
            assert process.stdout is not None
            reading = Reading(line.decode("latin-1") for line in process.stdout)
            yield reading
        reading.status = process.returncode
        errors.seek(0)
        said = errors.read().decode("latin-1").strip()
        if said:
            complain(said)


def settings(names: Sequence[str], options: Sequence[str] = (), path: str = "") -> dict[str, str]:
    """Values of main options, as `-bP` shows them. Raises ToolError with Exim's words when the configuration is wrong."""
    values = {}
    status, shown, errors = call_exim([*options, "-bP", *names], path)
    if status:
        raise ToolError(errors.strip() or "can't read the configuration")
    for line in shown.splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            values[name.strip()] = value.strip()
        elif line.endswith(" ="):
            values[line[:-2].strip()] = ""
    return values


# --- Log files --------------------------------------------------------------------------------------------------------------


def open_log(path: str) -> IO[bytes]:
    """A log file, uncompressed by what its name ends in. Raises OSError."""
    if path == "-":
        return sys.stdin.buffer
    if path.endswith((".gz", ".z", ".Z")) and _magic(path) == b"\x1f\x8b":
        import gzip

        return cast("IO[bytes]", gzip.open(path))
    if path.endswith(".bz2"):
        import bz2

        return cast("IO[bytes]", bz2.open(path))
    if path.endswith((".xz", ".lzma")):
        import lzma

        return cast("IO[bytes]", lzma.open(path))
    return open(path, "rb")


def _magic(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(2)


def log_lines(paths: Sequence[str]) -> Iterator[str]:
    """Lines of all files, standard input when there are none. Files that cannot be read are told about and passed over."""
    for path in paths or ["-"]:
        try:
            with open_log(path) as file:
                for line in file:
                    yield line.decode("latin-1")
        except (OSError, EOFError) as error:
            complain(f"Unable to open {path}: {getattr(error, 'strerror', None) or error}")
