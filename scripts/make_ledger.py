"""The compatibility ledger: every fact of Exim's inventory against our tables (`make ledger`).

`python scripts/make_ledger.py [INVENTORY]`. A row counts as built when the table that drives the program has it; what the tables
cannot tell is judged by the declared exceptions below.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from angaros.assembly.features import collect  # noqa: E402
from angaros.config.missing import MISSING, NO_EFFECT  # noqa: E402

INVENTORY = next((p for p in (ROOT.parent / "shared/inventory", Path("/work/shared/inventory")) if p.exists()), Path("inventory"))

NOT_BUILT: dict[str, dict[str, str]] = {
    "cli_options": dict.fromkeys(
        [
            "-MC", "-MCA", "-MCD", "-MCd", "-MCK", "-MCL", "-MCP", "-MCp", "-MCQ", "-MCq", "-MCr, -MCs", "-MCS", "-MCT",
            "-MCt", "-oPX",
        ],
        "internal to Exim's processes, which do not exist here",
    ),
    "acl_conditions": {},
    "expansion_items": {},
    "verify_types": {},
    "sieve_extensions": {
        "spamtest/virustest": "not in Exim either; scanners are asked by ACLs",
        "ManageSieve": "a protocol of its own; not in Exim either",
    },
    "lookups": {
        "nisplus": "no client library", "nmh": "no client library",
        "oracle": "built; offered where the Python driver oracledb is installed",
        "whoson": "built; offered where libwhoson is installed",
        "readsock": "the engine behind ${readsocket, which is built; Exim does not document it as a lookup",
    },
}  # fmt: skip
"""Rows that the tables know but whose work is still to come."""


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((INVENTORY / f"{name}.json").read_text())
    return found


def section(title: str, name: str, known: Iterable[str], clean: Any = lambda text: text) -> tuple[int, int, list[str]]:
    """Counts and the lines of what is missing."""
    have = {text.lower() for text in known}
    exceptions = NOT_BUILT.get(name, {})
    built, lines = 0, []
    all_rows = rows(name)
    for row in all_rows:
        word = clean(row["name"])
        if word.lower() in have and row["name"] not in exceptions:
            built += 1
        else:
            lines.append(f"- `{row['name']}`: {exceptions.get(row['name'], 'missing')}")
    return built, len(all_rows), [f"## {title}", "", f"{built} of {len(all_rows)} built.", "", *lines, ""]


def option_section(title: str, name: str, kind: str) -> tuple[int, int, list[str]]:
    """Options: known by the tables, minus those declared missing."""
    built, lines, all_rows = 0, [], rows(name)
    for row in all_rows:
        use = row["use"] if row["use"] not in ("routers", "transports", "authenticators") else kind
        key = f"{use}.{row['name']}"
        if key in MISSING:
            lines.append(f"- `{row['name']}` ({row['use']}): {MISSING[key]}")
            continue
        built += 1
        if key in NO_EFFECT:
            lines.append(f"- `{row['name']}` ({row['use']}): accepted, no effect: {NO_EFFECT[key]}")
    return built, len(all_rows), [f"## {title}", "", f"{built} of {len(all_rows)} built.", "", *lines, ""]


def cli_known() -> list[str]:
    from angaros.cli.parse import UsageError, parse

    found = []
    for row in rows("cli_options"):
        for spelling in row["name"].split(", "):
            for arguments in (
                [{"-ex": "-ee"}.get(spelling, spelling)],
                [spelling, "1"], [spelling, "10HmaX-0005vi-00"], [spelling, "10HmaX-0005vi-00", "a@b"],
                [spelling, "q", "10HmaX-0005vi-00"], [f"{spelling}A=1"], [f"{spelling}p"],
            ):  # fmt: skip
                try:
                    parse("exim", arguments)
                except UsageError:
                    continue
                found.append(row["name"])
                break
    return found


def variables_known() -> list[str]:
    """Names that the string language takes after a dollar sign."""
    from angaros.expand.engine import Engine
    from angaros.expand.variables import ONLY_WHERE_SET

    engine = Engine()
    found = []
    for row in rows("variables"):
        if row["name"].lstrip("$") in ONLY_WHERE_SET:
            found.append(row["name"].lstrip("$"))
            continue
        name = row["name"].lstrip("$").replace("*", "0" if row["name"].startswith("$acl") else "x")
        name += ":" if name.startswith("header_") else ""
        if not (engine.check(f"${name}") or "").startswith("unknown variable"):
            found.append(row["name"].lstrip("$"))
    return found


def filter_words() -> list[str]:
    """Commands, prefixes, keywords and conditions of Exim filters, as the inventory names them."""
    from angaros.filters.exim import parser

    comparisons = {"is", *parser._COMPARE.values(), *parser._WORD_CONDITIONS}
    found = {*parser._COMMANDS, *parser.MAIL_WORDS, *comparisons}
    return [*found, "elif", "else", "endif", "seen", "unseen", "noerror", "return", "and", "or", "not", "above", "below"]


def sieve_known() -> list[str]:
    """Rows of the inventory all of whose capabilities we have."""
    from angaros.filters.sieve.language import LANGUAGE

    have = {*LANGUAGE.capabilities, "core"}
    return [row["name"] for row in rows("sieve_extensions") if have.issuperset(row["name"].partition(" ")[0].split("/"))]


def experimental_section() -> tuple[int, int, list[str]]:
    """docs/experimental.md has the words; what has none yet is missing."""
    known = {}
    for line in (ROOT / "docs/experimental.md").read_text().splitlines():
        if line.startswith("| "):
            name, here, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
            known[name] = here
    names = [row["name"] for row in rows("experimental")]
    built = [name for name in names if known.get(name, "").startswith(("built", "accepted"))]
    lines = [f"- {name}: {known.get(name, 'missing').removeprefix('note: ')}" for name in names if name not in built]
    head = ["## Experimental facilities", "", f"{len(built)} of {len(names)} built; [experimental.md](experimental.md).", ""]
    return len(built), len(names), [*head, *lines, ""]


def word(text: str) -> str:
    return re.sub(r"[${}<>=:,\[\]]| .*", "", text)


def main() -> None:
    from angaros.acl.conditions.control import CONTROLS
    from angaros.acl.points import POINTS
    from angaros.acl.table import ROWS, VERBS
    from angaros.expand.language import CONDITIONS, ITEMS, OPERATORS
    from angaros.logs.selectors import SELECTORS
    from angaros.lookups.dnsdb import TYPES as DNSDB_TYPES
    from angaros.scan.malware import SCANNERS

    features = collect()
    points = {f"acl_smtp_{name}" for name in POINTS} | {
        "acl_not_smtp",
        "acl_not_smtp_start",
        "acl_not_smtp_mime",
        "acl_smtp_data_prdr",
    }
    sections = [
        option_section("Main options", "main_options", "main"),
        option_section("Router options", "router_options", "router"),
        option_section("Transport options", "transport_options", "transport"),
        option_section("Authenticator options", "authenticator_options", "authenticator"),
        section("Expansion items", "expansion_items", [*ITEMS, "name", "header", "bheader", "rheader", "lheader"], word),
        section("Expansion operators", "expansion_operators", [*OPERATORS, "mask_n", "quote_<lookup>"]),
        section("Expansion conditions", "expansion_conditions", [*CONDITIONS, "!"]),
        section("Expansion variables", "variables", variables_known(), lambda text: text.lstrip("$")),
        section("ACL verbs", "acl_verbs", VERBS),
        section("ACL points", "acl_points", points),
        section("ACL conditions", "acl_conditions", [r.name for r in ROWS.values()]),
        section("ACL modifiers", "acl_modifiers", [r.name for r in ROWS.values()]),
        section("ACL controls", "acl_controls", [*CONTROLS, "error"]),  # what cannot be parsed: an error here, too
        section("Lookups", "lookups", features.lookups),
        section("Types of dnsdb", "dnsdb_types", DNSDB_TYPES),
        section("Malware scanners", "malware_scanners", SCANNERS),
        section("Exim filters", "filter_commands", filter_words(), lambda text: text.split(" ")[0]),
        section("Sieve", "sieve_extensions", sieve_known()),
        section("Rewriting flags", "rewrite_flags", "EFTbcfhrstSQqRw"),
        section("Log selectors", "log_selectors", [*SELECTORS, "all"]),
        section("Command line", "cli_options", cli_known()),
        experimental_section(),
    ]
    print("# Compatibility ledger\n")
    print("Made by `make ledger` from Exim's inventory (4.99) and the tables of this program; do not edit.\n")
    built, total = sum(s[0] for s in sections), sum(s[1] for s in sections)
    print(
        f"In all {built} of {total} rows are built. What is missing is named here, and a configuration that sets a missing option"
    )
    print("is told so when it is read.\n")
    print("Facilities that were experimental in Exim: the last section.\n")
    for _, _, lines in sections:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
