"""The cases of the ACL tables: each row of the inventory of ACLs, verification and rate limits does what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rows.dialogues import Case, Play, cases
from tests.rows.inventory import SMTP_TABLES

CASES = [case for table in SMTP_TABLES for case in cases(table)]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.table} {case}" for case in CASES])
def test_row(tmp_path: Path, case: Case) -> None:
    Play(case, tmp_path).run()
