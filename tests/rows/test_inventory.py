"""No row of the inventory is without a test of what it does."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from tests.rows import commands, dialogues, spool_items
from tests.rows.inventory import ELSEWHERE, HERE, IN, SMTP_TABLES, names

ROOT = HERE.parent.parent
INVENTORY = next((path for path in (ROOT.parent / "shared/inventory", Path("/work/shared/inventory")) if path.exists()), None)
FILES = sorted(path.stem for path in (HERE / "names").glob("*.txt"))


def rows_of_tables() -> dict[str, set[str]]:
    found = {table: {row for case in dialogues.cases(table) for row in case.rows} for table in SMTP_TABLES}
    found["commands"] = {row for case in commands.cases() for row in case.rows}
    found["spool_header_items"] = set(spool_items.ITEMS)
    found.update((file, set(names(file))) for file in ("predefined_macros", "debug_selectors"))  # tests over all names
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_row_has_a_test(file: str) -> None:
    proved = rows_of_tables().get(IN.get(file, file), set()) | set(ELSEWHERE.get(file, {}))
    assert [name for name in names(file) if name not in proved] == []


def test_no_case_is_about_a_row_that_does_not_exist() -> None:
    known = {name for file in FILES for name in names(file)}
    assert {row for rows in rows_of_tables().values() for row in rows} - known == set()
    for file, rows in ELSEWHERE.items():
        assert set(rows) <= set(names(file))


@pytest.mark.parametrize("where", sorted({where for rows in ELSEWHERE.values() for where in rows.values()}))
def test_the_tests_elsewhere_are_there(where: str) -> None:
    where, _, piece = where.partition(" ~ ")
    path, _, name = where.partition("::")
    function, _, parameter = name.partition("[")
    text = (ROOT / path).read_text("utf-8")
    assert piece in text
    if path.endswith(".txt"):
        assert not name or f"[{name}]" in text
        return
    assert any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(ast.parse(text)))
    assert not parameter or re.search(rf'"{re.escape(parameter[:-1])}"', text)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_our_lists_are_the_inventory(file: str) -> None:
    assert INVENTORY is not None
    assert names(file) == [row["name"] for row in json.loads((INVENTORY / f"{file}.json").read_text())]
