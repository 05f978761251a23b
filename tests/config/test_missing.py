"""Every option is read by some code, or stands in the table of those that do nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from angaros.config.missing import MISSING, NO_EFFECT

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "unused_options.py"


def unused() -> list[str]:
    spec = importlib.util.spec_from_file_location("unused_options", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[str] = module.unused()
    return found


def test_no_option_is_ignored_silently() -> None:
    assert set(unused()) - MISSING.keys() - NO_EFFECT.keys() == set()


def test_nothing_that_works_is_called_missing() -> None:
    assert MISSING.keys() - set(unused()) == set()
