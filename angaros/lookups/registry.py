"""All lookup types. # Exim spec 9.3, 9.4

`build` is the LOOKUP_* or SUPPORT_* name of Exim's Local/Makefile (and of the `_HAVE_LOOKUP_*` macros); `needs` a Python
module (`lib...`: a C library) that must be there for the type to be offered, "" for none.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One type."""

    module: str
    """Module and class, `angaros.lookups.lsearch:Lsearch`."""
    style: str
    """`file` (a key and a file) or `query`."""
    build: str
    needs: str = ""
    quoter: str = ""
    """Name of the quoting that tainted parts of a query must have gone through; "" for types that need none."""


def _row(module: str, style: str, build: str, needs: str = "", quoter: str = "") -> Row:
    return Row("angaros.lookups." + module, style, build, needs, quoter)


NOBODY_HAS = "-"
"""No library for Python speaks it: NIS+ is gone from all systems, NMH's daemon is an experiment of Exim's."""

TYPES: dict[str, Row] = {
    "cdb": _row("cdb:Cdb", "file", "CDB"),
    "dbm": _row("dbm:Dbm", "file", "DBM"),
    "dbmjz": _row("dbm:Dbm", "file", "DBM"),
    "dbmnz": _row("dbm:Dbm", "file", "DBM"),
    "dnsdb": _row("dnsdb:Dnsdb", "query", "DNSDB"),
    "dsearch": _row("dsearch:Dsearch", "file", "DSEARCH"),
    "ibase": _row("other_sql:Ibase", "query", "IBASE", "fdb", "ibase"),
    "iplsearch": _row("lsearch:Iplsearch", "file", "LSEARCH"),
    "json": _row("json:Json", "file", "JSON"),
    "ldap": _row("ldap:Ldap", "query", "LDAP", "", "ldap"),
    "ldapdn": _row("ldap:Ldap", "query", "LDAP", "", "ldap"),
    "ldapm": _row("ldap:Ldap", "query", "LDAP", "", "ldap"),
    "lmdb": _row("lmdb:Lmdb", "file", "LMDB", "lmdb"),
    "lsearch": _row("lsearch:Lsearch", "file", "LSEARCH"),
    "mysql": _row("mysql:Mysql", "query", "MYSQL", "pymysql", "mysql"),
    "nis": _row("nis:Nis", "file", "NIS", "nis"),
    "nis0": _row("nis:Nis", "file", "NIS", "nis"),
    "nisplus": _row("nis:NisPlus", "query", "NISPLUS", NOBODY_HAS, "nisplus"),
    "nmh": _row("nis:NisPlus", "file", "NMH", NOBODY_HAS),
    "nwildlsearch": _row("lsearch:Wildlsearch", "file", "LSEARCH"),
    "oracle": _row("other_sql:Oracle", "query", "ORACLE", "oracledb", "oracle"),
    "passwd": _row("passwd:Passwd", "query", "PASSWD"),
    "pgsql": _row("pgsql:Pgsql", "query", "PGSQL", "psycopg", "pgsql"),
    "psl": _row("psl:Psl", "file", "PSL"),
    "redis": _row("redis:Redis", "query", "REDIS", "", "redis"),
    "regdom": _row("psl:Psl", "file", "REGDOM"),
    "spf": _row("spf:Spf", "file", "SPF"),
    "sqlite": _row("sqlite:Sqlite", "query", "SQLITE", "sqlite3", "sqlite"),
    "testdb": _row("testdb:Testdb", "query", "TESTDB", "", "testdb"),
    "testdb2": _row("testdb:Testdb", "query", "TESTDB", "", "testdb"),
    "testdb_nq": _row("testdb:Testdb", "query", "TESTDB", "", ""),
    "whoson": _row("whoson:Whoson", "query", "WHOSON", "libwhoson"),
    "wildlsearch": _row("lsearch:Wildlsearch", "file", "LSEARCH"),
}
