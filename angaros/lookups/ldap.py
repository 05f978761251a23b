"""`ldap`, `ldapdn`, `ldapm`, and the check behind `${if ldapauth`. # Exim spec 9.14-9.19, 11.7

Laws:
- Servers are tried in turn on connection failures, failed binds and time-outs; a wrong query, or too many entries, ends the
  lookup.
- A referral is followed, up to MAX_HOPS, unless `REFERRALS=nofollow`; without our credentials, as libldap does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from angaros.lists.parse import split_list
from angaros.lookups import ldap_wire
from angaros.lookups.base import NOT_FOUND, Request
from angaros.lookups.ldap_client import DEFAULT_TIMEOUT, Connections, Entry, LdapError, Place
from angaros.lookups.ldap_wire import LdapSyntaxError, LdapUrl
from angaros.model.errors import LookupDefer
from angaros.model.interfaces import LookupResult
from angaros.model.text import octets, text, untaint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_HOPS = 5
"""Referrals that lead to referrals; libldap has the same limit."""
SCHEMES = ("ldap://", "ldaps://", "ldapi://")
_DEREF = {"never": 0, "searching": 1, "finding": 2, "always": 3}
_NUMBERS = {"SIZE": "size", "TIME": "time", "CONNECT": "network", "NETTIME": "network"}
_PARAMETER = re.compile(r'\s*([^\s="]+)=("(?:[^"\\]|\\.)*"|\S*)(?=\s|\Z)', re.S)
NO_SUCH_OBJECT, SIZE_LIMIT, REFERRAL, INVALID_CREDENTIALS = 32, 4, 10, 49


class LdapBreak(LookupDefer):
    """No other server would do better."""


@dataclass(slots=True)
class LdapQuery:
    """A query with what stands before its URL. # Exim spec 9.18"""

    url: str = ""
    user: str = ""
    password: str = ""
    size: int = 0
    time: int = 0
    network: int = 0
    deref: int = 0
    follow: bool = True
    servers: str | None = None


def parse_query(query: str) -> LdapQuery:
    """LdapBreak in Exim's words."""
    found = LdapQuery()
    rest = query.lstrip()
    while not rest.lower().startswith(SCHEMES):
        match = _PARAMETER.match(rest)
        if match is None or not rest[match.end() :].strip():
            if "=" in rest.partition(" ")[0] or not rest.lower().startswith("ldap"):
                raise LdapBreak("malformed parameter setting precedes LDAP URL")
            shown = f'{rest[:16]}..."' if len(rest) > 16 else f'{rest}..."'
            schemes = 'LDAP URL does not start with "ldap://", "ldaps://", or "ldapi://" (it starts with "'
            raise LdapBreak(f"{schemes}{shown})")
        value = match[2]
        if value[:1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.S)
        _set(found, match[1], value)
        rest = rest[match.end() :].lstrip()
    found.url = rest.strip()
    return found


def _set(query: LdapQuery, name: str, value: str) -> None:
    """One parameter."""
    word = name.upper()
    if word == "USER":
        query.user = text(unquote_to_bytes(octets(value)))
    elif word == "PASS":
        query.password = value
    elif word in _NUMBERS:
        setattr(query, _NUMBERS[word], int(value) if value.isdigit() else 0)
    elif word == "DEREFERENCE":
        query.deref = _DEREF.get(value.lower(), 0)
    elif word == "REFERRALS":
        if value.lower() not in ("follow", "nofollow"):
            raise LdapBreak('LDAP option REFERRALS is not "follow" or "nofollow"')
        query.follow = value.lower() == "follow"
    elif word == "SERVERS":
        query.servers = value
    else:
        raise LdapBreak(f'unknown parameter "{name}=" precedes LDAP URL')


class Ldap:
    """All three types; keeps connections."""

    def __init__(self) -> None:
        self._connections = Connections()

    def find(self, request: Request) -> LookupResult:
        """# Exim spec 9.19"""
        query = parse_query(untaint(request.key))
        url = _url(query)
        entries = self._first_answer(query, url, request.scope)
        if request.kind != "ldapm" and len(entries) > 1:
            count = len(entries)
            raise LdapBreak(f"LDAP search: more than one entry ({count}) was returned (filter not specific enough?)")
        if request.kind == "ldapdn":
            return LookupResult(text(entries[0][0])) if entries else NOT_FOUND
        lines = [show_entry(attributes, len(url.attributes)) for _, attributes in entries]
        if not any(attributes for _, attributes in entries):
            return NOT_FOUND
        return LookupResult("\n".join(lines))

    def authenticate(self, query_text: str, scope: Scope) -> bool:
        """Whether the directory accepts user and password. # Exim spec 11.7 (ldapauth)"""
        query = parse_query(query_text)
        if not query.user or "PASS=" not in query_text.upper():
            raise LdapBreak("ldapauth lookups must specify the username and password")
        if not query.password:
            return False
        last: LookupDefer | None = None
        for place in _places(query, _url(query), scope):
            try:
                self._connections.check(place, scope, query.network or DEFAULT_TIMEOUT)
                return True
            except LdapError as error:
                if error.code == INVALID_CREDENTIALS:
                    return False
                last = error
        raise last or LookupDefer("")

    def _first_answer(self, query: LdapQuery, url: LdapUrl, scope: Scope) -> list[Entry]:
        last: LookupDefer | None = None
        for place in _places(query, url, scope):
            try:
                return self._search(place, query, url, scope, 0)
            except LdapBreak:
                raise
            except LookupDefer as error:
                last = error
        raise last or LookupDefer("")

    def _search(self, place: Place, query: LdapQuery, url: LdapUrl, scope: Scope, hops: int) -> list[Entry]:
        """One server, and those it refers to."""
        try:
            request = ldap_wire.search_request(url, query.deref, query.size, query.time)
        except LdapSyntaxError as error:
            raise LdapBreak(f"ldap_search failed: -7, Bad search filter ({error})") from error
        entries, referrals, result = self._connections.search(place, request, scope, query.network or DEFAULT_TIMEOUT)
        if result.code == REFERRAL:
            referrals = [*referrals, *result.referrals[:1]]
        elif result.code == NO_SUCH_OBJECT:
            return []
        elif result.code not in (0, SIZE_LIMIT):
            raise LdapBreak(_failure(result))
        if query.follow and hops < MAX_HOPS:
            for uri in referrals:
                entries += self._refer(text(uri), query, url, scope, hops + 1)
        return entries

    def _refer(self, uri: str, query: LdapQuery, url: LdapUrl, scope: Scope, hops: int) -> list[Entry]:
        """A referral names the server and perhaps another base; the rest of the search stays. # RFC 4511 4.1.10"""
        try:
            target = ldap_wire.parse_url(uri)
        except LdapSyntaxError:
            return []
        moved = replace(url, dn=target.dn or url.dn, filter=url.filter)
        place = Place(target.scheme, target.host, target.port)
        try:
            return self._search(place, query, moved, scope, hops)
        except LdapError:
            return []

    def quote(self, value: str, option: str, kind: str) -> str | None:
        """`quote_ldap`, `quote_ldap_dn`. # Exim spec 9.16"""
        if option == "dn":
            return quote_dn(str(value))
        return None if option else quote_filter(str(value))

    def close(self) -> None:
        """Close connections."""
        self._connections.close()


def ldapauth(query: str, scope: Scope) -> bool:
    """For `${if ldapauth`. LookupDefer when nobody can be asked."""
    driver = scope.services.extra.get("ldap") or Ldap()
    scope.services.extra["ldap"] = driver
    return bool(driver.authenticate(untaint(query), scope))


def _url(query: LdapQuery) -> LdapUrl:
    try:
        return ldap_wire.parse_url(query.url)
    except LdapSyntaxError as error:
        raise LdapBreak(f'ldap_url_parse: (error 3) parsing "{query.url}": {error}') from error


def _places(query: LdapQuery, url: LdapUrl, scope: Scope) -> list[Place]:
    """The servers to try. # Exim spec 9.17"""
    if url.host:
        items = [url.host if url.scheme == "ldapi" or url.host[:1] == "/" or not url.port else f"{url.host}:{url.port}"]
        if ":" in url.host:
            return [Place(url.scheme, url.host, url.port, query.user, query.password)]
    else:
        items = split_list(query.servers or scope.services.config.main.ldap_default_servers or "") or [""]
    places = []
    for item in items:
        host, colon, port = item.rpartition(":") if item[:1] != "/" and item.count(":") == 1 else (item, "", "")
        scheme = url.scheme
        if host[:1] == "/":
            scheme = "ldapi"
        elif scheme == "ldapi" and host:
            if len(items) == 1:
                raise LdapBreak(f'ldapi requires an absolute path ("{host}" given)')
            continue
        places.append(Place(scheme, host, int(port) if colon and port.isdigit() else 0, query.user, query.password))
    return places


def _failure(result: ldap_wire.Result) -> str:
    """`LDAP search failed - error 53: Server is unwilling to perform/detail`"""
    parts = [f"LDAP search failed - error {result.code}: {ldap_wire.ERRORS.get(result.code, 'Unknown error')}"]
    if result.text:
        parts.append(f"/{text(result.text)}")
    if result.matched:
        parts.append(f": {text(result.matched)}")
    return "".join(parts)


def show_entry(attributes: list[tuple[bytes, list[bytes]]], wanted: int) -> str:
    """The attributes of one entry; bare values when one attribute was asked for. # Exim spec 9.19"""
    if wanted == 1:
        values = [value for _, found in attributes for value in found]
        return ",".join(text(value).replace(",", ",,") for value in values)
    parts = []
    for name, found in attributes:
        joined = ",".join(text(value).replace(",", ",,") for value in found)
        quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts.append(f'{text(name)}="{quoted}"')
    return " ".join(parts)


_URL_SAFE = "!$'-._()*+"
_FILTER = {"*": "%5C2A", "(": "%5C28", ")": "%5C29", "\\": "%5C5C"}


def quote_filter(value: str) -> str:
    """For filters: LDAP escapes, then those of URLs. # Exim spec 9.16"""
    return "".join(_FILTER.get(char) or quote_from_bytes(octets(char), _URL_SAFE).replace("~", "%7E") for char in value)


def quote_dn(value: str) -> str:
    """For DNs. # Exim spec 9.16, RFC 4514 2.4"""
    start = len(value) - len(value.lstrip(" "))
    if start == len(value):
        return "%5C%20" * start
    stop = len(value.rstrip(" "))
    parts = []
    for index, char in enumerate(value):
        special = char in ',+"\\<>;' or (char == " " and (index < start or index >= stop)) or (char == "#" and index == start)
        parts.append(("%5C" if special else "") + quote_from_bytes(octets(char), _URL_SAFE).replace("~", "%7E"))
    return "".join(parts)
