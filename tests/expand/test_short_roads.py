"""What is taken apart when the tree is built, or answered without the general machinery, gives what that machinery gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import angaros
from angaros.expand.arithmetic import evaluate
from angaros.expand.items.extract import keyed
from angaros.expand.items.strings import text_hash
from angaros.expand.language import DIRECT
from angaros.expand.nodes import Around, Literal, Pair, Sequence_
from angaros.expand.sums import Sum, sum_node
from angaros.lists.parse import split_as_told, split_list, take_separator
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from angaros.model.text import Tainted, taint

NUMBERS = ("0", "7", "-3", "07", "0x1f", "", "99999999", "123456789012345678", "1k", " 5", "x")


@pytest.mark.parametrize(
    "text", ["$value+$item", "20*1024+$item", "$value - $item * 3", " $item+1 ", "$value*$item", "7+$item-7"]
)
@pytest.mark.parametrize("value", NUMBERS)
def test_sums(text: str, value: str, scope: Scope) -> None:
    tree = scope.services.expander.tree(f"${{eval:{text}}}")  # type: ignore[attr-defined]
    assert isinstance(tree, Sum)
    scope.local.update(value=value, item="12")
    filled = text.replace("$value", value).replace("$item", "12")
    try:
        expected = str(evaluate(filled))
    except ExpansionError as error:
        with pytest.raises(ExpansionError, match=re.escape(str(error))):
            tree.eval(scope)
    else:
        assert tree.eval(scope) == expected


@pytest.mark.parametrize(
    "text", ["$value$item", "$value/$item", "($value)", "$value*2*3", "0$value", "123456789+$value", "$value+k"]
)
def test_what_is_no_plain_sum(text: str, scope: Scope) -> None:
    assert not isinstance(scope.services.expander.tree(f"${{eval:{text}}}"), Sum)  # type: ignore[attr-defined]
    assert sum_node(Literal("1+1"), evaluate) is None


def test_the_place_of_an_error_in_a_sum(scope: Scope) -> None:
    with pytest.raises(ExpansionError) as caught:
        scope.expand("${eval:1+${eval:x$value}}")
    assert str(caught.value) == 'error in expression evaluation: expecting number or opening parenthesis (after processing "")'


@pytest.mark.parametrize("first", ["a", taint("a"), ""])
@pytest.mark.parametrize("second", ["b", taint("b")])
@pytest.mark.parametrize("form", ["<;$item;$value", "$item$value", "x$item", "$item;", "<;$item", "$item-$value-"])
def test_short_sequences_are_as_long_ones(first: str, second: str, form: str, scope: Scope) -> None:
    scope.local.update(item=first, value=second)
    tree = scope.services.expander.tree(form)  # type: ignore[attr-defined]
    assert isinstance(tree, (Around, Pair))
    short, long = tree.eval(scope), Sequence_.eval(tree, scope)
    assert (short, type(short)) == (long, type(long))
    assert getattr(short, "own_start", False) == getattr(long, "own_start", False)
    assert getattr(short, "quoter", "") == getattr(long, "quoter", "")


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:b", "a::b", ":", "::", "a:", "a: b", "<;a;b", "<; a;;b; ", "<,", "<", "<\n a\nb", "<<", "<;<,a", "\xa0",
     "\xa0a:b", "<x", "a:b::", "<, a,,b", "<, 10.0.0.1,,10.0.0.2"],
)  # fmt: skip
def test_lists_are_split_alike(text: str) -> None:
    separator, rest = take_separator(text)
    for given in (text, taint(text)):
        if isinstance(given, Tainted) and text.strip(" \n")[:1] == "<":
            continue  # outside data does not choose the separator
        expected = split_list(rest, separator or ":")
        assert split_as_told(given) == (separator or ":", expected)
        assert {type(item) for item in split_as_told(given)[1]} <= {type(given)}


@pytest.mark.parametrize(
    ("data", "key", "value"),
    [
        ("a=1 b=2 c=3", "b", "2"), ("a=1 B=2", "b", "2"), ("a=1 b=2", "B", "2"), ("a=1=2 b=3", "a", "1=2"), ("a=1", "z", None),
        ('a="1 b=5" b=2', "b", "2"), ("a = 1 b=2", "a", "1"), ("a=1 b=2", "a=1", None), ("=1 b=2", "b", "2"),
        ("b=2\tc=3", "c", "3"), ("b=2\vc=3", "b", "2"), ("a=1 b=", "b", ""), ("a=1 b= c=3", "c", None), ("b", "b", ""),
        ("\xa0=1 b=2", "b", "2"), ("x.y=1", "x.y", "1"), ("xzy=1", "x.y", None),
    ],
)  # fmt: skip
def test_extract_by_name(data: str, key: str, value: str | None) -> None:
    assert keyed(data, key) == value
    found = keyed(taint(data), key)
    assert found == value and (found is None or type(found) is Tainted)


def slow_hash(subject: str, length: int, limit: int) -> str:
    """As the manual's algorithm would be written down."""
    codes = "abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    octets = subject.encode("latin-1")
    if len(octets) <= length:
        return subject
    folded = list(octets[:length])
    for index, code in enumerate(octets[length:], length):
        turn = (code + index) & 7
        folded[index % length] ^= (code << turn | code >> (8 - turn)) & 0xFF
    return "".join(codes[code % limit] for code in folded)


@pytest.mark.parametrize("length", [1, 3, 8, 13])
@pytest.mark.parametrize("subject", ["root@mx.example.org", "x" * 100, "\xff\x00\x80" * 7, "short"])
def test_hash(subject: str, length: int) -> None:
    for limit in (26, 62):
        assert text_hash(subject, length, limit) == slow_hash(subject, length, limit)
    assert type(text_hash(taint(subject), length, 26)) is Tainted


def test_nobody_sets_the_direct_variables() -> None:
    names = "|".join(sorted(DIRECT))
    sets = re.compile(rf"""\b(?:local|state)\[["'](?:{names})["']\]\s*=|\b(?:child|update)\([^)]*\b(?:{names})=""")
    sources = Path(angaros.__file__).parent.rglob("*.py")
    assert not [path for path in sources if sets.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    "items", ["a.example : B.example", "!a.example : *", "a.example : !b.example", "*.example", "<; a.example; b"]
)
@pytest.mark.parametrize("domain", ["A.example", "b.EXAMPLE", "c.example", ""])
def test_lists_of_names(items: str, domain: str, scope: Scope) -> None:
    lists = scope.services.lists
    quick = lists.match_domain(domain, items, scope, expand=False)
    separator = ";" if items.startswith("<;") else ":"
    walked = lists.match_domain(domain, f"<{separator} ^nothing$ {separator} {items.removeprefix('<;')}", scope, expand=False)
    assert (quick.matched, quick.data, quick.key) == (walked.matched, walked.data, walked.key)
