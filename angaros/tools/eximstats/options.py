"""The command line of eximstats. Options have one hyphen, and their values attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from angaros.tools.program import ToolError

DEFAULT_TIMES = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400)
DIVISIONS = (0, 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
KINDS = ("host", "domain", "email", "edomain")
TOP = 50

USAGE = """
eximstats

Usage:
  eximstats [Output] [Options] mainlog1 mainlog2 ...
  eximstats -merge -html [Options] report.1.html ... > weekly_rep.html

Examples:
  eximstats -html=eximstats.html mainlog1 mainlog2 ...
  eximstats mainlog1 mainlog2 ... > report.txt

Output: -txt[=file] (default), -html[=file], -xls[=file]

-h<number>      histogram divisions per hour; 0 suppresses histograms
-ne             no error information
-nr, -nr/pattern/   no relaying information, or none that matches
-nt, -nt/pattern/   no transport information, or none that matches
-nvr            no volume rounding: octets, not KB/MB/GB
-t<number>      length of the top lists (50); 0 suppresses them
-tnl            no local sources/destinations in the top lists
-t_remote_users top users of other domains as well
-q<list>        times for queuing information; -q0 suppresses it
-show_rt<list>  receipt times of all messages
-show_dt<list>  delivery times of all messages
-include_original_destination   final and original destinations
-byhost, -bydomain, -byemail, -byedomain, -bylocaldomain   what to show results by
-pattern "Description" /pattern/    count lines that match
-merge          merge earlier reports, text or HTML
-charts         charts (SVG) for the HTML report
-chartdir <dir>, -chartrel <dir>    where they are put, and what the report calls that place
-emptyok        no valid input is no error
"""


@dataclass(slots=True)
class Options:
    """What is to be shown, and where."""

    outputs: dict[str, str] = field(default_factory=dict)
    """`txt`, `html`, `xls` -> file, "" for standard output."""
    divisions: int = 1
    errors: bool = True
    relay: bool = True
    relay_pattern: str = ""
    transports: bool = True
    transport_pattern: str = ""
    round_volumes: bool = True
    top: int = TOP
    local: bool = True
    remote_users: bool = False
    queue_times: tuple[int, ...] = DEFAULT_TIMES
    receipt_times: tuple[int, ...] = ()
    delivery_times: tuple[int, ...] = ()
    original: bool = False
    by: tuple[str, ...] = ()
    local_domain: bool = False
    patterns: list[tuple[str, str]] = field(default_factory=list)
    merge: bool = False
    charts: bool = False
    chart_directory: str = "."
    chart_link: str = "."
    empty_ok: bool = False
    files: list[str] = field(default_factory=list)


FLAGS: dict[str, tuple[str, object]] = {
    "-ne": ("errors", False),
    "-nr": ("relay", False),
    "-nt": ("transports", False),
    "-nvr": ("round_volumes", False),
    "-tnl": ("local", False),
    "-t_remote_users": ("remote_users", True),
    "-include_original_destination": ("original", True),
    "-bylocaldomain": ("local_domain", True),
    "-merge": ("merge", True),
    "-charts": ("charts", True),
    "-emptyok": ("empty_ok", True),
    "-d": ("empty_ok", False),
}
BY = {"-byhost": "host", "-bydomain": "domain", "-byemail": "email", "-byedomain": "edomain", "-byemaildomain": "edomain"}
LISTS = {"-q": "queue_times", "-show_rt": "receipt_times", "-show_dt": "delivery_times"}


def bad(option: str) -> ToolError:
    """Exim's words."""
    return ToolError(f"Eximstats: Unknown or malformed option {option}\n{USAGE}")


def times(text: str, option: str) -> tuple[int, ...]:
    """`1,2,4*2,8`: seconds, products allowed; `0` alone is none."""
    if not text:
        return DEFAULT_TIMES
    numbers = []
    for item in text.split(","):
        product = 1
        for factor in item.split("*"):
            if not factor.strip().isdigit():
                raise bad(option)
            product *= int(factor)
        numbers.append(product)
    return () if numbers == [0] else tuple(sorted(numbers))


def _slashed(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == "/" == text[-1] else text


def parse(arguments: Sequence[str]) -> Options:
    """Raises ToolError."""
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option in ("-help", "--help"):
            raise ToolError(USAGE)
        if option == "--":
            break
        if option in FLAGS:
            name, value = FLAGS[option]
            setattr(options, name, value)
        elif option in BY:
            options.by = tuple(kind for kind in KINDS if kind in (*options.by, BY[option]))
        elif not _output(options, option) and not _valued(options, option, rest):
            raise bad(option)
    options.files = rest
    options.by = options.by or ("host",)
    options.outputs = options.outputs or {"txt": ""}
    return options


def _output(options: Options, option: str) -> bool:
    kind, _, path = option[1:].partition("=")
    if kind not in ("txt", "html", "xls"):
        return False
    options.outputs[kind] = "" if path == "-" else path
    return True


def _valued(options: Options, option: str, rest: list[str]) -> bool:
    if option == "-pattern" and len(rest) >= 2:
        options.patterns.append((rest.pop(0), _slashed(rest.pop(0))))
    elif option in ("-chartdir", "-chartrel") and rest:
        setattr(options, "chart_directory" if option == "-chartdir" else "chart_link", rest.pop(0))
    elif option.startswith("-nr/"):
        options.relay_pattern = _slashed(option[3:])
    elif option.startswith("-nt/"):
        options.transport_pattern = _slashed(option[3:])
    elif option[:2] == "-h" and option[2:].isdigit() and int(option[2:]) in DIVISIONS:
        options.divisions = int(option[2:])
    elif option[:2] == "-t" and option[2:].isdigit():
        options.top = int(option[2:])
    else:
        name = next((one for one in LISTS if option.startswith(one)), "")
        if not name or (name == "-q" and option == "-q"):
            return False
        setattr(options, LISTS[name], times(option[len(name) :], option))
    return True
