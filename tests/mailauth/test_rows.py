"""Each option, variable, selector, scanner and dnsdb type about who sent a message and whether it is clean is used in a test.

The names come from our own tables, which tests elsewhere compare with Exim's inventory (tests/config/test_options.py,
tests/expand/test_rows.py); a test counts when the name stands in it as it is used: an option or a selector as a word, a variable
after `$` or `def:`. Tables of names do not count.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

from angaros.acl.conditions.control import CONTROLS
from angaros.acl.table import ROWS
from angaros.config.main_options import MainOptions
from angaros.config.router_options import RouterOptions
from angaros.config.transport_options import TRANSPORTS
from angaros.expand.variables import table
from angaros.logs.selectors import SELECTORS
from angaros.lookups.dnsdb import TYPES
from angaros.scan.malware import SCANNERS

TESTS = Path(__file__).parents[1]
LISTS = {"test_rows.py", "test_variables.py", "values.txt", "variables.txt", "test_missing.py"}
"""Files that name what there is rather than use it."""
OURS = re.compile(
    r"(dkim|arc|spf|dmarc|srs|dcc|bmi|prvscheck|malware|spam|spamd|av|mime|regex|dnslists?|csa|redis)(_|\d|\Z)|dccifd|dns_csa|acl_\w*(dkim|mime)"
)


@lru_cache(maxsize=1)
def texts() -> str:
    """All tests but the lists, and the ACL's own table, which runs what it lists."""
    found = [path for path in TESTS.rglob("*") if path.suffix in (".py", ".txt") and path.name not in LISTS]
    return "\n".join(path.read_text("utf-8", "replace") for path in [*found, TESTS / "acl/test_rows.py"]).replace("\\n", " ")


def used(word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", texts()) is not None


OPTIONS = [name for options in (MainOptions, RouterOptions, TRANSPORTS["smtp"]) for name in options.OPTIONS if OURS.match(name)]
WORDS = sorted({*OPTIONS, *(name for name in (*SELECTORS, *ROWS, *CONTROLS) if OURS.match(name))})
VARIABLES = sorted(name for name in table() if OURS.match(name) and not re.fullmatch(r"regex(\d|_cachesize)", name))


@pytest.mark.parametrize("name", WORDS)
def test_option_condition_or_selector(name: str) -> None:
    # acl_smtp_mime is set by the name of its point in tests/acl/test_rows.py
    assert used(name) or name == "acl_smtp_mime"


@pytest.mark.parametrize("name", VARIABLES)
def test_variable(name: str) -> None:
    assert re.search(rf"(\$\{{?|def:){name}(?!\w)", texts())


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_scanner(name: str) -> None:
    assert re.search(rf"\b{re.escape(name)}\b", (TESTS / "scan/test_malware.py").read_text())


@pytest.mark.parametrize("name", sorted(TYPES))
def test_dnsdb_type(name: str) -> None:
    queries = (TESTS / "lookups/test_dnsdb.py").read_text()
    assert re.search(rf'[" ,]{re.escape(name)} ?=', queries)


def test_there_are_enough() -> None:
    assert (len(SCANNERS), len(TYPES)) == (12, 15)
    assert len(WORDS) > 50 and len(VARIABLES) > 70
