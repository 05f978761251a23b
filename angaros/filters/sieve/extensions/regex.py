"""regex: the match type `:regex`. # draft-ietf-sieve-regex-01

Expressions are PCRE2's, which contain the POSIX ones that the draft asks for, and run with match limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros import regex
from angaros.filters.sieve.tree import Extension, Tag

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run

EXTENSION = Extension(
    ("regex",), tags={"match": (Tag(":regex", "match", capability="regex", twice="match type already specified"),)}
)


def search(run: Run, pattern: str, subject: str, *, caseless: bool) -> tuple[str, ...] | None:
    """The match and its groups, or None."""
    try:
        return regex.compile(pattern, caseless=caseless).match(subject)
    except regex.RegexError as error:
        raise run.fail(f'regular expression error in "{pattern}": {error.message} at offset {error.offset}') from None
