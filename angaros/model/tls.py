"""Facts about a TLS session, as policy and logs see them."""

from __future__ import annotations

from angaros.model.record import dataclass


@dataclass(slots=True)
class TlsFacts:
    """What `$tls_in_*` and `$tls_out_*` show. Text fields from the peer are tainted by their reader."""

    version: str = ""
    """As in Exim's X= field: `TLS1.3`."""
    cipher: str = ""
    """As in `$tls_in_cipher`: `TLS1.3:TLS_AES_256_GCM_SHA384:256`."""
    cipher_std: str = ""
    bits: int = 0
    certificate_verified: bool = False
    peer_dn: str = ""
    sni: str = ""
    our_certificate: bytes = b""
    """PEM."""
    peer_certificate: bytes = b""
    """PEM."""
    ocsp: int = 0
    """RFC 6960 outcome in Exim's numbers: 0 not requested, 1 not responded, 2 not verified, 3 failed, 4 verified."""
    dane: bool = False
    tlsa_usage: int = 0
    """A bit for each usage of the TLSA records found (`$tls_out_tlsa_usage`)."""
    resumption: int = 0
    channel_binding: str = ""
    on_connect: bool = False
    """TLS from the first octet (the old smtps port)."""
    sts: bool = False
    """Outgoing: verified as an MTA-STS policy demands."""
