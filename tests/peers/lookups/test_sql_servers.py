"""Lookups in real PostgreSQL, MariaDB and Redis servers; the tables are those of Exim's own tests of these types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from angaros.model.errors import LookupDefer
from angaros.model.scope import Scope
from angaros.model.text import Tainted
from tests.peers.lookups.conftest import free_port

pytestmark = pytest.mark.peers
MakeScope = Callable[..., Scope]

ROWS = [
    ("Philip Hazel", "ph10"),
    ("Aristotle", "aaaa"),
    ("", "nothing"),
    ('"stquot', "quote2"),
    ("x\tx", "tab"),
    ("'stquot", "quote1"),
    ("Umläut €", "utf8"),
]


def value(scope: Scope, kind: str, query: str) -> str | None:
    return scope.services.lookups.search(kind, query.encode().decode("latin-1"), scope).value


def reason(scope: Scope, kind: str, query: str) -> str:
    with pytest.raises(LookupDefer) as caught:
        value(scope, kind, query)
    return str(caught.value)


def fill(scope: Scope, kind: str) -> None:
    value(scope, kind, "CREATE TABLE them (name text, id text)")
    for name, key in ROWS:
        quoted = name.replace("'", "''")
        value(scope, kind, f"INSERT INTO them VALUES ('{quoted}', '{key}')")


CASES = [
    ("select name from them where id='ph10';", "Philip Hazel"),
    ("select name from them where id='xxxx';", None),
    ("select name from them where id='nothing';", ""),
    ("select id,name from them where id='nothing';", 'id=nothing name="" '),
    ("delete from them where id='nonexist';", "0"),
    ("select * from them where id='quote2';", 'name="\\"stquot" id=quote2 '),
    ("select * from them where id='tab';", 'name="x\tx" id=tab '),
    ("SELECT name FROM them WHERE id IN ('ph10', 'aaaa') ORDER BY id DESC", "Philip Hazel\nAristotle"),
    ("SELECT * FROM them WHERE id IN ('ph10', 'aaaa') ORDER BY id DESC", 'name="Philip Hazel" id=ph10 \nname=Aristotle id=aaaa '),
    ("select id from them where name='Umläut €'", "utf8"),
    ("select name from them where id='utf8'", "Umläut €".encode().decode("latin-1")),
    ("select null", ""),
]


def common_checks(scope: Scope, kind: str, shown: str, option: str, good: str) -> None:
    for query, expected in CASES:
        assert value(scope, f"{kind},cache=no", query) == expected, query
    host = good.partition("/")[0]
    assert value(scope, kind, f"servers={host.replace(':', '::')}; select 1") == "1"
    assert value(scope, f"{kind},servers={host.replace(':', '::')}", "select 1") == "1"
    dead = f"127.0.0.1::{free_port()}/x/x/x"
    assert value(scope, f"{kind},servers={dead}:{good.replace(':', '::')}", "select 2") == "2"
    assert reason(scope, kind, "servers=x; select 1") == f'{shown} server "x" not found in {option}'
    assert reason(scope, kind, "servers; x") == f'missing = after "servers" in {shown} lookup'
    assert reason(scope, kind, "servers=a") == f'missing ; after "servers=" in {shown} lookup'
    assert reason(scope, kind, "servers=;a") == '"servers=" defines no servers in "servers=;a"'
    assert reason(scope, kind, "servers=a/b;x") == f"incomplete {shown} server data: a"
    with pytest.raises(LookupDefer, match=f'{shown} server "a/test" is tainted'):
        scope.services.lookups.search(kind, Tainted("servers=a/test/b/c;x"), scope)
    assert "query failed" in reason(scope, kind, "select nosuch from nothing")
    assert value(scope, f"{kind},cache=no", "select 1") == "1"
    assert value(scope, kind, "delete from them where id='aaaa'") == "1"
    assert scope.services.lookups.search(kind, "delete from them where id='aaaa'", scope).value == "0"  # not from the cache


def test_pgsql(scope_for: MakeScope, postgres: tuple[int, Path]) -> None:
    port, directory = postgres
    good = f"127.0.0.1:{port}/postgres/exim/"
    scope = scope_for(pgsql_servers=good.replace(":", "::"))
    fill(scope, "pgsql")
    common_checks(scope, "pgsql", "PostgreSQL", "pgsql_servers", good)
    quoted = scope.services.lookups.quote("pgsql", "'stquot")
    assert value(scope, "pgsql", f"select * from them where name='{quoted}'") == "name='stquot id=quote1 "
    path = f"({directory}/.s.PGSQL.{port})/postgres/exim/"
    assert value(scope, f"pgsql,servers={path}", "select 3") == "3"
    assert value(scope, f"pgsql,servers=<!127.0.0.1:{port}/postgres/exim/!x", "select 4") == "4"
    assert "PGSQL connection failed" in reason(scope, f"pgsql,servers=127.0.0.1::{free_port()}/a/b/c", "select 1")
    assert reason(scope, "pgsql,servers=(/tmp/x)/a/b/c", "select 1") == "PGSQL invalid filename for socket: /tmp/x"
    assert reason(scope_for(), "pgsql", "select 1") == "no PostgreSQL servers defined (pgsql_servers option)"


def test_pgsql_connection_that_died(scope_for: MakeScope, postgres: tuple[int, Path]) -> None:
    port, _ = postgres
    scope = scope_for(pgsql_servers=f"127.0.0.1::{port}/postgres/exim/")
    assert value(scope, "pgsql", "select 1") == "1"
    other = scope_for(pgsql_servers=f"127.0.0.1::{port}/postgres/exim/")
    value(
        other,
        "pgsql",
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'exim'",
    )
    assert value(scope, "pgsql", "select 5") == "5"


def test_mysql(scope_for: MakeScope, mariadb: tuple[int, Path]) -> None:
    port, sock = mariadb
    good = f"127.0.0.1:{port}/test/exim/pass"
    scope = scope_for(mysql_servers=good.replace(":", "::"))
    fill(scope, "mysql")
    common_checks(scope, "mysql", "MySQL", "mysql_servers", good)
    quoted = scope.services.lookups.quote("mysql", "'stquot")
    assert value(scope, "mysql", f"select * from them where name='{quoted}'") == "name='stquot id=quote1 "
    assert value(scope, f"mysql,servers=localhost({sock})/test/exim/pass", "select 3") == "3"
    assert value(scope, f"mysql,servers=({sock})[group]/test/exim/pass", "select 4") == "4"
    assert "MYSQL connection failed" in reason(scope, f"mysql,servers=127.0.0.1::{port}/test/nobody/wrong", "select 1")
    assert value(scope, f"mysql,servers=127.0.0.1::{port}/test/exim/wrong", "select 6") == "6"  # who is in is in, as in Exim
    assert reason(scope, "mysql,servers=a/b/c/d/e", "x") == "unexpected slash in MySQL server hostname: a/b"
    assert reason(scope_for(), "mysql", "select 1") == "no MySQL servers defined (mysql_servers option)"


def test_mysql_connection_that_died(scope_for: MakeScope, mariadb: tuple[int, Path]) -> None:
    port, _ = mariadb
    scope = scope_for(mysql_servers=f"127.0.0.1::{port}/test/exim/pass")
    number = value(scope, "mysql", "select connection_id()")
    other = scope_for(mysql_servers=f"127.0.0.1::{port}/test/exim/pass")
    value(other, "mysql", f"kill {number}")
    assert value(scope, "mysql", "select 5") == "5"


def test_redis(scope_for: MakeScope, redis_server: int, open_directory: Path) -> None:
    scope = scope_for(redis_servers=f"127.0.0.1::{redis_server}//secret")
    quote = scope.services.lookups.quote
    assert value(scope, "redis", f"set keyname {quote('redis', 'objvalue plus')}") == "OK"
    assert value(scope, "redis", "get keyname") == "objvalue plus"
    assert value(scope, "redis", "get nokey") is None
    assert value(scope, "redis", "incr counter") == "1"
    assert value(scope, "redis", "incr counter") == "2"
    assert value(scope, "redis", "rpush list a b c") == "3"
    assert value(scope, "redis", "lrange list 0 -1") == "a\nb\nc"
    assert value(scope, "redis", f"set tricky {quote('redis', 'a b' + chr(92) + 'c' + chr(10))}") == "OK"
    assert value(scope, "redis", "get tricky") == "a b\\c\n"
    assert value(scope, "redis", "set big " + "x" * 300000) == "OK"
    assert value(scope, "redis", "get big") == "x" * 300000
    assert "unknown command" in reason(scope, "redis", "nonsense")
    assert value(scope, f"redis,servers=({open_directory}/sock)/1/secret", "dbsize") == "0"
    assert (
        value(scope, f"redis,servers=127.0.0.1::{free_port()}//:127.0.0.1::{redis_server}//secret", "get keyname")
        == "objvalue plus"
    )
    assert "NOAUTH" in reason(scope, f"redis,servers=127.0.0.1::{redis_server}//", "get x")
    assert "REDIS connection failed" in reason(scope, f"redis,servers=127.0.0.1::{redis_server}//wrong", "get x")
    assert reason(scope, "redis,servers=a/b", "x") == "incomplete Redis server data: a"
    assert reason(scope_for(), "redis", "get x") == "no Redis servers defined (redis_servers option)"


def test_redis_cluster(scope_for: MakeScope, redis_cluster: list[int]) -> None:
    scope: Any = scope_for(redis_servers=" : ".join(f"127.0.0.1::{port}//" for port in redis_cluster))
    for number in range(30):
        assert value(scope, "redis", f"set key{number} v{number}") == "OK"
    for number in range(30):
        assert value(scope, "redis", f"get key{number}") == f"v{number}"
    only: Any = scope_for(redis_servers=f"127.0.0.1::{redis_cluster[0]}//")
    moved = 0
    for number in range(30):
        try:
            value(only, "redis", f"get key{number}")
        except LookupDefer as error:
            assert "MOVED" in str(error)
            moved += 1
    assert moved
