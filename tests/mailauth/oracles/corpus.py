"""Synthetic messages signed by three programs, and the ways to spoil them. Everything follows from one seed, but for the keys."""

from __future__ import annotations

import base64
import functools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from angaros.mailauth.dkim.canon import BodyHasher
from angaros.mailauth.dkim.keys import import_private_key
from angaros.mailauth.dkim.sign import Request, signature_line

NOW = 1_795_242_037
DOMAIN = "sender.example"


@dataclass
class Mail:
    """A message and the DNS around it."""

    headers: list[bytes]
    """The signature first."""
    body: bytes
    records: dict[str, bytes]
    name: str
    how: str = ""

    @property
    def octets(self) -> bytes:
        return b"".join(self.headers) + b"\r\n" + self.body


@dataclass
class Key:
    selector: str
    pem: bytes
    record: bytes
    kind: str = "rsa"


def rsa_key(selector: str, bits: int) -> Key:
    key = rsa.generate_private_key(65537, bits)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(selector, pem, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public))


def ed_key(selector: str) -> Key:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Key(selector, pem, b"v=DKIM1; k=ed25519; p=" + base64.b64encode(public), "ed25519")


# --- Messages ----------------------------------------------------------------------------------------------------------

WORDS = ["alpha", "beta", "", "gamma", "delta\t", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]


def _text(r: random.Random, words: int) -> str:
    return " ".join(r.choice(WORDS) for _ in range(words))


def _headers(r: random.Random) -> list[bytes]:
    lines = [
        f"From: {_text(r, 2)} <a{r.randrange(99)}@{DOMAIN}>\r\n",
        f"To: b@rcpt.example,\r\n  c{r.randrange(9)}@rcpt.example\r\n",
        f"Subject:{' ' * r.randrange(3)}{_text(r, r.randrange(1, 9))}\r\n\t{_text(r, 3)}\r\n",
        "Date: Sat, 21 Nov 2026 06:20:37 +0000\r\n",
        f"Message-ID: <{r.getrandbits(60):x}@{DOMAIN}>\r\n",
        f"X-Note: {_text(r, 2)}   \r\n",
    ]
    if r.random() < 0.3:
        lines.append("X-Note: again\r\n")
    return [line.encode() for line in lines]


def _body(r: random.Random) -> bytes:
    lines = []
    for _ in range(r.randrange(0, 12)):
        lines.append(r.choice(["", " ", "\t", _text(r, 6), _text(r, 3) + "  ", "A" * r.randrange(70), ".dot", "\xe4\xf6"]))
    return "".join(line + "\r\n" for line in lines).encode("latin-1")


# --- Signers -----------------------------------------------------------------------------------------------------------

SIGNED = ("from", "to", "subject", "date", "message-id", "x-note")
Signer = Callable[[random.Random, list[bytes], bytes, Key], bytes]


def by_us(r: random.Random, headers: list[bytes], body: bytes, key: Key, *, names: str = ":".join(SIGNED)) -> bytes:
    canon = r.choice(("simple", "relaxed"))
    request = Request(
        DOMAIN,
        key.selector,
        import_private_key(key.pem),
        canon=canon,
        header_names=names,
        identity=r.choice(("", f"@{DOMAIN}", f"user@sub.{DOMAIN}")),
        created=r.choice((None, NOW - 1000)),
    )
    hasher = BodyHasher("sha256", canon)
    hasher.feed(body)
    lines = [line.decode("latin-1") for line in headers]
    return signature_line(request, lines, hasher.finish()).replace("\n", "\r\n").encode("latin-1")


def by_dkimpy(r: random.Random, headers: list[bytes], body: bytes, key: Key, *, length: bool = False) -> bytes:
    import dkim

    canon = (r.choice((b"simple", b"relaxed")), r.choice((b"simple", b"relaxed")))
    signed: bytes = dkim.sign(
        b"".join(headers) + b"\r\n" + body,
        key.selector.encode(),
        DOMAIN.encode(),
        key.pem if key.kind == "rsa" else _raw(key),
        canonicalize=canon,
        include_headers=[name.encode() for name in SIGNED],
        signature_algorithm=b"rsa-sha256" if key.kind == "rsa" else b"ed25519-sha256",
        length=length,
    )
    return signed


def _raw(key: Key) -> bytes:
    private = serialization.load_pem_private_key(key.pem, None)
    return base64.b64encode(
        private.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    )


@functools.cache
def _opendkim() -> object:
    from tests.mailauth.oracles.opendkim import OpenDkim

    return OpenDkim()


def by_opendkim(r: random.Random, headers: list[bytes], body: bytes, key: Key) -> bytes:
    library = _opendkim()
    made: bytes = library.sign(headers, body, key.pem, DOMAIN, key.selector, r.randrange(2), r.randrange(2))  # type: ignore[attr-defined]
    return made


# --- Mutations ---------------------------------------------------------------------------------------------------------


def _replace(mail: Mail, index: int, line: bytes) -> Mail:
    return replace(mail, headers=[*mail.headers[:index], line, *mail.headers[index + 1 :]])


def _signature(mail: Mail, change: Callable[[bytes], bytes]) -> Mail:
    return _replace(mail, 0, change(mail.headers[0]))


def _record(mail: Mail, change: Callable[[bytes], bytes]) -> Mail:
    return replace(mail, records={name: change(record) for name, record in mail.records.items()})


def _index(mail: Mail, name: bytes) -> int:
    return next(n for n, line in enumerate(mail.headers) if line.lower().startswith(name))


def refold(mail: Mail) -> Mail:
    index = _index(mail, b"subject")
    return _replace(mail, index, mail.headers[index].replace(b"\r\n\t", b" \r\n   "))


def unfold(mail: Mail) -> Mail:
    index = _index(mail, b"to:")
    return _replace(mail, index, mail.headers[index].replace(b"\r\n", b"", 1))


def name_case(mail: Mail) -> Mail:
    index = _index(mail, b"subject")
    return _replace(mail, index, b"SUBJECT" + mail.headers[index][7:])


def value_case(mail: Mail) -> Mail:
    index = _index(mail, b"message-id")
    return _replace(mail, index, mail.headers[index].upper())


def header_blanks(mail: Mail) -> Mail:
    index = _index(mail, b"date")
    return _replace(mail, index, mail.headers[index].replace(b" ", b"  \t"))


def trailing_blanks(mail: Mail) -> Mail:
    return replace(mail, body=mail.body.replace(b"\r\n", b" \t\r\n"))


def trailing_lines(mail: Mail) -> Mail:
    return replace(mail, body=mail.body + b"\r\n\r\n")


def blank_last_line(mail: Mail) -> Mail:
    return replace(mail, body=mail.body + b" \t \r\n")


def body_runs(mail: Mail) -> Mail:
    return replace(mail, body=mail.body.replace(b" ", b"\t  "))


def appended(mail: Mail) -> Mail:
    return replace(mail, body=mail.body + b"-- \r\nA footer\r\n")


def changed(mail: Mail) -> Mail:
    return replace(mail, body=b"x" + mail.body)


def emptied(mail: Mail) -> Mail:
    return replace(mail, body=b"")


def reordered(mail: Mail) -> Mail:
    return replace(mail, headers=[mail.headers[0], *reversed(mail.headers[1:])])


def same_name_below(mail: Mail) -> Mail:
    return replace(mail, headers=[*mail.headers, b"Subject: another\r\n"])


def same_name_above(mail: Mail) -> Mail:
    return replace(mail, headers=[mail.headers[0], b"Subject: another\r\n", *mail.headers[1:]])


def trace_above(mail: Mail) -> Mail:
    return replace(mail, headers=[b"Received: from x by y; Sat, 21 Nov 2026 06:20:37 +0000\r\n", *mail.headers])


def header_gone(mail: Mail) -> Mail:
    index = _index(mail, b"subject")
    return replace(mail, headers=mail.headers[:index] + mail.headers[index + 1 :])


def signature_moved(mail: Mail) -> Mail:
    return replace(mail, headers=[*mail.headers[1:], mail.headers[0]])


def signature_refolded(mail: Mail) -> Mail:
    return _signature(mail, lambda line: re.sub(rb"\r\n[ \t]+", b"\r\n    ", line))


MUTATIONS: dict[str, Callable[[Mail], Mail]] = {
    "none": lambda mail: mail,
    "refold": refold,
    "unfold": unfold,
    "name_case": name_case,
    "value_case": value_case,
    "header_blanks": header_blanks,
    "trailing_blanks": trailing_blanks,
    "trailing_lines": trailing_lines,
    "blank_last_line": blank_last_line,
    "body_runs": body_runs,
    "appended": appended,
    "changed": changed,
    "emptied": emptied,
    "reordered": reordered,
    "same_name_below": same_name_below,
    "same_name_above": same_name_above,
    "trace_above": trace_above,
    "header_gone": header_gone,
    "signature_moved": signature_moved,
    "signature_refolded": signature_refolded,
    "version_2": lambda mail: _signature(mail, lambda line: line.replace(b"v=1", b"v=2", 1)),
    "no_version": lambda mail: _signature(mail, lambda line: line.replace(b"v=1;", b"", 1)),
    "bad_b": lambda mail: _signature(mail, lambda line: re.sub(rb"([; \t]b=\s*)(....)", rb"\1AAAA", line)),
    "bad_bh": lambda mail: _signature(mail, lambda line: re.sub(rb"(bh=\s*)(....)", rb"\1AAAA", line)),
    "no_bh": lambda mail: _signature(mail, lambda line: re.sub(rb"bh=[^;]*;", b"", line)),
    "other_identity": lambda mail: _signature(mail, lambda line: line.replace(b"v=1;", b"v=1; i=@other.example;", 1)),
    "tag_twice": lambda mail: _signature(mail, lambda line: line.replace(b"v=1;", b"v=1; v=1;", 1)),
    "unknown_algorithm": lambda mail: _signature(mail, lambda line: line.replace(b"-sha256", b"-md5", 1)),
    "key_truncated": lambda mail: _record(mail, lambda record: record[:-30]),
    "key_version": lambda mail: _record(mail, lambda record: record.replace(b"DKIM1", b"DKIM2")),
    "key_revoked": lambda mail: _record(mail, lambda record: record[: record.index(b"p=") + 2]),
    "key_other_hash": lambda mail: _record(mail, lambda record: record.replace(b"DKIM1;", b"DKIM1; h=sha1;")),
    "key_other_service": lambda mail: _record(mail, lambda record: record.replace(b"DKIM1;", b"DKIM1; s=other;")),
    "key_other_type": lambda mail: _record(mail, lambda record: re.sub(rb"k=\w+", b"k=dsa", record)),
    "key_no_subdomains": lambda mail: _record(mail, lambda record: record.replace(b"DKIM1;", b"DKIM1; t=s;")),
    "key_testing": lambda mail: _record(mail, lambda record: record.replace(b"DKIM1;", b"DKIM1; t=y;")),
    "key_blanks": lambda mail: _record(mail, lambda record: record.replace(b"p=M", b"p= M ")),
    "key_unknown_tag": lambda mail: _record(mail, lambda record: record + b"; zz=1"),
    "key_huge": lambda mail: _record(mail, lambda record: huge()),
    "key_gone": lambda mail: replace(mail, records={}),
}
"""How to spoil a message, or not."""


@functools.cache
def huge() -> bytes:
    """An RSA key of 32768 bits that nobody has."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << 32767) | random.Random(7).getrandbits(32767) | 1)
    octets = numbers.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(octets)


@dataclass
class Keys:
    rsa: list[Key] = field(default_factory=lambda: [rsa_key("r1", 1024), rsa_key("r2", 2048)])
    ed: Key = field(default_factory=lambda: ed_key("e1"))


def mailbox(count: int, seed: int = 6376) -> list[Mail]:
    """`count` messages, each signed by one of three programs and treated with one of the mutations."""
    r = random.Random(seed)
    keys = Keys()
    signers: list[tuple[str, Signer]] = [("angaros", by_us), ("dkimpy", by_dkimpy), ("opendkim", by_opendkim)]
    names = list(MUTATIONS)
    found = []
    for number in range(count):
        signer, sign = signers[number % 3]
        key = r.choice(keys.rsa) if signer == "opendkim" or r.random() < 0.8 else keys.ed
        headers, body = _headers(r), _body(r)
        line = sign(r, headers, body, key)
        records = {f"{key.selector}._domainkey.{DOMAIN}": key.record}
        mail = Mail([line, *headers], body, records, f"{number} {signer} {key.selector}")
        how = names[number // 3 % len(names)]
        found.append(replace(MUTATIONS[how](mail), how=how))
    return found
