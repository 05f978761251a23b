"""The short look at a message sees what the whole reader sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.model.message import Message, Recipient
from angaros.model.text import taint
from angaros.spool import glance as room
from angaros.spool.codec import SpoolFormatError, read_header, write_header
from angaros.spool.glance import glance

ID = "1vAaab-00000000abd-0Zz9"
START = f"{ID}-H\nuser name 1000 1000\n<a@b>\n1700000000 2\n"
HEADERS = "".join(
    f"{len(text):03d}{kind} {text}"
    for kind, text in ((" ", "Subject: test\n"), ("*", "Old: deleted\n"), (" ", f"X: {'y' * 999}\n"))
)

FORMS = {
    "plain": f"{START}-received_time_usec .250000\n-helo_name x\n-frozen 1700000001\n-deliver_firsttime\nXX\n1\nx@y\n\n",
    "frozen_without_time": f"{START}-frozen\nXX\n1\nx@y\n\n",
    "untrusted": f"{START}-sender_set_untrusted\n-received_protocol local\nXX\n2\nx@y\nz1@y2\n\n",
    "tree": f"{START}YN b@c\nNN a@c\n3\na@c\nb@c\nd@c\n\n",
    "tainted_items": f"{START}--helo_name x\n--(lsearch)ident -frozen\nXX\n1\nx@y\n\n",
    "variables": f"{START}--aclm 0 8\n-frozen\n\n-aclc _x 3\nXX\n\nXX\n1\nx@y\n\n",
    "old_variables": f"{START}-acl 11 3\na\nb\nXX\n1\nx@y\n\n",
    "dsn": f"{START}XX\n2\nx@y rfc822;x 8,5#2\nx@z bounce@z 8,-1#1\n\n",
    "octets": f"{START}XX\n1\n\xe4\xf6@y\n\n",
    "oracle": f"{START}-helo_name oracle-aclm\nXX\n1\noracle@acl.example\n\n",
}


def write(directory: Path, head: str) -> bytes:
    data = (head + HEADERS).encode("latin-1")
    (directory / f"{ID}-H").write_bytes(data)
    (directory / f"{ID}-D").write_bytes(f"{ID}-D\nbody\n".encode())
    return data


@pytest.mark.parametrize("form", FORMS)
def test_sees_what_the_reader_sees(tmp_path: Path, form: str) -> None:
    message = read_header(write(tmp_path, FORMS[form]), ID)
    found = glance(str(tmp_path), ID)
    assert found.sender == message.sender_address == "a@b"
    assert found.recipients == [one.address for one in message.recipients]
    assert found.done == message.non_recipients
    assert (found.received, found.frozen, found.first_time) == (
        message.received_time,
        message.frozen,
        message.deliver_firsttime,
    )
    assert found.size == message.message_size + 1 + len("body\n")
    assert found.login == ("user name" if form == "untrusted" else "")


def test_what_the_store_writes_needs_no_other_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message(id=ID, sender_address=taint("s@x"), recipients=[Recipient("a@b"), Recipient("c@d", dsn_flags=3)])
    message.non_recipients = {"a@b", "e@f", "g@h"}
    message.frozen, message.frozen_time = True, 1_700_000_001.0
    (tmp_path / f"{ID}-H").write_bytes(write_header(message))
    monkeypatch.setattr(room, "_by_reader", None)
    found = glance(str(tmp_path), ID)
    assert (found.recipients, found.done, found.frozen) == (["a@b", "c@d"], message.non_recipients, True)


def test_a_long_file_and_a_journal(tmp_path: Path) -> None:
    recipients = [f"user{n}@dest.example" for n in range(2000)]
    write(tmp_path, f"{START}XX\n{len(recipients)}\n" + "\n".join(recipients) + "\n\n")
    (tmp_path / f"{ID}-J").write_text("user5@dest.example\nuser6@dest.exa")
    found = glance(str(tmp_path), ID)
    assert found.recipients == recipients
    assert found.done == {"user5@dest.example"}


@pytest.mark.parametrize(
    "broken", [START, f"{START}XX\n2\nx@y\n\n", f"{START}ZZ a@b\n1\nx@y\n\n", f"{START}XX\n1\nx@y\n\n014 ", "no such file\n"]
)
def test_broken_files_are_told_about(tmp_path: Path, broken: str) -> None:
    write(tmp_path, broken)
    with pytest.raises(SpoolFormatError):
        glance(str(tmp_path), ID)
