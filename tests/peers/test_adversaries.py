"""Issue 4: clients that mean harm."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_nothing_is_smuggled_injected_or_held_up() -> None:
    assert run_scenario("tests.peers.scenario_adversaries", timeout=280).endswith("ok\n")
