"""The log writer: one entry in, one write to each log that wants it.

Laws:
- A line is one `write` with O_APPEND; a file that was renamed or removed is opened anew before the next line.
- What cannot be written to the main or reject log goes to the panic log and ends the process; a panic log that cannot be
  written ends it too, after a last word on stderr and in syslog (Exim spec 53).
- In test modes (-bh, -bv, ...) nothing is written; lines appear on stderr after `LOG: `.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from angaros.config.settings import split_list
from angaros.logs.debug import Debug, indentation
from angaros.logs.paths import LogPath, parse_log_file_path
from angaros.logs.selectors import DEFAULT_SELECTORS, parse_log_selector
from angaros.logs.sinks import LogFile, Syslog
from angaros.logs.text import one_entry
from angaros.logs.times import tod_log
from angaros.model.record import dataclass, field

if TYPE_CHECKING:
    from angaros.config.main_options import MainOptions
    from angaros.logs.debug_log import DebugLog
    from angaros.model.interfaces import Clock
    from angaros.model.message import Header, Message

LAST_WORDS = "exim: could not open panic log - aborting: see message(s) above"
ENVELOPE_RECIPIENTS = 5
"""Recipients that the reject log shows; dots stand for the rest."""
MAX_ENTRY = 8192
"""Octets of a reject log entry, details included: a sender of large headers shall not fill the disk with refusals."""
TRUNCATED = "\n*** truncated ***\n"
ROOM_FOR_MARK = 100


def bounded(line: str, details: str) -> str:
    """`details`, cut and marked when the entry would be longer than Exim's."""
    if len(line) + len(details) <= MAX_ENTRY:
        return details
    return details[: max(0, MAX_ENTRY - ROOM_FOR_MARK - len(line))].removesuffix("\n") + TRUNCATED


@dataclass(frozen=True, slots=True)
class LogSettings:
    """All that decides how entries look and where they go."""

    path: LogPath
    selectors: frozenset[str] = DEFAULT_SELECTORS
    with_zone: bool = False
    write_rejectlog: bool = True
    mode: int = 0o640
    owner: tuple[int, int] = (-1, -1)
    """uid and gid of the mail user, who owns the files."""
    syslog_duplication: bool = True
    syslog_facility: str | None = None
    syslog_ident: str = "exim"
    syslog_pid: bool = True
    syslog_timestamp: bool = True
    syslog_log_pid: bool = True
    """SYSLOG_LOG_PID of the site file."""
    json_path: str = ""
    """Our `log_json_file_path`: the same entries as JSON lines; `%s` as in log_file_path."""

    ports: frozenset[int] | None = None
    """Local ports whose numbers are written (`log_ports`); None: all."""

    @classmethod
    def from_config(
        cls,
        main: MainOptions,
        built_in_path: str,
        log_file_path: str | None,
        owner: tuple[int, int],
        *,
        syslog_log_pid: bool = True,
    ) -> LogSettings:
        """Settings for a configuration. `log_file_path` is already expanded, and so is `main.spool_directory`."""
        return cls(
            path=parse_log_file_path(log_file_path, built_in_path, main.spool_directory or ""),
            selectors=parse_log_selector(main.log_selector) if main.log_selector else DEFAULT_SELECTORS,
            with_zone=main.log_timezone,
            write_rejectlog=main.write_rejectlog,
            owner=owner,
            syslog_duplication=main.syslog_duplication,
            syslog_facility=main.syslog_facility,
            syslog_ident=main.syslog_processname,
            syslog_pid=main.syslog_pid,
            syslog_timestamp=main.syslog_timestamp,
            syslog_log_pid=syslog_log_pid,
            ports=_ports(main.log_ports),
            json_path=getattr(main, "log_json_file_path", None) or "",
        )


def _ports(text: str) -> frozenset[int] | None:
    """`log_ports`: numbers, or `*` for all."""
    items = split_list(text)
    return None if "*" in items else frozenset(int(item) for item in items if item.isdigit())


@dataclass(slots=True)
class LogModes:
    """How this process runs; set by the command line and the daemon after the start."""

    testing: bool = False
    """-bh and other tests: only stderr."""
    stderr: bool = True
    """Panic entries are repeated on stderr (not in the daemon)."""
    stderr_only: bool = False
    """-brw: entries appear on stderr as they would in the log, and nowhere else."""
    debug: Debug = field(default_factory=Debug)


class LogWriter:
    """`model.interfaces.Log` over files and syslog."""

    def __init__(self, settings: LogSettings, clock: Clock, *, harness: Any = None, modes: LogModes | None = None) -> None:
        self.settings = settings
        self.modes = modes if modes is not None else LogModes()
        self._clock = clock
        self._selectors = settings.selectors
        self._millisec = "millisec" in settings.selectors
        self._show_pid = "pid" in settings.selectors
        self._files: dict[str, LogFile] = {}
        self._syslog = Syslog(
            facility=settings.syslog_facility,
            ident=settings.syslog_ident,
            log_pid=settings.syslog_log_pid,
            to_stderr=harness is not None,
        )
        self._second = -1
        self._stamp = ""
        self._warned = not settings.path.multiple
        self._debug_log: DebugLog | None = None
        self._debug_log_selectors: frozenset[str] = frozenset()
        self._debug_trigger = False

    # --- model.interfaces.Log -----------------------------------------------------------------------------------------

    def selected(self, selector: str) -> bool:
        """Whether a log selector is on."""
        return selector in self._selectors

    def logs_port(self, port: int) -> bool:
        """Whether the number of this local port is written (`log_ports`)."""
        return self.settings.ports is None or port in self.settings.ports

    def debug(self, selector: str, text: str, *, hc: bool = False, indent: int = 0) -> None:
        """-d output; nothing when `selector` is off (see the interface)."""
        debug = self.modes.debug
        if debug.shows(selector, hc):
            debug.show(text, indent)
        if self._debug_log is not None and selector in self._debug_log_selectors:
            self._debug_log.write(indentation(indent) + text)

    def debugging(self, selector: str, *, hc: bool = False) -> bool:
        """Whether `debug` with the same arguments would show something."""
        debug = self.modes.debug
        if not debug.selectors and not debug.host_checking and self._debug_log is None:
            return False
        return debug.shows(selector, hc) or (self._debug_log is not None and selector in self._debug_log_selectors)

    def debug_control(
        self, *, tag: str = "", opts: str = "", stop: bool = False, kill: bool = False, pretrigger: int = 0, trigger: str = ""
    ) -> None:
        """`control = debug/tag=.../opts=...`: debugging output goes to the debug log until the connection ends (`end_debug_log`).

        `opts`: selectors as for -d. `pretrigger`: octets to hold back until `trigger` (`now`, or `paniclog` for the next panic
        entry). `stop` ends it, `kill` removes the file too. Exim spec 44.22."""
        if stop or kill:
            self.end_debug_log(remove=kill)
            return
        if self._debug_log is None and self.settings.path.template:
            from angaros.logs.debug import parse_selectors
            from angaros.logs.debug_log import DebugLog

            try:
                self._debug_log_selectors = parse_selectors(opts)
            except ValueError as error:
                self.write(str(error), panic=True)
                return
            self._debug_log = DebugLog(self.file_path("debug") + tag, self._open_debug_log, pretrigger)
        if self._debug_log is not None:
            self._debug_trigger = trigger == "paniclog"
            if trigger == "now":
                self._debug_log.trigger()

    def end_debug_log(self, *, remove: bool = False) -> None:
        """Close what `debug_control` began."""
        log, self._debug_log = self._debug_log, None
        if log is not None:
            log.remove() if remove else log.close()

    def _open_debug_log(self, path: str) -> int:
        file = LogFile(path, mode=self.settings.mode, owner=self.settings.owner)
        file.append(b"")
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        file.close()
        return fd

    def write(
        self,
        text: str,
        *,
        message_id: str = "",
        selector: str = "",
        main: bool = True,
        reject: bool = False,
        panic: bool = False,
        headers: Sequence[Header] = (),
        envelope: Message | None = None,
        echo: str = "",
    ) -> None:
        """Write one entry (see the interface)."""
        modes = self.modes
        text = one_entry(text)
        if modes.debug.selectors:
            names = [selector] if selector else []
            names += [name for name, on in (("MAIN", main), ("REJECT", reject), ("PANIC", panic)) if on]
            if panic and modes.debug.on_panic:
                modes.debug.trigger()
            modes.debug.raw(f"LOG: {' '.join(names)}\n  {one_entry(echo) if echo else text}\n")
        if selector and selector not in self._selectors:
            main = False
            if not (reject or panic):
                return
        if modes.testing and not modes.debug.selectors:
            modes.debug.raw(f"LOG: {message_id} {text}\n" if message_id else f"LOG: {text}\n")
        if modes.testing:
            return
        line = f"{self._prefix()}{message_id} {text}\n" if message_id else f"{self._prefix()}{text}\n"
        if modes.stderr_only:
            modes.debug.raw(line)
            return
        self._spread(line, main, reject, panic, bounded(line, self._reject_details(headers, envelope)) if reject else "")

    # --- more ---------------------------------------------------------------------------------------------------------

    def die(self, text: str, *, message_id: str = "", main: bool = False, status: int = 1) -> NoReturn:
        """Write to the panic log and end the process (Exim's "panic die")."""
        debug = self.modes.debug
        if debug.selectors:
            debug.raw(f"LOG: {'MAIN ' if main else ''}PANIC DIE\n  {text}\n")
        if not self.modes.testing:
            line = f"{self._prefix()}{message_id} {text}\n" if message_id else f"{self._prefix()}{text}\n"
            self._spread(line, main, False, True, "")
        raise SystemExit(status)

    def timestamp(self) -> str:
        """The present time as at the beginning of log lines (`$tod_log`)."""
        return tod_log(self._clock.now(), with_zone=self.settings.with_zone, millisec=self._millisec)

    def reopen(self) -> None:
        """Close all files; they are opened again when needed."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def file_path(self, kind: str) -> str:
        """Where entries of `main`, `reject`, `panic` or `debug` go now; "" when to syslog only."""
        path = self.settings.path
        return path.file(kind, self._clock.now()) if path.template else ""

    def _prefix(self) -> str:
        now = self._clock.now()
        second = int(now)
        if second != self._second or self._millisec:
            self._stamp = tod_log(now, with_zone=self.settings.with_zone, millisec=self._millisec)
            self._second = second
        return f"{self._stamp} [{os.getpid()}] " if self._show_pid else f"{self._stamp} "

    def _spread(self, line: str, main: bool, reject: bool, panic: bool, details: str) -> None:
        if not self._warned:
            self._warned = True
            self.write("More than one path given in log_file_path: using the first", panic=True)
        data = line.encode("latin-1", "replace")
        if main:
            self._put("main", data, line)
        if reject and self.settings.write_rejectlog:
            self._put("reject", data + details.encode("latin-1", "replace"), line + details, copied=main)
        if panic:
            self._panic(line, data, copied=main)

    def _put(self, kind: str, data: bytes, line: str, *, copied: bool = False) -> None:
        settings = self.settings
        if settings.path.syslog and (not copied or settings.syslog_duplication):
            self._syslog.write(kind, self._for_syslog(line))
        if settings.path.template:
            try:
                self._file(kind).append(data)
            except OSError as error:
                self._cannot_write(kind, error, line)
        if settings.json_path:
            self._put_json(kind, line)

    def _panic(self, line: str, data: bytes, *, copied: bool, saved: str = "") -> None:
        settings = self.settings
        if self._debug_trigger and self._debug_log is not None:
            self._debug_log.trigger()
        if self.modes.stderr and not self.modes.debug.selectors:
            self.modes.debug.raw(line)
        if settings.path.syslog and (not copied or settings.syslog_duplication):
            self._syslog.write("panic", self._for_syslog(line))
        if settings.json_path:
            self._put_json("panic", line)
        if not settings.path.template:
            return
        try:
            self._file("panic").append(data)
        except OSError:
            self._last_words(saved, line)

    def _cannot_write(self, kind: str, error: OSError, line: str) -> NoReturn:
        """The main or reject log fails: panic and die, with the lost line kept for the case that the panic log fails too."""
        path = self.file_path(kind)
        gid = self._file(kind).tried_as[1]  # Exim's processes have the mail group from the beginning, but root's uid
        text = f'Cannot open {kind} log file "{path}": {error.strerror}: euid={os.geteuid()} egid={gid}'
        complaint = f"{self._prefix()}{text}\n"
        self._panic(complaint, complaint.encode("latin-1", "replace"), copied=False, saved=line)
        raise SystemExit(1)

    def _last_words(self, saved: str, line: str) -> NoReturn:
        """Nothing can be written: say so on stderr and to syslog, and end."""
        if self.modes.stderr:
            self.modes.debug.raw(saved + line)
        for text in (saved, line, LAST_WORDS):
            if text:
                self._syslog.write("panic", self._for_syslog(text) if text is not LAST_WORDS else text)
        self.modes.debug.raw(LAST_WORDS + "\n")
        raise SystemExit(1)

    def _file(self, kind: str) -> LogFile:
        path = self.settings.path.file(kind, self._clock.now())
        return self._open(kind, path)

    def _open(self, key: str, path: str) -> LogFile:
        file = self._files.get(key)
        if file is None or file.path != path:
            if file is not None:
                file.close()
            file = self._files[key] = LogFile(path, mode=self.settings.mode, owner=self.settings.owner)
        return file

    def _put_json(self, kind: str, line: str) -> None:
        from angaros.logs.json import json_line

        try:
            path = self.settings.json_path.replace("%s", kind)
            self._open("json " + kind, path).append(json_line(kind, line, self._clock.now()))
        except OSError as error:
            sys.stderr.write(f"cannot write JSON log: {error}\n")

    def _for_syslog(self, line: str) -> str:
        """`line` without what syslog adds itself."""
        settings = self.settings
        cut = len(self._stamp) + 1
        if settings.syslog_timestamp and (settings.syslog_pid or not self._show_pid):
            return line
        stamp, rest = line[:cut], line[cut:]
        if not settings.syslog_pid and self._show_pid and rest.startswith("["):
            rest = rest.partition("] ")[2]
        return stamp + rest if settings.syslog_timestamp else rest

    def _reject_details(self, headers: Sequence[Header], envelope: Message | None) -> str:
        """Envelope and header lines below a rejection in the reject log (Exim spec 53)."""
        if (not headers and envelope is None) or "rejected_header" not in self._selectors:
            return ""
        lines: list[str] = []
        if envelope is not None and (envelope.sender_address or envelope.recipients):
            lines.append(f"Envelope-from: <{envelope.sender_address}>\n")
            recipients = envelope.recipients
            if recipients:
                shown = [f"<{one.address}>" for one in recipients[:ENVELOPE_RECIPIENTS]]
                if len(recipients) > ENVELOPE_RECIPIENTS:
                    shown.append("...")
                lines.append("Envelope-to: " + "\n    ".join(shown) + "\n")
        lines.extend(f"{header.kind} {header.text}" for header in headers)
        return "".join(lines)
