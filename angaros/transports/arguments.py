"""Commands of transports: splitting into arguments, expanding each, refusing what came from outside (Exim spec 29.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.model.errors import ExpansionError, Why
from angaros.model.text import is_tainted, like, untaint
from angaros.transports.headers import TransportError

if TYPE_CHECKING:
    from angaros.model.delivery import Delivery
    from angaros.model.scope import Scope
    from angaros.transports.local import Setup

MAX_ARGUMENTS = 60
"""Exim's own limit of arguments in a command."""

_WHITE = " \t\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def split_command(text: str) -> list[str]:
    """Words of a command line: bare, in double quotes (with backslash escapes) or in single quotes (verbatim)."""
    words: list[str] = []
    plain, at, end = str(text), 0, len(text)
    while True:
        while at < end and plain[at] in _WHITE:
            at += 1
        if at >= end:
            return words
        if plain[at] == '"':
            word, at = _double_quoted(plain, at + 1)
        elif plain[at] == "'":
            close = plain.find("'", at + 1)
            close = end if close < 0 else close
            word, at = plain[at + 1 : close], close + 1
        else:
            start = at
            while at < end and plain[at] not in _WHITE:
                at += 1
            word = plain[start:at]
        words.append(like(word, text))


def _double_quoted(text: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            character, at = _escape(text, at + 1)
            out.append(character)
            continue
        out.append(text[at])
        at += 1
    return "".join(out), at + 1


def _escape(text: str, at: int) -> tuple[str, int]:
    """The character for the escape whose letter is at `at`, and where it ends."""
    letter = text[at]
    if letter in "01234567":
        end = at + 1
        while end < min(at + 3, len(text)) and text[end] in "01234567":
            end += 1
        return chr(int(text[at:end], 8) & 255), end
    if letter == "x":
        end = at + 1
        while end < min(at + 3, len(text)) and text[end] in "0123456789abcdefABCDEF":
            end += 1
        if end > at + 1:
            return chr(int(text[at + 1 : end], 16)), end
    return _ESCAPES.get(letter, letter), at + 1


def build_arguments(
    command: str,
    scope: Scope,
    deliveries: Sequence[Delivery],
    what: str,
    *,
    expand: bool = True,
    fail: bool = False,
    address_pipe: str = "",
) -> list[str]:
    """The argument vector. `what`: `NAME transport` or `NAME transport filter`, for messages; `fail`: a command that cannot be
    made bounces (it comes from a user), else it defers as the configuration's fault.

    `address_pipe`: what `$address_pipe` stands for (`force_command`)."""
    argv: list[str] = []
    for word in split_command(command):
        if word == "$pipe_addresses":  # arguments of their own: what is in them cannot become anything else
            argv += [untaint(one.address) for one in deliveries]
        elif address_pipe and word in ("$address_pipe", "${address_pipe}"):
            argv += [untaint(one) for one in split_command(address_pipe.lstrip("|").lstrip(_WHITE))]
        else:
            argv.append(_expanded(word, command, scope, what, fail) if expand else word)
    if not argv:
        raise TransportError(f"no command specified for {what}")
    if len(argv) > MAX_ARGUMENTS:
        raise TransportError(f'Too many arguments to command "{command}" in {what}', fail=fail)
    _refuse_tainted(argv, what, expand)
    return [str(word) for word in argv]


def _expanded(word: str, command: str, scope: Scope, what: str, fail: bool) -> str:
    try:
        return scope.expand(word)
    except ExpansionError as error:
        text = f'Expansion of "{word}" from command "{command}" in {what} failed: {error}'
        raise TransportError(text, Why.EXPAND_FAIL, fail=fail, panic=not fail) from None


def _refuse_tainted(argv: list[str], what: str, expand: bool) -> None:
    """The command's name never, arguments not when they are expanded (Exim spec 29.3)."""
    if is_tainted(argv[0]):
        raise TransportError(f"Tainted '{argv[0]}' (command for {what}) not permitted", panic=True)
    for number, word in enumerate(argv[1:], 1):
        if expand and is_tainted(word):
            raise TransportError(f"Tainted arg {number} for {what} command: '{word}'", fail=True)


def filter_arguments(setup: Setup) -> list[str]:
    """The `transport_filter` command; [] when it expands to nothing."""
    command = setup.instance.options.transport_filter
    argv = build_arguments(command, setup.scope, setup.deliveries, f"{setup.name} transport filter")
    return argv if argv[0] else []
