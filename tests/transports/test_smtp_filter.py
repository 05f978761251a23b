"""`transport_filter` of the smtp transport."""

from __future__ import annotations

import io

from angaros.transports.performing.copying import filtered
from angaros.transports.plan import Copy
from angaros.transports.smtp_filter import FilteredSource


def test_output_gets_crlf_and_a_last_newline() -> None:
    assert b"".join(FilteredSource(lambda: io.BytesIO(b"a\nb")).body()) == b"a\r\nb\r\n"
    assert b"".join(FilteredSource(lambda: io.BytesIO(b"a\n")).body()) == b"a\r\n"
    assert b"".join(FilteredSource(lambda: io.BytesIO(b"")).body()) == b""


def test_output_can_be_sent_twice() -> None:
    source = FilteredSource(lambda: io.BytesIO(b"x\n"))
    assert [b"".join(source.body()) for _ in range(2)] == [b"x\r\n"] * 2


def test_filter_command_changes_the_message() -> None:
    copy = Copy(filter=["/bin/sh", "-c", "echo X: y; cat"], environment={"PATH": "/bin:/usr/bin"})
    assert b"".join(filtered([b"A: b\n", b"\nbody\n"], copy, "")) == b"X: y\nA: b\n\nbody\n"
