"""Items that are functions of strings: `hash`, `nhash`, `length`, `substr`, `tr`, `sg`, `hmac`, `listquote`, `imapfolder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import cycle
from operator import getitem
from typing import TYPE_CHECKING

from angaros.expand.limits import begin_loop, end_loop, spend
from angaros.expand.nodes import Call, Node, check_length, fail, first_skip_error, joint
from angaros.expand.parser import Parser
from angaros.model.errors import ExpansionError
from angaros.model.text import Tainted, like

if TYPE_CHECKING:
    from angaros.model.scope import Scope
    from angaros.regex import Regex

HASH_CODES = "abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""Exim's order (t before s)."""
NHASH_FACTORS = (
    113,
    109,
    107,
    103,
    101,
    97,
    89,
    83,
    79,
    73,
    71,
    67,
    61,
    59,
    53,
    47,
    43,
    41,
    37,
    31,
    29,
    23,
    19,
    17,
    13,
    11,
    7,
    5,
    3,
)
"""What each octet is multiplied with, over and over (seen with strings of octets 1)."""
MAX_NUMBER = (1 << 31) - 1

Numbered = Callable[[str, int, int], str]


# --- The four that have an operator form too ---------------------------------------------------------------------------


def text_hash(subject: str, length: int, limit: int) -> str:
    """`length` letters and digits out of the first `limit` codes; `limit` < 0: 26. # Exim spec 11.5 (hash)"""
    if limit > len(HASH_CODES):
        check_hash_count(limit)
    limit = 26 if limit < 0 else limit
    if length < 0 or len(subject) <= length:
        return subject
    if length == 0 or limit == 0:
        return ""
    octets = subject.encode("latin-1")
    size = len(octets)
    turned = bytes(map(getitem, cycle(_tables(length & 7)), octets[length:]))
    value = from_bytes(octets[:length], "little")
    if size <= length + length:
        value ^= from_bytes(turned, "little")
    else:
        for start in range(0, size - length, length):
            value ^= from_bytes(turned[start : start + length], "little")
    made = value.to_bytes(length, "little").translate(_codes(limit)).decode("ascii")
    return Tainted(made) if type(subject) is Tainted else made


from_bytes = int.from_bytes


def check_hash_count(limit: int) -> None:
    """There are no more codes than letters and digits."""
    if limit > len(HASH_CODES):
        raise fail(f'hash count "{limit}" too big')


@lru_cache(maxsize=8)
def _tables(place: int) -> list[bytes]:
    """For octets from `place` (modulo 8) on, again and again: each octet, its bits turned left as its value and place say."""
    return [bytes([_turn(code, (code + turn) & 7) for code in range(256)]) for turn in range(place, place + 8)]


def _turn(code: int, bits: int) -> int:
    return (code << bits | code >> (8 - bits)) & 0xFF


@lru_cache(maxsize=len(HASH_CODES))
def _codes(limit: int) -> bytes:
    """The character for each octet."""
    return bytes(ord(HASH_CODES[code % limit]) for code in range(256))


def number_hash(subject: str, first: int, second: int) -> str:
    """A number below `first`, or a pair `div/mod`. # Exim spec 11.5 (nhash)"""
    if first == 0 or second == 0:
        return ""
    total = sum(ord(ch) * NHASH_FACTORS[index % len(NHASH_FACTORS)] for index, ch in enumerate(subject))
    if second < 0:
        return str(total % first if first > 0 else total)
    if first > 0:
        total %= first * second
    return f"{total // second}/{total % second}"


def substring(subject: str, start: int, length: int) -> str:
    """From `start` (negative: from the end); `length` < 0: to the end, or, from the end, all before. # Exim spec 11.5 (substr)"""
    size = len(subject)
    if start < 0:
        if length < 0:
            return subject[: max(0, size + start)]
        begin = size + start
        if begin < 0:
            length += begin
            begin = 0
        return subject[begin : begin + max(0, length)]
    return subject[start:] if length < 0 else subject[start : start + length]


def leading(subject: str, length: int, _unused: int) -> str:
    """The first `length` characters. # Exim spec 11.5 (length)"""
    return subject[:length]


NUMBERED: dict[str, tuple[Numbered, bool, int]] = {
    "hash": (text_hash, True, 3),
    "nhash": (number_hash, True, 3),
    "substr": (substring, True, 3),
    "length": (leading, False, 2),
}
"""Function, whether the first number may be negative, most arguments."""


def parse_number(text: str, item: str, signed: bool) -> int:
    """A number before the string."""
    digits = text.lstrip("+") if not signed else text[1:] if text[:1] in ("-", "+") else text
    if text and not (digits.isdigit() and digits.isascii()):
        kind = "number" if signed else "positive number"
        raise fail(f'"{text}" is not a {kind} (in "{item}" expansion)')
    value = min(int(digits or "0"), MAX_NUMBER)
    return -value if text.startswith("-") else value


class NumberedItem(Node):
    """`${hash{n}{m}{text}}` and its like: one or two numbers, then the text."""

    __slots__ = ("arguments", "function", "name", "signed")

    def __init__(self, name: str, arguments: Sequence[Node]) -> None:
        super().__init__()
        self.name = name
        self.function, self.signed, _ = NUMBERED[name]
        self.arguments = arguments
        self.depends = joint(arguments)
        self.skip_error = _skip_numbers(self, arguments)

    def numbers(self, texts: Sequence[str]) -> list[int]:
        """The numbers; the second is -1 when there is none."""
        values = [parse_number(text, self.name, self.signed and not index) for index, text in enumerate(texts)]
        return values if len(values) == 2 else [*values, -1]

    def eval(self, scope: Scope) -> str:
        texts = [node.eval(scope) for node in self.arguments]
        for text in texts[:-1]:
            if type(text) is Tainted:
                raise fail(f"attempt to use tainted string '{text}' for {self.name}")
        first, second = self.numbers(texts[:-1])
        return self.function(texts[-1], first, second)


def _skip_numbers(item: NumberedItem, arguments: Sequence[Node]) -> str | None:
    for node in arguments:
        if node.skip_error is not None:
            return node.skip_error
    try:
        numbers = item.numbers([node.skip_text for node in arguments[:-1]])
        if item.name == "hash":
            check_hash_count(numbers[1])
    except ExpansionError as error:
        return str(error)
    return None


def parse_numbered(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (hash, nhash, substr, length)"""
    arguments = p.arguments(name, 2, NUMBERED[name][2])
    return p.unfinished(arguments) if p.broken else NumberedItem(name, arguments)


# --- tr, listquote -----------------------------------------------------------------------------------------------------


def do_tr(arguments: list[str], scope: Scope) -> str:
    """Characters replaced one by one; the last of a short list stands for the rest. # Exim spec 11.5 (tr)"""
    subject, old, new = arguments
    if not new or not old:
        return subject
    table = {ord(ch): new[min(index, len(new) - 1)] for index, ch in enumerate(old)}
    return like(str(subject).translate(table), subject, new)


def parse_tr(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (tr)"""
    arguments = p.arguments(name, 3, 3)
    return p.unfinished(arguments) if p.broken else Call(do_tr, arguments, pure=True)


def do_listquote(arguments: list[str], scope: Scope) -> str:
    """Separators doubled; a space for an empty string. # Exim spec 11.5 (listquote)"""
    return quote_separator(arguments[0], arguments[1])


def quote_separator(separator: str, subject: str) -> str:
    """The subject as one item of a list with this separator."""
    if not subject:
        return " "
    separator = separator[:1]
    return subject.replace(separator, separator * 2) if separator else subject


def parse_listquote(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (listquote)"""
    arguments = p.arguments(name, 2, 2)
    if p.broken:
        return p.unfinished(arguments)
    node = Call(do_listquote, arguments, pure=True)
    node.skip_text = quote_separator(arguments[0].skip_text, arguments[1].skip_text)  # Exim quotes where it skips, too
    return node


# --- hmac --------------------------------------------------------------------------------------------------------------


def do_hmac(arguments: list[str], scope: Scope) -> str:
    """# RFC 2104 # Exim spec 11.5 (hmac)"""
    import hmac

    algorithm, secret, subject = arguments
    if algorithm not in ("md5", "sha1"):
        raise fail(f'hmac algorithm "{algorithm}" is not recognised')
    return hmac.new(secret.encode("latin-1"), subject.encode("latin-1"), str(algorithm)).hexdigest()


def parse_hmac(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (hmac)"""
    arguments = p.arguments(name, 3, 3)
    return p.unfinished(arguments) if p.broken else Call(do_hmac, arguments, pure=True)


# --- imapfolder --------------------------------------------------------------------------------------------------------


def do_imapfolder(arguments: list[str], scope: Scope) -> str:
    """A folder's name as Maildir has it. # RFC 3501 5.1.3 # Exim spec 60.2"""
    folder = arguments[0]
    separator = arguments[1] if len(arguments) > 1 else "/"
    specials = arguments[2] if len(arguments) > 2 else ""
    check_separator(separator)
    charset = scope.services.config.main.headers_charset or "UTF-8"
    try:
        wide = folder.encode("latin-1").decode(charset)
    except (ValueError, LookupError):
        raise fail(
            f"imapfolder: iconv() failed to convert from {charset}: Invalid or incomplete multibyte or wide character"
        ) from None
    return like(_modified_utf7(wide, separator, specials), folder)


def _modified_utf7(wide: str, separator: str, specials: str) -> str:
    if separator in wide:  # empty parts are no folders
        wide = separator.join([part for part in wide.split(separator) if part])
    parts: list[str] = []
    coded = ""
    for ch in wide:
        plain = " " <= ch <= "~" and ch not in specials
        if plain and ch in "./" and ch != separator:
            raise fail(f"imapfolder: illegal character '{ch}'")
        if not plain:
            coded += ch
            continue
        if coded:
            parts.append(_base64_run(coded))
            coded = ""
        parts.append("." if ch == separator else "&-" if ch == "&" else ch)
    if coded:
        parts.append(_base64_run(coded))
    return "".join(parts)


def _base64_run(text: str) -> str:
    import binascii

    packed = binascii.b2a_base64(text.encode("utf-16-be"), newline=False).decode("ascii")
    return "&" + packed.rstrip("=").replace("/", ",") + "-"


def parse_imapfolder(p: Parser, name: str) -> Node:
    """# Exim spec 60.2"""
    arguments = p.arguments(name, 1, 3)
    if p.broken:
        return p.unfinished(arguments)
    node = Call(do_imapfolder, arguments)
    if len(arguments) > 1 and node.skip_error is None:
        try:
            check_separator(arguments[1].skip_text)  # Exim does so where it skips, too, whatever it would expand to
        except ExpansionError as error:
            node.skip_error = str(error)
    return node


def check_separator(separator: str) -> None:
    """One character."""
    if len(separator) != 1:
        raise fail(f'IMAP folder separator must be one character, found "{separator}"')


# --- sg ----------------------------------------------------------------------------------------------------------------


PLAIN_PATTERN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@_ ,;:=/<>%&~\"'`!\n\t")
"""Characters that stand for themselves in a regular expression."""


class Substitute(Node):
    """`${sg{subject}{pattern}{replacement}}`. # Exim spec 11.5 (sg)"""

    __slots__ = ("compiled", "pattern", "replacement", "subject")

    def __init__(self, subject: Node, pattern: Node, replacement: Node) -> None:
        super().__init__()
        self.subject = subject
        self.pattern = pattern
        self.replacement = replacement
        self.compiled: Regex | None = None
        """The pattern, once it was used, when it is constant."""
        if "$" not in replacement.skip_text and "\\" not in replacement.skip_text:
            self.depends = joint((subject, pattern, replacement))
        self.skip_error = first_skip_error((subject, pattern, replacement)) or _pattern_error(pattern.skip_text)

    def eval(self, scope: Scope) -> str:
        subject, pattern, replacement = self.subject.eval(scope), self.pattern.eval(scope), self.replacement.eval(scope)
        plain = "$" not in replacement and "\\" not in replacement
        if plain and pattern and PLAIN_PATTERN.issuperset(pattern):
            check_length(subject.count(pattern) * len(replacement))
            return like(str(subject).replace(pattern, replacement), subject, replacement)
        compiled = self.compiled or self._compile(pattern)
        if plain:
            replaced = compiled.replace_all(subject, replacement)
            if replaced is not None:
                return like(replaced, subject, replacement)
        return replace_each(compiled, subject, replacement, scope)

    def _compile(self, pattern: str) -> Regex:
        from angaros import regex

        try:
            compiled = regex.compile(pattern)
        except regex.RegexError as error:
            raise fail(str(error)) from None
        if self.pattern.depends == 0:
            self.compiled = compiled
        return compiled


def replace_each(compiled: Regex, subject: str, replacement: str, scope: Scope) -> str:
    """All matches replaced, the replacement expanded anew for each."""
    from angaros.regex import NOTEMPTY_ATSTART_ANCHORED

    saved = scope.numeric
    octets = subject.encode("latin-1")
    parts: list[str] = []
    position, options, total = 0, 0, 0
    outermost = begin_loop(scope, 0)
    try:
        while True:
            found = compiled.search(octets, position, options)
            if found is None:
                if not options:
                    break
                options = 0  # after an empty match and nothing else here: one character on
                if position >= len(octets):
                    break
                parts.append(subject[position])
                position += 1
                continue
            start, end = found[0]
            parts.append(subject[position:start])
            scope.numeric = tuple([subject[s:e] if s >= 0 else "" for s, e in found])
            text = scope.expand(replacement)
            parts.append(text)
            total += len(text)
            spend(scope, len(text), 1)
            check_length(total)
            position = end
            options = NOTEMPTY_ATSTART_ANCHORED if start == end else 0
    finally:
        if outermost:
            end_loop(scope)
        scope.numeric = saved
    parts.append(subject[position:])
    return like("".join(parts), subject, *parts)


def parse_sg(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (sg)"""
    arguments = p.arguments(name, 3, 3)
    if p.broken:
        return p.unfinished(arguments)
    return Substitute(*arguments)


def _pattern_error(pattern: str) -> str | None:
    """Exim compiles the pattern even where the item is skipped."""
    from angaros import regex

    try:
        regex.compile(pattern)
    except regex.RegexError as error:
        return str(error)
    return None
