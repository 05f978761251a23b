"""Messages handed in locally: the spool has what Debian's Exim would have put there."""

from __future__ import annotations

import pytest

from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
def test_the_spool_has_what_exim_puts_there() -> None:
    assert run_scenario("tests.peers.scenario_submissions").endswith("ok\n")
