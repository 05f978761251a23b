"""Names in certificates and ciphers, in Exim's (OpenSSL's) spelling."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_NAME = 512
"""Octets of a distinguished name that are shown: it comes from the peer."""


def one_line(components: list[tuple[bytes, bytes]]) -> str:
    """`/C=UK/O=Exim/CN=x` (X509_NAME_oneline): octets outside printable ASCII as `\\xHH`."""
    parts = []
    for name, value in components:
        shown = "".join(chr(o) if 32 <= o <= 126 else f"\\x{o:02X}" for o in value)
        parts.append(f"/{name.decode('ascii', 'replace')}={shown}")
    return "".join(parts)[:MAX_NAME]


def subject_line(certificate: Any) -> str:
    """Subject of a pyOpenSSL certificate on one line."""
    return one_line(certificate.get_subject().get_components())


def matches_name(certificate: Certificate, name: str) -> bool:
    """Whether the certificate is for host `name` (or an IP address). RFC 6125 6.4; CN only without DNS names, RFC 6125 6.4.4."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = names.get_values_for_type(x509.DNSName)
        addresses = [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        dns, addresses = [], []
    if re.fullmatch(r"[\d.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", name):
        return name.lower() in addresses
    if not dns:
        dns = [str(a.value) for a in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return any(_name_matches(pattern, name) for pattern in dns)


def _name_matches(pattern: str, name: str) -> bool:
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern == name:
        return True
    head, _, tail = pattern.partition(".")
    first, _, rest = name.partition(".")
    return head == "*" and bool(first) and "." in tail and tail == rest


def standard_cipher_name(name: str) -> str:
    """IANA name of an OpenSSL cipher suite: `ECDHE-RSA-AES256-GCM-SHA384` -> `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`."""
    if not name or name.startswith("TLS_"):
        return name
    exchange, rest = _split_exchange(name)
    rest = re.sub(r"^(AES|CAMELLIA|ARIA)(128|256)", r"\1_\2", rest.replace("DES-CBC3", "3DES_EDE_CBC").replace("-", "_"))
    if rest.endswith("CHACHA20_POLY1305"):
        return f"TLS_{exchange}_WITH_{rest}_SHA256"
    rest = re.sub(r"CCM8$", "CCM_8", rest)
    rest = re.sub(r"^((?:AES|CAMELLIA|ARIA)_\d+)_(SHA\d*)$", r"\1_CBC_\2", rest)
    return f"TLS_{exchange}_WITH_{rest}"


def _split_exchange(name: str) -> tuple[str, str]:
    """Key exchange with authentication, and the cipher."""
    found = re.match(
        r"(ECDHE-(?=ARIA)|DHE-(?:RSA|DSS|PSK)|(?:ECDHE|ADH|AECDH|DHE|RSA|ECDH)-?(?:RSA|ECDSA|PSK)?|PSK|SRP(?:-RSA|-DSS)?)-", name
    )
    if found is None:
        return "RSA", name
    exchange = found[1].replace("-", "_")
    rest = name[found.end() :]
    if exchange in ("ECDHE", "ECDHE_"):
        return "ECDHE_RSA", rest
    if exchange == "DHE_PSK" and rest.endswith("CCM8"):
        return "PSK_DHE", rest
    if exchange in ("ADH", "AECDH"):
        return {"ADH": "DH_anon", "AECDH": "ECDH_anon"}[exchange], rest
    if exchange.startswith("SRP"):
        return exchange.replace("SRP", "SRP_SHA"), rest
    return exchange, rest
