"""RFC 5228 and the extensions that Exim has too: table tests."""

from __future__ import annotations

import pytest

from angaros.filters.sieve.match import glob_match
from tests.filters.conftest import Given, done

CASES = [
    # actions
    ("", "keep"),
    ("keep;", "in inbox"),
    ("keep; keep;", "in inbox"),
    ("discard;", "nothing"),
    ("discard; keep;", "in inbox"),
    ('redirect "a@b.example";', "to a@b.example"),
    ('redirect "a@b.example"; redirect "a@b.example"; redirect "c@d.example";', "to a@b.example, to c@d.example"),
    ('require "copy"; redirect :copy "a@b.example";', "to a@b.example, keep"),
    ('require "fileinto"; fileinto "f";', "in f"),
    ('require ["fileinto","copy"]; fileinto :copy "f";', "in f, keep"),
    ('require "fileinto"; fileinto "f"; keep;', "in f, in inbox"),
    ('require "fileinto"; stop; fileinto "f";', "keep"),
    # if
    ("if true { discard; } else { redirect \"x@y.z\"; }", "nothing"),
    ("if false { discard; } elsif true { redirect \"x@y.z\"; } else { keep; }", "to x@y.z"),
    ("if false { discard; } elsif false { discard; } else { redirect \"x@y.z\"; }", "to x@y.z"),
    ("if allof (true, true, false) { discard; }", "keep"),
    ("if anyof (false, false, true) { discard; }", "nothing"),
    ("if not false { discard; }", "nothing"),
    # header
    ('if header "subject" "HELLO world" { discard; }', "nothing"),
    ('if header :comparator "i;octet" "subject" "HELLO world" { discard; }', "keep"),
    ('if header :contains ["x-none","subject"] ["nope","lo w"] { discard; }', "nothing"),
    ('if header :matches "subject" "h*o ?orl?" { discard; }', "nothing"),
    ('if header :matches "subject" "h?world" { discard; }', "keep"),
    ('if header "x-twice" "second" { discard; }', "keep"),  # Exim joins fields of one name
    ('if header :contains "x-twice" "second" { discard; }', "nothing"),
    ('if header "x-none" "" { discard; }', "keep"),
    # address
    ('if address "from" "a@B.example" { discard; }', "nothing"),
    ('if address :localpart "to" "other" { discard; }', "nothing"),
    ('if address :domain "to" "ELSE.example" { discard; }', "nothing"),
    ('if address :all :is "from" "A Sender <a@b.example>" { discard; }', "keep"),
    ('require "subaddress"; if address :user "to" "user" { discard; }', "nothing"),
    ('require "subaddress"; if address :detail "to" "det" { discard; }', "nothing"),
    ('require "subaddress"; if address :detail "from" "" { discard; }', "keep"),
    # envelope
    ('require "envelope"; if envelope "from" "sender@b.example" { discard; }', "nothing"),
    ('require "envelope"; if envelope "to" "user-det@test.ex" { discard; }', "nothing"),
    ('require "envelope"; if envelope :matches :localpart "to" "*-det" { discard; }', "nothing"),
    ('require ["envelope","subaddress"]; if envelope :detail "to" "det" { discard; }', "nothing"),
    # exists, size
    ('if exists ["from","subject"] { discard; }', "nothing"),
    ('if exists ["from","x-none"] { discard; }', "keep"),
    ("if size :over 1K { discard; }", "keep"),
    ("if size :under 1k { discard; }", "nothing"),
    # numbers
    ('if header :comparator "i;ascii-numeric" "x-a" "01" { discard; }', "nothing"),
    ('if header :comparator "i;ascii-numeric" "x-a" "1x" { discard; }', "nothing"),
    ('if header :comparator "i;ascii-numeric" "x-a" "x" { discard; }', "keep"),
    ('if header :comparator "i;ascii-numeric" "subject" "x" { discard; }', "nothing"),
    # strings
    ('require "fileinto"; fileinto "a\\"b\\\\c";', 'in a"b\\c'),
    ('require "fileinto"; fileinto text: # comment\na\n..b\n.\n;', "in a\n.b\n"),
    ('require ["fileinto","encoded-character"]; fileinto "x${hex: 41 42}y${unicode:20AC}";', "in xABy\xe2\x82\xac"),
    ('require ["fileinto","encoded-character"]; fileinto "${hex:4}${hex:}${hex:zz}";', "in \x04${hex:}${hex:zz}"),
    # limits
    ('if ' + 'not ' * 70 + "true { discard; }", "error: nested too deeply in line 2"),
    ("".join(f'redirect "a{n}@b.example";' for n in range(129)), "error: too many actions in line 2"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "result"), CASES)
def test_script(script: str, result: str, given: Given) -> None:
    given.setting = {"useraddress": "user", "subaddress": "det"}
    assert done(given.sieve(script)) == result


GLOBS = [
    ("", "", []), ("", "*", [""]), ("a", "", None), ("abc", "abc", []), ("abc", "ABC", []), ("abc", "a?c", ["b"]),
    ("abc", "*", ["abc"]), ("abc", "*c", ["ab"]), ("abc", "a*", ["bc"]), ("abcabc", "*c*", ["ab", "abc"]),
    ("abc", "?*?", ["a", "b", "c"]), ("a*b", r"a\*b", []), ("axb", r"a\*b", None), ("a\\", "a\\", []), ("ab", "a\\b", []),
    ("aXbXc", "*x*", ["a", "bXc"]), ("ab", "*ab*ab", None), ("aab", "*ab", ["a"]), ("abab", "*ab", ["ab"]), ("a", "a*a", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "pattern", "captures"), GLOBS)
def test_glob(value: str, pattern: str, captures: list[str] | None) -> None:
    assert glob_match(value, pattern, caseless=True) == captures


def test_hostile_pattern_takes_no_time() -> None:
    assert glob_match("a" * 100_000, "*a" * 500 + "b", caseless=True) is None


HEADERS = [
    ("=?iso-8859-1?q?abcdef?=\n\t=?iso-8859-1?q?ghi?=", "abcdefghi"),
    ("=?ISO-8859-1?Q?=31=", "=?ISO-8859-1?Q?=31="),
    ("=?iso-8859-1?b?VGhpcyBpcyBCQVNFNjQ=?=", "This is BASE64"),
    ("=?iso-8859-1?b?VGhpcyBpcyBCQVNFNjQ?=", "=?iso-8859-1?b?VGhpcyBpcyBCQVNFNjQ?="),
    ("eins\n zwei\n  drei", "eins zwei  drei"),
    ("=?iso-8859-1?q?abc\n def?=", "=?iso-8859-1?q?abc def?="),
    ("=?iso-8859-1?q?=E4?=", "ä"),
    ("=?unknown-42?q?=E4?=", "=?unknown-42?q?=E4?="),
]


@pytest.mark.parametrize(("field", "value"), HEADERS)
def test_header_value(field: str, value: str, given: Given) -> None:
    given.header = f"X-B: {field}\n"
    script = f'if header :comparator "i;octet" "x-b" "{value}" {{ discard; }}'.encode().decode("latin-1")
    assert done(given.sieve(script)) == "nothing"


def test_error_keeps_the_message(given: Given) -> None:
    outcome = given.sieve('redirect "a@b.example"; nonsense;')
    assert [(item.kind, item.text) for item in outcome.items] == [("file", "inbox")]
    assert outcome.error == "syntax error in line 2"


def test_inbox_has_another_name(given: Given) -> None:
    given.setting = {"inbox": "elsewhere"}
    assert [item.text for item in given.sieve("keep;").items] == ["elsewhere"]


def test_folder_from_a_header_stays_tainted(given: Given) -> None:
    from angaros.model.text import is_tainted

    outcome = given.sieve(
        'require ["variables","fileinto"]; if header :matches "subject" "* *" { fileinto "x/${1}"; } fileinto "plain";'
    )
    assert [(item.text, is_tainted(item.text)) for item in outcome.items] == [("x/hello", True), ("plain", False)]
