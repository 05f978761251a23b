"""IP addresses for a list of hosts from the configuration (manualroute, queryprogram). Exim spec 20.5 to 20.7."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from angaros.model.delivery import Host
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.net.hosts import (
    AGAIN,
    FAILED,
    FOUND_LOCAL,
    IGNORED,
    SECURITY,
    HostQuery,
    HostSearch,
    find_by_dns,
    find_by_name,
    with_addresses,
)
from angaros.routers.outcome import Answer
from angaros.routers.router import Run
from angaros.routers.self_action import act_on_self

HANDLING = frozenset({"decline", "defer", "fail", "freeze", "ignore", "pass"})
"""Values of `host_find_failed`."""


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """How to look hosts up."""

    how: str = ""
    """"" DNS, then by name; `byname`, `bydns`."""
    ipv4_only: bool = False
    ipv4_prefer: bool = False
    find_failed: str = "freeze"
    all_ignored: str = "defer"
    ignored_fails: bool = False
    """A host that `ignore_target_hosts` has is as good as none (queryprogram)."""


def base_query(options: Any, **more: Any) -> HostQuery:
    """The generic options of a router as a query."""
    return HostQuery(
        ignore=options.ignore_target_hosts,
        dnssec_request=options.dnssec_request_domains,
        dnssec_require=options.dnssec_require_domains,
        dnssec_lists="options",
        **more,
    )


def look_up_hosts(run: Run, hosts: list[Host], plan: LookupPlan) -> list[Host] | Answer:
    """Hosts with addresses, in order; an Answer other than ACCEPT ends the router."""
    found: list[Host] = []
    for number, host in enumerate(hosts):
        search = _search(run, host, plan)
        if search.status in (FAILED, IGNORED):
            if plan.find_failed == "ignore" or (search.status == IGNORED and not search.ignored_mx and not plan.ignored_fails):
                continue
            return unfindable(run, Host(search.ignored_mx) if search.ignored_mx else host, plan.find_failed)
        if search.status == AGAIN:
            if run.options.pass_on_timeout:
                return Answer.PASS
            name = search.name or host.name
            return run.defer(f"host lookup for {name} did not complete (DNS timeout?)", Why.DNS_DEFER)
        if search.status == SECURITY:
            return run.defer("host lookup done insecurely", Why.DNS_DEFER)
        if search.status == FOUND_LOCAL:
            if number > 0 and found and run.options.self != "send":
                break
            answer = act_on_self(run, search.hosts[0])
            if answer is not Answer.ACCEPT:
                return answer
        found += [replace(one, port=host.port) if host.port else one for one in search.hosts]
    if not found:
        return all_ignored(run, plan)
    return translate_addresses(run, found)


def _search(run: Run, host: Host, plan: LookupPlan) -> HostSearch:
    query = base_query(run.options, ipv4_only=plan.ipv4_only, ipv4_prefer=plan.ipv4_prefer)
    name = host.name
    scope = run.scope.child()
    scope.depth += 1
    if name[-3:].lower() == "/mx":
        return find_by_dns(name[:-3], scope, replace(query, mx=True))
    if plan.how == "byname" or _is_address(name):
        return find_by_name(name, scope, query)
    search = find_by_dns(name, scope, with_addresses(query))
    if search.status == FAILED and plan.how != "bydns":
        return find_by_name(name, scope, query)
    return search


def _is_address(name: str) -> bool:
    return ":" in name or (name[:1].isdigit() and all(part.isdigit() for part in name.split(".")))


def unfindable(run: Run, host: Host, handling: str) -> Answer:
    """`host_find_failed`."""
    if handling == "decline":
        return Answer.DECLINE
    if handling == "pass":
        return Answer.PASS
    delivery = run.delivery
    delivery.basic_errno = Why.UNKNOWN_HOST
    name = host.name[:-3] if host.name[-3:].lower() == "/mx" else host.name
    delivery.message = f'lookup of host "{name}" failed in {run.router.name} router'
    if handling == "fail":
        delivery.extra["pass_message"] = True
        return Answer.FAIL
    if handling == "freeze":
        delivery.special_action = "freeze"
    return Answer.DEFER


def all_ignored(run: Run, plan: LookupPlan) -> Answer:
    """`host_all_ignored`."""
    if plan.all_ignored == "decline":
        return Answer.DECLINE
    if plan.all_ignored == "pass":
        return Answer.PASS
    delivery = run.delivery
    delivery.basic_errno = Why.UNKNOWN_HOST
    delivery.message = (
        f"lookup failed for all hosts in {run.router.name} router: host_find_failed=ignore host_all_ignored={plan.all_ignored}"
    )
    if plan.all_ignored == "fail":
        return Answer.FAIL
    if plan.all_ignored == "freeze":
        delivery.special_action = "freeze"
    return Answer.DEFER


def translate_addresses(run: Run, hosts: list[Host]) -> list[Host] | Answer:
    """`translate_ip_address`. Exim spec 15."""
    text = run.options.translate_ip_address
    if text is None:
        return hosts
    out: list[Host] = []
    for host in hosts:
        scope = run.scope.child(host_address=host.address, host=host.name)
        try:
            new = scope.expand(text).strip()
        except ForcedFailure:
            out.append(host)
            continue
        except ExpansionError as error:
            return run.defer(f'failed to expand "{text}": {error}', Why.EXPAND_FAIL)
        if _is_address(new):
            out.append(replace(host, address=new))
            continue
        search = find_by_name(new, run.scope, base_query(run.options))
        if search.status in (FAILED, IGNORED, AGAIN, SECURITY):
            return run.defer(f"host {new} not found when translating {host.address}", Why.UNKNOWN_HOST)
        out += [replace(host, name=one.name, address=one.address) for one in search.hosts]
    return out
