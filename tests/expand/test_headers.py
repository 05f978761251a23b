"""Header insertions, body and message variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.mime.headers import split_headers
from angaros.model.message import Recipient
from angaros.model.scope import Scope
from angaros.model.text import Tainted
from tests.expand.conftest import NOW, shown

HEADERS = (
    "From: A <a@b.c>\nTo: x@y.z\nTo: q@r.s,\n\tt@u.v\nSubject:   =?utf-8?Q?h=C3=A4llo?=\n  there  \nX-Foo: one\n"
    "X-Foo:   two  : three \nReceived: a\n\tb\nReceived: c\nX-Empty:\nReply-To:  \n"
)


@pytest.fixture
def message(scope: Scope, tmp_path: Path) -> Scope:
    """A received message."""
    received = scope.message
    assert received is not None
    received.headers.extend(split_headers(Tainted(HEADERS)))
    (tmp_path / "body").write_bytes(b"IGNORED\nbody line 1\nbody\0line 2\n")
    received.body_path = str(tmp_path / "body")
    received.body_offset = 8
    received.body_linecount = 2
    received.received_time = NOW - 5
    received.recipients.append(Recipient("x@y.z"))
    scope.services.config.main.headers_charset = "UTF-8"  # type: ignore[misc]
    return scope


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("[$h_to:]", "[x@y.z,\nq@r.s,\n\tt@u.v]"),
        ("[$rh_to:]", "[ x@y.z\n q@r.s,\n\tt@u.v\n]"),
        ("[$lh_to:]", "[ x@y.z: q@r.s,\n\tt@u.v]"),
        ("[$h_subject:]", "[h\xc3\xa4llo\n  there]"),
        ("[$rheader_subject:]", "[   =?utf-8?Q?h=C3=A4llo?=\n  there  \n]"),
        ("[$bh_subject:]", "[h\xc3\xa4llo\n  there]"),
        ("[$header_x-foo:]", "[one\ntwo  : three]"),
        ("[$lheader_X-Foo:]", "[ one:   two  :: three ]"),
        ("[$bheader_x-empty:]", "[]"),
        ("${if def:h_x-empty:{y}{n}}${if def:h_nope:{y}{n}}", "yn"),
        ("[$h_none:]", "[]"),
        ("$received_count", "2"),
        ("$reply_address", "A <a@b.c>"),
        ("$message_body|$message_body_end", "body line 1 body line 2 |body line 1 body line 2 "),
        ("$message_age $recipients_count $received_for", "5 1 x@y.z"),
        ("[$recipients]", "[]"),
        ("$h_from", "A <a@b.c>"),
        ("${if match{$h_to:}{q@}{y}{n}}", "y"),
    ],
)
def test_header(text: str, result: str, message: Scope) -> None:
    assert shown(text, message) == result


def test_recipients_in_acls_after_data(message: Scope) -> None:
    message.where = "data"
    assert message.expand("$recipients $recipients_list") == "x@y.z x@y.z"


def test_all_headers(message: Scope) -> None:
    assert message.expand("$message_headers").startswith("From: A <a@b.c>\nTo: x@y.z\n")
    assert message.expand("$message_headers_raw") == HEADERS


def test_deleted_headers_are_not_seen(message: Scope) -> None:
    assert message.message is not None
    message.message.headers[0].kind = "*"
    assert message.expand("[$h_from:]") == "[]"


def test_message_body_newlines(message: Scope) -> None:
    message.services.config.main.message_body_newlines = True  # type: ignore[misc]
    assert message.expand("$message_body") == "body line 1\nbody line 2\n"


def test_charset_of_a_filter(scope: Scope) -> None:
    from angaros.model.message import Header

    assert scope.message is not None
    scope.message.headers.append(Header("X-Charset: =?iso-8859-1?q?=F6?=\n"))
    scope.local["headers_charset"] = "UTF-8"  # `headers charset` of an Exim filter
    assert scope.expand("$h_x-charset:") == "\xc3\xb6"
