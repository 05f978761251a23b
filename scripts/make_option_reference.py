#!/usr/bin/env python3
"""Prints docs/options.md: every option, from the tables that the reader uses. `--check` compares it with the file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from angaros.assembly.show import option_text  # noqa: E402
from angaros.config import options as kinds  # noqa: E402
from angaros.config.auth_options import AUTHENTICATORS, AuthOptions  # noqa: E402
from angaros.config.main_options import MainOptions  # noqa: E402
from angaros.config.options import Option, Options  # noqa: E402
from angaros.config.router_options import ROUTERS, RouterOptions  # noqa: E402
from angaros.config.transport_options import TRANSPORTS, TransportOptions  # noqa: E402

TYPES = {
    kinds.BOOL: "boolean",
    kinds.BOOL_VERIFY: "boolean",
    kinds.EXPAND_BOOL: "boolean",
    kinds.INT: "integer",
    kinds.MKINT: "integer",
    kinds.KINT: "integer (K)",
    kinds.OCTAL: "octal integer",
    kinds.FIXED: "fixed-point",
    kinds.TIME: "time",
    kinds.TIME_LIST: "time list",
    kinds.REWRITE: "rewrite rules",
    kinds.UID: "user",
    kinds.GID: "group",
    kinds.EXPAND_UID: "user",
    kinds.EXPAND_GID: "group",
    kinds.UID_LIST: "user list",
    kinds.GID_LIST: "group list",
}


def type_text(row: Option) -> str:
    """The type in the manual's words; a dagger for what is expanded."""
    if row.items in ("domain", "host", "address", "local part", "string", "integer"):
        text = f"{row.items} list"
    elif row.items == "comma":
        text = "string list, commas"
    else:
        text = TYPES.get(row.kind, "string")
    return f"{text}†" if row.expanded else text


def default_text(row: Option) -> str:
    """The default as -bP shows it."""
    if isinstance(row.default, bool):
        return "true" if row.default else "false"
    text = option_text(row, row.default)
    if row.kind == kinds.FIXED or text == "":
        return "unset"
    if len(text) > 60:
        text = text[:57] + "..."
    return "`" + text.replace("|", "\\|") + "`"


def table(rows: Iterable[Option]) -> str:
    """A Markdown table."""
    out = "| option | type | default | meaning |\n|---|---|---|---|\n"
    for row in rows:
        notes = ""
        if row.since == "angaros":
            notes = " *(Angaros only)*"
        elif row.obsolete:
            notes = f" *(old; sets `{row.obsolete}`)*" if row.obsolete != "-" else " *(old)*"
        meaning = row.doc.replace("|", "\\|")
        out += f"| `{row.name}` | {type_text(row)} | {default_text(row)} | {meaning}{notes} |\n"
    return out


def drivers(title: str, generic: type[Options], classes: dict[str, type[Options]]) -> str:
    """A chapter: generic options, then each driver's own."""
    out = f"\n## {title}\n\n### All\n\n{table(generic.OPTIONS.values())}"
    for name, options in classes.items():
        doc = (options.__doc__ or "").split(":", 1)[-1].strip()
        out += f"\n### `{name}`\n\n{doc}\n"
        if options.OWN:
            out += f"\n{table(options.OWN.values())}"
    return out


def reference() -> str:
    """The whole page."""
    return (
        "# Options\n\n"
        "Made by `scripts/make_option_reference.py` from the tables in `angaros/config`; do not edit.\n\n"
        "Names, types and defaults are those of Exim 4.99. † means that the value is expanded when it is used.\n"
        "A default that depends on other options or on the site file is shown as unset; `exim -bP` shows what holds.\n"
        f"\n## Main\n\n{table(MainOptions.OPTIONS.values())}"
        + drivers("Routers", RouterOptions, dict(ROUTERS))
        + drivers("Transports", TransportOptions, dict(TRANSPORTS))
        + drivers("Authenticators", AuthOptions, dict(AUTHENTICATORS))
    )


def main() -> int:
    """Print, or compare."""
    target = ROOT / "docs" / "options.md"
    text = reference()
    if "--check" in sys.argv[1:]:
        if not target.exists() or target.read_text("utf-8") != text:
            print("docs/options.md is not up to date: run make docs", file=sys.stderr)
            return 1
        return 0
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
