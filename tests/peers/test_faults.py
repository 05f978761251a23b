"""Issue 2: bad input and a bad world lose nothing."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
def test_faults_get_exims_words_and_lose_nothing() -> None:
    assert run_scenario("tests.peers.scenario_faults").endswith("ok\n")
