"""Each row of Exim's inventory (4.99: 39 items, 59 operators, 48 conditions, 305 variables) has a test of its own.

`inventory/*.txt` are our lists of the names; where the inventory itself is there, they must be the same. A row of an item,
operator or condition is tested by a line of `tables/*.txt`; a variable by a value that it has in `full_scope` and nowhere else
(`inventory/values.txt`).
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from angaros.expand import variables
from angaros.model.scope import Scope
from tests.expand.conftest import shown
from tests.expand.full_scope import full_scope
from tests.expand.test_tables import INVENTORY, rows

HERE = Path(__file__).parent / "inventory"
TEXTS = [text for text, _ in rows()]

MARKS = {
    "${name} / $name": r"\$\{?primary_hostname",
    "extract (named)": r"\$\{extract\s*\{[a-z]",
    "extract (numbered)": r"\$\{extract\s*\{-?\d",
    "extract json": r"\$\{extract json\s*\{[a-z]",
    "extract json (array)": r"\$\{extract json\s*\{\d",
    "extract jsons": r"\$\{extract jsons",
    "header / h": r"\$\{?(h|header)_",
    "bheader / bh": r"\$\{?(bh|bheader)_",
    "rheader / rh": r"\$\{?(rh|rheader)_",
    "lheader / lh": r"\$\{?(lh|lheader)_",
    "lookup (single-key)": r"\$\{lookup\s*\{",
    "lookup (query)": r"\$\{lookup\s+[a-z]",
    "quote_<lookup>": r"\$\{quote_(?!local_part)[a-z]+:",
    "mask_n": r"\$\{mask_n:",
    "!": r"[{ ]!",
}
"""What a table line of a row looks like, where the name alone does not tell."""

VALUES = {
    name: text.encode("ascii").decode("unicode_escape")
    for line in (HERE / "values.txt").read_text(encoding="ascii").splitlines()
    for name, _, text in [line.partition(" = ")]
}
"""Values in the full scope."""
OPTIONS = {
    "bounce_return_size_limit": 4711, "exim_path": "/opt/exim", "localhost_number": "7", "primary_hostname": "other.example",
    "qualify_domain": "qualify.example", "qualify_recipient": "recipient.example", "spf_guess": "v=spf1 -all",
}  # fmt: skip
PATTERNS = {
    "caller_gid": str(os.getgid()), "caller_uid": str(os.getuid()), "pid": str(os.getpid()), "compile_number": "1",
    "compile_date": r"\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d", "exim_version": r"4\.99.*", "version_number": r"4\.99.*",
    "load_average": r"\d+", "log_inodes": r"\d+", "log_space": r"\d+", "spool_inodes": r"\d+", "spool_space": r"\d+",
    "regex_cachesize": r"\d+", "spool_directory": r"/.*",
}  # fmt: skip
"""What depends on the machine."""
FAMILIES = {"acl_c*": "acl_c_name", "acl_m*": "acl_m_name", "header_*": "header_subject:", "r_*": "r_list"}


def names(file: str) -> list[str]:
    """The rows of one list."""
    return [line for line in (HERE / f"{file}.txt").read_text(encoding="ascii").splitlines() if line]


@pytest.mark.parametrize("file", ["expansion_items", "expansion_operators", "expansion_conditions", "variables"])
@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_our_lists_are_the_inventory(file: str) -> None:
    assert INVENTORY is not None
    assert names(file) == [row["name"] for row in json.loads((INVENTORY / f"{file}.json").read_text())]


def marked(pattern: str) -> bool:
    """Whether a table line has it."""
    return any(re.search(pattern, text) for text in TEXTS)


@pytest.mark.parametrize("name", names("expansion_items"))
def test_item_has_a_row(name: str) -> None:
    assert marked(MARKS.get(name) or rf"\$\{{{re.escape(name)}\b")


@pytest.mark.parametrize("name", names("expansion_operators"))
def test_operator_has_a_row(name: str) -> None:
    assert marked(MARKS.get(name) or rf"\$\{{{re.escape(name)}[:_]")


@pytest.mark.parametrize("name", names("expansion_conditions"))
def test_condition_has_a_row(name: str) -> None:
    assert marked(MARKS.get(name) or rf"(if |!|\{{){re.escape(name)}(?![\w=])")


@pytest.fixture
def scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scope:
    """Everything has happened."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    found = full_scope(tmp_path)
    config = found.services.config
    for option, value in OPTIONS.items():
        setattr(config.main, option, value)
    for name, changed in (("main_file", "/where/exim.conf"), ("exim_uid", 99), ("exim_gid", 102)):
        setattr(config, name, changed)
    (tmp_path / "log").mkdir()
    return found


@pytest.mark.parametrize("row", names("variables"))
def test_variable(row: str, scope: Scope) -> None:
    name = FAMILIES.get(row.removeprefix("$"), row.removeprefix("$"))
    if name in VALUES:
        assert shown(f"${name}", scope) == VALUES[name]
    elif name in PATTERNS:
        assert re.fullmatch(PATTERNS[name], shown(f"${name}", scope))
    else:  # what somebody sets where it happens
        key = variables.ALIASES.get(name, name)
        assert key in variables.STATE or key in variables.ONLY_WHERE_SET
        scope.state[key] = f"value of {name}"
        if key in variables.ONLY_WHERE_SET:
            scope.local[key] = f"value of {name}"
        assert shown(f"${name}", scope) == f"value of {name}"
