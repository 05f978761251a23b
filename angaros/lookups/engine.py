"""The lookup engine: types, partial keys and defaults, cache, taint. # Exim spec 9

Laws:
- Results are cached for as long as one of Exim's processes would live: with the session of the connection or delivery; on the
  command line with the engine. `tidyup` forgets them.
- A tainted file name is refused. A tainted query that was not quoted for its type is logged (main and panic), as Exim 4.99 does,
  and goes on.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from angaros.lookups.base import Driver, Request
from angaros.lookups.files import OpenFiles
from angaros.lookups.registry import NOBODY_HAS, TYPES, Row
from angaros.lookups.types import TypeSpec, default_keys, parse_type, partial_keys
from angaros.model.errors import LookupFailure
from angaros.model.interfaces import LookupResult
from angaros.model.text import Tainted, quoted_for, untaint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_CACHED = 2000
"""Results kept for one session; then all are dropped, so that a hostile peer cannot fill the memory."""
NOT_FOUND = LookupResult(None)
_UNREAD = frozenset({"no", "no_rd"})
"""`cache=` options under which no cached result is used."""

Entry = tuple[tuple[str, ...], LookupResult, float]
"""Options, result, time when it ends (0: never)."""


def available() -> list[str]:
    """Types whose library is there: what -bV may claim."""
    return [name for name, row in TYPES.items() if is_available(row)]


def is_available(row: Row) -> bool:
    """Whether the type's library is there."""
    if row.needs[:3] == "lib":
        from ctypes.util import find_library

        return find_library(row.needs[3:]) is not None
    return not row.needs or (row.needs != NOBODY_HAS and find_spec(row.needs) is not None)


class LookupEngine:
    """`interfaces.Lookups`."""

    __slots__ = ("_cache", "_drivers", "_files", "_present", "_specs")

    def __init__(self) -> None:
        self._specs: dict[str, TypeSpec] = {}
        self._drivers: dict[str, Driver] = {}
        self._files = OpenFiles()
        self._present: dict[str, bool] = {}
        self._cache: dict[tuple[str, str, str], Entry] = {}

    def spec(self, kind: str) -> TypeSpec:
        """The parsed type. Raises `UnknownType`."""
        spec = self._specs.get(kind)
        if spec is None:
            spec = parse_type(kind)
            if len(self._specs) < MAX_CACHED:
                self._specs[str(kind)] = spec
        return spec

    def is_query_style(self, kind: str) -> bool:
        """Raises `UnknownType`, a KeyError, for an unknown type."""
        return TYPES[self.spec(kind).name].style == "query"

    def quote(self, kind: str, value: str, options: str = "") -> str:
        """`${quote_<kind>_<options>:value}`; ValueError for an unknown type or option."""
        row = TYPES.get(kind)
        if row is None:
            raise ValueError(f'unknown lookup type "{kind}"')
        quoted = self._driver(kind).quote(str(value), options, kind)
        if quoted is None:
            raise ValueError(f'"{options}" unrecognized after "${{quote_{kind}"')
        return quoted_for(quoted, row.quoter) if isinstance(value, Tainted) else quoted

    def search(self, kind: str, key: str, scope: Scope, *, source: str = "") -> LookupResult:
        """One lookup with all that belongs to it."""
        spec = self._specs.get(kind) or self.spec(kind)
        if type(source) is Tainted:
            scope.log(f"Tainted filename for search: '{source}'", panic=True)
            raise LookupFailure("NULL")
        if key and spec.partial < 0 and not spec.options:
            known = self._store(scope).get((spec.name, source, key))
            if known is not None and known[1].value is not None and not known[0] and not known[2]:
                return known[1]
        if TYPES[spec.name].style == "query":
            result = self._once(spec, key, source, scope)
        elif not key:
            # Only a default is found, but the file must be there. An empty key is no address, which iplsearch would say.
            self._once(spec, "*" if spec.name == "iplsearch" else key, source, scope)
            return self._once(spec, "*", source, scope) if spec.star else NOT_FOUND
        else:
            result = self._try_keys(spec, key, source, scope)
        if result.value is not None and "ret=key" in spec.options:
            return LookupResult(untaint(key), result.cacheable, result.ttl, result.partial)
        return result

    def _try_keys(self, spec: TypeSpec, key: str, source: str, scope: Scope) -> LookupResult:
        """The key itself, its partial forms, the defaults."""
        result = self._once(spec, key, source, scope)
        if spec.partial >= 0:
            if result.value is not None:
                return LookupResult(result.value, result.cacheable, result.ttl, ("", key))
            for attempt, wild, fixed in partial_keys(key, spec):
                result = self._once(spec, attempt, source, scope)
                if result.value is not None:
                    return LookupResult(result.value, result.cacheable, result.ttl, (wild, fixed))
        if result.value is None and spec.star:
            for attempt in default_keys(key, spec.star):
                result = self._once(spec, attempt, source, scope)
                if result.value is not None:
                    break
        return result

    def _once(self, spec: TypeSpec, key: str, source: str, scope: Scope) -> LookupResult:
        """One key, perhaps from the cache."""
        cache = self._store(scope)
        options: tuple[str, ...] = ()
        modes: frozenset[str] = frozenset()
        if spec.options:
            options = tuple(part for part in spec.options if part[:6] != "cache=" and part != "ret=key")
            modes = frozenset(part[6:] for part in spec.options if part[:6] == "cache=")
        where = (spec.name, str(source), str(key))
        entry = cache.get(where)
        now = scope.services.clock.monotonic() if entry is not None and entry[2] else 0.0
        if (
            entry is not None
            and not (modes and modes & {"no", "no_rd"})
            and entry[0] == options
            and not (entry[2] and entry[2] < now)
        ):
            return entry[1]
        self._check_quoting(spec, key, scope)
        present = self._present.get(spec.name)
        if present is None:
            present = self._present[spec.name] = is_available(TYPES[spec.name])
        if not present:
            text = f'lookup type "{spec.name}" is not available (not in the binary - check buildtime LOOKUP configuration)'
            raise LookupFailure(text)
        result = self._driver(spec.name).find(Request(spec.name, key, scope, self._limited(scope), source, options))
        self._debug(spec, key, source, result, scope)
        if not result.cacheable:
            for stale in [known for known in cache if known[:2] == where[:2]]:
                del cache[stale]
        elif not modes & {"no", "no_wr"}:
            self._keep(cache, where, options, result, scope)
        return result

    def _keep(self, cache: dict[Any, Entry], where: Any, options: tuple[str, ...], result: LookupResult, scope: Scope) -> None:
        if len(cache) >= MAX_CACHED:
            cache.clear()
        ends = 0.0 if result.ttl is None else scope.services.clock.monotonic() + result.ttl
        cache[where] = (options, result, ends)

    def _store(self, scope: Scope) -> dict[tuple[str, str, str], Entry]:
        session = scope.session
        if session is None:
            return self._cache
        store: dict[tuple[str, str, str], Entry] | None = session.extra.get("lookups")
        if store is None:
            store = session.extra["lookups"] = {}
        return store

    def _limited(self, scope: Scope) -> OpenFiles:
        self._files.limit = scope.services.config.main.lookup_open_max
        return self._files

    def _check_quoting(self, spec: TypeSpec, key: str, scope: Scope) -> None:
        """# Exim spec 9.9"""
        quoter = TYPES[spec.name].quoter
        if not quoter or not isinstance(key, Tainted) or key.quoter == quoter:
            return
        query = strip_servers(key)
        place = scope.local.get("config_location", "")
        where = f" ({place})" if place else ""
        delivery = scope.delivery
        as_user = place.startswith("transport ") and delivery is not None and delivery.owner is not None
        # Who delivers as a user cannot write the panic log.
        scope.log(f"tainted search query is not properly quoted{where}: {query}", panic=not as_user)

    def _debug(self, spec: TypeSpec, key: str, source: str, result: LookupResult, scope: Scope) -> None:
        writer = scope.services.log
        if writer.debugging("lookup"):
            what = "file" if TYPES[spec.name].style == "file" else "database"
            place = f"\n   in {source}" if source else ""
            writer.debug("lookup", f"{what} lookup required for {key}{place}", indent=scope.depth)
            text = "lookup failed" if result.value is None else f"lookup yielded: {result.value}"
            writer.debug("lookup", text, indent=scope.depth)

    def _driver(self, name: str) -> Driver:
        driver = self._drivers.get(name)
        if driver is None:
            row = TYPES[name]
            module, _, cls = row.module.partition(":")
            driver = getattr(import_module(module), cls)()
            assert driver is not None
            for other, twin in TYPES.items():
                if twin.module == row.module:
                    self._drivers[other] = driver
        return driver

    def tidyup(self, scope: Scope | None = None) -> None:
        """Close files and forget results: after routing, at the end of a delivery. # Exim spec 9.8"""
        self._files.close()
        self._cache.clear()
        if scope is not None and scope.session is not None:
            scope.session.extra.pop("lookups", None)

    def close(self) -> None:
        """`tidyup`, and drop database connections."""
        self.tidyup()
        for driver in set(self._drivers.values()):
            driver.close()
        self._drivers.clear()


def strip_servers(query: str) -> str:
    """A query without the obsolete `servers=...;` in front, as Exim shows it."""
    text = query.lstrip()
    if text[:7] == "servers":
        return text.partition(";")[2].lstrip()
    return query
