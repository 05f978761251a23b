"""SPF in a session: which identity, `$spf_...`, Received-SPF, the log field, `${authresults`, the lookup. Exim spec 58.4

Judged once for each message, sender and HELO name; the variables are in `scope.state` and die with the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mailauth.spf import Query, SpfResult, check_host, expand_macro
from angaros.mailauth.spf_record import SpfSyntaxError, macro_string
from angaros.model.errors import ExpansionError
from angaros.model.mailauth import SpfFacts
from angaros.model.text import taint

if TYPE_CHECKING:
    from angaros.model.scope import Scope

NO_ADDRESS = "0.0.0.0"
"""Stands for the client where there is none (local SMTP): no record permits it by address."""
LOCALHOST = SpfResult("pass", mechanism="localhost")

_CACHE = "spf"

_COMMENTS = {
    "pass": "domain of {domain} designates {address} as permitted sender",
    "fail": "domain of {domain} does not designate {address} as permitted sender",
    "softfail": "transitioning domain of {domain} does not designate {address} as permitted sender",
    "neutral": "{address} is neither permitted nor denied by domain of {domain}",
    "none": "domain of {domain} does not provide an SPF record",
    "permerror": "error in processing during lookup of domain of {domain}: {problem}",
    "temperror": "error in processing during lookup of domain of {domain}: {problem}",
}
"""`$spf_header_comment` after the host's name."""
_EXPLAINED = frozenset(("fail", "softfail", "neutral"))
"""Results that have a `$spf_smtp_comment`."""


def evaluate(scope: Scope, guess: bool) -> str:
    """The result for the sender of the message (HELO for the null sender); sets the variables."""
    message, session = scope.message, scope.session
    assert message is not None and session is not None
    sender, helo = str(message.sender_address), str(session.sender_helo_name)
    key = (sender, helo, guess)
    known: dict[tuple[str, str, bool], SpfFacts] = message.effects.caches.setdefault(_CACHE, {})
    facts = known.get(key)
    if facts is None:
        facts = known[key] = _judge(scope, sender, helo, guess)
    message.effects.mailauth.spf = facts
    _set_variables(scope, facts)
    return facts.result


def _judge(scope: Scope, sender: str, helo: str, guess: bool) -> SpfFacts:
    services, session = scope.services, scope.session
    assert session is not None
    local_part, _, domain = sender.rpartition("@")
    identity = "mailfrom" if sender else "helo"
    if not sender:
        local_part, domain = "postmaster", helo
    address = str(session.sender_host_address) or NO_ADDRESS
    receiver = str(services.config.main.primary_hostname or "unknown")
    query = Query(address, domain, f"{local_part}@{domain}", helo, receiver, services.clock.now())
    facts = SpfFacts("none", domain, identity)
    found = LOCALHOST if _is_loopback(address) else check_host(query, services.dns)
    if guess and found.result == "none":
        facts.guessed = True
        found = check_host(query, services.dns, default_record=services.config.main.spf_guess)
    facts.result = found.result
    facts.header_comment = f"{receiver}: {_comment(found, query)}"
    facts.smtp_comment = _smtp_comment(scope, found, query)
    facts.received = (
        f"Received-SPF: {found.result} ({facts.header_comment}) client-ip={address}; envelope-from={query.sender}; helo={helo};"
    )
    return facts


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _comment(found: SpfResult, query: Query) -> str:
    if found is LOCALHOST:
        return "localhost is always allowed."
    return _COMMENTS[found.result].format(domain=query.domain, address=query.address, problem=found.problem)


def _smtp_comment(scope: Scope, found: SpfResult, query: Query) -> str:
    """What the domain says about it, else the template of the main option."""
    if found.result not in _EXPLAINED:
        return ""
    text = found.explanation or _from_template(scope, query)
    return f"{text} : Reason: {'mechanism' if found.mechanism else 'default'}"


def _from_template(scope: Scope, query: Query) -> str:
    template = scope.services.config.main.spf_smtp_comment_template
    try:
        template = scope.expand(template)
        return "".join(part if isinstance(part, str) else expand_macro(part, query) for part in macro_string(template, True))
    except (ExpansionError, SpfSyntaxError) as error:
        scope.log(f"spf_smtp_comment_template: {error}", panic=True)
        return template


def _set_variables(scope: Scope, facts: SpfFacts) -> None:
    scope.state.update(
        spf_result=facts.result,
        spf_result_guessed="yes" if facts.guessed else "no",
        spf_header_comment=taint(facts.header_comment),
        spf_smtp_comment=taint(facts.smtp_comment),
        spf_received=taint(facts.received),
        spf_used_domain=taint(facts.domain),
    )


def authres(scope: Scope) -> str:
    """The part of Authentication-Results. RFC 8601 2.7.2"""
    facts = scope.message.effects.mailauth.spf if scope.message is not None else None
    if facts is None:
        return ""
    guess = " (best guess record for domain)" if facts.guessed else ""
    return taint(f";\n\tspf={facts.result}{guess} smtp.{facts.identity}={facts.domain}")


def lookup(sender: str, address: str, scope: Scope) -> str:
    """`${lookup{user@domain}spf{address}}`: the result word."""
    if _is_loopback(address):
        return "pass"
    local_part, _, domain = sender.rpartition("@")
    services = scope.services
    receiver = str(services.config.main.primary_hostname or "unknown")
    query = Query(address, domain, f"{local_part or 'postmaster'}@{domain}", domain, receiver, services.clock.now())
    return check_host(query, services.dns).result
