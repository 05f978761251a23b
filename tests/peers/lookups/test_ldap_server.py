"""LDAP lookups in a real OpenLDAP server. # Exim spec 9.14-9.19"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.lookups.ldap import ldapauth
from angaros.model.errors import LookupDefer
from angaros.model.scope import Scope
from tests.peers.lookups.conftest import free_port

pytestmark = pytest.mark.peers
MakeScope = Callable[..., Scope]
Slapd = tuple[int, int, Path]


def value(scope: Scope, kind: str, query: str) -> str | None:
    return scope.services.lookups.search(kind, query, scope).value


def reason(scope: Scope, kind: str, query: str) -> str:
    with pytest.raises(LookupDefer) as caught:
        value(scope, kind, query)
    return str(caught.value)


def test_formats(scope_for: MakeScope, slapd: Slapd) -> None:
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{slapd[0]}")
    assert value(scope, "ldap", "ldap:///o=base?mail?sub?(uid=fred)") == "fred@one.example,f,,s@two.example"
    assert (
        value(scope, "ldap", "ldap:///o=base?cn,mail?sub?(uid=fred)")
        == 'cn="Fred Smith" mail="fred@one.example,f,,s@two.example"'
    )
    assert value(scope, "ldap", "ldap:///o=base?description?sub?(uid=fred)") == 'say "hi"\\there'
    assert value(scope, "ldap", "ldap:///o=base?description,sn?sub?(uid=fred)") == (
        'sn="Smith" description="say \\"hi\\"\\\\there"'
    )
    everything = value(scope, "ldap", "ldap:///uid=mary,o=base??base?")
    assert everything is not None
    assert everything.startswith('objectClass="inetOrgPerson" ')
    assert value(scope, "ldapdn", "ldap:///o=base?sn?sub?(uid=fred)") == "uid=fred,o=base"
    assert value(scope, "ldapm", "REFERRALS=nofollow ldap:///o=base?uid?sub?(sn=smith)") == "fred\nmary"
    assert value(scope, "ldap", "ldap:///o=base?mail?sub?(uid=nobody)") is None
    assert value(scope, "ldap", "ldap:///uid=no,o=base?mail?base?") is None
    assert value(scope, "ldap", "ldap:///uid=mary,o=base?telephoneNumber?base?") is None


def test_filters_and_quoting(scope_for: MakeScope, slapd: Slapd) -> None:
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{slapd[0]}")
    name = scope.services.lookups.quote("ldap", "Mary (Mac*)")
    assert value(scope, "ldap", f"referrals=nofollow ldap:///o=base?uid?sub?(cn={name})") == "mary"
    dn = scope.services.lookups.quote("ldap", "fred", "dn")
    assert value(scope, "ldap", f"ldap:///uid={dn},o=base?uid?base?") == "fred"
    for text, found in [
        ("(&(uid=f*d)(objectClass=*))", "fred"),
        ("(|(uid=x)(uid=*ar*))", "mary"),
        ("(&(uid=*)(!(uid=fred)))", "mary"),
        ("(uid:caseExactMatch:=mary)", "mary"),
        ("uid=mary", "mary"),
    ]:
        assert value(scope, "ldap", f"referrals=nofollow ldap:///o=base?uid?sub?{text}") == found, text


def test_servers(scope_for: MakeScope, slapd: Slapd) -> None:
    port, _, directory = slapd
    tail = "/o=base?uid?sub?(uid=fred)"
    dead = free_port()
    assert value(scope_for(), "ldap", f"ldap://127.0.0.1:{port}{tail}") == "fred"
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{dead} : 127.0.0.1::{port}")
    assert value(scope, "ldap", f"ldap://{tail}") == "fred"
    scope = scope_for(ldap_default_servers=f"{directory}/ldapi")
    assert value(scope, "ldap", f"ldap://{tail}") == "fred"
    socket = str(directory / "ldapi").replace("/", "%2F")
    assert value(scope_for(), "ldap", f"ldapi://{socket}{tail}") == "fred"
    assert value(scope_for(), "ldap", f"SERVERS=127.0.0.1:{dead}:127.0.0.1 ldap://127.0.0.1:{port}{tail}") == "fred"
    text = f"failed to bind the LDAP connection to server 127.0.0.1:{dead} - ldap_bind() returned -1"
    assert reason(scope_for(), "ldap", f"ldap://127.0.0.1:{dead}{tail}") == text


def test_authentication(scope_for: MakeScope, slapd: Slapd) -> None:
    port = slapd[0]
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{port}")
    query = 'user="cn=root,o=base" pass=secret ldap:///o=base?uid?sub?(uid=fred)'
    assert value(scope, "ldap", query) == "fred"
    wrong = f"failed to bind the LDAP connection to server 127.0.0.1:{port} - LDAP error 49: Invalid credentials"
    assert reason(scope, "ldap", query.replace("secret", "wrong")) == wrong
    assert ldapauth('user="uid=fred,o=base" pass="fredpass" ldap:///', scope)
    assert ldapauth("user=uid=fred%2Co=base pass=fredpass ldap:///", scope)
    assert not ldapauth("user=uid=fred,o=base pass=wrong ldap:///", scope)
    assert not ldapauth('user=uid=fred,o=base pass="" ldap:///', scope)
    with pytest.raises(LookupDefer, match="must specify the username and password"):
        ldapauth("ldap:///", scope)


def test_referrals(scope_for: MakeScope, slapd: Slapd) -> None:
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{slapd[0]}")
    assert value(scope, "ldap", "ldap:///ou=elsewhere,o=base?uid?base?") == "mary"
    assert value(scope, "ldap", "REFERRALS=nofollow ldap:///ou=elsewhere,o=base?uid?base?") is None


def test_errors(scope_for: MakeScope, slapd: Slapd) -> None:
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{slapd[0]}")
    more = "LDAP search: more than one entry (2) was returned (filter not specific enough?)"
    assert reason(scope, "ldap", "REFERRALS=nofollow ldap:///o=base?uid?sub?(sn=smith)") == more
    assert reason(scope, "ldap", "x") == "malformed parameter setting precedes LDAP URL"
    assert reason(scope, "ldap", "user=x y") == "malformed parameter setting precedes LDAP URL"
    assert reason(scope, "ldap", "foo=x ldap:///") == 'unknown parameter "foo=" precedes LDAP URL'
    assert reason(scope, "ldap", "REFERRALS=x ldap:///") == 'LDAP option REFERRALS is not "follow" or "nofollow"'
    assert reason(scope, "ldap", "ldapi://foo/") == 'ldapi requires an absolute path ("foo" given)'
    assert "LDAP search failed - error 34: Invalid DN syntax" in reason(scope, "ldap", "ldap:///nonsense?uid?sub?")
    assert "Bad search filter" in reason(scope, "ldap", "ldap:///o=base?uid?sub?(uid=")


def test_size_limit(scope_for: MakeScope, slapd: Slapd) -> None:
    scope = scope_for(ldap_default_servers=f"127.0.0.1::{slapd[0]}")
    assert value(scope, "ldapm", "size=1 referrals=nofollow ldap:///o=base?uid?sub?(sn=smith)") == "fred"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls(scope_for: MakeScope, slapd: Slapd) -> None:
    port, secure, directory = slapd
    tail = "/o=base?uid?sub?(uid=fred)"
    authority = {"ldap_ca_cert_file": str(directory / "cert.pem")}
    by_name = f"ldaps://localhost:{secure}{tail}"
    assert value(scope_for(**authority, ldap_require_cert="never"), "ldap", f"ldaps://127.0.0.1:{secure}{tail}") == "fred"
    scope = scope_for(ldap_start_tls=True, ldap_require_cert="never", **authority)
    assert value(scope, "ldap", f"ldap://127.0.0.1:{port}{tail}") == "fred"
    assert "failed to initiate TLS" in reason(scope_for(), "ldap", f"ldaps://127.0.0.1:{secure}{tail}")
    assert "hostname does not match" in reason(scope_for(**authority), "ldap", f"ldaps://127.0.0.1:{secure}{tail}")
    assert by_name
