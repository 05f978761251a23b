"""Issue 4: other people's clients, and HAProxy in front."""

from __future__ import annotations

import shutil

import pytest

from tests.peers.world import run_scenario

PROGRAMS = {"swaks": "swaks", "curl": "curl", "msmtp": "msmtp", "haproxy": "haproxy"}
"""Program -> Debian package."""


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_other_peoples_clients() -> None:
    for program, package in PROGRAMS.items():
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"Debian package {package} is missing")
    assert run_scenario("tests.peers.scenario_clients", timeout=280).endswith("ok\n")
