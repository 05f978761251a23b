"""`-bV` and `-bI`: what this program is and can do (Exim spec 5.3)."""

from __future__ import annotations

from collections.abc import Iterable

import angaros
from angaros.config.config import Config
from angaros.config.features import Features
from angaros.config.site import Site

DSCP_KEYWORDS: dict[str, int] = {
    "af11": 0x28,
    "af12": 0x30,
    "af13": 0x38,
    "af21": 0x48,
    "af22": 0x50,
    "af23": 0x58,
    "af31": 0x68,
    "af32": 0x70,
    "af33": 0x78,
    "af41": 0x88,
    "af42": 0x90,
    "af43": 0x98,
    "ef": 0xB8,
    "lowcost": 0x02,
    "lowdelay": 0x10,
    "mincost": 0x02,
    "reliability": 0x04,
    "throughput": 0x08,
}
"""Words of `dscp` and `control = dscp/...` and the octets that they stand for (RFC 2474, RFC 2597, RFC 3246, RFC 1349)."""

SIEVE_EXTENSIONS = (
    "comparator-i;ascii-numeric",
    "copy",
    "encoded-character",
    "enotify",
    "envelope",
    "fileinto",
    "subaddress",
    "vacation",
)
"""What Exim's `-bI:sieve` tells; the filter room may know more and then passes its own list."""

INFO_HELP = """\
The -bI: flag takes a string indicating which information to provide.
If the string is not recognised, you'll get this help (on stderr).

  exim -bI:help    this information
  exim -bI:dscp    list of known dscp value keywords
  exim -bI:sieve   list of supported sieve extensions
"""


def info_text(what: str, sieve: Iterable[str] = SIEVE_EXTENSIONS) -> tuple[str, bool]:
    """Text of `-bI:<what>`, and whether the word was known (else the text belongs on standard error, status 1)."""
    word = what.lower()
    if word == "dscp":
        return "".join(f"{name}\n" for name in sorted(DSCP_KEYWORDS)), True
    if word == "sieve":
        return "".join(f"{name}\n" for name in sieve), True
    if word == "modules":
        return "", True  # nothing is loaded as a shared object
    return INFO_HELP, word == "help"


def version_banner() -> str:
    """First line of `-bV`: the version of Exim that we stand for, and who we are."""
    return f"Exim version {angaros.EXIM_VERSION} #1 (Angaros {angaros.__version__})"


def version_text(features: Features, site: Site | None = None, config: Config | None = None) -> str:
    """`exim -bV`. Tools and scripts read these lines; their heads are Exim's."""
    lines = [
        version_banner(),
        "Angaros is an independent program that speaks Exim's language; it contains no code of Exim.",
        "Hints DB: SQLite",
        _line("Support for", features.support),
        _line("Lookups (built-in)", features.lookups),
        _line("Authenticators (built-in)", features.authenticators),
        _line("Routers (built-in)", features.routers),
        _line("Transports (built-in)", _transports(features)),
    ]
    if features.malware:
        lines.append(_line("Malware", features.malware))
    lines += _site_lines(site)
    lines.append("Size of off_t: 8")
    lines += features.libraries
    if config is not None:
        lines.append(f"Configuration file is {config.main_file}")
    return "".join(f"{line}\n" for line in lines)


def _line(head: str, words: Iterable[str]) -> str:
    return f"{head}: {' '.join(words)}".rstrip()


def _transports(features: Features) -> list[str]:
    formats = "".join(f"/{each}" for each in features.transport_formats)
    return [f"appendfile{formats}" if name == "appendfile" else name for name in features.transports]


def _site_lines(site: Site | None) -> list[str]:
    from angaros.config.settings import split_list
    from angaros.config.users import find_group, find_user

    if site is None:
        return []
    lines: list[str] = []
    never: list[str] = []
    for name in split_list(site.fixed_never_users):
        try:
            never.append(str(find_user(name).uid))
        except KeyError:
            never.append(name)
    if never:
        lines.append(f"Fixed never_users: {':'.join(never)}")
    try:
        owner = find_user(site.configure_owner).uid if site.configure_owner else 0
        group = find_group(site.configure_group) if site.configure_group else 0
        lines.append(f"Configure owner: {owner}:{group}")
    except KeyError:
        lines.append(f"Configure owner: {site.configure_owner}:{site.configure_group} (unknown)")
    return lines
