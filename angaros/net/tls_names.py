"""Names in certificates and ciphers, in Exim's (OpenSSL's) spelling."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_NAME = 512
"""Octets of a distinguished name that are shown: it comes from the peer."""


SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}
"""OpenSSL's short names of what stands in distinguished names."""


def one_line(components: list[tuple[str, bytes]]) -> str:
    """`/C=UK/O=Exim/CN=x` (X509_NAME_oneline): octets outside printable ASCII as `\\xHH`."""
    parts = []
    for name, value in components:
        shown = "".join(chr(o) if 32 <= o <= 126 else f"\\x{o:02X}" for o in value)
        parts.append(f"/{name}={shown}")
    return "".join(parts)[:MAX_NAME]


def subject_line(certificate: Any) -> str:
    """Subject of a pyOpenSSL certificate on one line."""
    components = []
    try:
        for attribute in certificate.to_cryptography().subject:
            value = attribute.value if isinstance(attribute.value, bytes) else attribute.value.encode("utf-8")
            oid = attribute.oid.dotted_string
            components.append((SHORT_NAMES.get(oid, oid), value))
    except ValueError:  # a name that breaks the rules of X.509: shown as far as it goes
        pass
    return one_line(components)


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
