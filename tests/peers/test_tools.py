"""Issue 5: Debian's utilities and ours say the same of the same logs, queues and hints."""

from __future__ import annotations

import shutil

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(400)
def test_utilities_on_a_day_of_mail() -> None:
    if shutil.which("perl") is None:
        pytest.skip("Debian package perl is missing")
    assert run_scenario("tests.peers.scenario_tools", timeout=390).endswith("ok\n")
