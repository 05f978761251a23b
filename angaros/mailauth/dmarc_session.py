"""DMARC in a session: `dmarc_status`, `$dmarc_...`, history, failure reports, `${authresults`, the log field. Exim spec 58.6

Done once for a message, when the DATA ACL first asks. SPF counts if an ACL has looked at it before; DKIM's results are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mailauth import dmarc, dmarc_history, public_suffixes
from angaros.mailauth.dmarc import Evidence, Finder, Verdict
from angaros.mime.addresses import AddressRules, extract_address, split_address, split_addresses
from angaros.model.errors import ExpansionError
from angaros.model.mailauth import DmarcResult
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_AUTHORS = 5
"""Different domains in From: that are judged; the strictest verdict holds. RFC 7489 6.6.1"""

TEXTS = {
    "accept": "Accept",
    "none": "None, Accept",
    "quarantine": "Quarantine",
    "reject": "Reject",
    "norecord": "No DMARC record",
    "nofrom": "No From: domain found",
    "temperror": "Temporary error",
    "off": "off",
}
"""`$dmarc_status_text`."""
_WORDS = {
    "accept": "pass",
    "none": "none",
    "quarantine": "fail",
    "reject": "fail",
    "norecord": "none",
    "nofrom": "permerror",
    "temperror": "temperror",
}
"""For Authentication-Results. RFC 7489 11.2"""
_VERDICT = "dmarc_verdict"
_SEVERITY = ("accept", "norecord", "none", "temperror", "quarantine", "reject")


def evaluate(scope: Scope) -> str:
    """`$dmarc_status`, after all that belongs to it has been done."""
    message = scope.message
    assert message is not None
    known = message.effects.mailauth.dmarc
    if known is None:
        known = message.effects.mailauth.dmarc = _run(scope)
    return known.status


def _run(scope: Scope) -> DmarcResult:
    finder = finder_of(scope)
    if finder is None or _is_exempt(scope):
        return _result(scope, DmarcResult("off"))
    domains = author_domains(scope)
    if not domains:
        return _result(scope, DmarcResult("nofrom", result="permerror"))
    evidence = _evidence(scope)
    verdicts = [dmarc.judge(domain, evidence, finder, lambda: scope.services.random.below(100)) for domain in domains]
    verdict = max(verdicts, key=lambda found: _SEVERITY.index(found.status))
    result = _result(scope, _facts(verdict))
    if verdict.policy is not None:
        _tell(scope, verdict, finder)
    return result


def _tell(scope: Scope, verdict: Verdict, finder: Finder) -> None:
    """The history file, the failure report, the day's statistics."""
    from angaros.mailauth import dmarc_forensic

    main = scope.services.config.main
    if main.dmarc_history_file:
        try:
            dmarc_history.append(str(scope.expand(main.dmarc_history_file)), dmarc_history.entry(scope, verdict))
        except (OSError, ExpansionError) as error:
            scope.log(f"failure to create DMARC history file: {error}", panic=True)
    message = scope.message
    assert message is not None
    if message.effects.dmarc_enable_forensic:
        dmarc_forensic.report(scope, verdict, finder)
    message.effects.caches[_VERDICT] = verdict


def decided(scope: Scope, accepted: bool) -> None:
    """The message's fate is known: count it for the day's report."""
    message = scope.message
    verdict = message.effects.caches.pop(_VERDICT, None) if message is not None else None
    if verdict is not None and scope.services.config.main.dmarc_aggregate_reports:
        from angaros.mailauth.dmarc_aggregate import note

        note(scope, verdict, accepted=accepted)


def _is_exempt(scope: Scope) -> bool:
    """Only mail of strangers is judged."""
    session, message = scope.session, scope.message
    assert session is not None and message is not None
    return message.effects.dmarc_disable_verify or not session.sender_host_address or bool(session.sender_host_authenticated)


def finder_of(scope: Scope) -> Finder | None:
    """By `dmarc_tree_walk` or `dmarc_tld_file`; without either DMARC is off."""
    services = scope.services
    main = services.config.main
    if main.dmarc_tree_walk:
        return dmarc.TreeFinder(services.dns)
    if not main.dmarc_tld_file:
        return None
    try:
        path = str(scope.expand(main.dmarc_tld_file))
        if not path:
            return None
        return dmarc.ListFinder(public_suffixes.load(path, services.extra.setdefault("public_suffixes", {})), services.dns)
    except (OSError, ExpansionError) as error:
        scope.log(f"failure to load DMARC tld list: {error}", panic=True)
        return None


def author_domains(scope: Scope) -> list[str]:
    """Domains of the From: header, in order. RFC 7489 6.6.1"""
    message = scope.message
    assert message is not None
    rules = AddressRules.of(scope.services.config.main)
    found: dict[str, None] = {}
    for header in message.headers_named("from"):
        for text in split_addresses(str(header.value)):
            extracted = extract_address(text, rules)
            domain = split_address(extracted.address)[1] if not extracted.error else ""
            if domain and not domain.startswith("["):
                found[domain.lower().rstrip(".")] = None
    return list(found)[:MAX_AUTHORS]


def _evidence(scope: Scope) -> Evidence:
    message = scope.message
    assert message is not None
    auth = message.effects.mailauth
    spf = auth.spf
    passed = spf is not None and spf.result == "pass" and not spf.guessed
    return Evidence(spf.domain if spf is not None and passed else "", tuple(r.domain for r in auth.dkim if r.status == "pass"))


def _facts(verdict: Verdict) -> DmarcResult:
    policy = verdict.policy
    return DmarcResult(
        verdict.status,
        verdict.domain,
        _WORDS[verdict.status],
        policy.domain if policy is not None else verdict.domain,
        policy.record.p if policy is not None else "",
        verdict.spf_aligned,
        verdict.dkim_aligned,
    )


def _result(scope: Scope, facts: DmarcResult) -> DmarcResult:
    """Set the variables."""
    scope.state.update(
        dmarc_status=facts.status,
        dmarc_status_text=TEXTS[facts.status],
        dmarc_used_domain=taint(facts.used_domain),
        dmarc_domain_policy=facts.policy,
        dmarc_alignment_spf="yes" if facts.spf_aligned else "no",
        dmarc_alignment_dkim="yes" if facts.dkim_aligned else "no",
    )
    return facts


def authres(scope: Scope) -> str:
    """The part of Authentication-Results."""
    facts = scope.message.effects.mailauth.dmarc if scope.message is not None else None
    if facts is None or not facts.result:
        return ""
    header = f" header.from={facts.domain}" if facts.domain else ""
    return taint(f";\n\tdmarc={facts.result}{header}")
