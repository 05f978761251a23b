"""DKIM while a message arrives: by DATA and BDAT, in any pieces, with dots and odd line ends; what the DKIM ACL can do."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from angaros.inbound.wire import BodyDecoder, HeaderReader
from tests.inbound.smtp_world import World
from tests.mailauth.oracles.corpus import DOMAIN, by_us, rsa_key

KEY = rsa_key("sel", 1024)
HEADERS = [f"From: a@{DOMAIN}\r\n".encode(), b"Subject: hello\r\n  there\r\n", b"Message-ID: <1@x>\r\n", b"Date: today\r\n"]
BODY = b".dot\r\n..dots\r\n\r\n a  b \r\n\xe4\r\n\r\n\r\n"
SIGNED = by_us(random.Random(2), HEADERS, BODY, KEY, names="from:subject")

Make = Callable[..., World]
MAIN = "acl_smtp_rcpt = accept\nlog_selector = +dkim +dkim_verbose\nchunking_advertise_hosts = *\n"


def made(make: Make, main: str = "", acl: str = "") -> World:
    world = make(main=MAIN + main, acl=acl)
    world.dns.records[f"sel._domainkey.{DOMAIN}", "TXT"] = [KEY.record.decode()]
    return world


def by_data(world: World, headers: bytes, body: bytes, step: int = 0) -> list[str]:
    talk = world.greeted()
    assert talk.mail() == "250" and talk.code("DATA") == "354"
    wire = (headers + b"\r\n" + body).replace(b"\r\n.", b"\r\n..") + b".\r\n"
    out: list[str] = []
    for at in range(0, len(wire), step or len(wire)):
        out += talk.send(wire[at : at + (step or len(wire))])
    return out


def by_bdat(world: World, headers: bytes, body: bytes, step: int) -> list[str]:
    talk = world.greeted()
    assert talk.mail() == "250"
    wire = headers + b"\r\n" + body
    out: list[str] = []
    for at in range(0, len(wire), step):
        piece = wire[at : at + step]
        last = b" LAST" if at + step >= len(wire) else b""
        out += talk.send(b"BDAT %d%s\r\n" % (len(piece), last) + piece)
    return out


WHOLE = SIGNED + b"".join(HEADERS)


def verdicts(world: World) -> list[str]:
    return [line.rpartition("[")[2] for line in world.log() if " DKIM: d=" in line]


@pytest.mark.parametrize("step", [0, 1, 2, 7, 100])
def test_data(make_world: Make, step: int) -> None:
    world = made(make_world)
    assert by_data(world, WHOLE, BODY, step)[-1].startswith("250 OK")
    assert verdicts(world) == ["verification succeeded]"]
    [arrival] = [line for line in world.log() if " <= " in line]
    assert f" DKIM={DOMAIN} " in arrival


@pytest.mark.parametrize("step", [9, 64, 10_000])
@pytest.mark.parametrize("main", ["", "spool_wireformat"])
def test_bdat(make_world: Make, step: int, main: str) -> None:
    world = made(make_world, main)
    assert by_bdat(world, WHOLE, BODY, step)[-1].startswith("250 ")
    assert verdicts(world) == ["verification succeeded]"]


def test_a_changed_body(make_world: Make) -> None:
    world = made(make_world)
    by_data(world, WHOLE, BODY + b"footer\r\n", 5)
    assert verdicts(world) == ["verification failed - body hash mismatch (body probably modified in transit)]"]
    assert world.dns.asked == [] or all(kind != "TXT" for _, kind in world.dns.asked)
    assert not any(" DKIM=" in line for line in world.log())


def test_a_bare_cr_in_the_header(make_world: Make) -> None:
    world = made(make_world)
    by_data(world, WHOLE + b"X: y\r z\r\n", BODY)
    assert verdicts(world) == []


def test_disabled_by_policy(make_world: Make) -> None:
    world = made(make_world, "acl_smtp_predata = accept control = dkim_disable_verify")
    by_data(world, WHOLE, BODY)
    assert verdicts(world) == []


def test_refused(make_world: Make) -> None:
    world = made(make_world, "acl_smtp_dkim = dkim", "dkim:\n  deny message = we know $dkim_domain\n")
    assert by_data(world, WHOLE, BODY) == [f"550 we know {DOMAIN}"]
    assert any("rejected DKIM : we know" in line for line in world.log()) and world.spooled() == []


def test_deferred(make_world: Make) -> None:
    world = made(make_world, "acl_smtp_dkim = defer")
    assert by_data(world, WHOLE, BODY)[-1].startswith("451 ")


def test_discarded(make_world: Make) -> None:
    world = made(make_world, "acl_smtp_dkim = dkim", "dkim:\n  discard log_message = junk\n")
    assert by_data(world, WHOLE, BODY)[-1].startswith("250 OK")
    assert any("=> blackhole (DKIM ACL discarded recipients)" in line for line in world.log())
    assert world.spooled() == [] and world.delivered == []


def test_added_headers(make_world: Make) -> None:
    world = made(make_world, "acl_smtp_dkim = dkim\nqueue_only", "dkim:\n  accept add_header = X-Signer: $dkim_cur_signer\n")
    by_data(world, WHOLE, BODY)
    [(message, _)] = world.spooled()
    assert [header.text for header in message.headers if header.name == "X-Signer"] == [f"X-Signer: {DOMAIN}\n"]


def test_one_message_after_another(make_world: Make) -> None:
    acl = "data:\n  accept logwrite = <$dkim_verify_status> ${authresults{mx}}\n"
    world = made(make_world, "acl_smtp_data = data\nacl_smtp_dkim = accept", acl)
    talk = world.greeted()
    for headers in (WHOLE, b"".join(HEADERS), WHOLE):
        talk.mail()
        talk.code("DATA")
        talk.send((headers + b"\r\n" + BODY).replace(b"\r\n.", b"\r\n..") + b".\r\n")
    shown = [line.partition("<")[2] for line in world.log() if "Authentication-Results" in line]
    assert [text.partition(">")[0] for text in shown] == ["pass", "", "pass"]
    assert ["dkim=pass" in text for text in shown] == [True, False, True]


def test_octets_as_they_came() -> None:
    """No line end is made twice: what is in order is passed on as it is."""
    decoder = BodyDecoder(strict=True)
    for data, wire in (
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb\r\n", b""),
        (b"a\rb\r\n", b""),
        (b"ab", b""),
        (b"x\r\ny", b"x\r\ny"),
    ):
        decoder.feed(data)
        assert decoder.wire == wire
    decoder.feed(b"a\r")
    assert decoder.wire == b""
    decoder.feed(b"\nb")
    assert decoder.wire == b"\r\nb"
    loose = BodyDecoder(strict=False)
    loose.feed(b"a\r\nb\n")
    assert loose.wire == b""


@pytest.mark.parametrize(
    ("wire", "regular"),
    [(b"A: b\r\n c\r\n\r\n", True), (b"A: b\n\n", True), (b"A: b\rc\r\n\r\n", False), (b"A: b\r\nC: d\n e\r\n\r\n", False)],
)
def test_regular_headers(wire: bytes, regular: bool) -> None:
    reader = HeaderReader()
    reader.feed(wire)
    assert reader.regular is regular
