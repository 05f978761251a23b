"""Writing messages out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.transports.writer import CHUNKING_FORM, PLAIN, SMTP_FORM, Form, message_pieces, shaped, to_lf

MBOX = Form(check=b"From ", escape=b">From ")


def reference(data: bytes, form: Form) -> bytes:
    """Line by line, the obvious way."""
    out = b""
    for line in data.splitlines(keepends=True) if b"\r" not in data else data.replace(b"\n", b"\n\0").split(b"\0"):
        if form.check and line.startswith(form.check):
            line = form.escape + line[len(form.check) :]
        out += line
    return out.replace(b"\n", b"\r\n") if form.use_crlf else out


@pytest.mark.parametrize(
    ("data", "form", "result"),
    [
        (b"a\n.\nb\n", SMTP_FORM, b"a\r\n..\r\nb\r\n"),
        (b".a\n..b\n", SMTP_FORM, b"..a\r\n...b\r\n"),
        (b"From x\nFrom y\nfrom\n", MBOX, b">From x\n>From y\nfrom\n"),
        (b"a\n.\n", CHUNKING_FORM, b"a\r\n.\r\n"),
        (b"a\n.\n", PLAIN, b"a\n.\n"),
        (b"", SMTP_FORM, b""),
    ],
)
def test_forms(data: bytes, form: Form, result: bytes) -> None:
    assert b"".join(shaped([data], form)) == result
    assert b"".join(shaped([bytes([one]) for one in data], form)) == result


@given(st.lists(st.text(alphabet=".From \nx", max_size=12), max_size=8), st.sampled_from([MBOX, SMTP_FORM, CHUNKING_FORM]))
def test_pieces_do_not_matter(texts: list[str], form: Form) -> None:
    pieces = [text.encode() for text in texts]
    assert b"".join(shaped(pieces, form)) == reference(b"".join(pieces), form)


@given(st.lists(st.binary(max_size=6), max_size=8))
def test_to_lf(pieces: list[bytes]) -> None:
    assert b"".join(to_lf(pieces)) == b"".join(pieces).replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("wireformat", "form", "result"),
    [
        (False, PLAIN, b"H: x\n\n.b\n"),
        (False, SMTP_FORM, b"H: x\r\n\r\n..b\r\n"),
        (True, PLAIN, b"H: x\n\n.b\n"),
        (True, CHUNKING_FORM, b"H: x\r\n\r\n.b\r\n"),
        (True, SMTP_FORM, b"H: x\r\n\r\n..b\r\n"),
    ],
)
def test_message(wireformat: bool, form: Form, result: bytes) -> None:
    body = b".b\r\n" if wireformat else b".b\n"
    assert b"".join(message_pieces(b"H: x\n", [body], wireformat=wireformat, form=form)) == result
    assert b"".join(message_pieces(b"H: x\n", [body], form=PLAIN, with_body=False)) == b"H: x\n\n"
    assert b"".join(message_pieces(b"H: x\n", [b"b\n"], form=PLAIN, with_header=False)) == b"b\n"


def test_only_the_body_is_escaped_but_for_dots() -> None:
    header = b"From : x\n.y: z\n"
    body = [b"From a\n.\n"]
    assert b"".join(message_pieces(header, body, form=MBOX)) == header + b"\n>From a\n.\n"
    assert b"".join(message_pieces(header, body, form=Form(check=b".", escape=b".."))) == (b"From : x\n..y: z\n\nFrom a\n..\n")
