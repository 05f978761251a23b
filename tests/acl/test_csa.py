"""`verify = csa`: records, searches up the tree, addresses. Exim spec 44.52; `dnslists` details with real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.model.outcome import Outcome
from tests.policy import PolicyWorld

V4 = "192.0.2.1"
ZONES: dict[str, list[Any]] = {
    "_client._smtp.good.example": [{"SRV": [1, 2, 0, "good.example"]}],
    "good.example": [{"A": V4}, {"AAAA": "2001:db8::1"}],
    "_client._smtp.other.example": [{"SRV": [1, 2, 0, "other.example"]}],
    "other.example": [{"A": "203.0.113.1"}],
    "_client._smtp.denied.example": [{"SRV": [1, 1, 0, "denied.example"]}],
    "_client._smtp.unsure.example": [{"SRV": [1, 3, 0, "unsure.example"]}],
    "_client._smtp.future.example": [{"SRV": [2, 1, 0, "future.example"]}],
    "_client._smtp.empty.example": [{"SRV": [1, 2, 0, "empty.example"]}],
    "_client._smtp.below.example": [{"SRV": [1, 2, 1, "below.example"]}],
    "_client._smtp.lax.example": [{"SRV": [1, 2, 0, "lax.example"]}],
    "_client._smtp.silent.example": ["TIMEOUT"],
    "_client._smtp.slow.example": [{"SRV": [1, 2, 0, "slow.example"]}],
    "slow.example": ["TIMEOUT"],
    f"_client._smtp.{'.'.join(reversed(V4.split('.')))}.in-addr.arpa": [{"SRV": [1, 1, 0, "x.example"]}],
}
CASES = [
    # HELO name, outcome, $csa_status
    ("good.example", Outcome.ACCEPT, "ok"),
    ("other.example", Outcome.DENY, "fail"),
    ("denied.example", Outcome.DENY, "fail"),
    ("unsure.example", Outcome.ACCEPT, "unknown"),
    ("future.example", Outcome.ACCEPT, "unknown"),
    ("empty.example", Outcome.DENY, "fail"),
    ("mail.below.example", Outcome.DENY, "fail"),
    ("mail.lax.example", Outcome.ACCEPT, "unknown"),
    ("nothing.example", Outcome.ACCEPT, "unknown"),
    ("silent.example", Outcome.ACCEPT, "defer"),
    ("slow.example", Outcome.ACCEPT, "defer"),
    (f"[{V4}]", Outcome.DENY, "fail"),
]
ACLS = "begin acl\nrcpt:\n  accept verify = csa\nlisted:\n  accept dnslists = LISTS\n"


@pytest.mark.parametrize(("helo", "outcome", "status"), CASES)
def test_csa(tmp_path: Path, helo: str, outcome: Outcome, status: str) -> None:
    w = PolicyWorld(tmp_path, ACLS.replace("LISTS", "x"), ZONES)
    w.session.sender_helo_name = helo
    assert w.run("rcpt", "rcpt").outcome is outcome
    assert w.shown("$csa_status") == status


def test_csa_over_ipv6(tmp_path: Path) -> None:
    w = PolicyWorld(tmp_path, ACLS.replace("LISTS", "x"), ZONES)
    w.session.sender_host_address, w.session.sender_helo_name = "2001:db8:0::1", "good.example"
    w.run("rcpt", "rcpt")
    assert w.shown("$csa_status") == "ok"


def test_csa_without_reverse_names(tmp_path: Path) -> None:
    w = PolicyWorld(tmp_path, "dns_csa_use_reverse = false\n" + ACLS.replace("LISTS", "x"), ZONES)
    w.session.sender_helo_name = f"[{V4}]"
    w.run("rcpt", "rcpt")
    assert w.shown("$csa_status") == "unknown"


NIBBLES = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
LISTS: dict[str, list[Any]] = {
    f"{NIBBLES}.six.example": [{"A": "127.0.0.6"}, {"TXT": "six"}],
    "1.2.0.192.all.example": [{"A": "127.0.0.4"}, {"TXT": "general"}],
    "1.2.0.192.text.example": [{"A": "127.0.0.9"}, {"TXT": "special"}],
    "1.2.0.192.dead.example": [{"A": "203.0.113.9"}],
    "author.example.names.example": [{"A": "127.0.0.2"}],
}


@pytest.mark.parametrize(
    ("lists", "address", "wanted"),
    [
        ("six.example", "2001:db8::1", "six.example|2001:db8::1|127.0.0.6|six"),
        ("six.example", V4, ""),
        ("text.example,all.example=127.0.0.4", V4, "text.example|192.0.2.1|127.0.0.9|special"),
        ("text.example,all.example=127.0.0.5", V4, ""),
        ("dead.example", V4, ""),
        ("dead.example=203.0.113.9", V4, "dead.example|192.0.2.1|203.0.113.9|"),
        ("names.example/$sender_address_domain", V4, "names.example|author.example|127.0.0.2|"),
        ("names.example/<|here.example|author.example", V4, "names.example|author.example|127.0.0.2|"),
        ("${if eq{1}{2}{all.example}}", V4, ""),
    ],
)
def test_dnslists(tmp_path: Path, lists: str, address: str, wanted: str) -> None:
    w = PolicyWorld(tmp_path, ACLS.replace("LISTS", lists), LISTS)
    w.session.sender_host_address = address
    assert (w.run("listed", "rcpt").outcome is Outcome.ACCEPT) == bool(wanted)
    assert w.shown("$dnslist_domain|$dnslist_matched|$dnslist_value|$dnslist_text") == (wanted or "|||")
    if lists == "dead.example":
        assert w.log.lines == [f"DNS list lookup for {V4} at dead.example returned 203.0.113.9; not in 127.0/8 and discarded"]
