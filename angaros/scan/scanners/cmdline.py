"""Any command: what it prints is searched. It is run directly, not by a shell: a pipeline needs a script of its own."""

from __future__ import annotations

import shlex

from angaros import regex
from angaros.scan.channel import ScanDefer
from angaros.scan.malware import Job, first_match

MAX_OUTPUT = 1 << 20


def scan(job: Job) -> str | None:
    """`cmdline : command with %s : trigger expression : name expression`."""
    if len(job.options) < 3:
        raise ScanDefer("missing command specification" if not job.options else "missing expression")
    command, trigger, name = job.options[:3]
    try:
        wanted = regex.compile(trigger)
        regex.compile(name)
        argv = [word.replace("%s", job.directory) for word in shlex.split(command)]
    except (regex.RegexError, ValueError) as error:
        raise ScanDefer(str(error)) from None
    shown = command.replace("%s", job.directory)
    if not argv:
        raise ScanDefer("missing command specification")
    try:
        run = job.scope.services.waiter.run_command(argv, timeout=job.timeout, max_output=MAX_OUTPUT, merge_stderr=True)
    except OSError as error:
        raise ScanDefer(f"call failed: {error.strerror}") from None
    for line in run.output.decode("latin-1").split("\n"):
        if wanted.matches(line):
            return first_match(name, line) or "unknown"
    if run.timed_out:
        raise ScanDefer(f"unable to read from scanner ({shown} 2>&1): Connection timed out")
    if run.status not in (0, 1) and run.status < 0:
        raise ScanDefer(f"running scanner command {{{shown}}}, died by signal {-run.status}")
    return None
