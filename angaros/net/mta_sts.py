"""MTA-STS: the TXT record, the policy's text, and which hosts it allows. RFC 8461. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NONE, TESTING, ENFORCE = "none", "testing", "enforce"
MAX_AGE = 31557600
"""Seconds; RFC 8461 3.2."""
MAX_LINES = 1000
"""Lines of a policy that are looked at: 64 KiB have room for many more than anybody has hosts."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_NAME = re.compile(r"(\*\.)?(?=[A-Za-z0-9])[A-Za-z0-9_.-]{1,253}")


class BadPolicy(Exception):
    """The policy breaks RFC 8461 3.2; `str()` says how."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain demands of those who send to it."""

    mode: str
    mx: tuple[str, ...]
    max_age: int


def record_id(texts: Iterable[str]) -> str | None:
    """The id of the record among these TXT records; None: the domain has no MTA-STS. RFC 8461 3.1"""
    records = [text for text in texts if re.match(r"v=STSv1[ \t]*;", text)]
    if len(records) != 1:
        return None
    fields = dict(part.strip().partition("=")[::2] for part in reversed(records[0].split(";")) if part.strip())
    found = fields.get("id", "").strip()
    return found if _ID.fullmatch(found) else None


def parse_policy(body: bytes) -> Policy:
    """RFC 8461 3.2. Of fields that may come once the first counts; unknown ones are passed over. Raises `BadPolicy`."""
    fields: dict[str, str] = {}
    hosts: dict[str, None] = {}
    for line in body.decode("utf-8", "replace").splitlines()[:MAX_LINES]:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            if line.strip():
                raise BadPolicy("a line without a colon")
        elif name == "mx":
            if not _NAME.fullmatch(value):
                raise BadPolicy("a wrong mx pattern")
            hosts[value.lower().rstrip(".")] = None
        else:
            fields.setdefault(name, value)
    if fields.get("version") != "STSv1":
        raise BadPolicy("not version STSv1")
    mode, age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in (NONE, TESTING, ENFORCE):
        raise BadPolicy("no known mode")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise BadPolicy("no max_age")
    if not hosts and mode != NONE:
        raise BadPolicy("no mx")
    return Policy(mode, tuple(hosts), min(int(age), MAX_AGE))


def allows(policy: Policy, host: str) -> bool:
    """Whether the policy names this mail host; `*.` stands for exactly one label. RFC 8461 4.1"""
    name = host.lower().rstrip(".")
    _, _, parent = name.partition(".")
    return any(pattern == name or (pattern.startswith("*.") and pattern[2:] == parent) for pattern in policy.mx)


def policy_lines(policy: Policy) -> list[str]:
    """The policy as lines, for TLS reports (`policy-string`). RFC 8460 4.4"""
    return ["version: STSv1", f"mode: {policy.mode}", *(f"mx: {name}" for name in policy.mx), f"max_age: {policy.max_age}"]
