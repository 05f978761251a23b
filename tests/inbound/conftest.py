"""Fixtures of the reception tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inbound.smtp_world import World


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """`make_world(main=..., acl=...)`."""

    def make(**parts: Any) -> World:
        return World(tmp_path, **parts)

    return make


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A server that accepts every recipient."""
    return World(tmp_path)
