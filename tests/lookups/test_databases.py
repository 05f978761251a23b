"""What database lookups do without a server: quoting, server lists, SQLite, wire formats."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angaros.lookups import ldap_wire
from angaros.lookups.engine import available
from angaros.lookups.ldap import LdapBreak, parse_query, show_entry
from angaros.lookups.ldap_wire import LdapSyntaxError, compile_filter, elements, message_size, parse_url, read_tlv, tlv
from angaros.lookups.redis import split_command
from angaros.lookups.registry import TYPES
from angaros.lookups.sql import host_and_port
from angaros.model.errors import LookupFailure
from angaros.model.scope import Scope
from angaros.model.text import Tainted, is_tainted
from tests.lookups.support import make_scope

QUOTED = 'it\'s "x" \\ b\nc\td\re\bf%_\x01*()+,;=#<>/:@&?\xc3\xa9'


@pytest.mark.parametrize(
    ("kind", "option", "quoted"),
    [
        ("mysql", "", 'it\\\'s \\"x\\" \\\\ b\\nc\\td\\re\\bf%_\x01*()+,;=#<>/:@&?\xc3\xa9'),
        ("oracle", "", 'it\\\'s \\"x\\" \\\\ b\\nc\\td\\re\\bf%_\x01*()+,;=#<>/:@&?\xc3\xa9'),
        ("pgsql", "", "it''s \\\"x\\\" \\\\ b\\nc\\td\\re\\bf%_\x01*()+,;=#<>/:@&?\xc3\xa9"),
        ("sqlite", "", QUOTED.replace("'", "''")),
        ("nisplus", "", QUOTED.replace('"', '""')),
        ("lsearch", "", QUOTED),
        (
            "ldap",
            "",
            "it's%20%22x%22%20%5C5C%20b%0Ac%09d%0De%08f%25_%01%5C2A%5C28%5C29+%2C%3B%3D%23%3C%3E%2F%3A%40%26%3F%C3%A9",
        ),
        (
            "ldap",
            "dn",
            "it's%20%5C%22x%5C%22%20%5C%5C%20b%0Ac%09d%0De%08f%25_%01*()%5C+%5C%2C%5C%3B%3D%23%5C%3C%5C%3E%2F%3A%40%26%3F%C3%A9",
        ),
    ],
)
def test_quoting_as_observed_in_exim(kind: str, option: str, quoted: str) -> None:
    engine = make_scope().services.lookups
    assert engine.quote(kind, QUOTED, option) == quoted
    assert is_tainted(engine.quote(kind, Tainted(QUOTED), option))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("#a =b", "%5C%23a%20%3Db"),
        ("   ", "%5C%20%5C%20%5C%20"),
        ("a  b ", "a%20%20b%5C%20"),
        (" a(bc)*, a<yz>; ", "%5C%20a(bc)*%5C%2C%20a%5C%3Cyz%5C%3E%5C%3B%5C%20"),
    ],
)
def test_quoting_of_dns(text: str, quoted: str) -> None:
    assert make_scope().services.lookups.quote("ldap", text, "dn") == quoted


def test_quote_redis() -> None:
    quote = make_scope().services.lookups.quote
    assert quote("redis", "a b\\c\n") == "a\\ b\\\\c\\\n"
    assert split_command("set key " + quote("redis", "a b\\c\n")) == ["set", "key", "a b\\c\n"]


@given(st.text(alphabet=st.characters(max_codepoint=255), min_size=1, max_size=30))
def test_redis_quoting_holds(value: str) -> None:
    quoted = make_scope().services.lookups.quote("redis", value)
    assert split_command(f"get {quoted}") == ["get", value]


def test_all_types_are_known_and_most_are_there() -> None:
    assert {
        "lsearch",
        "cdb",
        "dbm",
        "dsearch",
        "json",
        "passwd",
        "dnsdb",
        "sqlite",
        "redis",
        "ldap",
        "ldapdn",
        "ldapm",
        "testdb",
    } <= set(available())
    engine = make_scope().services.lookups
    for name, row in TYPES.items():
        assert engine.is_query_style(name) is (row.style == "query")
        assert engine.quote(name, "plain") == "plain"


def test_missing_library_is_told() -> None:
    scope = make_scope()
    with pytest.raises(LookupFailure) as caught:
        scope.services.lookups.search("nisplus", "[name=x],y", scope)
    text = 'lookup type "nisplus" is not available (not in the binary - check buildtime LOOKUP configuration)'
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("localhost", ("localhost", 1)),
        ("localhost:5", ("localhost", 5)),
        ("1.2.3.4:5", ("1.2.3.4", 5)),
        ("::1", ("::1", 1)),
        ("::1.5432", ("::1", 5432)),
        ("[::1]:7", ("::1", 7)),
        ("", ("", 1)),
    ],
)
def test_host_and_port(text: str, place: tuple[str, int]) -> None:
    assert host_and_port(text, 1) == place


# --- SQLite ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE them (name text, id text)")
    rows = [("Ayen Other", "userx"), ("", "nothing"), ('"stquot', "quote2"), ("x\tx", "tab"), ("it's", "its"), (None, "null")]
    connection.executemany("INSERT INTO them VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def sqlite_scope(**main: Any) -> Scope:
    return make_scope(main={"sqlite_dbfile": None, "sqlite_lock_timeout": 1, **main})


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("select name from them where id='userx';", "Ayen Other"),
        ("select name from them where id='xxxx';", None),
        ("select name from them where id='nothing';", ""),
        ("select id,name from them where id='nothing';", 'id=nothing name="" '),
        ("select * from them where id='quote2';", 'name="\\"stquot" id=quote2 '),
        ("select * from them where id='tab';", 'name="x\tx" id=tab '),
        ("select * from them where name='it''s';", "name=it's id=its "),
        ("select name from them where id='null'", "<NULL>"),
        ("select 1; select ';', 2", "1\n';'=; 2=2 "),
        ("select 1.5, 1e20, 2.0", "1.5=1.5 1e20=1.0e+20 2.0=2.0 "),
        ("nonsense", None),
        ("select nosuch from them", None),
    ],
)
def test_sqlite(base: Path, query: str, value: str | None) -> None:
    scope = sqlite_scope()
    assert scope.services.lookups.search(f"sqlite,file={base}", query, scope).value == value
    assert scope.services.lookups.search("sqlite", f"{base} {query}", scope).value == value
    assert scope.services.lookups.search("sqlite", query, sqlite_scope(sqlite_dbfile=str(base))).value == value


@pytest.mark.parametrize(
    ("kind", "query", "text"),
    [
        ("sqlite", "select 1", 'absolute file name expected for "sqlite" lookup'),
        ("sqlite,file=relative", "select 1", 'absolute file name expected for "sqlite" lookup'),
        ("sqlite,file=/nonexist/x", "select 1", "unable to open database file"),
        ("sqlite,file=/tmp", "select 1", "unable to open database file"),
    ],
)
def test_sqlite_errors(kind: str, query: str, text: str) -> None:
    scope = sqlite_scope()
    with pytest.raises(LookupFailure) as caught:
        scope.services.lookups.search(kind, query, scope)
    assert str(caught.value) == text


def test_sqlite_tainted_file_name(base: Path) -> None:
    scope = sqlite_scope()
    with pytest.raises(LookupFailure):
        scope.services.lookups.search("sqlite", Tainted(f"{base} select 1"), scope)
    log: Any = scope.services.log
    assert f"Tainted filename for search: '{base}'" in log.panics


def test_sqlite_result_that_is_empty_is_not_cached(base: Path) -> None:
    scope = sqlite_scope()
    search = scope.services.lookups.search
    kind = f"sqlite,file={base}"
    assert search(kind, "select name from them where id='new'", scope).value is None
    assert search(kind, "insert into them values ('New', 'new')", scope).value is None
    assert search(kind, "select name from them where id='new'", scope).value == "New"


# --- LDAP --------------------------------------------------------------------------------------------------------------


def test_ldap_queries() -> None:
    query = parse_query('user="cn=manager,o=University of Cambridge,c=UK" pass=secret size=3 TIME=4 NETTIME=5 ldap:///o=x?sn')
    assert (query.user, query.password, query.size, query.time, query.network) == (
        "cn=manager,o=University of Cambridge,c=UK",
        "secret",
        3,
        4,
        5,
    )
    assert query.url == "ldap:///o=x?sn"
    assert parse_query('pass="a \\"b\\\\" ldap:///').password == 'a "b\\'
    assert parse_query("user=cn=a%20b ldap:///").user == "cn=a b"
    assert parse_query("DEREFERENCE=always referrals=nofollow ldap:///").deref == 3


@pytest.mark.parametrize("query", ["", "x", "user=x y", 'user="x', "user=", "ldapx://", "pass = x ldap:///"])
def test_wrong_ldap_queries(query: str) -> None:
    with pytest.raises(LdapBreak):
        parse_query(query)


def test_ldap_urls() -> None:
    url = parse_url("ldap://host:1389/o=University%20of%20Cambridge,c=UK?sn,mail?sub?(cn=foo)")
    assert (url.host, url.port, url.dn) == ("host", 1389, b"o=University of Cambridge,c=UK")
    assert (url.attributes, url.scope, url.filter) == ((b"sn", b"mail"), 2, b"(cn=foo)")
    assert parse_url("ldapi://%2Ftmp%2Fldap.sock/o=x").host == "/tmp/ldap.sock"
    assert parse_url("ldap://[::1]:5/").host == "::1"
    assert parse_url("ldap:///o=x").filter == b"(objectClass=*)"
    for wrong in ("ldap://h:x/", "ldap:///o=x??nonsense"):
        with pytest.raises(LdapSyntaxError):
            parse_url(wrong)


@pytest.mark.parametrize(
    ("text", "compiled"),
    [
        (b"(cn=foo)", b"\xa3\x09\x04\x02cn\x04\x03foo"),
        (b"cn=foo", b"\xa3\x09\x04\x02cn\x04\x03foo"),
        (b"(cn=*)", b"\x87\x02cn"),
        (b"(cn>=a)", b"\xa5\x07\x04\x02cn\x04\x01a"),
        (b"(cn<=a)", b"\xa6\x07\x04\x02cn\x04\x01a"),
        (b"(cn~=a)", b"\xa8\x07\x04\x02cn\x04\x01a"),
        (b"(cn=\\28\\5c)", b"\xa3\x08\x04\x02cn\x04\x02(\\"),
        (b"(cn=a*b*c)", b"\xa4\x0f\x04\x02cn\x30\x09\x80\x01a\x81\x01b\x82\x01c"),
        (b"(!(cn=a))", b"\xa2\x09\xa3\x07\x04\x02cn\x04\x01a"),
        (
            b"(&(a=1)(|(b=2)(c=*)))",
            b"\xa0\x17\xa3\x06\x04\x01a\x04\x011\xa1\x0b\xa3\x06\x04\x01b\x04\x012\x87\x01c".replace(b"\x17", b"\x15"),
        ),
        (b"(cn:dn:2.4:=x)", b"\xa9\x0f\x81\x032.4\x82\x02cn\x83\x01x\x84\x01\xff"),
    ],
)
def test_filters(text: bytes, compiled: bytes) -> None:
    assert compile_filter(text) == compiled


@pytest.mark.parametrize("text", [b"(", b"(cn)", b"(cn=a", b"(=a)", b"(!(a=1)(b=2))", b"(a=1))", b"(&" * 100, b"(a=(b))"])
def test_wrong_filters(text: bytes) -> None:
    with pytest.raises(LdapSyntaxError):
        compile_filter(text)


def test_show_entry() -> None:
    assert show_entry([(b"attr1", [b"value1.1", b"value1,2"])], 1) == "value1.1,value1,,2"
    attributes = [(b"objectClass", [b"top"]), (b"attr1", [b"value1.1", b"value1,2"]), (b"q", [b'a"\\\n'])]
    assert show_entry(attributes, 0) == 'objectClass="top" attr1="value1.1,value1,,2" q="a\\"\\\\\\n"'


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_octets_are_no_ldap_trap(data: bytes) -> None:
    for parse in (ldap_wire.parse_result, ldap_wire.parse_entry, message_size, lambda octets: list(elements(octets))):
        try:
            parse(data)
        except LdapSyntaxError:
            pass


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(0, 255))
def test_ber_round_trip(content: bytes, tag: int) -> None:
    assert read_tlv(tlv(tag, content)) == (tag, content, len(tlv(tag, content)))


@settings(max_examples=300)
@given(st.text(alphabet="()&|!=*\\a:~<> 2", max_size=30))
def test_filter_parser_ends(text: str) -> None:
    try:
        compile_filter(text.encode())
    except LdapSyntaxError:
        pass
