"""Regular expressions as Exim has them: PCRE2 over octets, through a thin binding of `libpcre2-8.so.0`.

Laws:
- Patterns and subjects are mail text (each character one octet); offsets of octets are offsets of characters.
- Every match runs under limits (ReDoS): one that exceeds them counts as no match.
- A pattern that begins with `(*UTF)` makes PCRE2 treat both as UTF-8; nothing changes here.
- What was captured from tainted text is tainted.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from angaros.model.errors import AngarosError
from angaros.model.text import Tainted

MATCH_LIMIT = 1_000_000
"""Backtracking steps of one match: about a tenth of a second at the worst."""
DEPTH_LIMIT = 20_000
"""Nested backtracking points (interpreter only)."""
HEAP_LIMIT = 8192
"""KiB that the interpreter may use."""
JIT_STACK_MAX = 1 << 20
"""Octets of stack for compiled matches."""
CACHE_SIZE = 2048
"""Compiled patterns kept; patterns with expanded parts would otherwise grow without end."""
MAX_PATTERN = 1 << 16
"""Longest pattern that PCRE2 may see, in octets."""

MAX_SUBSTITUTED = 1 << 16
"""Longest buffer that `replace_all` takes, in octets."""

_CASELESS = 0x00000008
_JIT_COMPLETE = 0x00000001
_INFO_CAPTURECOUNT = 4
_GLOBAL_LITERAL = 0x00000100 | 0x00008000


class RegexError(AngarosError):
    """A pattern that does not compile. `str()` is Exim's text."""

    def __init__(self, pattern: str, message: str, offset: int) -> None:
        super().__init__(f'regular expression error in "{pattern}": {message} at offset {offset}')
        self.pattern = pattern
        self.message = message
        self.offset = offset


class _Library:
    """The loaded library and the one match context with the limits."""

    __slots__ = (
        "at",
        "buffer",
        "code_free",
        "compile",
        "context",
        "data_free",
        "dll",
        "jit",
        "length",
        "match",
        "size",
        "substitute",
        "zero",
    )

    def __init__(self) -> None:
        # PyDLL keeps the interpreter lock: match data is shared, and a call is too short to give the lock away.
        dll = ctypes.PyDLL("libpcre2-8.so.0")
        pointer, size, word = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
        for name, result, arguments in (
            ("compile", pointer, (ctypes.c_char_p, size, word, pointer, pointer, pointer)),
            ("jit_compile", ctypes.c_int, (pointer, word)),
            (
                "substitute",
                ctypes.c_int,
                (pointer, ctypes.c_char_p, size, size, word, pointer, pointer, ctypes.c_char_p, size, pointer, pointer),
            ),
            ("match_data_create_from_pattern", pointer, (pointer, pointer)),
            ("match_data_free", None, (pointer,)),
            ("code_free", None, (pointer,)),
            ("get_ovector_pointer", pointer, (pointer,)),
            ("get_error_message", ctypes.c_int, (ctypes.c_int, ctypes.c_char_p, size)),
            ("pattern_info", ctypes.c_int, (pointer, word, pointer)),
            ("match_context_create", pointer, (pointer,)),
            ("set_match_limit", ctypes.c_int, (pointer, word)),
            ("set_depth_limit", ctypes.c_int, (pointer, word)),
            ("set_heap_limit", ctypes.c_int, (pointer, word)),
            ("jit_stack_create", pointer, (size, size, pointer)),
            ("jit_stack_assign", None, (pointer, pointer, pointer)),
        ):
            function = getattr(dll, f"pcre2_{name}_8")
            function.restype = result
            function.argtypes = arguments
        self.dll: Any = dll
        self.compile = dll.pcre2_compile_8
        self.jit = dll.pcre2_jit_compile_8
        self.match = dll.pcre2_match_8
        """Without argument types: called with ctypes values that are ready, it costs half."""
        self.size, self.zero = size(), size(0)
        """Length of the subject, for `match` (not used beyond one call), and where it starts."""
        self.substitute = dll.pcre2_substitute_8
        self.buffer = ctypes.create_string_buffer(MAX_SUBSTITUTED)
        self.length = ctypes.c_size_t()
        self.at = ctypes.byref(self.length)
        self.code_free = dll.pcre2_code_free_8
        self.data_free = dll.pcre2_match_data_free_8
        self.context = pointer(dll.pcre2_match_context_create_8(None))
        dll.pcre2_set_match_limit_8(self.context, MATCH_LIMIT)
        dll.pcre2_set_depth_limit_8(self.context, DEPTH_LIMIT)
        dll.pcre2_set_heap_limit_8(self.context, HEAP_LIMIT)
        stack = dll.pcre2_jit_stack_create_8(32 * 1024, JIT_STACK_MAX, None)
        dll.pcre2_jit_stack_assign_8(self.context, None, stack)

    def error_text(self, number: int) -> str:
        """PCRE2's words for an error number."""
        buffer = ctypes.create_string_buffer(256)
        self.dll.pcre2_get_error_message_8(number, buffer, 256)
        return buffer.value.decode("latin-1")


@lru_cache(maxsize=1)
def _library() -> _Library:
    return _Library()


class Regex:
    """A compiled pattern."""

    __slots__ = ("_call", "_code", "_context", "_data", "_ends", "_free", "_size", "_zero", "groups", "pattern")

    def __init__(self, pattern: str, caseless: bool = False) -> None:
        self._code: Any = None
        self._data: Any = None
        library = _library()
        self._free = (library.code_free, library.data_free)
        octets = pattern.encode("latin-1")
        if len(octets) > MAX_PATTERN:
            raise RegexError(pattern[:64] + "...", "regular expression is too large", MAX_PATTERN)
        number, offset = ctypes.c_int(), ctypes.c_size_t()
        code = library.compile(
            octets, len(octets), _CASELESS if caseless else 0, ctypes.byref(number), ctypes.byref(offset), None
        )
        if not code:
            raise RegexError(pattern, library.error_text(number.value), offset.value)
        self._code = ctypes.c_void_p(code)
        library.jit(code, _JIT_COMPLETE)
        self._data = ctypes.c_void_p(library.dll.pcre2_match_data_create_from_pattern_8(code, None))
        count = ctypes.c_uint32()
        library.dll.pcre2_pattern_info_8(code, _INFO_CAPTURECOUNT, ctypes.byref(count))
        self.groups = count.value
        """Number of capturing groups."""
        address = library.dll.pcre2_get_ovector_pointer_8(self._data)
        ovector = (ctypes.c_long * (2 * (self.groups + 1))).from_address(address)
        self._ends: Callable[[], list[int]] = memoryview(ovector).cast("B").cast("l").tolist
        """Start and end of the match and of each group; -1 for a group that took no part."""
        self._call = library.match
        self._size, self._zero = library.size, library.zero
        self._context = library.context
        self.pattern = pattern

    def __del__(self) -> None:
        code_free, data_free = self._free
        if self._data:
            data_free(self._data)
        if self._code:
            code_free(self._code)

    def match(self, subject: str) -> tuple[str, ...] | None:
        """`$0`, `$1`, ... of the first match, or None. Groups that took no part are ""."""
        data = subject.encode("latin-1")
        self._size.value = len(data)
        if self._call(self._code, data, self._size, self._zero, 0, self._data, self._context) < 0:
            return None
        ends = self._ends()
        if type(subject) is Tainted:
            plain = str(subject)
            return tuple([Tainted(plain[start:end]) for start, end in zip(ends[::2], ends[1::2], strict=True)])
        if len(ends) == 2:
            return (subject[ends[0] : ends[1]],)
        if len(ends) == 4:
            return subject[ends[0] : ends[1]], subject[ends[2] : ends[3]]
        return tuple([subject[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)])

    def replace_all(self, subject: str, replacement: str) -> str | None:
        """All matches replaced by text that stands for itself; None when PCRE2 cannot do it (the result is very long)."""
        data, new = subject.encode("latin-1"), replacement.encode("latin-1")
        if len(data) + (len(data) + 1) * len(new) >= MAX_SUBSTITUTED:
            return None
        library = _library()
        length = library.length
        length.value = MAX_SUBSTITUTED
        count = library.substitute(
            self._code, data, len(data), 0, _GLOBAL_LITERAL, self._data, self._context, new, len(new), library.buffer, library.at
        )
        if count < 0:
            return None
        return ctypes.string_at(library.buffer, length.value).decode("latin-1") if count else str(subject)

    def matches(self, subject: str) -> bool:
        """Whether it matches somewhere; nothing is captured."""
        data = subject.encode("latin-1")
        self._size.value = len(data)
        found: int = self._call(self._code, data, self._size, self._zero, 0, self._data, self._context)
        return found >= 0

    def search(self, subject: bytes, start: int = 0, options: int = 0) -> tuple[tuple[int, int], ...] | None:
        """Offsets of the first match at or after `start`; (-1, -1) for a group that took no part."""
        self._size.value = len(subject)
        if (
            self._call(
                self._code, subject, self._size, ctypes.c_size_t(start), ctypes.c_uint32(options), self._data, self._context
            )
            < 0
        ):
            return None
        ends = self._ends()
        return tuple(zip(ends[::2], ends[1::2], strict=True))


NOTEMPTY_ATSTART_ANCHORED = 0x00000008 | 0x80000000
"""Options for `search`: not empty at the start, and anchored; the second try after an empty match."""


@lru_cache(maxsize=CACHE_SIZE)
def compile(pattern: str, caseless: bool = False) -> Regex:
    """The compiled pattern. Raises `RegexError`. # Exim spec 8"""
    return Regex(str(pattern), caseless)


def cache_size() -> int:
    """Number of patterns in the cache (`$regex_cachesize`)."""
    return compile.cache_info().currsize
