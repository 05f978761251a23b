"""Issue 2: unmodified configurations of Debian and of upstream, against real MTAs."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario

CASES = [(kind, split) for kind in ("internet", "smarthost", "local") for split in ("split", "unsplit")] + [("upstream", "-")]


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.parametrize(("kind", "split"), CASES)
def test_configuration_carries_mail_both_ways(kind: str, split: str) -> None:
    assert run_scenario("tests.peers.scenario_debian", kind, split).endswith("ok\n")
