"""Redis in policy: a host list from a set, a domain list from a hash, SET and GET in an ACL. Exim spec 9.27, 10"""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.model.delivery import Delivery
from angaros.model.outcome import Outcome
from tests.policy import PolicyWorld

CONFIG = """
redis_servers = 127.0.0.1::PORT//secret
hostlist relay_from_ips = <\\n ${lookup redis{SMEMBERS relay_from_ips}}
domainlist virtual_domains = ${lookup redis{HGET $domain domain}{$value}}
begin acl
hosts:
  accept hosts = +relay_from_ips
domains:
  accept domains = +virtual_domains
remember:
  warn set acl_m_done = ${lookup redis{SET seen:${quote_redis:$sender_address} ${quote_redis:$sender_helo_name}}}
  accept condition = ${if eq{${lookup redis{GET seen:${quote_redis:$sender_address}}}}{$sender_helo_name}}
"""


def world(tmp_path: Path, port: int) -> PolicyWorld:
    w = PolicyWorld(tmp_path, CONFIG.replace("PORT", str(port)))
    for command in ("SADD relay_from_ips 192.0.2.1 2001:db8::/32", "HSET here.example domain here.example"):
        w.shown(f"${{lookup redis{{{command}}}}}")
    return w


@pytest.mark.peers
@pytest.mark.parametrize(("address", "wanted"), [("192.0.2.1", True), ("2001:db8::7", True), ("192.0.2.2", False)])
def test_host_list_from_smembers(tmp_path: Path, redis_server: int, address: str, wanted: bool) -> None:
    w = world(tmp_path, redis_server)
    w.session.sender_host_address = address
    assert (w.run("hosts", "rcpt").outcome is Outcome.ACCEPT) == wanted, w.log.lines


@pytest.mark.peers
@pytest.mark.parametrize(("domain", "wanted"), [("here.example", True), ("there.example", False)])
def test_domain_list_from_hget(tmp_path: Path, redis_server: int, domain: str, wanted: bool) -> None:
    w = world(tmp_path, redis_server)
    w.scope.delivery = Delivery(f"x@{domain}", "x", "x", "x", domain)
    assert (w.run("domains", "rcpt").outcome is Outcome.ACCEPT) == wanted, w.log.lines


@pytest.mark.peers
def test_set_and_get_in_an_acl(tmp_path: Path, redis_server: int) -> None:
    w = world(tmp_path, redis_server)
    w.new_message("joe blow@author.example")
    assert w.run("remember", "rcpt").outcome is Outcome.ACCEPT, w.log.lines
    assert w.shown("$acl_m_done") == "OK"
