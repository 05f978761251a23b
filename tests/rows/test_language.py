"""Rows of the language that have no test elsewhere: macros, debugging selectors, items of the spool, and some single ones."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angaros.assembly.features import collect
from angaros.config.features import builtin_macros
from angaros.config.macros import Macros
from angaros.config.source import Source
from angaros.filters.exim.run import FilterSetting, run_exim_filter
from angaros.logs.debug import Debug, parse_selectors
from angaros.model.errors import ListDefer, LookupFailure
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import is_tainted
from angaros.spool.codec import read_header, write_header
from tests.filters.conftest import Given, done
from tests.lookups.support import make_scope
from tests.routers.test_router_effects import routed
from tests.rows.inventory import names
from tests.rows.spool_items import ITEMS, START, Item

LIBRARIES = {
    "_HAVE_RADIUS": "pyrad", "_HAVE_LOOKUP_ORACLE": "oracledb", "_HAVE_LOOKUP_NIS": "nis", "_HAVE_LOOKUP_WHOSON": "libwhoson",
    "_HAVE_LOOKUP_LMDB": "lmdb", "_HAVE_LMDB": "lmdb", "_HAVE_LOOKUP_MYSQL": "pymysql", "_HAVE_LOOKUP_PGSQL": "psycopg",
    "_HAVE_I18N": "idna",
}  # fmt: skip
"""Macros that depend on what is installed."""
NEVER = {
    "_HAVE_SETCLASSRESOURCES": "BSD", "_HAVE_PWCHECK": "gone", "_HAVE_GNUTLS": "we have OpenSSL",
    "_HAVE_TRANSLATE_IP_ADDRESS": "a hook for C code", "_HAVE_EXPERIMENTAL_SPF_PERL": "our own SPF",
    "_HAVE_HINTS_TDB": "SQLite", "_HAVE_HINTS_BDB": "SQLite", "_HAVE_HINTS_GDBM": "SQLite", "_HAVE_HINTS_NDBM": "SQLite",
    "_HAVE_LOOKUP_NISPLUS": "no client library",
}  # fmt: skip
"""Macros of what we are not, and why."""
MEMBERS = {
    "_DRIVER_ROUTER_*": "_DRIVER_ROUTER_REDIRECT", "_DRIVER_TRANSPORT_*": "_DRIVER_TRANSPORT_PIPE",
    "_DRIVER_AUTHENTICATOR_*": "_DRIVER_AUTHENTICATOR_PLAINTEXT", "_EXP_COND_*": "_EXP_COND_MATCH_IP",
    "_EXP_ITEM_*": "_EXP_ITEM_SG",
    "_EXP_OP_*": "_EXP_OP_UC", "_EXP_VAR_*": "_EXP_VAR_DOMAIN", "_LOG_*": "_LOG_TLS_SNI",
    "_OPT_MAIN_*": "_OPT_MAIN_TRUSTED_USERS",
    "_OPT_ROUTERS_*": "_OPT_ROUTERS_ADDRESS_DATA", "_OPT_TRANSPORTS_*": "_OPT_TRANSPORTS_HEADERS_ADD",
    "_OPT_AUTHENTICATORS_*": "_OPT_AUTHENTICATORS_SERVER_SET_ID", "_OPT_ROUTER_*_*": "_OPT_ROUTER_MANUALROUTE_ROUTE_LIST",
    "_OPT_TRANSPORT_*_*": "_OPT_TRANSPORT_SMTP_HOSTS_OVERRIDE", "_OPT_AUTHENTICATOR_*_*": "_OPT_AUTHENTICATOR_TLS_SERVER_PARAM1",
    "_ACL_COND_*": "_ACL_COND_DNSLISTS", "_ACL_MOD_*": "_ACL_MOD_LOGWRITE", "_CRYPTO_*": "_CRYPTO_HASH_SHA3",
    "_HAVE_MALWARE_*": "_HAVE_MALWARE_CLAMD",
}  # fmt: skip
"""A member of each family of macros."""
PLAIN_D = frozenset(names("debug_selectors")) - {
    "filter", "interface", "load", "local_scan", "memory", "noutf8", "pid", "resolver", "timestamp", "all",
}  # fmt: skip
"""What -d alone shows. Exim spec 5.3"""


def configured(text: str) -> list[str]:
    """The lines that a configuration with our own macros has."""
    source = Source(Macros(lambda: builtin_macros(collect())), open=lambda name: "", keep=False)
    source.start("/etc/main", text)
    found = []
    while (line := source.next()) is not None:
        found.append(line)
    return found


@pytest.mark.parametrize("name", names("predefined_macros"))
def test_macro(name: str) -> None:
    macro = MEMBERS.get(name, name)
    assert fnmatchcase(macro, name)
    macros = builtin_macros(collect())
    there = macro in macros
    if there or not any(other in macro for other in macros):  # in Exim too, .ifdef finds a macro in a longer word
        assert configured(f".ifdef {macro}\nyes\n.else\nno\n.endif") == ["yes" if there else "no"]
    library = LIBRARIES.get(name, "")
    assert there is (_installed(library) if library else name not in NEVER)
    if name.startswith("_DKIM_"):
        mark = "+" if "OVERSIGN" in name else ""
        assert configured(f"x = {name}")[0].startswith(f"x = {mark}From:{mark}Sender:{mark}Reply-To:")


def _installed(library: str) -> bool:
    from ctypes.util import find_library
    from importlib.util import find_spec

    return (find_library(library[3:]) if library.startswith("lib") else find_spec(library)) is not None


@pytest.mark.parametrize("name", names("debug_selectors"))
def test_debug_selector(name: str) -> None:
    others = set(names("debug_selectors")) - {name}
    alone = Debug(parse_selectors(f"-all+{name}"))
    assert alone.shows(name, False)
    assert all(alone.shows(other, False) is (name == "all") for other in others)
    assert Debug(parse_selectors("")).shows(name, False) is (name in PLAIN_D)
    assert not Debug(parse_selectors(f"+all-{name}")).shows(name, False)


@pytest.mark.parametrize(
    ("selectors", "pattern"),
    [
        ("lists", "   \xe2\x95\x8etext"),
        ("pid", f"{os.getpid():5d} .*"),
        ("timestamp", r"\d\d:\d\d:\d\d .*"),
        ("timestamp+pid", rf"\d\d:\d\d:\d\d {os.getpid():5d} .*"),
        ("noutf8", r"   \|text"),
    ],
)
def test_what_leads_a_debugging_line(selectors: str, pattern: str) -> None:
    out = io.StringIO()
    Debug(parse_selectors(f"-all+{selectors}"), stream=out).show("text", indent=4)
    assert re.fullmatch(pattern, out.getvalue().rstrip("\n"))


@pytest.mark.parametrize("name", names("spool_header_items"))
def test_spool_item(name: str) -> None:
    item: Item = ITEMS[name]
    read = read_header(item.file().encode(), START.partition("-H")[0])
    assert item.look(read) == item.value
    again = write_header(read).decode()
    assert (item.again or item.lines) in again
    assert item.look(read_header(again.encode(), read.id)) == item.value


def test_the_double_dash_is_taint() -> None:
    read = read_header(ITEMS["--<item>"].file().encode(), START.partition("-H")[0])
    assert is_tainted(read.session.sender_ident)
    assert not is_tainted(read_header(ITEMS["-ident"].file().encode(), read.id).session.sender_ident)


@pytest.mark.parametrize("word", ["+ignore_defer", "+include_defer"])
def test_deferred_host(word: str) -> None:
    scope = make_scope(session=Session(sender_host_address="192.0.2.1"))
    match = scope.services.lists.match_host
    with pytest.raises(ListDefer):
        match("net-testdb;defer : *", scope)
    assert bool(match(f"{word} : net-testdb;defer", scope)) is (word == "+include_defer")
    assert match(f"{word} : net-testdb;defer : *", scope)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **parts: Any) -> None:
    """A library that somebody has installed."""
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(__spec__=ModuleSpec(name, None), **parts))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["nis", "nis0"])
def test_nis(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = {("nis", b"joe"): "data", ("nis0", b"joe\0"): "data"}

    def match(key: bytes, name: str) -> str:
        assert name == "mail.aliases"
        if (kind, key) not in maps:
            raise OSError("No such key in map")
        return maps[kind, key]

    module(monkeypatch, "nis", error=OSError, match=match, get_default_domain=lambda: "dom")
    scope = make_scope()
    search = scope.services.lookups.search
    assert search(kind, "joe", scope, source="mail.aliases").value == "data"
    assert search(kind, "bob", scope, source="mail.aliases").value is None


@pytest.mark.parametrize("kind", ["nmh", "nisplus"])
def test_lookup_that_is_not_there(kind: str) -> None:
    scope = make_scope()
    with pytest.raises(LookupFailure, match=f'lookup type "{kind}" is not available') as caught:
        scope.services.lookups.search(kind, "key", scope, source="/file" if kind == "nmh" else "")
    assert "not in the binary" in str(caught.value)


def test_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def connect(**how: str) -> sqlite3.Connection:
        asked.append(how)
        return sqlite3.connect(":memory:")

    module(monkeypatch, "oracledb", connect=connect)
    scope = make_scope(main={"oracle_servers": "service/db/joe/secret"})
    search = scope.services.lookups.search
    assert search("oracle", "select 'a b' as one, 2 as two", scope).value == 'one="a b" two=2 '
    assert search("oracle", "select 1 where 1 = 2", scope).value is None
    assert asked[0] == {"user": "joe", "password": "secret", "dsn": "service"}


def test_whoson(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(address: bytes, buffer: Any, size: int) -> int:
        buffer.value = b"joe" if address == b"192.0.2.1" else b""
        return 0 if buffer.value else 1

    monkeypatch.setattr("ctypes.util.find_library", lambda name: f"lib{name}.so")
    monkeypatch.setattr("angaros.lookups.whoson.ctypes.CDLL", lambda name: SimpleNamespace(wso_query=query))
    scope = make_scope()
    assert scope.services.lookups.search("whoson", "192.0.2.1", scope).value == "joe"
    assert scope.services.lookups.search("whoson", "192.0.2.2", scope).value is None


def filtered(tmp_path: Path, text: str, change: Callable[[Scope], None] = lambda scope: None) -> str:
    scope = Given(tmp_path).scope()
    change(scope)
    return done(run_exim_filter(f"# Exim filter\n{text}\n", FilterSetting(scope, own_addresses=("user@test.ex",))))


TRUTH = "if {} then save /y else save /n endif"


@pytest.mark.parametrize(
    ("name", "condition", "result"),
    [
        ("and", "a is a and b is b", "in /y"),
        ("and", "a is a and b is c", "in /n"),
        ("or", "a is b or b is b", "in /y"),
        ("or", "a is b or b is c", "in /n"),
        ("or", "a is a or b is b and b is c", "in /y"),
        ("foranyaddress", "foranyaddress $h_to: ($thisaddress is other@else.example)", "in /y"),
        ("foranyaddress", "foranyaddress $h_to: ($thisaddress is nobody@else.example)", "in /n"),
    ],
)
def test_filter_condition(name: str, condition: str, result: str, tmp_path: Path) -> None:
    assert filtered(tmp_path, TRUTH.format(condition)) == result


@pytest.mark.parametrize(("thawed", "result"), [(True, "in /y"), (False, "in /n")])
def test_filter_manually_thawed(thawed: bool, result: str, tmp_path: Path) -> None:
    def thaw(scope: Scope) -> None:
        message = scope.message
        assert isinstance(message, Message)
        message.manually_thawed = thawed

    assert filtered(tmp_path, TRUTH.format("manually_thawed"), thaw) == result


def test_filter_headers_charset(tmp_path: Path) -> None:
    def encoded(scope: Scope) -> None:
        assert scope.message is not None
        subject = next(one for one in scope.message.headers if one.text.startswith("Subject:"))
        subject.text = "Subject: =?iso-8859-1?q?caf=E9?=\n"

    assert filtered(tmp_path, 'headers charset "UTF-8" save "/$h_subject:"', encoded) == "in /caf\xc3\xa9"
    assert filtered(tmp_path, 'headers charset "ISO-8859-1" save "/$h_subject:"', encoded) == "in /caf\xe9"


@pytest.mark.parametrize("name", ["spamtest", "spamtestplus", "virustest"])
def test_sieve_refuses(name: str, tmp_path: Path) -> None:
    """As Exim does: scanners are asked by ACLs."""
    said = done(Given(tmp_path).sieve(f'require "{name}"; if {name} :value "ge" "3" {{ discard; }}'))
    assert said == "error: unknown capability in line 2"


def test_ipliteral(tmp_path: Path) -> None:
    routers = "r:\n  driver = ipliteral\n  transport = s\n"
    for domain, address in (("[192.0.2.7]", "192.0.2.7"), ("[IPv6:2001:db8::7]", "2001:db8::7")):
        _, delivery = routed(tmp_path, routers, f"x@{domain}")
        assert [host.address for host in delivery.hosts] == [address]
