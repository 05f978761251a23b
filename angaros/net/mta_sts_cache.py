"""MTA-STS: finding the policy of a domain, and keeping it. RFC 8461 3.3, 5.1.

The policies of all domains stand in the hints database `mta_sts`.

Laws:
- The DNS only says that a policy may have changed. A policy that is kept and not past its max_age holds, whatever the DNS or the
  web server say now; otherwise whoever can disturb those could switch it off.
- A fetch that failed is not repeated for RETRY seconds for the same id; mail does not wait for it meanwhile.
- Policies that are in use are fetched anew by queue runs long before they end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.model.scope import Scope
from angaros.model.text import untaint
from angaros.net import http
from angaros.net.dns import ascii_name
from angaros.net.mta_sts import NONE, BadPolicy, Policy, parse_policy, record_id

if TYPE_CHECKING:
    from angaros.model.interfaces import Services

DATABASE = "mta_sts"
MAX_POLICY = 65536
"""Octets of a policy. RFC 8461 3.3 suggests 64 KB."""
FETCH_SECONDS = 60.0
"""For one fetch. RFC 8461 3.3 suggests one minute."""
RETRY = 300.0
"""Seconds after a failed fetch before the next for the same id. RFC 8461 3.3: five minutes or more."""
SHORTEST_LIFE = RETRY
"""Seconds that a policy holds, however short its max_age: else each message would fetch it."""
REFRESH = 86400.0
"""Age at which a policy in use is fetched again, though its id is the same: else it could be starved out at its end."""
REFRESHES = 10
"""Policies that are fetched side by side by a queue run."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}")
"""What a certificate can be for: no address literal."""

FETCH_ERROR, INVALID, WEBPKI = "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"
"""RFC 8460 4.3.2.2"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about a domain."""

    domain: str
    policy: Policy | None = None
    id: str = ""
    problem: str = ""
    """Why the newest policy could not be had: a result type of RFC 8460; a policy may hold all the same."""
    detail: str = ""

    @property
    def mode(self) -> str:
        """`none` where there is no policy."""
        return self.policy.mode if self.policy is not None else NONE


def find(domain: str, scope: Scope) -> Finding:
    """The policy that holds for mail to `domain` now; fetched if it is new or has changed."""
    services = scope.services
    domain = ascii_name(untaint(domain)).lower().rstrip(".")  # a key and a part of a URL, and checked to be a name
    if not DOMAIN.fullmatch(domain):  # an address literal, or nothing that a certificate could be for
        return Finding(domain)
    now = services.clock.now()
    answer = services.dns.query(f"_mta-sts.{domain}", "TXT", scope=scope)
    new = record_id(str(text) for _, text in answer.records) if answer.status == "ok" else None
    record = services.hints.get(DATABASE, domain)
    kept = _holding(domain, record, now)
    if new is None or (kept is not None and kept.id == new):
        _note_use(services, domain, record, kept, now)
        return kept or Finding(domain)
    failed = record is not None and bool(record.get("problem"))
    if record is not None and failed and record["tried_id"] == new and now - record["tried"] < RETRY:
        found = Finding(domain, None, "", record.get("problem", ""), record.get("detail", ""))
    else:
        found = services.waiter.share(("mta_sts", domain), lambda: refresh(domain, new, services, used=True))
    return _either(found, kept)


def _either(found: Finding, kept: Finding | None) -> Finding:
    """The new policy, else the one that is kept, with what went wrong."""
    if found.policy is not None or kept is None:
        return found
    return Finding(kept.domain, kept.policy, kept.id, found.problem, found.detail)


def _holding(domain: str, record: dict[str, Any] | None, now: float) -> Finding | None:
    """The kept policy, if it has not ended."""
    if record is None or not record.get("mode") or _end(record) <= now:
        return None
    return Finding(domain, Policy(record["mode"], tuple(record["mx"]), record["max_age"]), record["id"])


def _end(record: dict[str, Any]) -> float:
    return float(record["fetched"] + max(record["max_age"], SHORTEST_LIFE))


def _note_use(services: Services, domain: str, record: dict[str, Any] | None, kept: Finding | None, now: float) -> None:
    """Remember, once between two fetches, that the policy is wanted."""
    if record is None or kept is None or record.get("used", 0.0) >= record["fetched"]:
        return

    def change(known: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if known is None else {**known, "used": now}

    services.hints.update(DATABASE, domain, change)


def refresh(domain: str, new_id: str, services: Services, *, used: bool = False) -> Finding:
    """Fetch the policy and keep it. On failure the old one stays; the log says why. `used`: mail waits for it."""
    now = services.clock.now()
    try:
        policy, problem, detail = fetch_policy(domain, services), "", ""
    except BadPolicy as error:
        policy, problem, detail = None, INVALID, str(error)
    except http.HttpError as error:
        policy, problem, detail = None, WEBPKI if error.kind == http.TLS else FETCH_ERROR, str(error)
    tried = {"tried": now, "tried_id": new_id, "problem": problem, "detail": detail}

    def change(known: dict[str, Any] | None) -> dict[str, Any]:
        if policy is None:
            return {**(known or {}), **tried}
        kept = {"id": new_id, "mode": policy.mode, "mx": list(policy.mx), "max_age": policy.max_age, "fetched": now}
        return {**kept, **tried, "used": now if used else (known or {}).get("used", 0.0)}

    services.hints.update(DATABASE, domain, change)
    if policy is None:
        services.log.write(f"MTA-STS: policy of {domain} not fetched ({problem}): {detail}")
        return Finding(domain, None, "", problem, detail)
    return Finding(domain, policy, new_id)


def fetch_policy(domain: str, services: Services) -> Policy:
    """RFC 8461 3.3. Raises `HttpError`, `BadPolicy`."""
    main = services.config.main
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    authorities = Scope(services).expand(main.mta_sts_verify_certificates)
    response = http.fetch(http.Request(url, FETCH_SECONDS, MAX_POLICY, authorities=authorities), services)
    if response.status != 200:  # a redirection too: RFC 8461 3.3
        raise http.HttpError(http.HTTP, f"HTTP status {response.status}")
    if response.content_type != "text/plain":
        raise BadPolicy(f"media type {response.content_type or 'missing'}, not text/plain")
    return parse_policy(response.body)


# --- Queue runs and the command line -------------------------------------------------------------------------------------


def refresh_sometimes(services: Services) -> None:
    """`refresh_due`, but not with each of many queue runs of one process."""
    now = services.clock.now()
    if now - services.extra.get("mta_sts_refreshed", 0.0) >= RETRY:
        services.extra["mta_sts_refreshed"] = now
        refresh_due(services)


def refresh_due(services: Services) -> int:
    """Fetch again what is in use and old; forget what has ended. How many were fetched. Called by queue runs."""
    now = services.clock.now()
    due = [domain for domain, _, record in list(services.hints.items(DATABASE)) if _is_due(services, domain, record, now)]
    services.waiter.gather([lambda domain=domain: _refresh(domain, services) for domain in due], REFRESHES)  # type: ignore[misc]
    return len(due)


def _is_due(services: Services, domain: str, record: dict[str, Any], now: float) -> bool:
    if not record.get("mode"):
        if now - record.get("tried", 0.0) > REFRESH:
            services.hints.delete(DATABASE, domain)
        return False
    if _end(record) <= now:
        services.hints.delete(DATABASE, domain)
        return False
    since_fetch, since_try = now - record["fetched"], now - record["tried"]
    old = since_fetch >= min(REFRESH, record["max_age"] / 2) and since_try >= RETRY
    return old and bool(record.get("used", 0.0) >= record["fetched"])


def _refresh(domain: str, services: Services) -> None:
    answer = services.dns.query(f"_mta-sts.{domain}", "TXT")
    new = record_id(str(text) for _, text in answer.records) if answer.status == "ok" else None
    record = services.hints.get(DATABASE, domain) or {}
    services.waiter.share(("mta_sts", domain), lambda: refresh(domain, new or record.get("id", ""), services))
