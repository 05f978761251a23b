"""The command of a queryprogram router: split into words first, then each expanded. Exim spec 21, 29.3."""

from __future__ import annotations

from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from angaros.model.text import is_tainted

_SPACE = " \t\n\r"


class CommandError(Exception):
    """`str()` is the text for the log."""


def split_words(text: str) -> list[str]:
    """Words; single quotes take all literally, double quotes know backslashes; expansions may have spaces inside braces."""
    words: list[str] = []
    pos = 0
    while True:
        while pos < len(text) and text[pos] in _SPACE:
            pos += 1
        if pos >= len(text):
            return words
        if text[pos] in "'\"":
            word, pos = _quoted(text, pos)
        else:
            word, pos = _bare(text, pos)
        words.append(word)


def _quoted(text: str, pos: int) -> tuple[str, int]:
    quote, pos, out = text[pos], pos + 1, []
    while pos < len(text) and text[pos] != quote:
        if quote == '"' and text[pos] == "\\" and pos + 1 < len(text):
            pos += 1
        out.append(text[pos])
        pos += 1
    return "".join(out), pos + 1


def _bare(text: str, pos: int) -> tuple[str, int]:
    start, depth = pos, 0
    while pos < len(text) and (depth > 0 or text[pos] not in _SPACE):
        if text.startswith("${", pos):
            depth += 1
            pos += 1
        elif depth and text[pos] == "{":
            depth += 1
        elif depth and text[pos] == "}":
            depth -= 1
        pos += 1
    return text[start:pos], pos


def set_up_command(text: str, scope: Scope, what: str) -> list[str]:
    """The argument vector. Raises CommandError."""
    argv: list[str] = []
    for number, word in enumerate(split_words(text)):
        try:
            value = scope.expand(word)
        except ExpansionError as error:
            raise CommandError(f'Expansion of "{word}" from command "{text}" in {what} failed: {error}') from error
        if is_tainted(value):
            raise CommandError(f"Tainted arg {number} for {what} command: '{value}'")
        argv.append(value)
    if not argv:
        raise CommandError(f"no command specified for {what}")
    return argv
