"""Table tests: each row of `tables/*.txt` is an expansion and what it gives (`E:` and `=:`, the result with escapes).

The results were compared with those of Exim 4.96 when the tables were made; what differs in 4.99 is in `test_newer.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from angaros.expand import language, variables
from angaros.model.scope import Scope
from tests.expand.conftest import shown

TABLES = Path(__file__).parent / "tables"
INVENTORY = next((p for p in (Path("/work/shared/inventory"), Path("../shared/inventory")) if p.exists()), None)


def rows() -> list[tuple[str, str]]:
    """All cases."""
    found: list[tuple[str, str]] = []
    for table in sorted(TABLES.glob("*.txt")):
        lines = table.read_text(encoding="ascii").splitlines()
        for text, result in zip(lines[::2], lines[1::2], strict=True):
            found.append((text.removeprefix("E: "), result.removeprefix("=: ").encode("ascii").decode("unicode_escape")))
    return found


@pytest.mark.parametrize(("text", "result"), rows())
def test_table(text: str, result: str, scope: Scope) -> None:
    assert shown(text, scope) == result


def test_every_operator_has_a_row() -> None:
    texts = "\n".join(text for text, _ in rows())
    missing = [name for name in language.OPERATORS if f"${{{name}:" not in texts and f"${{{name}_" not in texts]
    assert missing in ([], ["headerwrap", "xtextd"])  # these are newer than the Exim the tables were compared with


def test_every_condition_has_a_row() -> None:
    texts = "\n".join(text for text, _ in rows())
    assert [name for name in language.CONDITIONS if not any(f"{lead}{name}" in texts for lead in ("if ", "!", "{"))] == []


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_inventory_is_covered() -> None:
    assert INVENTORY is not None

    def names(file: str) -> list[str]:
        return [row["name"] for row in json.loads((INVENTORY / file).read_text())]

    assert [n for n in names("expansion_operators.json") if n not in (*language.OPERATORS, "quote_<lookup>", "mask_n")] == []
    assert [n for n in names("expansion_conditions.json") if n not in (*language.CONDITIONS, "!")] == []
    plain = {name.split(" ")[0] for name in names("expansion_items.json")}
    assert plain - set(language.ITEMS) == {"${name}", "header", "bheader", "rheader", "lheader"}
    unknown = [n for n in names("variables.json") if "*" not in n and variables.find(n[1:]) is None]
    assert set(unknown) - {f"${n}" for n in variables.ONLY_WHERE_SET} - {"$0"} == set()
