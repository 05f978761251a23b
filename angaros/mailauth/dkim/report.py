"""The words for what became of signatures: log lines and Authentication-Results. # Exim spec 58.1; RFC 8601 2.7.1"""

from __future__ import annotations

from dataclasses import dataclass

from angaros.mailauth.dkim.signature import FAIL, INVALID, NONE, PASS, Signature


@dataclass(frozen=True, slots=True)
class Reason:
    """One way not to pass."""

    log: str
    result: str
    """The text in Authentication-Results."""
    variable: str
    """`$dkim_verify_reason`. # Exim spec 58.3"""
    kind: str = ""
    """The method's result, when the status does not say it."""


REASONS: dict[str, Reason] = {
    "syntax": Reason("signature tag missing or invalid", "signature tag missing or invalid", ""),
    "version": Reason("unsupported DKIM version", "unsupported DKIM version", ""),
    "unavailable": Reason("public key record (currently?) unavailable", "pubkey unavailable", "pubkey_unavailable", "tmperror"),
    "key_syntax": Reason("syntax error in public key record", "public key record import problem", "pubkey_dns_syntax"),
    "key_octets": Reason("syntax error in public key record", "public key record import problem", "pubkey_der_syntax"),
    "bodyhash": Reason(
        "body hash mismatch (body probably modified in transit)",
        "body hash mismatch; body probably modified in transit",
        "bodyhash_mismatch",
    ),
    "signature": Reason(
        "signature did not verify (headers probably modified in transit)",
        "signature did not verify; headers probably modified in transit",
        "signature_incorrect",
    ),
    "key_short": Reason("signature invalid (key too short)", "public key too short: {bits} bits", "pubkey_too_short"),
    "unspecified": Reason("unspecified reason", "unspecified reason", ""),
}
"""By key of `Signature.reason`."""


UNSET = "<UNSET>"
"""In the log, for a tag that is missing."""


def reason_variable(one: Signature) -> str:
    """`$dkim_verify_reason`."""
    reason = REASONS.get(one.reason)
    return reason.variable if reason is not None else ""


def log_line(one: Signature) -> str:
    """The line of log selector dkim_verbose."""
    parts = [
        f"DKIM: d={one.domain or UNSET} s={one.selector or UNSET} c={one.header_canon}/{one.body_canon} a={one.algorithm} "
        f"b={len(one.signature) * 8}"
    ]
    if one.identity:
        parts.append(f" i={one.identity}")
    for name, value in (("t", one.created), ("x", one.expires), ("l", one.length)):
        if value is not None:
            parts.append(f" {name}={value}")
    return "".join(parts) + f" [{_log_verdict(one)}]"


def _log_verdict(one: Signature) -> str:
    if one.forced is not None:
        status, reason = one.forced
        return f"{status} - {reason}" if reason else status
    if one.status == PASS:
        return "verification succeeded"
    text = REASONS[one.reason].log
    return f"invalid - {text}" if one.status == INVALID else f"verification failed - {text}"


def method_result(one: Signature) -> tuple[str, str]:
    """The result and its comment. # RFC 8601 2.7.1"""
    if one.forced is not None:
        status, why = one.forced
        return "policy", f"{status}{f' - {why}' if why else ''}"
    reason = REASONS.get(one.reason)
    if reason is None:
        return one.status, ""
    text = reason.result.format(bits=one.key.bits if one.key is not None else 0)
    return reason.kind or ("fail" if one.status == FAIL else "neutral"), text


def result(one: Signature) -> str:
    """One `dkim=` of Authentication-Results."""
    tags = (("d", one.domain), ("i", one.identity), ("s", one.selector), ("a", one.algorithm))
    where = "".join(f" header.{tag}={value}" for tag, value in tags if value)
    method, comment = method_result(one)
    if method == NONE:
        return ""
    gap = "\n\t\t" if comment and method != "policy" else ""
    return f";\n\tdkim={method}{f' ({comment})' if comment else ''}{gap}{where}"
