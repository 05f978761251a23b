"""The program: options, then collect or merge, then write."""

from __future__ import annotations

import sys

from angaros.tools.eximstats.collect import Collector
from angaros.tools.eximstats.options import Options, parse
from angaros.tools.eximstats.sections import sections
from angaros.tools.eximstats.stats import Stats
from angaros.tools.program import ToolError, finish, log_lines, write


def _gather(options: Options) -> Stats:
    if options.merge:
        from angaros.tools.eximstats.merge import merge

        return merge(list(log_lines(options.files)), options)
    collector = Collector(options)
    collector.feed(log_lines(options.files))
    if not collector.lines and not options.empty_ok:
        raise ToolError("**** No valid log lines read")
    return collector.stats


def render(kind: str, stats: Stats, options: Options) -> str:
    """A report of one kind."""
    parts = list(sections(stats, options))
    if kind == "html":
        from angaros.tools.eximstats.html import report as html

        return html(stats.begin, stats.end, parts, options)
    if kind == "xls":
        from angaros.tools.eximstats.xls import report as xls

        return xls(stats.begin, stats.end, parts)
    from angaros.tools.eximstats.text import report as text

    return text(stats.begin, stats.end, parts)


def _run() -> int:
    options = parse(sys.argv[1:])
    stats = _gather(options)
    for kind, path in options.outputs.items():
        text = render(kind, stats, options)
        if not path:
            write(text)
            continue
        try:
            with open(path, "w", encoding="latin-1", errors="replace") as file:
                file.write(text)
        except OSError as error:
            raise ToolError(f"eximstats: can't write {path}: {error.strerror}") from error
    return 0


def main() -> int:
    """`eximstats [output] [options] mainlog ...`"""
    return finish(_run)
