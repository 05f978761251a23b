"""Certificates in variables: what `${certextract` takes out of them, and digests of them. # Exim spec 11.5 (certextract)

A certificate is PEM text; `cryptography` reads it (imported when first used).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from angaros.expand.nodes import Node, fail
from angaros.model.text import Tainted

if TYPE_CHECKING:
    from cryptography import x509

    from angaros.model.scope import Scope

CERTIFICATES = frozenset({"tls_in_ourcert", "tls_in_peercert", "tls_out_ourcert", "tls_out_peercert"})
"""Variables that hold one."""
_LABELS = {"CN": "2.5.4.3", "O": "2.5.4.10", "OU": "2.5.4.11", "DC": "0.9.2342.19200300.100.1.25"}


def certificate(scope: Scope, name: str) -> bytes:
    """PEM of a variable; b"" when there is none."""
    from angaros.expand.variables_session import tls_facts

    facts = tls_facts(scope, "in" if name.startswith("tls_in") else "out")
    if facts is None:
        return b""
    return facts.our_certificate if name.endswith("ourcert") else facts.peer_certificate


def load(pem: bytes) -> x509.Certificate:
    """The certificate, read."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem)


# --- Operators on certificates -----------------------------------------------------------------------------------------


class CertificateOperator(Node):
    """`${md5:$tls_in_peercert}` and its like: of the DER form."""

    __slots__ = ("name", "variable")

    def __init__(self, name: str, variable: str) -> None:
        super().__init__()
        self.name = name
        self.variable = variable

    def eval(self, scope: Scope) -> str:
        pem = certificate(scope, self.variable)
        if not pem:
            return ""
        if self.name in ("base64", "str2b64"):
            return pem.decode("latin-1")
        import hashlib

        from cryptography.hazmat.primitives.serialization import Encoding

        digest = hashlib.new(self.name, load(pem).public_bytes(Encoding.DER)).hexdigest()
        return digest if self.name == "md5" else digest.upper()


def certificate_operator(name: str, variable: str) -> Node:
    """The node of an operator on a certificate variable."""
    return CertificateOperator(name, variable)


# --- Fields ------------------------------------------------------------------------------------------------------------


class Field:
    """A field selector: `subject,CN,>;`."""

    __slots__ = ("labels", "name", "separator")

    def __init__(self, text: str) -> None:
        name, *modifiers = [part.strip() for part in text.split(",")]
        self.name = name.lower()
        self.separator = "\n"
        self.labels: list[str] = []
        for modifier in modifiers:
            if modifier.startswith(">"):
                self.separator = modifier[1:2] or ","
            elif modifier:
                self.labels.append(modifier)

    def join(self, items: list[str]) -> str | None:
        """A list of items, separators in them doubled."""
        if not items:
            return None
        return self.separator.join(item.replace(self.separator, self.separator * 2) for item in items)


def _octets(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


def _distinguished_name(name: x509.Name, field: Field) -> str | None:
    if not field.labels:
        text = _octets(name.rfc4514_string())
        return text.replace(",", field.separator) if field.separator != "\n" else text
    wanted = {_LABELS.get(label.upper(), label) for label in field.labels}
    return field.join([_octets(str(part.value)) for part in name if part.oid.dotted_string in wanted])


def _moment(value: Any, field: Field) -> str:
    seconds = int(value.timestamp())
    if "int" in field.labels:
        return str(seconds)
    return time.strftime("%b %e %H:%M:%S %Y %z", time.localtime(seconds))


def _signature(cert: x509.Certificate) -> str:
    digits = cert.signature.hex()
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2))


_ALGORITHM_NAMES = {
    "sha1WithRSAEncryption": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}


def _algorithm(cert: x509.Certificate) -> str:
    oid = cert.signature_algorithm_oid
    return _ALGORITHM_NAMES.get(oid.dotted_string) or oid.dotted_string


def _alternative_names(cert: x509.Certificate, field: Field) -> str | None:
    from cryptography import x509

    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    kinds: dict[str, Any] = {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier, "MAIL": x509.RFC822Name}
    wanted = [label.upper() for label in field.labels if label.upper() in kinds]
    items: list[str] = []
    for name in names:
        for tag, kind in kinds.items():
            if isinstance(name, kind) and (not wanted or tag in wanted):
                items.append(_octets(name.value) if wanted else f"{tag}={_octets(name.value)}")
    return field.join(items[::-1])  # last name first, as Exim with OpenSSL shows them


def _ocsp_uris(cert: x509.Certificate, field: Field) -> str | None:
    from cryptography import x509

    try:
        access = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    found = [item for item in access if item.access_method.dotted_string == "1.3.6.1.5.5.7.48.1"]
    return field.join([_octets(str(item.access_location.value)) for item in found])


def _crl_uris(cert: x509.Certificate, field: Field) -> str | None:
    from cryptography import x509

    try:
        points = cert.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return None
    return field.join([_octets(str(name.value)) for point in points for name in point.full_name or ()])


FIELDS: dict[str, Callable[[Any, Field], str | None]] = {
    "version": lambda cert, field: str(cert.version.value),
    "serial_number": lambda cert, field: f"{cert.serial_number:x}",
    "subject": lambda cert, field: _distinguished_name(cert.subject, field),
    "issuer": lambda cert, field: _distinguished_name(cert.issuer, field),
    "notbefore": lambda cert, field: _moment(cert.not_valid_before_utc, field),
    "notafter": lambda cert, field: _moment(cert.not_valid_after_utc, field),
    "sig_algorithm": lambda cert, field: _algorithm(cert),
    "signature": lambda cert, field: _signature(cert),
    "subj_altname": _alternative_names,
    "ocsp_uri": _ocsp_uris,
    "crl_uri": _crl_uris,
}


def extract_field(pem: bytes, selector: str, peer: bool) -> str | None:
    """A field of a certificate; None when it has none. Raises ExpansionError for an unknown field."""
    field = Field(selector)
    getter = FIELDS.get(field.name)
    if getter is None:
        raise fail(f'bad field selector "{field.name}" for certextract')
    value = getter(load(pem), field)
    return Tainted(value) if peer and value is not None else value
