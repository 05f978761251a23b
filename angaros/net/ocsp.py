"""Stapled OCSP responses (RFC 6960): loading them, and checking what a server sent."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate
    from cryptography.x509.ocsp import OCSPResponse

NOT_REQUESTED, NOT_RESPONDED, NOT_VERIFIED, FAILED, VERIFIED = range(5)
"""Exim's numbers for `$tls_in_ocsp`, `$tls_out_ocsp` (Exim spec 11.9)."""

REASONS = {
    "unspecified": "unspecified",
    "keyCompromise": "keyCompromise",
    "cACompromise": "cACompromise",
    "affiliationChanged": "affiliationChanged",
    "superseded": "superseded",
    "cessationOfOperation": "cessationOfOperation",
    "certificateHold": "certificateHold",
    "removeFromCRL": "removeFromCRL",
}
"""RFC 5280 5.3.1, as OpenSSL writes them."""

SKEW = timedelta(minutes=5)
"""Clocks differ."""
MAX_AGE = timedelta(days=30)
"""Of a response without nextUpdate."""


def load_responses(path: str, kind: str) -> list[bytes]:
    """The responses of a file, as DER."""
    with open(path, "rb") as file:
        data = file.read()
    if kind == "DER":
        return [data]
    blocks = re.findall(rb"-----BEGIN OCSP RESPONSE-----(.*?)-----END OCSP RESPONSE-----", data, re.DOTALL)
    return [base64.b64decode(block) for block in blocks]


def is_useful(der: bytes, now: datetime | None = None) -> bool:
    """Whether a server does well to staple a response: in time, and not one of a revoked certificate."""
    from cryptography.x509 import ocsp

    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            return False
        return response.certificate_status == ocsp.OCSPCertStatus.GOOD and _in_time(response, now)
    except ValueError:
        return False


def _in_time(response: OCSPResponse | Any, now: datetime | None) -> bool:
    now = now or datetime.now(UTC)
    ends = response.next_update_utc or response.this_update_utc + MAX_AGE
    return bool(response.this_update_utc - SKEW <= now <= ends + SKEW)


def ends(der: bytes) -> float:
    """When a useful response stops to be one."""
    from cryptography.x509 import ocsp

    response = ocsp.load_der_ocsp_response(der)
    return ((response.next_update_utc or response.this_update_utc + MAX_AGE) + SKEW).timestamp()


def check(der: bytes, chain: Sequence[Certificate], *, check_dates: bool, now: datetime | None = None) -> tuple[int, str, str]:
    """(outcome, why it is not verified, what the log says apart) of a response for the first certificate of `chain`."""
    from cryptography.x509 import ocsp

    if not der:
        return NOT_RESPONDED, "Required TLS certificate status not received", ""
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            return NOT_VERIFIED, "OCSP response not successful", ""
        issuer = _issuer_of(chain)
        found = [r for r in response.responses if r.serial_number == chain[0].serial_number]
        if issuer is None or not found or not _signed(response, issuer):
            return NOT_VERIFIED, "Received TLS status response is not for this certificate or not signed by its issuer", ""
        single = found[0]
        if check_dates and not _in_time(single, now):
            return FAILED, "Server certificate status is out-of-date", "OCSP dates invalid"
        if single.certificate_status == ocsp.OCSPCertStatus.REVOKED:
            reason = REASONS.get(single.revocation_reason.value, "") if single.revocation_reason else "unspecified"
            return FAILED, "Server certificate revoked", f"Server certificate revoked; reason: {reason}"
        if single.certificate_status != ocsp.OCSPCertStatus.GOOD:
            return FAILED, "Server certificate status unknown", "Server certificate status unknown"
        return VERIFIED, "", ""
    except (ValueError, TypeError, NotImplementedError):
        return NOT_VERIFIED, "Received TLS status response can not be parsed", ""


def _issuer_of(chain: Sequence[Certificate]) -> Certificate | None:
    leaf = chain[0]
    for certificate in chain[1:] or chain:
        if certificate.subject == leaf.issuer:
            return certificate
    return None


def _signed(response: OCSPResponse, issuer: Certificate) -> bool:
    """By the issuer, or by a certificate that the issuer made for it (RFC 6960 4.2.2.2)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signers = [issuer]
    for certificate in response.certificates:
        try:
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            if ExtendedKeyUsageOID.OCSP_SIGNING in usage:
                certificate.verify_directly_issued_by(issuer)
                signers.append(certificate)
        except Exception:
            continue
    return any(_verifies(response, signer) for signer in signers)


def _verifies(response: OCSPResponse, signer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    key: Any = signer.public_key()
    algorithm = response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            key.verify(response.signature, response.tbs_response_bytes)
        return True
    except (InvalidSignature, TypeError, ValueError):
        return False
