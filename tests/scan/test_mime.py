"""The MIME ACL: parts, variables, decoding, regular expressions. Exim spec 45.4, 45.5; RFC 2045, 2046, 2231."""

from __future__ import annotations

import base64
import quopri
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.model.outcome import Outcome
from angaros.scan.mime import run_mime_acl
from angaros.scan.mime_decode import BROKEN_BASE64, BROKEN_QP, decoded
from angaros.scan.mime_header import read_header
from angaros.scan.mime_parts import MAX_PARTS, Splitter
from tests.policy import PolicyWorld


def outline(text: str) -> list[str]:
    """Each part as `number type C(over) R(fc822) body`."""
    return [
        f"{part.number} {part.header.content_type or '-'}{' C' if part.coverletter else ''}{' R' if part.rfc822 else ''} "
        f"{part.decode().decode('latin-1').strip()}".rstrip()
        for part in Splitter("UTF-8").parts(text.encode("latin-1"))
        if not part.header.is_multipart
    ]


MIXED = "Content-Type: multipart/mixed; boundary=a\n\n"
PARTS: list[tuple[str, str, list[str]]] = [
    ("plain", "Subject: x\n\nhello\n", ["0 - C hello"]),
    ("two", MIXED + "pre\n--a\n\n1\n--a\nContent-Type: image/gif\n\n2\n--a--\npost\n", ["1 - C 1", "2 image/gif 2"]),
    ("not closed", MIXED + "--a\n\n1\n--a\n\n2\n", ["1 - C 1", "2 - 2"]),
    ("blanks after the delimiter", MIXED + "--a \t\n\n1\n--a--  \n", ["1 - C 1"]),
    ("no delimiter", MIXED + "nothing\n", []),
    ("no boundary", "Content-Type: multipart/mixed\n\n--a\n\n1\n", []),
    ("a longer boundary is another", MIXED + "--ab\n\nx\n--a\n\n1\n--ab\n--a--\n", ["1 - C 1\n--ab"]),
    (
        "a boundary that begins like the outer one",
        MIXED + "--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\n1\n--ab\n\n2\n--ab--\n--a\n\n3\n--a--\n",
        ["2 - C 1", "3 - 2", "4 - 3"],
    ),
    (
        "an inner multipart that is not closed",
        MIXED + "--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n1\n--a\n\n2\n--a--\n",
        ["2 - C 1", "3 - 2"],
    ),
    (
        "cover letters",
        "Content-Type: multipart/signed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=m\n\n--m\n\n1\n--m\n\n"
        "2\n--m--\n--a\nContent-Type: multipart/alternative; boundary=n\n\n--n\n\n3\n--n--\n--a--\n",
        ["2 - C 1", "3 - C 2", "5 - 3"],
    ),
    (
        "attached messages come last",
        MIXED + "--a\nContent-Type: message/rfc822\n\nContent-Type: text/in\n\nin\n--a\n\nlast\n--a--\n",
        ["1 message/rfc822 C Content-Type: text/in\n\nin", "2 - last", "0 text/in C R in"],
    ),
    (
        "encoded attached message",
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeQAAeg==\n",
        ["0 message/rfc822 C Subject: y\0\0z", "0 - C R"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), [case[1:] for case in PARTS], ids=[case[0] for case in PARTS])
def test_parts(text: str, wanted: list[str]) -> None:
    assert outline(text) == wanted


def test_limits() -> None:
    many = "--a\n\nx\n" * (MAX_PARTS + 10)
    assert len(list(Splitter("").parts((MIXED + many).encode()))) == MAX_PARTS
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(100))
    assert len(list(Splitter("").parts(deep.encode()))) < 30
    nested = "Content-Type: message/rfc822\n\n" * 100
    assert len(list(Splitter("").parts(nested.encode()))) < 30


NAMES = [
    ("Content-Type: a/b; name=one.txt", "one.txt"),
    ("Content-Type: a/b; name = sp.txt ; charset = x", "sp.txt"),
    ('Content-Type: a/b; name="a\\"b;c.txt"; x=y', 'a"b;c.txt'),
    ("Content-Type: a/b; name=one.txt; name=two.exe", "two.exe"),
    ("Content-Type: a/b; name=one.txt\nContent-Disposition: attachment; filename=two.txt", "two.txt"),
    ('Content-Type: a/b; name="=?iso-8859-1?Q?=e4b?= =?utf-8?B?Yw==?="', "\xc3\xa4bc"),
    ("Content-Type: a/b; name*=iso-8859-1'en'%e4.txt", "\xc3\xa4.txt"),
    ("Content-Disposition: attachment; filename*=utf-8''a%20b.txt", "a b.txt"),
    ("Content-Disposition: attachment; filename*0=one; filename*1=two.exe", "onetwo.exe"),
    ('Content-Disposition: attachment;\n filename*1="two.exe";\n filename*0="one"', "onetwo.exe"),
    ("Content-Disposition: attachment; filename*0*=utf-8''a%41; filename*1*=%42.e; filename*2=xe%43", "aAB.exe%43"),
    ("Content-Disposition: attachment; filename*10=k; filename*2=c; filename*0=a; filename*1=b", "abck"),
    ("Content-Disposition: attachment; filename*0*=nosuch''%e4", "\xe4"),
    ("Content-Disposition: attachment; filename*=plain", "plain"),
    ("Content-Disposition: attachment; filename", ""),
    ('Content-Disposition: attachment; filename="open', "open;"),
]


@pytest.mark.parametrize(("header", "name"), NAMES)
def test_file_names(header: str, name: str) -> None:
    assert read_header(header, "UTF-8").filename == name


def test_normalised_values() -> None:
    header = read_header(
        'Content-Type: TEXT/Plain (c;d); Charset="US-ASCII"\nContent-ID: <Ab@c>\nContent-Description: Some Text; more\n'
        "Content-Transfer-Encoding: BASE64 (comment)\nContent-Disposition: Inline",
        "UTF-8",
    )
    assert (header.content_type, header.charset, header.content_id) == ("text/plain", "US-ASCII", "<ab@c>")
    assert (header.description, header.encoding, header.disposition) == ("sometext", "base64", "inline")


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=300))
def test_any_header_can_be_read(text: str) -> None:
    read_header(f"Content-Type: {text}\nContent-Disposition: {text}", "UTF-8")


@given(st.binary(max_size=500))
def test_any_message_can_be_split(data: bytes) -> None:
    for part in Splitter("UTF-8").parts(b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" + data):
        part.decode()


DECODINGS = [
    ("base64", b"aGVsbG8=", b"hello", None),
    ("base64", b"aGV\nsbG8=\n\n", b"hello", None),
    ("base64", b"aGVsbG8=\naGVsbG8=\n", b"hellohello", None),
    ("base64", b"aGVsbG", b"hell", None),
    ("base64", b"aGVs bG8=", b"hello", BROKEN_BASE64),
    ("base64", b"aGVs\n----\nbG8=\n", b"hello", BROKEN_BASE64),
    ("base64", b"a", b"", None),
    ("quoted-printable", b"a=3D=3d=\n  b  \nc", b"a==  b\nc", None),
    ("quoted-printable", b"a=zz b= c=\n", b"a=zz b= c", BROKEN_QP),
    ("7bit", b"a=3D", b"a=3D", None),
    ("x-unknown", b"a=3D", b"a=3D", None),
]


@pytest.mark.parametrize(("encoding", "data", "wanted", "anomaly"), DECODINGS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_decoding(encoding: str, data: bytes, wanted: bytes, anomaly: tuple[int, str] | None, size: int) -> None:
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    anomalies: list[tuple[int, str]] = []
    assert b"".join(decoded(chunks, encoding, anomalies)) == wanted
    assert anomalies == ([anomaly] if anomaly else [])


@given(st.binary(max_size=2000), st.integers(1, 200))
def test_round_trips(data: bytes, size: int) -> None:
    data = data.replace(b"\r", b"")  # what is scanned has LF line ends
    for encoding, encoded in (
        ("base64", base64.encodebytes(data)),
        ("quoted-printable", quopri.encodestring(data, quotetabs=True)),
    ):
        chunks = (encoded[start : start + size] for start in range(0, len(encoded), size))
        found = b"".join(decoded(chunks, encoding, []))
        assert found == data or (encoding == "quoted-printable" and found.rstrip(b"\n") == data.rstrip(b"\n"))


ACLS = """
begin acl
mime:
  warn mime_regex = (?i)evil.*code : never
       logwrite = $mime_part_count: $regex_match_string
  warn regex = (raw) (part)
       logwrite = raw $1 $regex1 $regex2
  deny decode = DECODE
       condition = ${if eq{$mime_content_type}{application/bad}}
       logwrite = $mime_decoded_filename $mime_content_size $mime_anomaly_level $mime_anomaly_text
  accept
data:
  accept regex = ^Subject: hel+o
"""
MESSAGE = (
    "--a\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nRXZpbCBDb2Rl\n"
    "--a\n\nthis is a raw part\n"
    "--a\nContent-Type: application/bad\nContent-Transfer-Encoding: base64\n\nYW!Jj\n--a\n\nnot seen\n--a--\n"
)


def mime_world(tmp_path: Path, decode: str = "default") -> PolicyWorld:
    w = PolicyWorld(tmp_path, f"DECODE = {decode}\n{ACLS}")
    w.receive("Subject: hello\nContent-Type: multipart/mixed; boundary=a\n", MESSAGE)
    return w


def test_acl(tmp_path: Path) -> None:
    w = mime_world(tmp_path)
    assert run_mime_acl("mime", w.scope).outcome is Outcome.DENY
    directory = f"{tmp_path}/spool/scan/{w.message.id}"
    assert w.log.lines == [
        "raw  raw part",  # the multipart has all of it
        "1: (?i)evil.*code",
        "raw  raw part",
        f"{directory}/{w.message.id}-00003 1 2 Broken BASE64 encoding detected",
    ]
    assert Path(f"{directory}/{w.message.id}-00003").read_bytes() == b"abc"
    assert w.run("data").outcome is Outcome.ACCEPT


@pytest.mark.parametrize("name", ["name.txt", "$mime_part_count.x"])
def test_decode_to_a_name(tmp_path: Path, name: str) -> None:
    w = mime_world(tmp_path, name)
    run_mime_acl("mime", w.scope)
    assert (tmp_path / f"spool/scan/{w.message.id}/{name.replace('$mime_part_count', '3')}").read_bytes() == b"abc"


def test_decode_into_a_directory(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    run_mime_acl("mime", mime_world(tmp_path, f"{tmp_path}/dir").scope)
    assert len(list((tmp_path / "dir").iterdir())) == 4


@pytest.mark.parametrize("name", ["../../evil", "a/b", "..", "$mime_filename"])
def test_decode_stays_in_its_directory(tmp_path: Path, name: str) -> None:
    w = mime_world(tmp_path, name)
    run_mime_acl("mime", w.scope)
    assert sorted(path.name for path in (tmp_path / f"spool/scan/{w.message.id}").iterdir()) == [f"{w.message.id}.eml"]
    assert not (tmp_path / "spool/evil").exists() and not (tmp_path / "spool/scan/evil").exists()


SHOWN = (
    "$mime_part_count: $mime_content_type|$mime_charset|$mime_content_transfer_encoding|$mime_content_disposition|"
    "$mime_filename|$mime_content_id|$mime_content_description|$mime_boundary|"
    "$mime_is_multipart$mime_is_coverletter$mime_is_rfc822"
)


def test_variables_of_a_part(tmp_path: Path) -> None:
    w = PolicyWorld(tmp_path, f"begin acl\nmime:\n  accept logwrite = {SHOWN}\n")
    body = (
        '--a\nContent-Type: text/plain; charset="UTF-8"\n\nx\n--a\nContent-Type: image/gif; name=x.gif\n'
        "Content-Transfer-Encoding: BASE64\nContent-Disposition: Inline\nContent-ID: <i@d>\nContent-Description: A Cat\n\n"
        "R0lG\n--a\nContent-Type: message/rfc822\n\nContent-Type: text/html\n\nin\n--a--\n"
    )
    w.receive("Content-Type: multipart/mixed; boundary=a\n", body)
    assert run_mime_acl("mime", w.scope).outcome is Outcome.ACCEPT
    assert w.log.lines == [
        "0: multipart/mixed|||||||a|110",
        "1: text/plain|UTF-8|||||||010",
        "2: image/gif||base64|inline|x.gif|<i@d>|acat||000",
        "3: message/rfc822||||||||000",
        "0: text/html||||||||011",
    ]
