"""Issue 6: TLS, DANE and SASL with other people's programs."""

from __future__ import annotations

import shutil

import pytest

from tests.peers.world import run_scenario


def need(programs: dict[str, str]) -> None:
    for program, package in programs.items():
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            pytest.skip(f"Debian package {package} is missing")


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_dane_with_postfix_over_signed_zones() -> None:
    need({"unbound": "unbound", "ldns-signzone": "ldnsutils", "xxd": "xxd"})
    assert run_scenario("tests.peers.scenario_dane", timeout=280).endswith("ok\n")


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_tls_and_sasl_with_other_programs() -> None:
    need({"openssl": "openssl", "gnutls-cli": "gnutls-bin", "curl": "curl", "swaks": "swaks", "dovecot": "dovecot-core"})
    assert run_scenario("tests.peers.scenario_tls", timeout=280).endswith("ok\n")


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_policies_reports_and_staples() -> None:
    need({"unbound": "unbound", "ldns-signzone": "ldnsutils", "openssl": "openssl"})
    assert run_scenario("tests.peers.scenario_sts", timeout=280).endswith("ok\n")
