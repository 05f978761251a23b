"""Every command has a manual page."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COMMANDS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_page(command: str) -> None:
    page = (ROOT / "docs" / "man" / f"{command}.8").read_text()
    assert page.startswith((f".TH {command.upper()} 8 ", ".so man8/"))
