"""What SQL lookups share: lists of servers, fail-over, the form of results. # Exim spec 9.21-9.23

Laws:
- A server's parameters are the administrator's: a server taken from a tainted query is refused.
- The list of servers is a backup facility: the next one is asked only when this one cannot answer now.
- Passwords never come into messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from angaros.lists.parse import split_list
from angaros.lookups.base import NOT_FOUND, Request, quote_value
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import is_tainted, untaint


class QueryRefused(LookupDefer):
    """The server answered that the query is wrong: no other server is asked."""


MAX_IDLE = 8
"""Connections kept for one server by one process: as many as lookups are likely to wait at the same time."""


@dataclass(frozen=True, slots=True)
class Server:
    """One item of a list of servers, split at slashes."""

    host: str
    rest: tuple[str, ...]
    """Database, user, password; Redis: database number, password."""

    @property
    def port_part(self) -> tuple[str, str]:
        """Host with port, and what stands in parentheses: the path of a socket."""
        host, _, path = self.host.partition("(")
        return host, path.partition(")")[0]


@dataclass(frozen=True, slots=True)
class Kind:
    """One database system."""

    name: str
    """As in messages: `MySQL`."""
    option: str
    """`mysql_servers`."""
    fields: int = 4
    """Slash-separated fields of a server."""


def perform(request: Request, kind: Kind, ask: Callable[[Server, str], LookupResult]) -> LookupResult:
    """Ask one server after the other. `ask` raises `LookupDefer` where the next one may do better. # Exim spec 9.22, 9.23"""
    servers, query = _servers(request, kind)
    if not servers:
        raise LookupDefer(f"no {kind.name} servers defined ({kind.option} option)")
    last: LookupDefer | None = None
    for item in servers:
        try:
            return ask(_server(item, request, kind), query)
        except QueryRefused:
            raise
        except _UnknownServer as error:
            raise LookupDefer(str(error)) from None
        except LookupDefer as error:
            last = error
    raise last or LookupDefer("")


class _UnknownServer(LookupDefer):
    """A name that is not in the option, or a tainted server."""


def _servers(request: Request, kind: Kind) -> tuple[list[str], str]:
    """The list to use, and the query without it."""
    query = request.key
    option = request.option("servers")
    if option is not None:
        return split_list(option), query
    if query[:7] == "servers":
        return _old_servers(query, request, kind)
    text = getattr(request.scope.services.config.main, kind.option) or ""
    return split_list(text), query


def _old_servers(query: str, request: Request, kind: Kind) -> tuple[list[str], str]:
    """`servers=a:b; query`, obsolete."""
    rest = query[7:].lstrip()
    if rest[:1] != "=":
        raise LookupDefer(f'missing = after "servers" in {kind.name} lookup')
    semicolon = rest.find(";")
    if semicolon < 0:
        raise LookupDefer(f'missing ; after "servers=" in {kind.name} lookup')
    verb, _, place = request.scope.local.get("config_location", "").partition(", ")
    if verb[:4] == "ACL " and place:
        file, _, line = place.rpartition(" ")
        text = f"Exim configuration error in ACL verb at line {line} of {file}:\n  WARNING: obsolete syntax used for lookup"
        request.scope.log(text)
    servers = split_list(rest[1:semicolon])
    if not servers:
        raise LookupDefer(f'"servers=" defines no servers in "{query}"')
    return servers, rest[semicolon + 1 :].lstrip()


def _server(item: str, request: Request, kind: Kind) -> Server:
    """A full set of parameters, or the name of one in the main option."""
    if "/" not in item:
        text = getattr(request.scope.services.config.main, kind.option) or ""
        for known in split_list(text):
            if known.partition("/")[0] == item:
                return _split(known, kind)
        raise _UnknownServer(f'{kind.name} server "{item}" not found in {kind.option}')
    server = _split(item, kind)
    if is_tainted(item):
        shown = "/".join((server.host, *server.rest[:1]))
        raise _UnknownServer(f'{kind.name} server "{shown}" is tainted')
    return server


def _split(item: str, kind: Kind) -> Server:
    """Fields are split off from the right: the first may have slashes of its own in parentheses."""
    rest: list[str] = []
    text = untaint(item)
    while len(rest) < kind.fields - 1:
        before, slash, after = text.rpartition("/")
        if not slash or ")" in after:
            raise _UnknownServer(f"incomplete {kind.name} server data: {text}")
        rest.insert(0, after)
        text = before
    if "/" in text.partition("(")[0]:
        raise _UnknownServer(f"unexpected slash in {kind.name} server hostname: {text}")
    return Server(text, tuple(rest))


def host_and_port(text: str, default: int) -> tuple[str, int]:
    """`host:port`, `[v6]:port`, `v6.port` (Exim's way for addresses with colons), `host`."""
    if text[:1] == "[":
        address, _, port = text[1:].partition("]")
        return address, int(port[1:]) if port[1:].isdigit() else default
    if text.count(":") > 1:
        address, dot, port = text.rpartition(".")
        if dot and port.isdigit() and "." not in address:
            return address, int(port)
        return text, default
    host, colon, port = text.partition(":")
    return host, int(port) if colon and port.isdigit() else default


def shape(names: Sequence[str], rows: Iterable[Sequence[str]]) -> LookupResult:
    """One field: bare; several: `name=value ` each; rows on lines of their own. Nothing found is not cached. # Exim spec 9.21"""
    if len(names) == 1:
        lines = [row[0] for row in rows]
    else:
        lines = ["".join(f"{name}={quote_value(value)} " for name, value in zip(names, row, strict=True)) for row in rows]
    return LookupResult("\n".join(lines)) if lines else NOT_FOUND


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "'": "\\'", '"': '\\"', "\\": "\\\\"}


def quote_backslash(value: str) -> str:
    """`quote_mysql`, `quote_oracle`, `quote_ibase`-like. # Exim spec 9.22"""
    return "".join(_ESCAPES.get(char, char) for char in str(value))


class Pool:
    """Connections that wait for the next query, by server.

    `any_password`: the password makes no difference, who has come in is in (so it was observed in Exim for MySQL)."""

    __slots__ = ("_any_password", "_idle")

    def __init__(self, any_password: bool = False) -> None:
        self._any_password = any_password
        self._idle: dict[tuple[str, ...], list[Any]] = {}

    def take(self, server: Server) -> Any | None:
        """A connection that nobody uses; None when a new one must be made."""
        idle = self._idle.get(self._place(server))
        return idle.pop() if idle else None

    def give(self, server: Server, connection: Any) -> None:
        """Put it back; what is more than MAX_IDLE is closed."""
        idle = self._idle.setdefault(self._place(server), [])
        if len(idle) < MAX_IDLE:
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all that wait."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    def _place(self, server: Server) -> tuple[str, ...]:
        return server.host, *(server.rest[:-1] if self._any_password else server.rest)
