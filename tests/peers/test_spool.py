"""Issue 2: the spool is Exim's, both ways."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
def test_exim_and_angaros_deliver_each_others_queue() -> None:
    assert run_scenario("tests.peers.scenario_spool").endswith("ok\n")
