"""The sections of the configuration: main, acl, routers, transports, authenticators, retry, rewrite, local_scan (Exim spec 6.2).

`SectionReader` turns logical lines into values. What needs other rooms (log selectors, ACL conditions, expansion) is done by
`assembly.reader`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from angaros.config import options as kinds
from angaros.config import rules, values
from angaros.config.auth_options import AUTHENTICATORS, AuthOptions
from angaros.config.config import LIST_KINDS, AclLine, AclText, DriverInstance, NamedList, Position, RetryRule, RewriteRule
from angaros.config.driver_checks import INSTANCE_CHECKS, check_authenticators, check_brightmail, check_router_chain
from angaros.config.main_options import MainOptions
from angaros.config.options import Options
from angaros.config.router_options import ROUTERS, RouterOptions
from angaros.config.settings import Block, Expand
from angaros.config.source import WHITE, Source, config_error
from angaros.config.transport_options import TRANSPORTS, TransportOptions

MAX_NAME = 63
"""Characters in the name of an ACL or a driver instance (Exim's limit, part of file formats)."""

_SECTION = re.compile(r"begin +(.*)\Z", re.DOTALL)
_MACRO = re.compile(r"[A-Z][A-Za-z0-9_]*[ \t]*=")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_]*)[ \t]*:(.*)\Z", re.DOTALL)
_LIST = re.compile(r"(hide[ \t]+)?(domain|host|address|localpart)list(_cache)?(?:[ \t]+(.*))?\Z", re.DOTALL)
_LIST_NAME = re.compile(r"([A-Za-z0-9_]*)[ \t]*(=?)[ \t]*", re.DOTALL)

_DRIVERS: dict[str, tuple[type[Options], dict[str, Any]]] = {
    "router": (RouterOptions, ROUTERS),
    "transport": (TransportOptions, TRANSPORTS),
    "authenticator": (AuthOptions, AUTHENTICATORS),
}
_SECTIONS = ("acl", "authenticators", "local_scan", "retry", "rewrite", "routers", "transports")


class SectionReader:
    """Reads all sections of one configuration."""

    def __init__(self, source: Source, expand: Expand) -> None:
        self.source = source
        self.expand = expand
        self.main = Block(MainOptions, expand)
        self.positions: dict[str, Position] = {}
        """Where main options were set."""
        self.lists: dict[str, dict[str, NamedList]] = {kind: {} for kind in LIST_KINDS}
        self.acls: dict[str, AclText] = {}
        self.drivers: dict[str, list[DriverInstance[Any]]] = {kind: [] for kind in _DRIVERS}
        self.retry: list[RetryRule] = []
        self.rewrite: list[RewriteRule] = []
        self.local_scan: dict[str, str] = {}
        self.warnings: list[str] = []
        self.after_main: Callable[[], None] | None = None
        """Called when the main section has been read: defaults and checks of main options come before the drivers'."""

    def read(self) -> None:
        """Everything."""
        section = self._read_main()
        if self.after_main:
            self.after_main()
        seen: set[str] = set()
        while section is not None:
            name = self._known(section)
            if name in seen:
                raise self.source.error(f'"{section}" section is repeated in the configuration file')
            seen.add(name)
            section = self._read_section(name)
        check_router_chain(self.drivers["router"])
        check_brightmail(self.drivers["router"], self.main.values)
        check_authenticators(self.drivers["authenticator"])

    def _known(self, section: str) -> str:
        wanted = section.lower()
        for name in _SECTIONS:
            if wanted.rstrip("s") == name.rstrip("s"):
                return name
        raise self.source.error(f'"{section}" is not a known configuration section name')

    def _read_section(self, name: str) -> str | None:
        match name:
            case "acl":
                return self._read_acls()
            case "routers" | "transports" | "authenticators":
                return self._read_drivers(name[:-1])
            case "retry":
                return self._read_rules(self._add_retry_rule)
            case "rewrite":
                return self._read_rules(lambda line, place: self.rewrite.append(rules.parse_rewrite_rule(line, place)))
            case _:
                return self._read_local_scan()

    # --- Main ---

    def _read_main(self) -> str | None:
        while (line := self.source.next()) is not None:
            if "A" <= line[0] <= "Z":
                self.source.define_macro(line)
            elif found := _SECTION.match(line):
                return found.group(1)
            elif found := _LIST.match(line):
                self._read_named_list(found)
            elif line.startswith(("domainlist", "hostlist", "addresslist", "localpartlist")):
                raise self.source.error("unrecognized configuration line")
            else:
                self._read_main_option(line)
        return None

    def _read_main_option(self, line: str) -> None:
        try:
            row = self.main.read(line, lambda name: f'main option "{name}" unknown')
        except ValueError as error:
            raise self.source.error(str(error)) from None
        self.positions[row.name] = self.source.position

    def _read_named_list(self, found: re.Match[str]) -> None:
        hide, kind, cache, rest = found.groups()
        if rest is None:
            raise self.source.error("unrecognized configuration line")
        head = _LIST_NAME.match(rest)
        assert head is not None  # it matches the empty string
        name = head.group(1)
        if not head.group(2) or not name:
            raise self.source.error(f"missing '=' after \"{name}\"")
        if name in self.lists[kind]:
            what = "local part" if kind == "localpart" else kind
            raise self.source.error(f'duplicate name "{name}" for a named {what} list')
        try:
            text = values.read_string(rest[head.end() :], name)
        except ValueError as error:
            raise self.source.error(str(error)) from None
        self.lists[kind][name] = NamedList(name, text, kind, bool(cache), bool(hide), self.source.position)

    # --- ACLs ---

    def _read_acls(self) -> str | None:
        line = self.source.next()
        while line is not None:
            if found := _SECTION.match(line):
                return found.group(1)
            if _MACRO.match(line):
                self.source.define_macro(line)
                line = self.source.next()
                continue
            named = _NAMED.match(line)
            if not named:
                raise self.source.error("missing or malformed ACL name")
            line = self._read_acl(named.group(1))
        return None

    def _read_acl(self, name: str) -> str | None:
        """The lines of one ACL; returns the line after it."""
        self._check_name(name)
        if name in self.acls:
            raise self.source.error(f'there are two ACLs called "{name}"')
        start = self.source.position
        lines: list[AclLine] = []
        while (line := self.source.next()) is not None:
            if _SECTION.match(line) or _MACRO.match(line) or _NAMED.match(line):
                break
            lines.append(AclLine(line, self.source.position))
        self.acls[name] = AclText(name, tuple(lines), start)
        return line

    def _check_name(self, name: str) -> None:
        if len(name) > MAX_NAME:
            text = f'exim item name too long (>{MAX_NAME + 1}), unable to use "{name[:MAX_NAME]}" (truncated)'
            raise self.source.error(text)

    # --- Drivers ---

    def _read_drivers(self, kind: str) -> str | None:
        section: str | None = None
        reading: _Driver | None = None
        while (line := self.source.next()) is not None:
            if found := _SECTION.match(line):
                section = found.group(1)
                break
            if _MACRO.match(line):
                self._finish(reading)
                reading = None
                self.source.define_macro(line)
            elif named := _NAMED.match(line):
                self._finish(reading)
                reading = self._start(kind, named.group(1), named.group(2))
            elif reading is None:
                raise self.source.error(f"{kind} name missing")
            else:
                self._read_driver_option(reading, line)
        self._finish(reading)
        self._hide_in_all(kind)
        return section

    def _start(self, kind: str, name: str, rest: str) -> _Driver:
        self._check_name(name)
        if any(instance.name == name for instance in self.drivers[kind]):
            raise config_error(f'there are two {kind}s called "{name}"')
        try:
            values.no_more(rest, f"driver name {name}")
        except ValueError as error:
            raise self.source.error(str(error)) from None
        return _Driver(kind, name, Block(_DRIVERS[kind][0], self.expand), self.source.position)

    def _read_driver_option(self, reading: _Driver, line: str) -> None:
        block = reading.block

        def unknown(name: str) -> str:
            hint = "" if reading.driver else ' ("driver" must be specified before any private options)'
            return f'option "{name}" unknown{hint}'

        try:
            row = block.read(line, unknown)
            if row.kind == kinds.REWRITE:
                rules.parse_headers_rewrite(block.values[row.name])
        except ValueError as error:
            raise self.source.error(str(error)) from None
        if row.name == "driver":
            reading.driver = block.values["driver"]
            table = _DRIVERS[reading.kind][1].get(reading.driver)
            if table is None:
                text = f'{reading.kind} {reading.name}: cannot find {reading.kind} driver "{reading.driver}"'
                raise self.source.error(text)
            block.table = table

    def _finish(self, reading: _Driver | None) -> None:
        if reading is None:
            return
        if not reading.driver:
            raise config_error(f'no driver defined for {reading.kind} "{reading.name}"')
        block = reading.block
        instance = DriverInstance(reading.name, reading.driver, block.finish(), reading.position, frozenset(block.hidden))
        changes = INSTANCE_CHECKS[reading.kind](instance)
        if changes:
            options = instance.options.with_(**changes)
            instance = DriverInstance(instance.name, instance.driver, options, instance.position, instance.hidden)
        self.drivers[reading.kind].append(instance)

    def _hide_in_all(self, kind: str) -> None:
        """`hide` on an option hides it in all instances of the driver (Exim spec 6.11)."""
        instances = self.drivers[kind]
        if not any(instance.hidden for instance in instances):
            return
        generic = _DRIVERS[kind][0].OPTIONS
        for number, instance in enumerate(instances):
            hidden = frozenset(
                name for other in instances for name in other.hidden if name in generic or other.driver == instance.driver
            )
            if hidden != instance.hidden:
                instances[number] = DriverInstance(instance.name, instance.driver, instance.options, instance.position, hidden)

    # --- Rules ---

    def _read_rules(self, add: Callable[[str, Position], None]) -> str | None:
        while (line := self.source.next()) is not None:
            if found := _SECTION.match(line):
                return found.group(1)
            try:
                add(line, self.source.position)
            except ValueError as error:
                raise self.source.error(str(error)) from None
        return None

    def _add_retry_rule(self, line: str, place: Position) -> None:
        rule = rules.parse_retry_rule(line, place)
        if rule.error_text.lower() == "timeout_dns":
            self.warnings.append(rules.TIMEOUT_DNS)
        self.retry.append(rule)

    def _read_local_scan(self) -> str | None:
        """`name = value` lines, kept as text for our `local_scan_python`."""
        while (line := self.source.next()) is not None:
            if found := _SECTION.match(line):
                return found.group(1)
            name, equals, value = line.partition("=")
            name = name.strip(WHITE)
            if not equals or not name:
                raise self.source.error(f"option setting expected: {line}")
            self.local_scan[name] = value.strip(WHITE)
        return None


class _Driver:
    """A driver instance while it is read."""

    __slots__ = ("kind", "name", "block", "position", "driver")

    def __init__(self, kind: str, name: str, block: Block, position: Position) -> None:
        self.kind = kind
        self.name = name
        self.block = block
        self.position = position
        self.driver = ""
