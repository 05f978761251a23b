"""What Exim filters set up when they really run, and what options forbid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from angaros.filters.exim import parser
from angaros.filters.exim.run import FilterSetting, run_exim_filter
from angaros.filters.outcome import FilterError, FilterOutcome
from tests.filters.conftest import Given, done

INVENTORY = next((p for p in (Path("/work/shared/inventory"), Path("../shared/inventory")) if p.exists()), None)


def run(given: Given, text: str, forbid: str = "", **setting: Any) -> FilterOutcome:
    scope = given.scope()
    main = scope.services.config.main
    main.qualify_domain = main.qualify_recipient = "test.ex"
    scope.local.update(home="/home/user", return_path=given.sender, expand_forbid=forbid)
    own = ("user@test.ex", "user-det@test.ex")
    return run_exim_filter(f"# Exim filter\n{text}\n", FilterSetting(scope, own_addresses=own, **setting))


CASES = [
    ("deliver a@b.c", "to a@b.c"),
    ("deliver a@b.c errors_to user@test.ex", "to a@b.c"),
    ("save /x 0640", "in /x"),
    ("save $home/x", "in /home/user/x"),
    ('pipe "/bin/cat $1"', "pipe /bin/cat $1"),
    ("mail to z@z.z", "reply z@z.z"),
    ("mail", "reply a@b.example"),
    ('mail to "A <a@b.c>, B <d@e.f>"', "reply a@b.c,d@e.f"),
    ("vacation", "reply a@b.example"),
    ("finish deliver a@b.c", "nothing"),
    ("if $h_x-a: is 1 then save /y else save /n endif", "in /y"),
    ('foranyaddress', "FilterError"),
    ('if foranyaddress $h_to: ($thisaddress contains "other") then deliver $thisaddress endif', "to other@Else.Example"),
    ("if personal then save /y else save /n endif", "in /n"),
    ("if personal alias user-det@test.ex then save /y else save /n endif", "in /y"),
    ("if error_message then save /y else save /n endif", "in /n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "result"), CASES)
def test_deliveries(text: str, result: str, given: Given) -> None:
    if result == "FilterError":
        with pytest.raises(FilterError):
            run(given, text)
        return
    if "alias" not in text:
        given.header = given.header.replace("user-det@", "somebody@") if "personal" in text else given.header
    assert done(run(given, text)) == result


def test_what_goes_with_a_delivery(given: Given) -> None:
    outcome = run(given, "noerror unseen deliver a@b.c errors_to user@test.ex")
    item = outcome.items[0]
    assert (item.ignore_error, item.errors_to, outcome.delivered) == (True, "user@test.ex", False)
    assert run(given, "save /x 640").items[0].mode == 0o640
    outcome = run(given, 'if $h_subject: matches "(h)(e)" then pipe "x $1" endif')
    assert outcome.items[0].numeric[:3] == ("he", "h", "e")


def test_errors_to_must_be_the_users_own(given: Given) -> None:
    with pytest.raises(FilterError, match="errors_to must point to the caller's address"):
        run(given, "deliver a@b.c errors_to else@test.ex")
    assert run(given, "deliver a@b.c errors_to else@test.ex", system=True).items[0].errors_to == "else@test.ex"


def test_fields_of_a_reply(given: Given) -> None:
    text = (
        'mail to a@b.c cc c@b.c bcc d@b.c from f@b.c reply_to r@b.c subject "s\n t" extra_headers "X: y" text "body" '
        "log /log once /once once_repeat 2d return message expand file /file"
    )
    reply = run(given, text).items[0].reply
    assert reply is not None
    assert (reply.to, reply.cc, reply.bcc, reply.from_, reply.reply_to) == ("a@b.c", "c@b.c", "d@b.c", "f@b.c", "r@b.c")
    assert (reply.subject, reply.headers, reply.text, reply.file) == ("s  t", "X: y", "body", "/file")
    assert (reply.file_expand, reply.logfile, reply.oncelog, reply.once_repeat) == (True, "/log", "/once", 172800)
    assert reply.return_message
    vacation = run(given, "vacation").items[0].reply
    assert vacation is not None
    assert (vacation.subject, vacation.file, vacation.file_expand) == ("On vacation", ".vacation.msg", True)
    assert (vacation.oncelog, vacation.logfile, vacation.once_repeat) == (".vacation", ".vacation.log", 7 * 86400)


def test_no_reply_to_a_bounce_and_a_bad_address(given: Given) -> None:
    bad = run(given, 'mail to "something x@y"').items[0]
    assert (bad.text, bad.failure, bad.ignore_error) == (
        "**bad-reply**", "filter autoreply generated syntactically invalid recipient", True,
    )  # fmt: skip
    given.sender = ""
    assert run(given, "mail to a@b.c").items == []


def test_long_list_of_recipients_is_cut_for_the_log(given: Given) -> None:
    item = run(given, f'mail to "{", ".join(["sender@test.ex"] * 40)}"').items[0]
    assert item.text == ",".join(["sender@test.ex"] * 18) + ", ..."


FORBIDDEN = [
    ("lookup", "${lookup{x}lsearch{/etc/passwd}}", "lookup expansions are not permitted"),
    ("existstest", "${if exists{/etc/passwd}{a}{b}}", "File existence tests are not permitted"),
    ("readfile", "${readfile{/etc/passwd}}", "file insertions are not permitted"),
    ("readsocket", "${readsocket{/tmp/x}{}}", "socket insertions are not permitted"),
    ("run", "${run{/bin/true}}", "running a command is not permitted"),
    ("perl", "${perl{x}}", "Perl calls are not permitted"),
    ("dlfunc", "${dlfunc{/x}{y}}", "dynamically-loaded functions are not permitted"),
]


@pytest.mark.parametrize(("what", "text", "words"), FORBIDDEN)
def test_forbidden_expansions(what: str, text: str, words: str, given: Given) -> None:
    with pytest.raises(FilterError, match=words):
        run(given, f'save "{text}"', forbid=what)


def test_logwrite(given: Given) -> None:
    written: list[tuple[str, int, str]] = []
    text = 'logfile /log 0640 logwrite "$h_subject:"'
    run(given, text, write_log=lambda *args: written.append(args))
    assert written == [("/log", 0o640, "hello world\n")]
    with pytest.raises(FilterError, match='filtering command "logwrite" is disabled'):
        run(given, text, may_log=False)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(FilterError, match=r'failed to open filter log file "/log": Permission denied \(euid=7 egid=8\)'):
        run(given, text, write_log=refuse, log_ids=(7, 8))


@pytest.mark.parametrize("word", ["fail", "freeze", "defer"])
def test_endings(word: str, given: Given) -> None:
    with pytest.raises(FilterError, match=f'filtering command "{word}" is disabled'):
        run(given, f'{word} text "why"')
    for setting in ({"system": True, "allowed": frozenset({word})}, {"allowed": frozenset({word})}):
        outcome = run(given, f'{word} text "why"', **setting)
        assert (outcome.action, outcome.text) == (word, "why")
    long = run(given, f'{word} text "${{length_2000:${{sg{{{"y" * 1500}}}{{x}}{{x}}}}}}"', allowed=frozenset({word}))
    assert long.text == "y" * 1000 + " ... (truncated)"


def test_system_filter_changes_headers(given: Given) -> None:
    outcome = run(given, 'headers add "X-New: 1\\nX-Other: 2" headers remove "Subject:X-A"', system=True)
    names = [header.name for header in given.message.headers if header.kind != "*"]
    assert outcome.headers_changed
    assert names[-2:] == ["X-New", "X-Other"] and "Subject" not in names and "X-A" not in names
    with pytest.raises(FilterError, match="header addition and removal is available only in system filters"):
        run(given, 'headers add "X: y"')


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_inventory_is_covered() -> None:
    assert INVENTORY is not None
    names = {row["name"].split(" ")[0]: row["kind"] for row in json.loads((INVENTORY / "filter_commands.json").read_text())}
    commands = {name for name, kind in names.items() if kind == "command"} - {"elif", "else", "endif"}
    assert commands == set(parser._COMMANDS)
    assert {name for name, kind in names.items() if kind == "mail-arg"} - {"return"} == set(parser.MAIL_WORDS)
    tables = "".join((Path(__file__).parent / "tables" / f"exim_{which}.txt").read_text() for which in ("user", "system"))
    assert [name for name in names if name not in tables] == []
