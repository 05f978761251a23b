"""Failure reports, one for each message: AFRF. RFC 7489 7.3, RFC 6591, RFC 5965.

Sent if an ACL asks for it and the record has `ruf`. Only the header of the message is shown, never its body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mailauth.dmarc import DnsProblem, Finder, Verdict
from angaros.mailauth.dmarc_destinations import permitted
from angaros.mime.addresses import extract_address
from angaros.model.errors import AngarosError
from angaros.model.text import octets

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_HEADER = 32768
"""Octets of the message's header that a report shows."""

_DELIVERY = {"reject": "reject", "quarantine": "policy"}
"""RFC 6591 3.2.2"""


def report(scope: Scope, verdict: Verdict, finder: Finder) -> None:
    """Send it, if the record's `fo` says that this is worth one."""
    services, policy = scope.services, verdict.policy
    assert policy is not None
    if not policy.record.ruf or not _wanted(scope, verdict):
        return
    try:
        uris = permitted(policy.record.failure_uris(), policy.domain, finder, services.dns)
    except DnsProblem:
        return
    if not uris or services.submitter is None:
        return
    recipients = [uri.address for uri in uris]
    try:
        author, sender = _sender(scope)
        services.submitter.submit(
            octets(_text(scope, verdict, author, recipients)), scope, sender=sender, recipients=recipients, reference=_id(scope)
        )
    except AngarosError as error:
        scope.log(f"DMARC forensic report for {verdict.domain} not sent: {error}", panic=True)


def _id(scope: Scope) -> str:
    return scope.message.id if scope.message is not None else ""


def _wanted(scope: Scope, verdict: Verdict) -> bool:
    """RFC 7489 6.3, fo"""
    message, policy = scope.message, verdict.policy
    assert message is not None and policy is not None
    auth = message.effects.mailauth
    reasons = {
        "0": verdict.status != "accept",
        "1": not (verdict.spf_aligned and verdict.dkim_aligned),
        "d": any(found.status != "pass" for found in auth.dkim),
        "s": auth.spf is not None and auth.spf.result != "pass",
    }
    return any(reasons[word] for word in policy.record.fo)


def _sender(scope: Scope) -> tuple[str, str]:
    """From: and the envelope sender. Exim spec 58.6"""
    main = scope.services.config.main
    if not main.dmarc_forensic_sender:
        return str(scope.expand(main.dsn_from)), ""
    author = str(scope.expand(main.dmarc_forensic_sender))
    return author, extract_address(author).address


def _text(scope: Scope, verdict: Verdict, author: str, recipients: list[str]) -> str:
    message, session = scope.message, scope.session
    assert message is not None and session is not None
    boundary = f"dmarc-{message.id}"
    host = str(scope.services.config.main.primary_hostname)
    date = str(scope.expand("$tod_full"))
    header = "".join(str(line.text) for line in message.headers if line.kind != "*")[:MAX_HEADER]
    parts = [
        f"From: {author}\nTo: {', '.join(recipients)}\nSubject: DMARC forensic report for {verdict.domain} from "
        f"{session.sender_host_address}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: multipart/report; "
        f'report-type=feedback-report;\n\tboundary="{boundary}"\n\n'
        f"--{boundary}\nContent-Type: text/plain; charset=us-ascii\n\n"
        "A message claiming to be from you has failed the published DMARC\npolicy for your domain.\n\n"
        f"  Sender Domain: {verdict.domain}\n  Sender IP Address: {session.sender_host_address}\n  Received Date: {date}\n"
        f"  SPF Alignment: {_yes(verdict.spf_aligned)}\n  DKIM Alignment: {_yes(verdict.dkim_aligned)}\n"
        f"  DMARC Results: {verdict.status}\n\n"
        f"--{boundary}\nContent-Type: message/feedback-report\n\n",
        _feedback(scope, verdict, date, host),
        f"\n--{boundary}\nContent-Type: text/rfc822-headers\n\n{header}\n--{boundary}--\n",
    ]
    return "".join(parts)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _feedback(scope: Scope, verdict: Verdict, date: str, host: str) -> str:
    """The machine's part. RFC 6591 3"""
    message, session, policy = scope.message, scope.session, verdict.policy
    assert message is not None and session is not None and policy is not None
    auth = message.effects.mailauth
    results = [f"dmarc={'pass' if verdict.status == 'accept' else 'fail'} header.from={verdict.domain}"]
    if auth.spf is not None:
        results.append(f"spf={auth.spf.result} smtp.{auth.spf.identity}={auth.spf.domain}")
    results += [f"dkim={found.result or found.status} header.d={found.domain} header.s={found.selector}" for found in auth.dkim]
    aligned = [name for name, flag in (("dkim", verdict.dkim_aligned), ("spf", verdict.spf_aligned)) if flag]
    fields = {
        "Feedback-Type": "auth-failure",
        "User-Agent": "Angaros/1.0",
        "Version": "1",
        "Original-Mail-From": f"<{message.sender_address}>",
        "Arrival-Date": date,
        "Reporting-MTA": f"dns; {host}",
        "Source-IP": session.sender_host_address,
        "Reported-Domain": policy.domain,
        "Auth-Failure": "dmarc",
        "Delivery-Result": _DELIVERY.get(verdict.status, "delivered"),
        "Identity-Alignment": ", ".join(aligned) or "none",
        "Authentication-Results": f"{host};\n\t" + ";\n\t".join(results),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())
