"""Judging an ARC chain. # RFC 8617 5.2

The texts of `Judgement.reason` are Exim's `$arc_state_reason`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from angaros.mailauth.arc.chain import ArcSet, Chain
from angaros.mailauth.dkim.canon import RELAXED, header_line
from angaros.mailauth.dkim.keys import KeyRecordError, PublicKey, import_public_key
from angaros.mailauth.dkim.signature import Signature, select_headers, signed_data, without_b
from angaros.mailauth.dkim.verify import Fetch, KeyUnavailable, Limits, fetch_record, key_permits

NONE, PASS, FAIL = "none", "pass", "fail"

Digests = Mapping[tuple[str, str, "int | None"], tuple[bytes, bool]]


@dataclass(slots=True)
class Judgement:
    """What is known about a chain."""

    state: str
    reason: str = ""
    oldest_pass: int = 0
    """The lowest instance from which on all message signatures hold; 0 for none."""
    received: ArcSet | None = None
    """The last set, once the chain was found to be whole."""


class _Failed(Exception):
    """`args[0]`: the reason."""


def judge(chain: Chain, digests: Digests, limits: Limits, fetch: Fetch) -> Judgement:
    """The state of the chain."""
    if not chain.sets and not chain.problem:
        return Judgement(NONE)
    problem = chain.problem or chain.sequence_problem()
    if problem:
        return Judgement(FAIL, problem)
    sets = chain.in_order()
    last = sets[-1]
    if last.chain_value == FAIL:  # step 2
        return Judgement(FAIL, f"i={last.instance} (cv)")
    found = Judgement(PASS, received=last)
    try:
        _check_message(last, chain, digests, limits, fetch)  # step 4
        found.oldest_pass = _oldest(sets, chain, digests, limits, fetch)  # step 5
        for number in range(len(sets), 0, -1):  # step 6
            _check_seal(sets[:number], limits, fetch)
    except _Failed as failed:
        return Judgement(FAIL, str(failed.args[0]), 0, last)
    return found


def _oldest(sets: list[ArcSet], chain: Chain, digests: Digests, limits: Limits, fetch: Fetch) -> int:
    oldest = sets[-1].instance
    for one in reversed(sets[:-1]):
        try:
            _check_message(one, chain, digests, limits, fetch)
        except _Failed:
            break
        oldest = one.instance
    return oldest


def _check_message(one: ArcSet, chain: Chain, digests: Digests, limits: Limits, fetch: Fetch) -> None:
    """The AMS: body hash, then header. # RFC 8617 5.1.2 (as DKIM)"""
    signature = one.message
    assert signature is not None
    if signature.problem:
        raise _Failed("AMS syntax")
    digest, short = digests[signature.wants()]
    if digest != signature.body_hash or short:
        raise _Failed("AMS body hash miscompare")
    key = _key(signature, "AMS", limits, fetch)
    chosen = select_headers(signature.headers, [line for line in chain.headers if line is not signature.line])
    if not key.verify(signature.signature, signed_data(chosen, signature.line, signature.header_canon), signature.digest):
        raise _Failed("AMS sig nonverify")


def _check_seal(sets: list[ArcSet], limits: Limits, fetch: Fetch) -> None:
    """The AS of the last of these sets."""
    one = sets[-1]
    signature = one.seal
    assert signature is not None
    if signature.problem:
        raise _Failed("AS syntax")
    if one.chain_value != (NONE if one.instance == 1 else PASS):
        raise _Failed(f"i={one.instance} (cv)")
    key = _key(signature, "AS", limits, fetch)
    if not key.verify(signature.signature, sealed_data(sets), signature.digest):
        raise _Failed("AS sig nonverify")


def sealed_data(sets: list[ArcSet]) -> bytes:
    """What the seal of the last set is over: the sets in order, AAR, AMS, AS each, relaxed. # RFC 8617 5.1.1"""
    parts = []
    for one in sets:
        assert one.results is not None and one.message is not None and one.seal is not None
        parts += [header_line(one.results, RELAXED), header_line(one.message.line, RELAXED)]
        if one is sets[-1]:
            parts.append(header_line(without_b(one.seal.line), RELAXED).removesuffix("\r\n"))
        else:
            parts.append(header_line(one.seal.line, RELAXED))
    return "".join(parts).encode("latin-1")


def _key(signature: Signature, what: str, limits: Limits, fetch: Fetch) -> PublicKey:
    try:
        record = fetch_record(signature, fetch)
        key = import_public_key(record.key_type, record.public)
    except KeyUnavailable:
        raise _Failed(f"{what} pubkey unavailable") from None
    except KeyRecordError:
        raise _Failed(f"{what} pubkey syntax") from None
    if not key_permits(signature, record):
        raise _Failed(f"{what} pubkey not permitted")
    if key.bits < limits.min_bits.get(key.key_type, 0):
        raise _Failed(f"{what} pubkey too short")
    return key
