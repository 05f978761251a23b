from __future__ import annotations

import pytest

from angaros.assembly import features
from angaros.assembly.version import info_text, version_text
from angaros.config.features import Features, builtin_macros
from angaros.config.site import Site


def test_heads_are_those_that_scripts_look_for() -> None:
    text = version_text(Features(support=("IPv6",), lookups=("lsearch",), malware=("clamd",)), Site(fixed_never_users="root"))
    lines = text.splitlines()
    assert lines[0].startswith("Exim version 4.99 ") and "Angaros" in lines[0]
    for line in (
        "Support for: IPv6",
        "Lookups (built-in): lsearch",
        "Routers (built-in): accept dnslookup ipliteral iplookup manualroute queryprogram redirect",
        "Malware: clamd",
        "Fixed never_users: 0",
        "Configure owner: 0:0",
        "Size of off_t: 8",
    ):
        assert line in lines
    assert any(line.startswith("Transports (built-in): appendfile/maildir/mailstore/mbx ") for line in lines)


def test_information() -> None:
    assert info_text("dscp")[0].startswith("af11\n")
    assert info_text("sieve", ["a", "b"]) == ("a\nb\n", True)
    assert info_text("help")[1] and not info_text("nothing")[1]
    assert "exim -bI:dscp" in info_text("nothing")[0]


def test_macros_follow_the_tables() -> None:
    macros = builtin_macros(
        Features(
            support=("OpenSSL",),
            have=("TLS",),
            lookup_macros=("LSEARCH",),
            families={"_LOG_": ("8bitmime",), "_EXP_VAR_": ("acl_c0",)},
        )
    )
    for name in (
        "_HAVE_TLS",
        "_HAVE_LOOKUP_LSEARCH",
        "_LOG_8BITMIME",
        "_EXP_VAR_ACL_C0",
        "_OPT_MAIN_ACCEPT_8BITMIME",
        "_OPT_ROUTERS_VERIFY",
        "_OPT_TRANSPORT_SMTP_HOSTS",
        "_DRIVER_AUTHENTICATOR_PLAINTEXT",
        "_HAVE_TRANSPORT_APPEND_MBX",
        "_HAVE_ANGAROS",
    ):
        assert macros[name] == "y", name
    assert "_HAVE_GNUTLS" not in macros
    assert macros["_DKIM_SIGN_HEADERS"].startswith("From:Sender:")
    names = list(macros)
    assert names.index("_OPT_ROUTER_DNSLOOKUP_MX_DOMAINS") < names.index("_DRIVER_ROUTER_DNSLOOKUP")
    assert names.index("_DRIVER_ROUTER_DNSLOOKUP") < names.index("_OPT_ROUTER_REDIRECT_DATA") < names.index("_OPT_ROUTERS_VERIFY")


def test_only_what_is_there_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CLAIMS", (features.Claim("A"), features.Claim("B", ("B",), ("angaros.no.such.module",))))
    found = features.collect()
    assert found.support == ("A",)
    assert "B" not in found.have
    assert "lsearch" in found.lookups and "LSEARCH" in found.lookup_macros
