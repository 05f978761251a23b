"""`angaros mta-sts`: look at the MTA-STS policies that are kept, ask for one, forget some."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import Services

USAGE = """usage: angaros mta-sts list             all policies that are kept
       angaros mta-sts show DOMAIN      the policy that holds for mail to DOMAIN, asked for as a delivery does
       angaros mta-sts flush [DOMAIN]   forget the policy of DOMAIN, or all
Then, if need be: -C FILE, -D MACRO=value."""


def main(arguments: list[str]) -> int:
    """0 when there is something to say, 1 when not, 64 for wrong usage."""
    from angaros.cli.context import log_on_stderr, open_context
    from angaros.cli.parse import UsageError, parse
    from angaros.model.errors import ConfigError

    words = []
    while arguments and not arguments[0].startswith("-"):
        words.append(arguments.pop(0))
    action = ACTIONS.get(words[0]) if words else None
    if action is None or len(words) - 1 not in action[1]:
        print(USAGE, file=sys.stderr)
        return 64
    try:
        context = open_context(parse("angaros mta-sts", [*arguments, "-bV"]))
    except (UsageError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 64 if isinstance(error, UsageError) else 1
    log_on_stderr(context.services)
    return action[0](context.services, words[1:])


def _line(domain: str, record: dict[str, Any], now: float) -> str:
    text = domain
    if record.get("mode"):
        ends = record["fetched"] + record["max_age"]
        text += f" mode={record['mode']} id={record['id']} mx={':'.join(record['mx'])} ends={_stamp(ends)}"
        text += " (ended)" if ends <= now else ""
    if record.get("problem"):
        text += f" problem={record['problem']} tried={_stamp(record['tried'])}: {record['detail']}"
    return text


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _list(services: Services, words: list[str]) -> int:
    from angaros.net.mta_sts_cache import DATABASE

    now = services.clock.now()
    for domain, _, record in services.hints.items(DATABASE):
        print(_line(domain, record, now))
    return 0


def _show(services: Services, words: list[str]) -> int:
    from angaros.model.scope import Scope
    from angaros.net.mta_sts import policy_lines
    from angaros.net.mta_sts_cache import find

    found = find(words[0], Scope(services))
    if found.problem:
        print(f"{found.domain}: {found.problem}: {found.detail}")
    if found.policy is None:
        print(f"{found.domain}: no policy")
        return 1
    print("\n".join([f"{found.domain}: id {found.id}", *policy_lines(found.policy)]))
    return 0


def _flush(services: Services, words: list[str]) -> int:
    from angaros.net.mta_sts_cache import DATABASE

    known = [domain for domain, _, _ in services.hints.items(DATABASE)]
    gone = [domain for domain in known if not words or domain == words[0].lower()]
    for domain in gone:
        services.hints.delete(DATABASE, domain)
        print(f"{domain}: forgotten")
    return 0 if gone else 1


ACTIONS: dict[str, tuple[Callable[[Services, list[str]], int], tuple[int, ...]]] = {
    "list": (_list, (0,)),
    "show": (_show, (1,)),
    "flush": (_flush, (0, 1)),
}
"""Name -> what it does, and with how many words."""
