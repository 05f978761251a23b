"""The cases of the command line: each row of the inventory of options does what it should."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.rows.commands import Case, Play, cases

CASES = list(cases())


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: the program is called as root and by other users")
@pytest.mark.parametrize("case", CASES, ids=[str(case) for case in CASES])
def test_row(case: Case) -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own directories are root's alone
        Play(case, Path(directory)).run()
