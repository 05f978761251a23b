"""`tls_dhparam`, `tls_dh_max_bits`: the primes are the standards', and what comes of files and names."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from angaros.net import dh
from angaros.net.tls import TlsError, TlsSettings
from tests.net.test_tls import CACHE, Made, made, shake  # noqa: F401 - a fixture

DIGESTS = {
    "ffdhe2048": "d880bebd717844c0", "ffdhe3072": "1e9e6fce47e811d1", "ffdhe4096": "c0f4fc0b140b25ef",
    "ffdhe6144": "9faedbafa19bc5c6", "ffdhe8192": "99d892112a7ee726", "ike1": "2c004b46e2841a1e", "ike2": "83c9eca0a60e2ff8",
    "ike5": "01f5634eb72d0dac", "ike14": "a875fe86414a94a1", "ike15": "e6554849089ca17c", "ike16": "49e00bf33e6f90e6",
    "ike17": "0d636ee8b5b4b6b7", "ike18": "541a608371fa7607",
}  # fmt: skip
"""SHA-256 of the hexadecimal primes, each proved to be a safe prime when this was written; the short ones are proved again."""


@pytest.mark.parametrize("name", DIGESTS)
def test_standard_primes(name: str) -> None:
    prime = dh.prime(name)
    assert hashlib.sha256(hex(prime).encode()).hexdigest()[:16] == DIGESTS[name]
    assert f"{prime:x}".startswith("ffffffffffffffff") and f"{prime:x}".endswith("ffffffffffffffff")
    if prime.bit_length() <= 1536:
        assert pow(2, prime - 1, prime) == 1 and pow(2, prime // 2 - 1, prime // 2) == 1
    assert dh.bits_of(dh.named(name)) == prime.bit_length()


@pytest.mark.parametrize(
    ("wish", "bits"),
    [
        ("", 2048),
        ("default", 2048),
        ("historic", 2048),
        ("exim.dev.20160529.3", 2048),
        ("ike24", 2048),
        ("FFDHE3072", 3072),
        ("none", 0),
    ],
)
def test_names(wish: str, bits: int) -> None:
    pem = dh.parameters(wish, 2236)
    assert (dh.bits_of(pem) if pem else 0) == bits


@pytest.mark.parametrize(("limit", "used"), [(2236, True), (2048, True), (2047, False), (1024, False)])
def test_tls_dh_max_bits(tmp_path: Path, limit: int, used: bool) -> None:
    """Exim spec 14: a file with more bits is ignored."""
    file = tmp_path / "dh.pem"
    file.write_bytes(b"a comment\n" + dh.named("ike14"))
    assert bool(dh.parameters(str(file), limit)) == used


CIPHER = "DHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(("dhparam", "works"), [("", True), ("ike14", True), ("none", False)])
def test_old_clients_get_forward_secrecy(tmp_path: Path, dhparam: str, works: bool) -> None:
    """A client that knows nothing but DHE."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "old.pem"
    file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem) + private)
    server = TlsSettings(True, (str(file),), (), dhparam=dhparam)
    client = TlsSettings(False, options=("+no_tlsv1_3",), ciphers=CIPHER)
    try:
        _, ours = shake(server, client)
    except TlsError:
        assert not works
        return
    assert works and CIPHER in ours.facts().cipher


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"nonsense", "no DH parameters"),
        (None, "No such file"),
        (b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----", "malformed"),
    ],
)
def test_files_that_are_none(tmp_path: Path, made: Made, content: Any, text: str) -> None:  # noqa: F811
    file = tmp_path / "dh.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TlsError, match=f"TLS error on DH param file.*{text}"):
        CACHE.context(replace(made.server, dhparam=str(file)), 1.0)


def test_an_unknown_name(made: Made) -> None:  # noqa: F811
    with pytest.raises(TlsError, match="unknown DH prime: ike99"):
        CACHE.context(replace(made.server, dhparam="ike99"), 1.0)
