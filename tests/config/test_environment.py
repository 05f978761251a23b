from __future__ import annotations

import os

import pytest

from angaros.config.environment import apply_environment, clean_environment
from angaros.config.main_options import MainOptions

GIVEN = {"FOO": "f", "FOO1": "1", "BAR": "b", "PATH": "/bin", "TZ": "CET", "NOTIFY_SOCKET": "/run/x"}


@pytest.mark.parametrize(
    ("keep", "names"),
    [
        (None, ""),
        ("", ""),
        ("PATH", "PATH"),
        ("^FOO\\d : BAR", "BAR FOO1"),
        ("*", "BAR FOO FOO1 PATH TZ"),
        ("!PATH : *", "BAR FOO FOO1 TZ"),
        ("!^FOO", "BAR PATH TZ"),
        ("*OO", "FOO"),
    ],
)
def test_keep(keep: str | None, names: str) -> None:
    kept = clean_environment(MainOptions(keep_environment=keep) if keep is not None else MainOptions(), GIVEN)
    assert sorted(kept) == sorted([*names.split(), "NOTIFY_SOCKET"])


def test_add_and_timezone() -> None:
    kept = clean_environment(MainOptions(add_environment="A=b::c : D = ", timezone="UTC"), GIVEN)
    assert {name: kept[name] for name in ("A", "TZ")} == {"A": "b:c", "TZ": "UTC"}
    assert "TZ" not in clean_environment(MainOptions(keep_environment="*", timezone=""), GIVEN)


def test_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(GIVEN))
    assert apply_environment(MainOptions())
    assert os.environ == {"NOTIFY_SOCKET": "/run/x"}
    assert not apply_environment(MainOptions(keep_environment="*", add_environment="A=1"))
    assert os.environ == {"NOTIFY_SOCKET": "/run/x", "A": "1"}
