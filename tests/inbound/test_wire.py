"""Line ends of headers and bodies, as a real Exim 4.96 (with the smuggling fixes) treats them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.inbound.wire import BodyDecoder, HeaderProblem, HeaderReader
from angaros.smtp.server import Data, ServerCore


def receive(wire: bytes, cut: int | None = None) -> tuple[list[str], bytes]:
    """Header lines and body of what follows DATA."""
    core = ServerCore()
    core.begin_data()
    reader = HeaderReader()
    decoder: BodyDecoder | None = None
    body = b""
    for piece in (wire,) if cut is None else (wire[:cut], wire[cut:]):
        core.receive(piece)
        while isinstance(event := core.next_event(), Data):
            octets = event.octets
            if decoder is None:
                rest = reader.feed(octets)
                if rest is None and event.last:
                    rest = reader.end()
                if rest is None:
                    continue
                decoder = BodyDecoder(bool(reader.crlf))
                octets = rest
            body += decoder.feed(octets)
            if event.last:
                return reader.lines, body + decoder.end()
    raise AssertionError("no end")


OBSERVED = [
    (b"A: b\0c\r\nB: d\r\n\r\nb\0o\r\n.\r\n", ["A: b?c\n", "B: d\n"], b"b\0o\n"),
    (b"A b: c\r\nB: d\r\n\r\nx\r\n.\r\n", [], b"A b: c\nB: d\n\nx\n"),
    (b" cont\r\nX: y\r\n\r\nx\r\n.\r\n", [], b" cont\nX: y\n\nx\n"),
    (b"X: y\r\nnot header\r\nZ: u\r\n\r\nx\r\n.\r\n", ["X: y\n"], b"not header\nZ: u\n\nx\n"),
    (b"X : y\r\nY\t: z\r\n:a\r\n\r\n.\r\n", ["X : y\n", "Y\t: z\n", ":a\n"], b""),
    (b"\r\nbody\r\n.\r\n", [], b"body\n"),
    (b"body only\r\n.\r\n", [], b"body only\n"),
    (b".\r\n", [], b""),
    (b"X: y\r\n\r\na\n.\nb\n..c\n.d\re\r.f\r\r\n.\rg\r\n..\r\n.\r\n", ["X: y\n"], b"a . b ..c .d\ne\n.f\n\n\ng\n.\n"),
    (b"X: a\n  b\r\n  c\nY: d\re\r\nZ: f\r\n\r\nx\r\n.\r\n", ["X: a\n  b\n  c\n", "Y: d\n e\n", "Z: f\n"], b"x\n"),
    (b"X: y\n\nfoo\n.\n", ["X: y\n"], b"foo\n"),
    (b"X: y\r\n \r\n\t\r\nZ: a\r\n\r\nx\r\n.\r\n", ["X: y\n", "Z: a\n"], b"x\n"),
    (b"X: y\r\n \r\n z\r\nZ: a\r\n\r\nx\r\n.\r\n", ["X: y\n \n z\n", "Z: a\n"], b"x\n"),
    (b"X: y  \r\nZ:   \r\n\r\nx\r\n.\r\n", ["X: y  \n", "Z:   \n"], b"x\n"),
    (b"X: y\r\nZ:\r\rW: a\r\n\r\nfoo\r\n.\r\n", ["X: y\n", "Z:\n \n W: a\n"], b"foo\n"),
    (b"X: y\r\n\r\nx\ry\nz\r\n.\n.\r\n.\r\n", ["X: y\n"], b"x\ny z\n .\n"),
    (b"X: y\n\na\r\nb\rc\r\n..d\n.\r\n", ["X: y\n"], b"a\nb\nc\n.d\n"),
    (b"X: y\n\na\n..b\n\r\n.\r.\n.\n", ["X: y\n"], b"a\n.b\n\n\n.\n"),
    (b"X: y\r\n\r\nno eol\r\n\r.\r\nq\r\n.\r\n", ["X: y\n"], b"no eol\n\n.\nq\n"),
]


@pytest.mark.parametrize(("wire", "lines", "body"), OBSERVED)
def test_observed(wire: bytes, lines: list[str], body: bytes) -> None:
    for cut in (None, *range(len(wire))):
        assert receive(wire, cut) == (lines, body)


def test_limits() -> None:
    with pytest.raises(HeaderProblem, match="long"):
        HeaderReader(maxsize=100).feed(b"A: " + b"x" * 200)
    with pytest.raises(HeaderProblem, match="long"):
        HeaderReader(maxsize=100).feed(b"A: xxxxxxxxxxxxxxxxx\r\n" * 10)
    with pytest.raises(HeaderProblem, match="line"):
        HeaderReader(line_maxsize=50).feed(b"A: x\r\n" + b" xxxxxxxxxxxx\r\n" * 10)
    with pytest.raises(HeaderProblem, match="crlf"):
        HeaderReader("bdat").feed(b"To: x\nFrom: y\r\n\r\n")


def test_from_line() -> None:
    reader = HeaderReader("local")
    reader.take_from_line()
    assert reader.feed(b"From a@b Mon Jan  1 12:00:00 1999\nX: y\n\nbody") == b"body"
    assert reader.from_line == "From a@b Mon Jan  1 12:00:00 1999"
    assert reader.lines == ["X: y\n"]


@given(
    st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"A: b", b" c", b"\0", b"x"]), max_size=30).map(b"".join),
    st.integers(0, 40),
)
def test_cuts_do_not_matter(data: bytes, cut: int) -> None:
    wire = b"H: x\r\n" + data + b"\r\n.\r\n"
    whole = receive(wire)
    assert receive(wire, min(cut, len(wire))) == whole
    assert all(line.endswith("\n") and "\r" not in line for line in whole[0])
    assert b"\r" not in whole[1]
    for line in whole[0]:
        assert all(part[0] in " \t" for part in line[:-1].split("\n")[1:])


def test_the_body_does_not_depend_on_how_it_is_cut() -> None:
    for strict in (False, True):
        for octets in itertools.product(b"\r\nx", repeat=6):
            data = bytes(octets)
            whole = BodyDecoder(strict)
            expected = whole.feed(data) + whole.end()
            if strict and b"\r\r" not in data and not data.endswith(b"\r"):
                plain = data.replace(b"\r\n", b"\0").replace(b"\n", b" ").replace(b"\r", b"\n").replace(b"\0", b"\n")
                assert expected == plain, data
            for cut in range(1, 6):
                parts = BodyDecoder(strict)
                assert parts.feed(data[:cut]) + parts.feed(data[cut:]) + parts.end() == expected, (data, cut)
