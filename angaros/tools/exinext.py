"""`exinext`: retry times of a domain, an address, a message (Exim spec 54.10).

The hosts of a domain come from routing an address in it (`exim -v -bt`); the records from the retry database.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from angaros.tools.hintsdb import MESSAGE_ID, stamp
from angaros.tools.program import ToolError, call_exim, finish, settings, write

Record = tuple[str, dict[str, Any]]
_HOST = re.compile(r"^\s+host (\S+)\s+\[([^\]]+)\]", re.MULTILINE)
_LITERAL_HOST = re.compile(r"^\s+host (\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What records are asked for."""

    hosts: frozenset[str] = frozenset()
    """Names of hosts, lower case."""
    addresses: frozenset[str] = frozenset()
    """IP addresses."""
    targets: frozenset[str] = frozenset()
    """Domains and mail addresses, lower case."""
    message_id: str = ""

    def fits(self, key: str) -> bool:
        """Whether a record of the retry database is about it. # Exim spec 32.3"""
        if self.message_id:
            return key.endswith(f":{self.message_id}")
        kind, name, rest = split_key(key)
        if name.lower() in self.targets or name.split(":")[0].lower() in self.targets:
            return True
        return kind == "T" and (name.strip("[]").lower() in self.hosts or address_of(rest) in self.addresses)


def split_key(key: str) -> tuple[str, str, str]:
    """`T:host:ip:port:id` in kind, name, rest; brackets may hold colons."""
    kind, _, rest = key.partition(":")
    if rest.startswith("["):
        name, _, rest = rest.partition("]")
        return kind, name + "]", rest.lstrip(":")
    name, _, rest = rest.partition(":")
    return kind, name, rest


def address_of(rest: str) -> str:
    """`[::1]:25:id`, `127.0.0.1:25`: the IP address at its start."""
    if rest.startswith("["):
        return rest[1:].partition("]")[0].lower()
    return rest.partition(":")[0].lower()


def show_key(key: str) -> str:
    """`Transport: host [ip]:port id`, `Route: domain`."""
    kind, name, rest = split_key(key)
    word = {"R": "Route", "T": "Transport", "F": "Filter"}.get(kind, kind)
    found = MESSAGE_ID.search(rest)
    tail = ""
    if found and rest.endswith(found[0]):
        rest, tail = rest[: found.start()].rstrip(":"), f" {found[0]}"
    if rest and name.startswith("["):  # a host named by its address: as it stands in the key
        rest = f" {rest}"
    elif rest:
        address = address_of(rest)
        name, rest = name.strip("[]"), f" [{address}]{rest.removeprefix('[').removeprefix(address).removeprefix(']')}"
    return f"{word}: {name}{rest}{tail}"


def show(key: str, record: dict[str, Any]) -> str:
    """A record, in five lines at most."""
    lines = [
        f"{show_key(key)} error {record.get('basic_errno', 0)}: {record.get('text', '')}",
        f"  first failed: {stamp(record.get('first_failed', 0), False)}",
        f"  last tried:   {stamp(record.get('last_try', 0), False)}",
        f"  next try at:  {stamp(record.get('next_try', 0), False)}",
    ]
    if record.get("expired"):
        lines.append("  past final cutoff time")
    return "".join(f"{line}\n" for line in lines)


def read_hosts(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names and addresses of the hosts that `-bt` shows."""
    found = _HOST.findall(text)
    names = {name.strip("[]").lower() for name, _ in found} | {name.strip("[]").lower() for name in _LITERAL_HOST.findall(text)}
    return frozenset(names), frozenset(address.lower() for _, address in found)


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _ask(argument: str, options: list[str], program: str) -> Wanted:
    if MESSAGE_ID.fullmatch(argument):
        return Wanted(message_id=argument)
    if _is_address(argument):
        bare = argument.strip("[]").lower()
        return Wanted(frozenset((bare,)), frozenset((bare,)), frozenset((bare, f"[{bare}]")))
    local, at, domain = argument.rpartition("@")
    targets = {argument.lower()}
    if at:
        targets.add(domain.lower())
    elif "." not in argument:
        default = settings(["qualify_recipient"], options, program).get("qualify_recipient", "")
        local, domain = argument, default
        targets |= {f"{argument}@{default}".lower()}
    status, text, errors = call_exim([*options, "-v", "-bt", f"{local or 'User'}@{domain}"], program)
    if status not in (0, 1, 2):
        raise ToolError(errors.strip() or f"can't route {argument}")
    hosts, addresses = read_hosts(text)
    return Wanted(hosts, addresses, frozenset(targets))


def records(spool: str) -> Iterator[Record]:
    """All of the retry database."""
    from angaros.hints.db import HintsDb, HintsError

    try:
        hints = HintsDb(f"{spool}/db")
        if not hints.exists("retry"):
            return
        for key, _, record in hints.items("retry"):
            yield key, record
    except HintsError as error:
        raise ToolError(f"can't read the retry database: {error}") from error


def report(found: Iterable[Record], wanted: Wanted, argument: str) -> str:
    """The text."""
    text = "".join(show(key, record) for key, record in found if wanted.fits(key))
    return text or f"No retry data found for {argument}\n"


def _run() -> int:
    options: list[str] = []
    rest = sys.argv[1:]
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option[:2] not in ("-C", "-D"):
            raise ToolError(f"exinext: unknown option {option}")
        options.append(option)
        if option == "-C" and rest:
            options.append(rest.pop(0))
    if not rest:
        raise ToolError("Usage: exinext [-C config] [-Dmacro=value] domain|address|message-id ...")
    spool = settings(["spool_directory"], options).get("spool_directory", "")
    found = sorted(records(spool), key=lambda record: record[0])
    for argument in rest:
        write(report(found, _ask(argument, options, ""), argument))
    return 0


def main() -> int:
    """`exinext [-C config] [-Dmacro=value] domain|address|message-id ...`"""
    return finish(_run)
