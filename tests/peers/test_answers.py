"""Configurations as administrators and panels write them: the same answers as Debian's Exim."""

from __future__ import annotations

import pytest

from tests.peers.scenario_answers import ANSWERS
from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.parametrize("name", sorted(path.name for path in ANSWERS.glob("*.conf")))
def test_answers_are_those_of_exim(name: str) -> None:
    assert run_scenario("tests.peers.scenario_answers", name).endswith("ok\n")
