"""Issue 5: OpenSMTPD takes our mail and we take its."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_opensmtpd() -> None:
    assert run_scenario("tests.peers.scenario_opensmtpd", timeout=280).endswith("ok\n")
