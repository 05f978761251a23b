"""vacation and notify: who gets something, and what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.filters.sieve.extensions.enotify import parse_mailto
from tests.filters.conftest import Given, done

VACATION = 'require "vacation"; vacation {};'


def reply(given: Given, arguments: str, extra: str = "") -> Any:
    given.setting.setdefault("vacation_directory", str(given.directory / "state"))
    outcome = given.sieve(f'require ["vacation"{extra}]; vacation {arguments};')
    assert outcome.error == ""
    replies = [item.reply for item in outcome.items if item.kind == "reply"]
    return replies[0] if replies else None


def test_plain_vacation(given: Given) -> None:
    answer = reply(given, '"I am gone"')
    assert answer is not None
    assert (answer.to, answer.from_) == ("sender@b.example", "user@test.ex")
    assert answer.subject == "=?utf-8?Q?Auto=3A_hello_world?="
    assert answer.headers == (
        'MIME-Version: 1.0\nContent-Type: text/plain;\n\tcharset="utf-8"\nContent-Transfer-Encoding: quoted-printable'
    )
    assert answer.text == "I am gone"
    assert (answer.once_repeat, answer.once_keep_days) == (7 * 86400, 31)


def test_database_has_the_name_that_exim_gives_it(given: Given) -> None:
    assert Path(reply(given, '"I am gone"').oncelog).name == "86720930729C9C95823A90310ADBB861"
    arguments = ':subject "Sübject" :from "Ä <x@test.ex>" :mime "Content-Type: text/htmlrnX-B: cnn<b>"'
    assert Path(reply(given, arguments.encode().decode("latin-1")).oncelog).name == "523E341BC5D796420FA0459826E3B1D5"


def test_arguments_of_vacation(given: Given) -> None:
    answer = reply(given, ':days 3 :subject "Away" :from "Me <me@test.ex>" "caf\xc3\xa9 = x  \nsecond"')
    assert (answer.subject, answer.from_, answer.once_repeat) == ("Away", "Me <me@test.ex>", 3 * 86400)
    assert answer.text == "caf=C3=A9 =3D x =20\nsecond"
    assert reply(given, ':days 99 "x"').once_repeat == 31 * 86400
    assert reply(given, ':seconds 90 "x"', ',"vacation-seconds"').once_repeat == 90
    entity = reply(given, ':mime "Content-Type: text/html\n\n<b>"')
    assert (entity.headers, entity.text) == ("MIME-Version: 1.0\nContent-Type: text/html", "<b>")


def test_no_header_comes_in_by_an_argument(given: Given) -> None:
    answer = reply(given, ':subject "a\nBcc: x@y.z" :from "a\n <b@c.d>" "x"')
    assert "\n" not in answer.subject + answer.from_


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("To", "somebody@else.example"), ("Auto-Submitted", "auto-replied"), ("Precedence", "bulk"), ("List-Id", "<x.y>"),
        ("From", "owner-x@y.example"), ("From", "x-request@y.example"), ("From", "user@test.ex"),
    ],
)  # fmt: skip
def test_messages_that_get_no_answer(field: str, value: str, given: Given) -> None:
    kept = [line for line in given.header.splitlines(keepends=True) if not line.startswith(field)]
    given.header = "".join(kept) + f"{field}: {value}\n"
    assert reply(given, '"x"') is None


@pytest.mark.parametrize("sender", ["", "user@test.ex", "MAILER-DAEMON@b.example"])
def test_senders_that_get_no_answer(sender: str, given: Given) -> None:
    given.sender = sender
    assert reply(given, '"x"') is None


def test_addresses_make_it_ours(given: Given) -> None:
    given.header = given.header.replace("user-det@test.ex", "Alias@Test.ex")
    assert reply(given, '"x"') is None
    assert reply(given, ':addresses "alias@test.ex" "x"') is not None


def test_old_databases_go(tmp_path: Path) -> None:
    import os

    from angaros.transports.performing.small import perform_once
    from angaros.transports.plan import OncePlan

    state = tmp_path / "user" / "state"
    plan = OncePlan(str(state / ("B" * 32)), "a@b.c", 50 * 86400.0, keep_days=31)
    assert perform_once(plan, []).detail["last"] == 0.0  # the directory is made
    old, other = state / ("A" * 32), state / "precious"
    for path in (old, other):
        path.touch()
        os.utime(path, (0, 0))
    perform_once(plan, [])
    assert not old.exists() and other.exists()


def test_disabled_without_directory(given: Given) -> None:
    assert done(given.sieve(VACATION.format('"x"'))) == "error: vacation disabled in line 2"


# --- notify --------------------------------------------------------------------------------------------------------------


def notice(given: Given, arguments: str) -> list[str]:
    given.setting = {"enotify_owner": "owner@test.ex"}
    outcome = given.sieve(f'require "enotify"; notify {arguments};')
    assert outcome.error == ""
    assert outcome.implicit_keep
    return outcome.notifications


def test_notification(given: Given) -> None:
    assert notice(given, '"mailto:n@test.ex"') == [
        "From: user@test.ex\nTo: n@test.ex\nAuto-Submitted: auto-notified; owner@test.ex\nSubject: hello world\n\n\n"
    ]
    assert notice(
        given, ':from "f@test.ex" :message "(m)" :importance "1" "mailto:n@test.ex?cc=c%40x.y&body=hi%0Ayou&X-Y=z"'
    ) == [
        "From: f@test.ex\nTo: n@test.ex\ncc: c@x.y\nX-Y: z\nAuto-Submitted: auto-notified; owner@test.ex\n"
        "Subject: =?utf-8?Q?=28m=29?=\nImportance: High\n\nhi\nyou\n"
    ]


def test_no_notification_about_automatic_messages(given: Given) -> None:
    given.header += "Auto-Submitted: auto-generated\n"
    assert notice(given, '"mailto:n@test.ex"') == []


def test_uri_cannot_set_what_is_ours() -> None:
    found = parse_mailto("mailto:a@b.example?from=x&received=y&list-id=z&x-a=b%0Ac&to=d@e.example&subject=s")
    assert (found.recipients, found.headers, found.subject) == (["a@b.example", "d@e.example"], [("x-a", "b c")], "s")


@pytest.mark.parametrize(
    ("uri", "words"),
    [("foo", "Unknown URI scheme"), ("xmpp:a@b", "Unknown URI scheme"), ("mailto:a@b?foo", "Missing equal after hname"),
     ("mailto:a?to=b@c", "Syntactically invalid URI")],
)  # fmt: skip
def test_bad_uri(uri: str, words: str, given: Given) -> None:
    given.setting = {"enotify_owner": "o@x.y"}
    assert done(given.sieve(f'require "enotify"; notify "{uri}";')) == f"error: {words} in line 2"
    assert done(given.sieve(f'require "enotify"; if valid_notify_method "{uri}" {{ discard; }}')) == "keep"


def test_capability_of_method(given: Given) -> None:
    given.setting = {"enotify_owner": "o@x.y"}
    for what, value, found in (("online", "maybe", True), ("online", "yes", False), ("foo", "maybe", False)):
        script = f'require "enotify"; if notify_method_capability "mailto:a@b" "{what}" "{value}" {{ discard; }}'
        assert done(given.sieve(script)) == ("nothing" if found else "keep")


def test_enotify_is_off_without_owner(given: Given) -> None:
    assert done(given.sieve('require "enotify"; notify "mailto:a@b";')) == "error: enotify disabled in line 2"
