"""Conditions of an Exim filter. Exim filter spec 3.21 to 3.30."""

from __future__ import annotations

import re

from angaros.filters import personal
from angaros.filters.exim.tree import Condition
from angaros.filters.outcome import FilterError, FilterOutcome, c_quoted
from angaros.mime.addresses import AddressRules, extract_address, split_addresses
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from angaros.regex import RegexError
from angaros.regex import compile as compile_regex

_NUMBER = re.compile(r"\s*([+-]?\d+)([kKmM]?)\s*\Z")


def holds(condition: Condition, scope: Scope, outcome: FilterOutcome, own: tuple[str, ...]) -> bool:
    """Whether a condition is true. Raises FilterError."""
    return _Test(scope, outcome, own).test(condition)


class _Test:
    def __init__(self, scope: Scope, outcome: FilterOutcome, own: tuple[str, ...]) -> None:
        self.scope = scope
        self.outcome = outcome
        self.own = own

    def test(self, condition: Condition) -> bool:
        name = condition.name
        if name == "and":
            return all(self.test(part) for part in condition.parts)
        if name == "or":
            return any(self.test(part) for part in condition.parts)
        if name == "not":
            return not self.test(condition.parts[0])
        message = self.scope.message
        if name == "delivered":
            return self.outcome.delivered
        if name == "error_message":
            return message is None or not message.sender_address
        if name == "first_delivery":
            return message is not None and message.first_delivery
        if name == "manually_thawed":
            return message is not None and message.manually_thawed
        if name == "personal":
            return self._personal(condition)
        if name == "foranyaddress":
            return self._for_any_address(condition)
        return self._compare(condition)

    def _expand(self, text: str) -> str:
        try:
            return self.scope.expand(text)
        except ExpansionError as error:
            raise FilterError(f"failed to expand {c_quoted(text)} in filter file: {error}") from error

    def _compare(self, condition: Condition) -> bool:
        left, right = self._expand(condition.left), self._expand(condition.right)
        name = condition.name
        if name in ("above", "below"):
            a, b = _number(left), _number(right)
            return a > b if name == "above" else a < b
        lowered = name.lower()
        if lowered == "matches":
            return self._matches(left, right, caseless=name == lowered)
        if name == lowered:
            left, right = left.lower(), right.lower()
        if lowered == "is":
            return left == right
        if lowered == "contains":
            return right in left
        return left.startswith(right) if lowered == "begins" else left.endswith(right)

    def _matches(self, subject: str, pattern: str, *, caseless: bool) -> bool:
        try:
            found = compile_regex(pattern, caseless=caseless).match(subject)
        except RegexError as error:
            text = f'error while compiling regular expression "{pattern}": {error.message} at offset {error.offset}'
            raise FilterError(text) from error
        if found is None:
            return False
        self.scope.numeric = found
        return True

    def _for_any_address(self, condition: Condition) -> bool:
        """`foranyaddress`: `$thisaddress` is each address in turn."""
        rules = AddressRules.of(self.scope.services.config.main)
        held = self.scope.local.get("thisaddress")
        try:
            for text in split_addresses(self._expand(condition.left)):
                found = extract_address(text, rules, allow_null=False)
                if not found.ok:
                    continue
                self.scope.local["thisaddress"] = found.address
                if self.test(condition.parts[0]):
                    return True
            return False
        finally:
            if held is not None:
                self.scope.local["thisaddress"] = held

    def _personal(self, condition: Condition) -> bool:
        """To the user alone, from a person, not by way of a list. Exim filter spec 3.27."""
        if not self.own:
            return False  # a system filter: there is no user
        own = set(self.own) | {self._expand(alias).lower() for alias in condition.aliases}
        headers = self.scope.message.headers if self.scope.message is not None else []
        rules = AddressRules.of(self.scope.services.config.main)
        return bool(own.intersection(personal.addresses(headers, ("to",), rules))) and personal.from_a_person(headers, own, rules)


def _number(text: str) -> int:
    found = _NUMBER.match(text)
    if found is None:
        raise FilterError(f'malformed numerical string "{text}"')
    return int(found[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[found[2].lower()]
