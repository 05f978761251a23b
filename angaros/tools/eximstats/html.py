"""The report as a page of HTML, with charts as SVG files when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape as quote

from angaros.tools.eximstats.options import Options
from angaros.tools.eximstats.sections import Errors, Grand, Grid, Histogram, Relays, Section, Spent

HEAD = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
<head>
<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">
<title>{title}</title>
</head>
<body bgcolor="white">
<h1>{title}</h1>
<ul>
{contents}</ul>
<hr>
"""


def escape(text: str) -> str:
    """Only what has a meaning in HTML."""
    return quote(text, quote=False)


def _right(text: str) -> str:
    return f'<td align="right">{escape(text)}</td>'


def _start(section: Section) -> str:
    return f'<hr><a name="{section.anchor}"></a><h2>{escape(section.title)}</h2>\n'


def _grand(section: Grand) -> str:
    heads = "".join(f"<th>{name}</th>" for name in ("TOTAL", "Volume", "Messages", "Addresses", *section.columns))
    out = [f'<a name="{section.anchor}"></a>\n<h2>{section.title}</h2>\n<table border=1>\n<tr>{heads}']
    out.append("<th colspan=2>At least one addr<br>Delayed</th><th colspan=2>At least one addr<br>Failed</th>\n")
    for name, numbers, extra in section.rows:
        out.append(f"<tr><td>{name}</td>" + "".join(_right(text) for text in (*numbers, *extra)) + "\n")
    return "".join(out) + "</table>\n"


def _grid(section: Grid, chart: str) -> str:
    heads = section.heads if section.name_last else ["&nbsp;", *section.heads]
    side = "left" if section.left else "right"
    out = [_start(section), '<table border=0 width="100%">\n<tr><td>\n<table border=1>\n<tr>']
    for at, head in enumerate(heads):
        last = section.name_last and at == len(heads) - 1
        out.append(f'<th align="{side if last else "right"}" nowrap>{head}</th>' if last else f'<th align="right">{head}</th>')
    out.append("</tr>\n")
    for row in section.rows:
        if section.name_last:
            cells = "".join(_right(text) for text in row[:-1]) + f'<td align="{side}" nowrap>{escape(row[-1])}</td>'
        else:
            cells = f"<td>{escape(row[0])}</td>" + "".join(_right(text) for text in row[1:])
        out.append(f"<tr>{cells}</tr>\n")
    return "".join(out) + f"</table>\n</td><td>\n{chart}</td></tr></table>\n\n"


def _histogram(section: Histogram, chart: str) -> str:
    lines = (
        f"{label} {number:6d} {'.' * (number // section.dot)}\n"
        for label, number in zip(section.labels, section.numbers, strict=True)
    )
    picture = f"<td>{chart}</td></tr></table>\n"
    return f'{_start(section)}<table border=0 width="100%">\n<tr><td><pre>\n{"".join(lines)}</pre>\n</td>{picture}'


def _spent(section: Spent, chart: str) -> str:
    out = [_start(section), '<table border=0 width="100%"><tr><td><table border=1>\n']
    out.append("<tr><th>Time</th><th>Messages</th><th>Percentage</th><th>Cumulative Percentage</th>\n")
    for word, limit, number, part, sofar in section.rows:
        out.append(f"<tr>{_right(f'{word} {limit}'.strip())}{_right(str(number))}{_right(part)}{_right(sofar)}\n")
    return "".join(out) + f"</table></td><td>{chart}</td></tr></table>\n\n"


def _relays(section: Relays) -> str:
    if not section.rows and not section.unshown:
        return f'<hr><a name="{section.anchor}"></a><h2>No relayed messages</h2>\n'
    rows = "".join(
        f"<tr>{_right(str(number))}<td>{escape(source)} </td><td>{escape(target)}</td>\n"
        for number, source, target in section.rows
    )
    total = f"Total: {sum(row[0] for row in section.rows)} (plus {section.unshown} unshown)"
    return f"{_start(section)}<table border=1>\n<tr><th>Count</th><th>From</th><th>To</th>\n{rows}</table>\n<p>\n\n{total}\n\n"


def _errors(section: Errors) -> str:
    rows = "".join(f"<li>{number} - {escape(text)}\n" for number, text in section.rows)
    return f"{_start(section)}<ul><li><b>Count - Error</b>\n{rows}</ul>\n<p>\nErrors encountered: {section.total}\n"


def _show(section: Section, chart: str) -> str:
    if isinstance(section, Grand):
        return _grand(section)
    if isinstance(section, Grid):
        return _grid(section, chart)
    if isinstance(section, Histogram):
        return _histogram(section, chart)
    if isinstance(section, Spent):
        return _spent(section, chart)
    return _relays(section) if isinstance(section, Relays) else _errors(section)


def _chart(section: Section, options: Options) -> str:
    """Draw one into the chart directory; the tag that shows it."""
    from angaros.tools.eximstats.charts import bars, pie

    if isinstance(section, Histogram):
        picture = bars(section.labels, section.numbers)
    elif isinstance(section, Grid) and section.numbers:
        names = [row[-1] if section.name_last else row[0] for row in section.rows]
        picture = pie(names, section.numbers)
    elif isinstance(section, Spent) and section.rows:
        picture = bars([f"{row[0]} {row[1]}".strip() for row in section.rows], [row[2] for row in section.rows])
    else:
        return ""
    name = "".join(char if char.isalnum() else "_" for char in section.anchor) + ".svg"
    with open(os.path.join(options.chart_directory, name), "w", encoding="utf-8") as file:
        file.write(picture)
    return f'<img src="{escape(options.chart_link)}/{name}">'


def report(begin: str, end: str, parts: Sequence[Section], options: Options) -> str:
    """The whole page."""
    titles = ((part.anchor, part.title.partition(" (each dot")[0]) for part in parts)
    contents = "".join(f'<li><a href="#{anchor}">{escape(title)}</a>\n' for anchor, title in titles)
    out = [HEAD.format(title=f"Exim statistics from {begin} to {end}", contents=contents)]
    out += [_show(part, _chart(part, options) if options.charts else "") for part in parts]
    return "".join(out) + "</body>\n</html>\n"
