"""Issue 6: Kerberos with a real KDC, and GNU SASL's client."""

from __future__ import annotations

import pytest

from tests.peers.test_tls_peers import need
from tests.peers.world import run_scenario


@pytest.mark.peers
@pytest.mark.root
@pytest.mark.timeout(300)
def test_kerberos_with_a_real_kdc() -> None:
    need({"krb5kdc": "krb5-kdc", "kinit": "krb5-user", "kadmin.local": "krb5-admin-server", "gsasl": "gsasl", "curl": "curl"})
    assert run_scenario("tests.peers.scenario_kerberos", timeout=280).endswith("ok\n")
