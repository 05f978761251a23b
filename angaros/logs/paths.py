"""Where log files lie: `log_file_path` with `%s`, `%D`, `%M` and `syslog` in it (Exim spec 53.1, 53.3)."""

from __future__ import annotations

import time

from angaros.model.record import dataclass

KINDS = ("main", "reject", "panic", "debug", "process")


@dataclass(frozen=True, slots=True)
class LogPath:
    """A parsed `log_file_path`."""

    template: str
    """Path with `%s`; "" when only syslog is used."""
    syslog: bool = False
    multiple: bool = False
    """More than one file path was given; the first is used and the panic log says so."""

    @property
    def dated(self) -> bool:
        """Whether names change with the day or month."""
        return "%D" in self.template or "%M" in self.template

    def file(self, kind: str, now: float) -> str:
        """Name of the file for `main`, `reject`, `panic` or `debug`."""
        if kind == "panic" or not self.dated:
            return undated(self.template).replace("%s", kind)
        moment = time.localtime(now)
        name = self.template.replace("%D", time.strftime("%Y%m%d", moment), 1).replace("%M", time.strftime("%Y%m", moment), 1)
        return name.replace("%s", kind)


def undated(template: str) -> str:
    """`template` without its date: with the separator before it, or the one after it at the start of a component."""
    for mark in ("%D", "%M"):
        at = template.find(mark)
        if at < 0:
            continue
        before, after = template[:at], template[at + 2 :]
        if before.endswith("/") or not before:
            if after and not (after[0].isalnum() or after[0] == "%"):
                after = after[1:]
        elif not before[-1].isalnum():
            before = before[:-1]
        template = before + after
    return template


def parse_log_file_path(run_time: str | None, built_in: str, spool_directory: str) -> LogPath:
    """Parse the (expanded) option; `built_in` is LOG_FILE_PATH of the site file."""
    default = f"{spool_directory}/log/%slog"
    for item in _items(built_in):
        if item and item != "syslog":
            default = item
            break
    text = run_time if run_time is not None and run_time.strip() else built_in
    if not text.strip():
        return LogPath(default)
    files: list[str] = []
    syslog = False
    for item in _items(text):
        if item == "syslog":
            syslog = True
        else:
            files.append(item or default)
    return LogPath(files[0] if files else "", syslog, len(files) > 1)


def _items(text: str) -> list[str]:
    """The list always has colons; a trailing colon makes no further item."""
    items = [item.strip() for item in text.split(":")]
    if len(items) > 1 and not items[-1]:
        items.pop()
    return items
