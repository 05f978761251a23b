"""Lookups in files. Expectations come from the manual and from a real Exim (-be)."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angaros.lookups.bdb import BdbError, read_bdb
from angaros.lookups.dbm import decode_key, encode_key, read_all, write_dbm
from angaros.lookups.lsearch import KeyFile
from angaros.lookups.types import UnknownType, default_keys, parse_type, partial_keys
from angaros.model.errors import LookupDefer, LookupFailure
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import Tainted, is_tainted
from tests.lookups.support import make_scope
from tests.peers import packages


@pytest.fixture
def scope() -> Scope:
    return make_scope(session=Session())


def value(scope: Scope, kind: str, key: str, source: object = "") -> str | None:
    return scope.services.lookups.search(kind, key, scope, source=str(source)).value


LINES = """\
list:
  foo\x20\x20
  bar
abc:   def\x20\x20
"q:k" : data 1
"q2"data2
k3   data3: x
k4 :: x
k5:
k6
# c

  cont
ABC: second
 : lead
:emptykey
k7: a \\
  b
"un:term
k8 "x"
k9:\ttab\t
"e\\"s\\x41\\n": esc
"""


@pytest.mark.parametrize(
    ("key", "data", "full"),
    [
        ("list", " foo bar", "list: foo bar"),
        ("abc", "def", "abc:   def"),
        ("q:k", "data 1", "q:k : data 1"),
        ("q2", "data2", "q2data2"),
        ("k3", "data3: x", "k3   data3: x"),
        ("k4", ": x", "k4 :: x"),
        ("k5", "", "k5:"),
        ("K7", "a \\ b", "k7: a \\ b"),
        ("un:term", "", "un:term"),
        ("k8", '"x"', 'k8 "x"'),
        ("k9", "tab", "k9:\ttab"),
        ('e"sA\n', "esc", 'e"sA\n: esc'),
        ("un", None, None),
        ("", None, None),
    ],
)
def test_lsearch(scope: Scope, tmp_path: Path, key: str, data: str | None, full: str | None) -> None:
    file = tmp_path / "aliases"
    file.write_text(LINES)
    assert value(scope, "lsearch", key, file) == data
    assert value(scope, "lsearch,ret=full", key, file) == full


def test_lsearch_sees_a_new_file(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "aliases"
    file.write_text("a: 1\n")
    assert value(scope, "lsearch,cache=no", "a", file) == "1"
    file.write_text("a: 22\n")
    assert value(scope, "lsearch,cache=no", "a", file) == "22"


def test_result_is_not_tainted_but_its_file_name_must_not_be(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "aliases"
    file.write_text("a: 1\n")
    found = scope.services.lookups.search("lsearch,ret=key", Tainted("a"), scope, source=str(file))
    assert found.value == "a"
    assert not is_tainted(found.value)
    with pytest.raises(LookupFailure, match="NULL"):
        scope.services.lookups.search("lsearch", "a", scope, source=Tainted(str(file)))
    assert scope.services.log.panics == [f"Tainted filename for search: '{file}'"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "source", "text"),
    [
        ("lsearch", "/nonexist", "failed to open /nonexist for linear search: No such file or directory"),
        ("iplsearch", "nonexist", "failed to open nonexist for linear search: No such file or directory"),
        ("lsearch", "/tmp", "/tmp is not a regular file (lsearch lookup)"),
        ("cdb", "/nonexist", "failed to open /nonexist for cdb lookup: No such file or directory"),
        ("dsearch", "/nonexist", "failed to open /nonexist for directory search: No such file or directory"),
        ("dsearch", "/etc/passwd", "failed to open /etc/passwd for directory search: Not a directory"),
        ("dsearch", ".", "dirname '.' for dsearch is not absolute"),
        ("dbm", "/nonexist", "failed to open /nonexist as a sqlite3 file: No such file or directory"),
        ("dbmjz", "/etc/passwd", "failed to open /etc/passwd as a sqlite3 file: Invalid argument"),
    ],
)
def test_wrong_files(scope: Scope, kind: str, source: str, text: str) -> None:
    with pytest.raises(LookupFailure) as caught:
        value(scope, kind, "x", source)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("foo", 'unknown lookup type "foo"'),
        ("partial-foo", 'unknown lookup type "foo"'),
        ("partialx-lsearch", 'format error in lookup type "partialx-lsearch"'),
        ("partial(;lsearch", 'format error in lookup type "partial(;lsearch"'),
        ("partial-mysql", '"partial" is not permitted for lookup type "mysql"'),
        ("testdb*", 'defaults using "*" or "*@" are not permitted for lookup type "testdb*"'),
    ],
)
def test_wrong_types(kind: str, text: str) -> None:
    with pytest.raises(UnknownType) as caught:
        parse_type(kind)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("kind", "key", "tries"),
    [
        ("partial-lsearch", "2250.dates.fict.example", ["*.2250.dates.fict.example", "*.dates.fict.example", "*.fict.example"]),
        ("partial3-lsearch", "2250.dates.fict.example", ["*.2250.dates.fict.example", "*.dates.fict.example"]),
        ("partial(.)lsearch", "a.b.c", [".a.b.c", ".b.c"]),
        ("partial1()cdb", "a.b.c", ["b.c", "c"]),
        ("partial0-lsearch", "a.b", ["*.a.b", "*.b", "*"]),
        ("partial0(.)lsearch", "a", [".a", "."]),
        ("partial0()lsearch", "a.b", ["b"]),
        ("partial-lsearch", "a", []),
    ],
)
def test_partial_keys(kind: str, key: str, tries: list[str]) -> None:
    assert [attempt for attempt, _, _ in partial_keys(key, parse_type(kind))] == tries


def test_default_keys() -> None:
    assert default_keys("jane@eyre.example", "*@") == ["*@eyre.example", "*"]
    assert default_keys("jane@eyre.example", "*") == ["*"]
    assert default_keys("jane", "*@") == ["*"]
    assert default_keys("jane", "") == []


def test_partial_lookup_tells_the_parts(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "domains"
    file.write_text("*.baz.example: wild\nplain.example: fixed\n*: rest\n")
    search = scope.services.lookups.search
    kind = "partial-lsearch"
    assert search(kind, "bar.baz.example", scope, source=str(file)).partial == ("bar", "baz.example")
    assert search(kind, "baz.example", scope, source=str(file)).partial == ("", "baz.example")
    assert search(kind, "plain.example", scope, source=str(file)).partial == ("", "plain.example")
    assert value(scope, "partial-lsearch*", "other", file) == "rest"
    assert value(scope, "partial-lsearch", "other", file) is None


WILD = """\
abc: abc
*.b.c: *.b.c
*b.c: *b.c
^X: ^X
"^a +b": two words
^\\N^a$N: odd
$key: expanded
"""


def test_wildlsearch(tmp_path: Path) -> None:
    file = tmp_path / "wild"
    file.write_text(WILD)
    scope = make_scope(key="seen")
    assert value(scope, "wildlsearch", "a.b.c", file) == "*.b.c"
    assert value(scope, "wildlsearch", "ab.c", file) == "*b.c"
    assert value(scope, "wildlsearch", "xyz", file) == "^X"
    assert value(scope, "wildlsearch", "a  b", file) == "two words"
    assert value(scope, "wildlsearch", "seen", file) == "expanded"
    assert value(scope, "nwildlsearch", "seen", file) is None
    assert value(scope, "nwildlsearch", "$key", file) == "expanded"
    assert scope.numeric == ()


def test_iplsearch(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "ips"
    file.write_text(
        '1.2.3.4: data for 1.2.3.4\n192.168.0.0/16: a net\n"abcd::cdab": six\n"abcd:abcd::/32" six net\nname: no\n*: all\n'
    )
    assert value(scope, "iplsearch", "1.2.3.4", file) == "data for 1.2.3.4"
    assert value(scope, "iplsearch", "192.168.7.7", file) == "a net"
    assert value(scope, "iplsearch", "abcd::cdab", file) == "six"
    assert value(scope, "iplsearch", "abcd:abcd:1::", file) == "six net"
    assert value(scope, "iplsearch", "9.9.9.9", file) is None
    assert value(scope, "iplsearch*", "9.9.9.9", file) == "all"
    assert value(scope, "iplsearch", "192.168.0.0/16", file) == "a net"
    with pytest.raises(LookupDefer, match='"a" is not a valid iplsearch key'):
        value(scope, "iplsearch", "a", file)


def test_dsearch(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "inner").write_text("")
    (tmp_path / "dir" / "..subdir").mkdir()
    assert value(scope, "dsearch", "file", tmp_path) == "file"
    assert value(scope, "dsearch", "FILE", tmp_path) is None
    assert value(scope, "dsearch,ret=full", "file", tmp_path) == f"{tmp_path}/file"
    assert value(scope, "dsearch,filter=file", "dir", tmp_path) is None
    assert value(scope, "dsearch,filter=dir", "dir", tmp_path) == "dir"
    assert value(scope, "dsearch,filter=subdir", ".", tmp_path) is None
    assert value(scope, "dsearch,filter=subdir", "..", tmp_path) is None
    assert value(scope, "dsearch,filter=subdir", "..subdir", tmp_path / "dir") == "..subdir"
    assert value(scope, "dsearch,key=path", "dir/inner", tmp_path) == "dir/inner"
    with pytest.raises(LookupDefer, match="key for dsearch lookup contains a slash: dir/inner"):
        value(scope, "dsearch", "dir/inner", tmp_path)
    assert value(scope, "dsearch,key=path", "../x", tmp_path) is None


def test_cache_options(scope: Scope, tmp_path: Path) -> None:
    """As script 2500 of the conformance suite does."""
    file = tmp_path / "test-data"
    assert value(scope, "dsearch", "test-data", tmp_path) is None
    file.write_text("")
    assert value(scope, "dsearch", "test-data", tmp_path) is None
    assert value(scope, "dsearch,cache=no_rd", "test-data", tmp_path) == "test-data"
    file.unlink()
    assert value(scope, "dsearch", "test-data", tmp_path) == "test-data"
    assert value(scope, "dsearch,cache=no_rd", "test-data", tmp_path) is None
    file.write_text("")
    assert value(scope, "dsearch,cache=no", "test-data", tmp_path) == "test-data"
    assert value(scope, "dsearch", "test-data", tmp_path) is None
    scope.services.lookups.tidyup(scope)  # type: ignore[attr-defined]
    assert value(scope, "dsearch", "test-data", tmp_path) == "test-data"


def test_open_files_are_limited(tmp_path: Path) -> None:
    scope = make_scope(main={"lookup_open_max": 2})
    for name in "abcd":
        (tmp_path / name).write_text(f"k: {name}\n")
        assert value(scope, "lsearch", "k", tmp_path / name) == name
    engine: Any = scope.services.lookups
    assert len(engine._files._open) == 2


def make_cdb(path: Path, records: dict[bytes, bytes]) -> None:
    import cdblib

    with open(path, "wb") as file, cdblib.Writer(file) as writer:
        for key, data in records.items():
            writer.put(key, data)


def test_cdb(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "x.cdb"
    make_cdb(file, {b"first": b"data for first", **{b"k%d" % i: b"v%d" % i for i in range(500)}})
    assert value(scope, "cdb", "first", file) == "data for first"
    assert value(scope, "cdb", "k77", file) == "v77"
    assert value(scope, "cdb", "fail", file) is None
    broken = tmp_path / "broken.cdb"
    broken.write_bytes(b"\xff\xff\xff\x7f\x01\0\0\0" * 256)
    with pytest.raises(LookupDefer, match="corrupt cdb file"):
        value(scope, "cdb", "first", broken)


def test_dbm_written_by_us(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    records = [("abc", "data for abc"), ("abc:", "colon"), ('a "b" c', "quotes"), ("abc", "second")]
    assert write_dbm(str(file), records) == 3
    assert value(scope, "dbm", "abc", file) == "data for abc"
    assert value(scope, "dbm", 'a "b" c', file) == "quotes"
    assert value(scope, "dbm", "ABC", file) is None
    assert value(scope, "dbmnz", "abc", file) is None
    assert sorted(read_all(str(file)))[0] == ('a "b" c\0', "quotes\0")
    write_dbm(str(file), [("a\0b\0c", "pw")], zero=False)
    scope.services.lookups.tidyup(scope)  # type: ignore[attr-defined]
    assert value(scope, "dbmjz", "a:b:c", file) == "pw"
    with pytest.raises(LookupFailure, match="empty list key"):
        value(scope, "dbmjz", " ", file)
    assert not os.path.exists(f"{file}.dbmbuild_temp")


def test_dbm_key_encoding_is_that_of_exim(tmp_path: Path) -> None:
    assert encode_key("testid\0test.ex\0x+y=z é") == "testid+00test.ex+00x+2By+3Dz+20+E9"
    assert decode_key("a+00b+2B") == "a\0b+"
    write_dbm(str(tmp_path / "t"), [("a", "b")])
    schema = sqlite3.connect(tmp_path / "t").execute("SELECT sql FROM sqlite_master").fetchall()
    assert ("CREATE TABLE tbl (ky TEXT PRIMARY KEY, dat BLOB)",) in schema


def test_berkeley_db(scope: Scope, tmp_path: Path) -> None:
    try:
        maker = packages.exim() / "usr/sbin/exim_dbmbuild"
    except packages.Missing as missing:
        pytest.skip(str(missing))
    source = tmp_path / "src"
    source.write_text("".join(f"key{i}: value {i}\n" for i in range(2000)) + "long: " + "y" * 9000 + "\n")
    file = tmp_path / "big.db"
    subprocess.run([str(maker), str(source), str(file)], check=True, stdout=subprocess.DEVNULL)
    assert value(scope, "dbm", "key1234", file) == "value 1234"
    assert value(scope, "dbm", "long", file) == "y" * 9000
    assert value(scope, "dbm", "nokey", file) is None
    assert len(read_all(str(file))) == 2001


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from([b"\x61\x15\x06\0", b"\x62\x31\x05\0", b"\0\x06\x15\x61"]))
def test_broken_berkeley_db(noise: bytes, magic: bytes) -> None:
    data = b"\0" * 12 + magic + b"\0" * 4 + b"\0\x02\0\0" + noise.ljust(1500, b"\x0d")
    try:
        read_bdb(data)
    except BdbError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ab:"\\# \n\t*', max_size=60))
def test_any_text_is_an_lsearch_file(text: str) -> None:
    file = KeyFile(text)
    for record in file.records:
        file.data(record)
        file.data(record, full=True)


JSON = '{"a": {"mode": "testing", "mxs": [".x.com", "x.com"]}, "n": 1, "t": true, "ü": "ä", "c": "Doe, John"}'


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("a:mode", "testing"),
        ("a", '{"mode": "testing", "mxs": [".x.com", "x.com"]}'),
        ("a : mxs : 1", "x.com"),
        ("a:mxs:2", None),
        ("a:mxs:x", None),
        ("n", "1"),
        ("t", "true"),
        ("c", "Doe, John"),
        ("\xc3\xbc", "\xc3\xa4"),
        ("c:d", None),
    ],
)
def test_json(scope: Scope, tmp_path: Path, key: str, data: str | None) -> None:
    file = tmp_path / "x.json"
    file.write_text(JSON, encoding="utf-8")
    assert value(scope, "json", key, file) == data


def test_broken_json(scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("[" * 100000)
    with pytest.raises(LookupDefer):
        value(scope, "json", "x", file)


def test_lmdb(scope: Scope, tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb", reason="PyPI package lmdb is missing")
    file = tmp_path / "x.mdb"
    with lmdb.open(str(file), subdir=False) as base, base.begin(write=True) as transaction:
        transaction.put(b"first", b"data for first")
    assert value(scope, "lmdb", "first", file) == "data for first"
    assert value(scope, "lmdb", "fail", file) is None
    with pytest.raises(LookupFailure, match="Unable to open environment"):
        value(scope, "lmdb", "x", "/nonexist")
    with pytest.raises(LookupFailure, match="Unable to open environment"):
        value(scope, "lmdb", "x", "/etc/passwd")


PSL = "// comment\naero\naerobatic.aero\n*.ck\n!www.ck\n*.wildcard.net\njp\n三重.jp\n"


@pytest.mark.parametrize(
    ("domain", "psl", "regdom"),
    [
        ("spammer.edu", None, None),
        ("aero", None, None),
        ("aerobatic.AERO", "aero", "aerobatic.aero"),
        ("x.bill.aerobatic.aero", "aerobatic.aero", "bill.aerobatic.aero"),
        ("foo.wildcard.net", "foo.wildcard.net", None),
        ("baz.foo.wildcard.net", "foo.wildcard.net", "baz.foo.wildcard.net"),
        ("w3.ck", "w3.ck", None),
        ("www.ck", "ck", "www.ck"),
        ("foo.www.ck", "ck", "www.ck"),
        ("sub1.xn--ehqz56n.jp", "xn--ehqz56n.jp", "sub1.xn--ehqz56n.jp"),
    ],
)
def test_psl(scope: Scope, tmp_path: Path, domain: str, psl: str | None, regdom: str | None) -> None:
    file = tmp_path / "psl"
    file.write_text(PSL, encoding="utf-8")
    assert value(scope, "psl", domain, file) == psl
    assert value(scope, "regdom", domain, file) == regdom
    octets = "sub.三重.jp".encode().decode("latin-1")
    assert value(scope, "psl", octets, file) == octets[4:]


def test_passwd(scope: Scope) -> None:
    found = value(scope, "passwd", "root")
    assert found is not None
    assert found.startswith("*:0:0:")
    assert value(scope, "passwd", "no such user") is None


def test_testdb_and_quoting(scope: Scope) -> None:
    search = scope.services.lookups.search
    quote = scope.services.lookups.quote
    log: Any = scope.services.log
    assert search("testdb", Tainted("expected_fail"), scope).value == "expected_fail"
    assert log.panics == ["tainted search query is not properly quoted: expected_fail"]
    assert search("testdb", quote("testdb", Tainted("barbaz")), scope).value == "barbaz"
    assert search("testdb", Tainted("barbaz"), scope).value == "barbaz"  # from the cache, unseen
    assert search("testdb2", quote("testdb", Tainted("foo_2")), scope).value == "foo_2"
    assert search("testdb_nq", Tainted("foo_3"), scope).value == "foo_3"
    assert len(log.panics) == 1
    scope.local["config_location"] = "ACL warn, /etc/exim.conf 39"
    search("testdb", Tainted("x"), scope)
    assert log.panics[1] == "tainted search query is not properly quoted (ACL warn, /etc/exim.conf 39): x"


def test_quote_errors(scope: Scope) -> None:
    quote = scope.services.lookups.quote
    assert quote("lsearch", "a b") == "a b"
    for kind, option, text in [
        ("foo", "", 'unknown lookup type "foo"'),
        ("lsearch", "x", '"x" unrecognized after "${quote_lsearch"'),
    ]:
        with pytest.raises(ValueError) as caught:
            quote(kind, "v", option)
        assert str(caught.value) == text
