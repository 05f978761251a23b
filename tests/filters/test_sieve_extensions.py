"""Extensions that Exim has not got: at least one table row for each command, test and tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.filters.sieve.language import LANGUAGE
from tests.filters.conftest import Given, done

SHOW = 'require ["variables","fileinto","{}"]; '

CASES = [
    # variables, RFC 5229
    ('require ["variables","fileinto"]; set "a" "x"; set "B" "${A}y"; fileinto "${b}";', "in xy"),
    ('require ["variables","fileinto"]; fileinto "${unset}z${}${a b}$";', "in z${}${a b}$"),
    (
        'require ["variables","fileinto"]; if header :matches "subject" "h*o *" { fileinto "${1}-${2}-${0}"; }',
        "in ell-world-hello world",
    ),
    ('require ["variables","fileinto"]; set :upper "a" "juMBlEd lETteRS"; fileinto "${a}";', "in JUMBLED LETTERS"),
    ('require ["variables","fileinto"]; set :lower :upperfirst "a" "juMBlEd"; fileinto "${a}";', "in Jumbled"),
    ('require ["variables","fileinto"]; set :lowerfirst "a" "JuM"; fileinto "${a}";', "in juM"),
    ('require ["variables","fileinto"]; set :quotewildcard "a" "Rock*?\\\\"; fileinto "${a}";', "in Rock\\*\\?\\\\"),
    ('require ["variables","fileinto"]; set :length "a" "\u00e4bc"; fileinto "${a}";', "in 3"),
    ('require ["variables"]; set :lower :upper "a" "x";', "error: modifiers of the same precedence in line 2"),
    ('require ["variables"]; set "1a" "x";', 'error: invalid variable name "1a" in line 2'),
    ('require ["variables"]; set "a" "x"; if string :matches "${a}" "?" { discard; }', "nothing"),
    ('require ["variables","fileinto"]; set "a" ".."; fileinto "${a}";', "error: invalid folder in line 2"),
    ('require ["variables"]; redirect "${x}";', "error: unqualified recipient address in line 2"),
    ('set "a" "b";', 'error: missing previous require "variables"; in line 2'),
    # by the letter: fields of one name are compared one by one
    ('require "variables"; if header "x-twice" "second" { discard; }', "nothing"),
    ('require "variables"; if address "reply-to" "x" { discard; }', "keep"),
    # regex
    ('require ["regex","variables","fileinto"]; if header :regex "subject" "^h(el+)o" { fileinto "${1}"; }', "in ell"),
    ('require ["regex"]; if header :regex "subject" "^WORLD" { discard; }', "keep"),
    ('require ["regex","variables","fileinto"]; set :quoteregex "a" "a.b"; fileinto "${a}";', "in a\\.b"),
    (
        'require ["regex"]; if header :regex "subject" "(" { discard; }',
        'error: regular expression error in "(": missing closing parenthesis at offset 1 in line 2',
    ),
    # relational, RFC 5231
    ('require "relational"; if header :count "eq" :comparator "i;ascii-numeric" "x-twice" "2" { discard; }', "nothing"),
    ('require "relational"; if header :value "gt" :comparator "i;ascii-numeric" "x-a" "0" { discard; }', "nothing"),
    ('require "relational"; if header :value "lt" "subject" "i" { discard; }', "nothing"),
    ('require "relational"; if header :value "xx" "subject" "i" { discard; }', 'error: unknown relation "xx" in line 2'),
    ('require "relational"; if address :count "ge" :comparator "i;ascii-numeric" "to" "3" { discard; }', "keep"),
    # index, date, RFC 5260
    ('require "index"; if header :index 2 "x-twice" "second" { discard; }', "nothing"),
    ('require "index"; if header :index 1 :last "x-twice" "first" { discard; }', "keep"),
    ('require "index"; if header :index 3 "x-twice" "first" { discard; }', "keep"),
    ('require "date"; if date :originalzone "date" "hour" "10" { discard; }', "nothing"),
    ('require "date"; if date :zone "+0000" "date" "hour" "17" { discard; }', "nothing"),
    ('require "date"; if date :zone "+0000" "date" "iso8601" "2026-08-05T17:47:05+00:00" { discard; }', "nothing"),
    ('require "date"; if date :originalzone "date" "std11" "Wed, 05 Aug 2026 10:47:05 -0700" { discard; }', "nothing"),
    ('require "date"; if date :originalzone "date" "weekday" "3" { discard; }', "nothing"),
    ('require "date"; if date :zone "+0000" "date" "julian" "61257" { discard; }', "nothing"),
    ('require "date"; if date :originalzone "date" "zone" "-0700" { discard; }', "nothing"),
    ('require "date"; if date "x-a" "year" "2026" { discard; }', "keep"),
    ('require "date"; if date "date" "century" "21" { discard; }', 'error: unknown date part "century" in line 2'),
    ('require "date"; if currentdate :zone "+0000" "date" "2026-11-21" { discard; }', "nothing"),
    ('require ["date","relational"]; if currentdate :zone "+0000" :value "ge" "date" "2026-11-22" { discard; }', "keep"),
    ('require "date"; if currentdate :zone "UTC" "date" "x" { discard; }', 'error: invalid time zone "UTC" in line 2'),
    # body, RFC 5173
    ('require "body"; if body :raw :contains "e two" { discard; }', "nothing"),
    ('require "body"; if body :contains "LINE ONE" { discard; }', "nothing"),
    ('require "body"; if body :content "text" :matches "*two*" { discard; }', "nothing"),
    ('require "body"; if body :content "image/png" :contains "two" { discard; }', "keep"),
    # imap4flags, RFC 5232
    ('require "imap4flags"; setflag "\\\\Seen \\\\Flagged"; if hasflag "\\\\seen" { discard; }', "nothing"),
    ('require "imap4flags"; addflag ["a","b"]; removeflag "A"; if hasflag "a" { discard; }', "keep"),
    ('require ["imap4flags","variables","fileinto"]; setflag "v" ["x","y x"]; addflag "v" "z"; fileinto "${v}";', "in x y z"),
    (
        'require ["imap4flags","relational"];setflag "a b";if hasflag :count "ge" :comparator "i;ascii-numeric" "2" { discard; }',
        "nothing",
    ),
    # mailbox, RFC 5490
    ('require ["mailbox","fileinto"]; if mailboxexists ["INBOX","there"] { fileinto :create "new"; }', "in new"),
    ('require ["mailbox","fileinto"]; if mailboxexists ["there","gone"] { fileinto "new"; }', "keep"),
    # reject, RFC 5429
    ('require "reject"; reject "go away";', "fail: go away"),
    ('require "ereject"; ereject "go away";', "fail: go away"),
    ('require "reject"; keep; reject "go away";', "error: reject is incompatible with other actions in line 2"),
    # environment, RFC 5183; ihave, RFC 5463
    ('require "environment"; if environment "host" "myhost.test.ex" { discard; }', "nothing"),
    ('require "environment"; if environment :contains "nothing" "" { discard; }', "keep"),
    ('require "ihave"; if ihave "fileinto" { fileinto "f"; } else { discard; }', "in f"),
    ('require "ihave"; if ihave "nonsense" { nonsense :x "y" { keep; } } else { discard; }', "nothing"),
    ('require "ihave"; nonsense;', "error: unknown command or test in line 2"),
    ('require "ihave"; error "stop here";', "error: stop here in line 2"),
    ('require "ihave"; fileinto "f";', 'error: missing previous require "fileinto"; in line 2'),
]  # fmt: skip


@pytest.mark.parametrize(("script", "result"), CASES)
def test_script(script: str, result: str, given: Given) -> None:
    given.setting = {"mailbox_exists": lambda name: name == "there"}
    assert done(given.sieve(script.encode().decode("latin-1"))) == result


def test_mime_parts(given: Given) -> None:
    given.header += 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n'
    given.body = (
        "prologue\n--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
        "gr=FC=DFe\n--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nUE5HZGF0YQ==\n--b--\nepilogue\n"
    )
    for kind, key, found in (
        (":text", "gr\u00fc\u00dfe", True), (':content "image"', "PNGdata", True), (':content "text"', "PNGdata", False),
        (':content ""', "PNGdata", True), (":raw", "UE5HZGF0YQ", True), (':content "multipart"', "prologue", True),
    ):  # fmt: skip
        script = f'require "body"; if body {kind} :contains "{key}" {{ discard; }}'.encode().decode("latin-1")
        assert done(given.sieve(script)) == ("nothing" if found else "keep"), kind


def test_flags_go_with_the_delivery(given: Given) -> None:
    script = 'require ["imap4flags","fileinto"]; setflag "\\\\Seen"; fileinto "a"; fileinto :flags ["x","y"] "b"; keep :flags "";'
    assert [(item.text, item.flags) for item in given.sieve(script).items] == [("a", "\\Seen"), ("b", "x y"), ("inbox", "")]


EDITS = [
    ('addheader "X-New" "value";', ["X-New: value\n"], ""),
    ('addheader :last "X-A" "2";', ["X-A: 2\n"], ""),
    ('deleteheader "x-a";', [], "x-a"),
    ('deleteheader :index 1 "x-twice";', ["X-Twice: second\n"], "x-twice"),
    ('deleteheader :contains "x-twice" "sec";', ["X-Twice: first\n"], "x-twice"),
    ('deleteheader "received"; deleteheader "x-none";', [], ""),
]


@pytest.mark.parametrize(("script", "added", "removed"), EDITS)
def test_editheader(script: str, added: list[str], removed: str, given: Given) -> None:
    outcome = given.sieve(f'require "editheader"; {script} keep;')
    assert outcome.error == ""
    assert [(item.headers_add, item.headers_remove) for item in outcome.items] == [(added, removed)]


def test_tests_see_edited_headers(given: Given) -> None:
    script = 'require "editheader"; addheader "X-New" "v"; deleteheader "subject"; '
    script += 'if allof (header "x-new" "v", not exists "subject") { discard; }'
    assert done(given.sieve(script)) == "nothing"


def test_who_has_authenticated(given: Given) -> None:
    scope = given.scope()
    given.setting = {"scope": scope}
    script = 'require ["envelope","envelope-auth"]; if envelope "auth" "joe" { discard; }'
    assert done(given.sieve(script)) == "keep"
    assert scope.message is not None
    scope.message.session.authenticated_id = "joe"
    assert done(given.sieve(script)) == "nothing"


def test_included_scripts(given: Given, tmp_path: Path) -> None:
    (tmp_path / "one.sieve").write_text(
        'require ["fileinto","include","variables"]; global "g"; set "l" "x"; set "g" "G"; fileinto "one"; return; discard;'
    )
    (tmp_path / "loop").write_text('require "include"; include "loop";')
    given.setting = {"script_directories": {"personal": str(tmp_path)}}
    head = 'require ["include","variables","fileinto"]; '
    cases = {
        'include "one"; fileinto "after";': "in one, in after",
        'include :once "one"; include :once "one";': "in one",
        'global "g"; include "one"; fileinto "[${l}][${g}]";': "in one, in [][G]",
        'include :optional "none";': "keep",
        'include "none";': 'error: there is no personal script "none" in line 2',
        'include :global "one";': "error: there are no global scripts here in line 2",
        'include "../one";': 'error: invalid script name "../one" in line 2',
        'include "loop";': 'error: script "loop" includes itself or is nested too deeply in line 1',
    }
    for script, result in cases.items():
        assert done(given.sieve(head + script)) == result


def test_duplicate(given: Given, tmp_path: Path) -> None:
    given.setting = {"vacation_directory": str(tmp_path / "state")}
    script = 'require "duplicate"; if duplicate :seconds 60 { discard; }'
    assert done(given.sieve(script)) == "keep"
    assert done(given.sieve(script)) == "keep"  # the same message again: a later attempt
    scope = given.scope()
    given.message.id = "1bbbbb-000000000bb-0000"
    given.setting["scope"] = scope
    assert done(given.sieve(script)) == "nothing"
    assert done(given.sieve('require "duplicate"; if duplicate :handle "other" { discard; }')) == "keep"
    assert done(given.sieve('require "duplicate"; if duplicate :header "x-none" { discard; }')) == "keep"
    assert done(given.sieve('require "duplicate"; if duplicate :uniqueid "u" :last { discard; }')) == "keep"


def test_all_capabilities_are_named() -> None:
    assert LANGUAGE.capabilities[:4] == ("envelope", "fileinto", "encoded-character", "enotify")
    ours = {
        "variables", "regex", "relational", "body", "imap4flags", "date", "index", "mailbox", "duplicate", "include",
        "editheader",
        "reject", "ereject", "environment", "ihave", "vacation-seconds",
    }  # fmt: skip
    assert ours.issubset(LANGUAGE.capabilities)
