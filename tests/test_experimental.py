"""docs/experimental.md: each row of Exim's experimental facilities names its proof, and what is not built fails loudly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from angaros.assembly.reader import Reading, read_config
from angaros.config.site import Site
from angaros.lookups.engine import is_available
from angaros.lookups.registry import TYPES
from angaros.model.errors import ConfigError
from tests.policy import PolicyWorld

ROOT = Path(__file__).parents[1]
INVENTORY = next((p for p in (Path("/work/shared/inventory"), ROOT.parent / "shared/inventory") if p.exists()), None)
ROWS = {
    cells[0]: (cells[1], cells[2])
    for line in (ROOT / "docs/experimental.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| facility", "| ---"))
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}


def test_there_are_rows() -> None:
    assert len(ROWS) == 43


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_no_row_is_missing() -> None:
    assert INVENTORY is not None
    assert list(ROWS) == [row["name"] for row in json.loads((INVENTORY / "experimental.json").read_text())]


@pytest.mark.parametrize("name", ROWS)
def test_each_row_is_built_or_argued(name: str) -> None:
    here, proof = ROWS[name]
    assert here.startswith(("built", "accepted", "note: "))
    assert len(here) > 60 or not here.startswith("note: "), "an argument has reasons"
    files = re.findall(r"`(tests/[\w/.]+\.py)`", proof)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def read(directory: Path, text: str) -> None:
    (directory / "exim.conf").write_text(text)
    read_config(Reading(Site(exim_user="root"), files=str(directory / "exim.conf"), any_caller=True))


@pytest.mark.parametrize("option", ["allow_insecure_tainted_data", "srs_secrets = x", "srs_config = x", "dk_domain = x"])
def test_an_option_that_is_gone_is_unknown(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=f'main option "{option.split()[0]}" unknown'):
        read(tmp_path, f"{option}\n")


def test_drop_cr_is_taken(tmp_path: Path) -> None:
    read(tmp_path, "drop_cr\n")


def test_other_things_that_are_gone(tmp_path: Path) -> None:
    made = PolicyWorld(tmp_path, "")
    error = str(made.services.expander.check("${if pwcheck{a:b}{1}{0}}"))  # type: ignore[attr-defined]
    assert "unknown condition" in error
    assert not is_available(TYPES["nmh"])
