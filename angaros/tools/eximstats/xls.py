"""The report as a workbook in Excel's own XML (SpreadsheetML 2003), which spreadsheets read as .xls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from angaros.tools.eximstats.sections import Errors, Grand, Grid, Histogram, Relays, Section, Spent

START = """<?xml version="1.0" encoding="ISO-8859-1"?>
<?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">
<Styles><Style ss:ID="h"><Font ss:Bold="1"/></Style></Styles>
<Worksheet ss:Name="Exim Statistics"><Table>
"""
END = "</Table></Worksheet></Workbook>\n"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _row(cells: Sequence[str], head: bool = False) -> str:
    out = []
    for text in cells:
        bare = text.strip()
        kind = "Number" if _NUMBER.fullmatch(bare) and not head else "String"
        style = ' ss:StyleID="h"' if head else ""
        out.append(f'<Cell{style}><Data ss:Type="{kind}">{escape(_UNPRINTABLE.sub("?", bare))}</Data></Cell>')
    return f"<Row>{''.join(out)}</Row>\n"


def rows_of(section: Section) -> Iterator[tuple[list[str], bool]]:
    """Rows of a section, and whether each is a head."""
    yield [section.title], True
    if isinstance(section, Grand):
        yield ["TOTAL", "Volume", "Messages", "Addresses", *section.columns, "Delayed", "", "Failed", ""], True
        for name, numbers, extra in section.rows:
            yield [name, *numbers, *extra], False
    elif isinstance(section, Grid):
        yield (section.heads if section.name_last else ["", *section.heads]), True
        for row in section.rows:
            yield row, False
    elif isinstance(section, Histogram):
        for label, number in zip(section.labels, section.numbers, strict=True):
            yield [label, str(number)], False
    elif isinstance(section, Spent):
        yield ["", "Time", "Messages", "Percentage", "Cumulative Percentage"], True
        for word, limit, number, part, sofar in section.rows:
            yield [word, limit, str(number), part, sofar], False
    elif isinstance(section, Relays):
        yield ["Count", "From", "To"], True
        for count, source, target in section.rows:
            yield [str(count), source, target], False
    elif isinstance(section, Errors):
        for count, text in section.rows:
            yield [str(count), text], False


def report(begin: str, end: str, parts: Sequence[Section]) -> str:
    """The workbook."""
    out = [START, _row([f"Exim statistics from {begin} to {end}"], True)]
    for part in parts:
        out.append("<Row/>\n")
        out += [_row(cells, head) for cells, head in rows_of(part)]
    return "".join(out) + END
