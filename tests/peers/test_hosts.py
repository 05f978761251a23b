"""Issue 5: a thousand destinations at once; one slow or dead host does not hold up the others."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["together", "run", "accepted"])
def test_many_hosts(kind: str) -> None:
    assert run_scenario("tests.peers.scenario_hosts", kind, timeout=590).endswith("ok\n")
