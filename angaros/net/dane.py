"""DANE for SMTP (RFC 7672): does a certificate chain fit the TLSA records?

Usage 3 (DANE-EE): the certificate itself, or its key; names and dates do not count (RFC 7671 5.1). Usage 2 (DANE-TA): one
certificate of the chain is the trust anchor; the chain below it must verify, the name must fit (RFC 7671 5.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.net.tls_names import matches_name

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Tlsa = tuple[int, int, int, bytes]

USAGE_TA, USAGE_EE = 2, 3


def usable(records: Sequence[Tlsa]) -> list[Tlsa]:
    """The records that SMTP can use: usages 2 and 3, known selectors and digests of the right length (RFC 7672 3.1)."""
    lengths = {0: None, 1: 32, 2: 64}
    return [
        r for r in records if r[0] in (USAGE_TA, USAGE_EE) and r[1] in (0, 1) and r[2] in lengths and r[3]
        if lengths[r[2]] in (None, len(r[3]))
    ]  # fmt: skip


def usage_bits(records: Sequence[Tlsa]) -> int:
    """`$tls_out_tlsa_usage`: a bit for each usage present."""
    bits = 0
    for record in records:
        bits |= 1 << record[0]
    return bits


def verify(records: Sequence[Tlsa], chain: Sequence[Certificate], names: Sequence[str]) -> bool:
    """Whether the chain (the server's own certificate first) is what the records promise."""
    return anchor_depth(records, chain, names) is not None


def anchor_depth(records: Sequence[Tlsa], chain: Sequence[Certificate], names: Sequence[str]) -> int | None:
    """Depth in the chain of the certificate that the records vouch for: 0 the server's own; None: they do not."""
    if not chain:
        return None
    wanted = usable(records)
    if any(r[0] == USAGE_EE and _matches(r, chain[0]) for r in wanted):
        return 0
    anchors = [r for r in wanted if r[0] == USAGE_TA]
    for position, certificate in enumerate(chain):
        if any(_matches(r, certificate) for r in anchors):
            good = _chain_verifies(chain, position) and any(matches_name(chain[0], name) for name in names)
            return position if good else None
    return len(chain) - 1 if _anchored_by_full_key(anchors, chain, names) else None


def _matches(record: Tlsa, certificate: Certificate) -> bool:
    return _digest(record[2], _selected(record[1], certificate)) == record[3]


def _selected(selector: int, certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if selector == 0:
        return certificate.public_bytes(Encoding.DER)
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _digest(matching: int, data: bytes) -> bytes:
    if matching == 0:
        return data
    return hashlib.sha256(data).digest() if matching == 1 else hashlib.sha512(data).digest()


def _chain_verifies(chain: Sequence[Certificate], anchor: int) -> bool:
    """Signatures, dates and constraints from the leaf up to the anchor, which may be any certificate (partial chain)."""
    from OpenSSL import crypto

    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.add_cert(crypto.X509.from_cryptography(chain[anchor]))
    between = [crypto.X509.from_cryptography(c) for c in chain[1:anchor]]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(chain[0]), between).verify_certificate()
        return True
    except crypto.X509StoreContextError:
        return False


def _anchored_by_full_key(anchors: Sequence[Tlsa], chain: Sequence[Certificate], names: Sequence[str]) -> bool:
    """The anchor's certificate may be left out by the server when the record holds it whole (matching type 0, selector 0)."""
    from cryptography import x509

    for record in anchors:
        if record[1] == 0 and record[2] == 0:
            try:
                anchor = x509.load_der_x509_certificate(record[3])
            except ValueError:
                continue
            extended = [*chain, anchor]
            if _chain_verifies(extended, len(chain)) and any(matches_name(chain[0], name) for name in names):
                return True
    return False
