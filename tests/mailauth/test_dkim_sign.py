"""Signing: which header lines, how the line is laid out, what the transport options mean, and what happens when it goes wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from angaros.config.transport_options import TRANSPORTS
from angaros.mailauth.dkim.keys import import_private_key
from angaros.mailauth.dkim.sign import Layout, Request, choose_headers, permitted, signature_line
from angaros.model.text import taint
from angaros.transports.dkim_sign import Signing, SigningDeferred, wants_signing
from angaros.transports.signed_source import SignedSource
from tests.mailauth.oracles.corpus import ed_key, rsa_key
from tests.mailauth.test_dkim_verify import judged
from tests.policy import NOW, PolicyWorld

LINES = ["From: a\r\n", "X-mine: one\r\n", "X-mine: two\r\n", "To: b\r\n"]


@pytest.mark.parametrize(
    ("names", "lines", "expected"),
    [
        ("From", LINES, ["From"]),
        ("From:From", LINES, ["From", "From"]),
        ("From:=X-Mine", LINES, ["X-mine", "X-mine", "From"]),
        ("=X-Other:From", LINES, ["From"]),
        ("+X-Mine", LINES, ["X-mine", "X-mine", "X-Mine"]),
        ("+X-Other", LINES, ["X-Other"]),
        ("X-Mine", LINES, ["X-mine"]),
        ("From:Subject:To", LINES, ["To", "From", "Subject"]),
        ("", LINES, []),
    ],
)
def test_names_to_sign(names: str, lines: list[str], expected: list[str]) -> None:
    """Exim spec 58.2, dkim_sign_headers; the orders are those that Exim 4.96 writes."""
    assert choose_headers(names, lines)[0] == expected


def test_lines_are_taken_from_the_bottom() -> None:
    assert choose_headers("X-Mine", LINES)[1] == ["X-mine: two\r\n"]
    assert choose_headers("=X-Mine", LINES)[1] == ["X-mine: two\r\n", "X-mine: one\r\n"]


def laid_out(line: str) -> str:
    return re.sub(r" ?b=[^;]*;\n\Z", " b=...", re.sub(r"\n\t(?=[A-Za-z0-9+/=]*;?\n)", "", line))


def request(**options: Any) -> Request:
    return Request("d.ex", "sel", import_private_key(RSA.pem), header_names=options.pop("names", "From"), **options)


RSA = rsa_key("sel", 1024)
ED = ed_key("ed")


def test_layout() -> None:
    """Byte for byte what Exim 4.96 makes of the same options, but for the signature."""
    names = "Date:Message-Id:Subject:From:From:Sender:Reply-To:Subject:Date:Message-ID:To:Cc:MIME-Version"
    line = signature_line(request(names=names, identity="foo@d.ex", created=1795268496, expires=1795269496), [], b"\0" * 32)
    head, _, value = line.partition(" b=")
    assert head == (
        "DKIM-Signature: v=1; a=rsa-sha256; q=dns/txt; c=relaxed/relaxed; d=d.ex; s=sel\n"
        "\t; h=Date:Message-Id:Subject:From:From:Sender:Reply-To:Subject:Date:Message-ID\n"
        "\t:To:Cc:MIME-Version; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;\n"
        "\ti=foo@d.ex; t=1795268496; x=1795269496;"
    )
    assert all(len(one) <= 78 for one in line.split("\n")) and value.endswith(";\n")


def test_a_value_longer_than_a_line_is_folded_anywhere() -> None:
    layout = Layout("X: v=1")
    layout.tag("bh", "A" * 88)
    layout.tag("t", "1")
    assert layout.text() == f"X: v=1; bh={'A' * 67}\n\t{'A' * 21}; t=1"


@pytest.mark.parametrize("canon", ["simple", "relaxed"])
@pytest.mark.parametrize("width", range(20))
def test_what_is_signed_verifies_wherever_the_folds_are(canon: str, width: int) -> None:
    from angaros.mailauth.dkim.canon import BodyHasher

    hasher = BodyHasher("sha256", canon)
    hasher.feed(b"hello\r\n")
    made = request(canon=canon, identity="x" * width + "@d.ex", names="From:To:X-Mine")
    line = signature_line(made, LINES, hasher.finish()).replace("\n", "\r\n")
    [one] = judged([line, *LINES], b"hello\r\n", {"sel._domainkey.d.ex": [RSA.record.decode()]})
    assert one.status == "pass"


def test_ed25519_goes_with_sha256_only() -> None:
    """RFC 8463 3"""
    key = import_private_key(ED.pem)
    assert permitted(Request("d", "s", key)) and not permitted(Request("d", "s", key, digest="sha512"))
    assert permitted(request(digest="sha512"))


# --- The transport's options -------------------------------------------------------------------------------------------


def options(**values: Any) -> Any:
    return TRANSPORTS["smtp"](**values)


@pytest.fixture
def world(tmp_path: Path) -> PolicyWorld:
    (tmp_path / "sel.key").write_bytes(RSA.pem)
    (tmp_path / "ed.key").write_bytes(ED.pem)
    return PolicyWorld(tmp_path, "")


def plan(world: PolicyWorld, **values: Any) -> Any:
    values.setdefault("dkim_domain", "D.ex")
    values.setdefault("dkim_selector", "sel")
    values.setdefault("dkim_private_key", f"{world.directory}/$dkim_selector.key")
    return Signing(options(**values), world.scope).plan()


def test_lists_of_domains_and_selectors(world: PolicyWorld) -> None:
    found = plan(world, dkim_domain="D.ex : e.ex : d.ex", dkim_selector="sel:ed")
    assert found.log_text() == "d.ex:sel:d.ex:ed:e.ex:sel:e.ex:ed:d.ex:sel:d.ex:ed", "each element, as Exim 4.96 does"
    assert [one.algorithm for one in found.requests[:2]] == ["rsa-sha256", "ed25519-sha256"]


@pytest.mark.parametrize(
    "values",
    [
        {"dkim_domain": "${if eq{a}{b}{x}}"},
        {"dkim_selector": ""},
        {"dkim_selector": None},
        {"dkim_private_key": ""},
        {"dkim_private_key": "0"},
        {"dkim_private_key": "false"},
        {"dkim_private_key": None},
    ],
)
def test_not_asked_for(world: PolicyWorld, values: dict[str, Any]) -> None:
    """No error even when dkim_strict is set. # Exim spec 58.2"""
    assert plan(world, dkim_strict="true", **values).requests == [] and world.log.lines == []


BAD = [
    ({"dkim_private_key": "/nonexist"}, ["unable to open file for reading: /nonexist"], ""),
    (
        {"dkim_private_key": "hello"},
        [
            "signing_init: privkey PEM-block import: error:1E08010C:DECODER routines::unsupported",
            "DKIM: signing failed: PRIVKEY",
        ],
        "privkey PEM-block import: error:1E08010C:DECODER routines::unsupported",
    ),
    ({"dkim_hash": "md5"}, ["DKIM: unrecognised hashname 'md5'"], ""),
    (
        {"dkim_selector": "$bogus"},
        ['failed to expand dkim_selector: unknown variable name "bogus"'],
        'failed to expand dkim_selector: unknown variable name "bogus"',
    ),
]


@pytest.mark.parametrize(("values", "panics", "reason"), BAD)
def test_failures(world: PolicyWorld, values: dict[str, Any], panics: list[str], reason: str) -> None:
    """The words of Exim 4.96: unsigned without dkim_strict, deferred with it."""
    assert plan(world, **values).requests == []
    assert world.log.panics == panics
    with pytest.raises(SigningDeferred) as caught:
        plan(world, dkim_strict="${if eq{$dkim_domain}{d.ex}{1}}", **values)
    assert caught.value.args[0] == reason
    assert world.log.lines[-1] == "DKIM: message could not be signed, and dkim_strict is set. Deferring message delivery."


def test_no_key_in_the_log(world: PolicyWorld) -> None:
    secret = RSA.pem.decode().replace("\n", "\n\n")[:200]
    plan(world, dkim_private_key=secret.replace("$", ""))
    assert world.log.panics and not any(secret[40:60] in line for line in world.log.lines)


def test_no_key_in_expansion_errors(world: PolicyWorld) -> None:
    secret = RSA.pem.decode()
    with pytest.raises(SigningDeferred) as caught:
        plan(world, dkim_private_key="${if eq{a}{b}{" + secret, dkim_strict="1")
    shown = " ".join([*world.log.lines, *map(str, caught.value.args)])
    assert "failed to expand dkim_private_key" in shown
    assert not any(line in shown for line in secret.splitlines()[1:-1])


def test_a_tainted_name_opens_no_file(world: PolicyWorld) -> None:
    world.scope.local["dkim_name"] = taint("sel")
    world.scope.state["value"] = taint("sel")
    assert plan(world, dkim_private_key=f"{world.directory}/$value.key").requests == []
    assert world.log.panics[0].startswith("Tainted filename '")


def test_a_domain_from_the_message_opens_no_file(world: PolicyWorld) -> None:
    """The classic dkim_domain = ${domain:$h_from:}: tainted, and so is what is made of it."""
    world.receive("From: a@sel\n")
    values = {"dkim_domain": "${domain:${address:$h_from:}}", "dkim_private_key": f"{world.directory}/$dkim_domain.key"}
    assert plan(world, **values).requests == []
    assert world.log.panics[0].startswith("Tainted filename '")
    world.log.panics.clear()
    values["dkim_private_key"] = f"${{lookup{{$dkim_domain.key}}dsearch,ret=full{{{world.directory}}}}}"
    assert plan(world, **values).log_text() == "sel:sel" and world.log.panics == []


def test_canon_and_times(world: PolicyWorld) -> None:
    [one] = plan(world, dkim_canon="odd", dkim_timestamps="600", dkim_identity="u@$dkim_domain", dkim_hash="sha512").requests
    assert world.log.lines == ["DKIM: unknown canonicalization method 'odd', defaulting to 'relaxed'."]
    assert (one.canon, one.created, one.expires, one.identity, one.digest) == (
        "relaxed", int(NOW), int(NOW) + 600, "u@d.ex", "sha512",
    )  # fmt: skip
    [one] = plan(world, dkim_timestamps="0").requests
    assert (one.created, one.expires) == (int(NOW), None)
    [one] = plan(world).requests
    assert (one.created, one.expires) == (None, None) and one.header_names.startswith("From:Sender:")


# --- The copy ----------------------------------------------------------------------------------------------------------


class Inner:
    """A copy as the transport has it."""

    def __init__(self, header: bytes, body: bytes, *, whole: bool = False) -> None:
        self._header, self._body, self._whole = header, body, whole
        self.reads = 0

    def header(self) -> bytes:
        return b"" if self._whole else self._header

    def body_size(self) -> int | None:
        return None if self._whole else len(self._body)

    def body(self) -> Iterable[bytes]:
        self.reads += 1
        data = self._header + self._body if self._whole else self._body
        return [data[at : at + 7] for at in range(0, len(data), 7)]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("body", [b"", b"one\r\n", b"one\r\n\r\ntwo\r\n"])
def test_a_signed_copy(world: PolicyWorld, whole: bool, body: bytes) -> None:
    header = "".join(LINES).encode() + b"\r\n"
    chosen = options(dkim_domain="d.ex", dkim_selector="sel", dkim_private_key=f"{world.directory}/sel.key")
    inner = Inner(header, body, whole=whole)
    source = SignedSource(inner, chosen, world.scope, whole_in_body=whole)
    assert source.body_size() == len(body)
    sent = source.header()
    assert sent.endswith(header) and sent.startswith(b"DKIM-Signature: ") and b"".join(source.body()) == body
    assert source.dkim_log == "d.ex:sel" and inner.reads == 2
    line = sent[: -len(header)].decode()
    [one] = judged([line, *LINES], body, {"sel._domainkey.d.ex": [RSA.record.decode()]})
    assert one.status == "pass"


def test_an_unsigned_filtered_copy_is_whole(world: PolicyWorld) -> None:
    inner = Inner(b"A: 1\r\n\r\n", b"x\r\n", whole=True)
    source = SignedSource(inner, options(dkim_domain="", arc_sign=None), world.scope, whole_in_body=True)
    assert source.header() + b"".join(source.body()) == b"A: 1\r\n\r\nx\r\n"


def test_when_a_transport_signs() -> None:
    assert wants_signing(options(dkim_domain="x")) and wants_signing(options(arc_sign="x"))
    assert not wants_signing(options()) and not wants_signing(options(dkim_domain="x", body_only=True))
