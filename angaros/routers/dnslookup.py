"""The dnslookup router: hosts from MX, SRV and address records. Exim spec 17."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.lists.parse import split_list
from angaros.model.delivery import Host
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer
from angaros.model.text import lower
from angaros.net.host_records import NO_HOSTS_OR_ADDRESSES
from angaros.net.hosts import AGAIN, FAILED, FOUND_LOCAL, IGNORED, SECURITY, HostQuery, HostSearch, find_by_dns
from angaros.routers.assign import assign
from angaros.routers.host_list import base_query, translate_addresses
from angaros.routers.outcome import Answer
from angaros.routers.router import Run
from angaros.routers.self_action import act_on_self, change_domain, take_case

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

INVALID_MX = (
    "It appears that the DNS operator for {}\n"
    "has installed an invalid MX record with an IP address\n"
    "instead of a domain name on the right hand side."
)
"""For the client whose recipient or sender has such a domain."""
_FALSE = frozenset({"", "0", "no", "false"})


class Router:
    """Driver `dnslookup`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Look the domain up, widened if need be, and assign the hosts."""
        try:
            query = self._query(run)
        except ExpansionError as error:
            return run.defer(f"{run.router.name} router failed to expand: {error}")
        try:
            search = self._search(run, query)
        except ListDefer:
            return run.defer("lookup defer for mx_domains")
        if search.status in (FAILED, IGNORED):
            return self._not_found(run, search)
        if search.status == AGAIN:
            return self._again(run, search)
        if search.status == SECURITY:
            return run.defer("host lookup done insecurely")
        if run.options.check_secondary_mx and not search.removed:
            return Answer.DECLINE
        if search.name and lower(search.name) != run.delivery.domain:
            return change_domain(run, search.name, run.options.rewrite_headers)
        if search.name and search.name != run.delivery.domain:
            take_case(run.delivery, search.name)
        if search.status == FOUND_LOCAL:
            answer = act_on_self(run, search.hosts[0])
            if answer is not Answer.ACCEPT:
                return answer
        return self._assign(run, search.hosts)

    def _query(self, run: Run) -> HostQuery:
        options, delivery, scope = run.options, run.delivery, run.scope

        def needs_mx() -> bool:
            lists = scope.services.lists
            return bool(lists.match_domain(delivery.domain, options.mx_domains, scope, option="mx_domains"))

        service = ""
        if options.check_srv is not None:
            try:
                service = scope.expand(options.check_srv)
            except ForcedFailure:
                service = ""
        return base_query(
            options,
            mx=True,
            srv=service,
            addresses=True,
            needs_mx=needs_mx if options.mx_domains is not None else None,
            qualify_single=options.qualify_single,
            search_parents=options.search_parents,
            srv_fail_domains=options.srv_fail_domains,
            mx_fail_domains=options.mx_fail_domains,
            ipv4_only=_truth(run, options.ipv4_only),
            ipv4_prefer=_truth(run, options.ipv4_prefer),
        )

    def _search(self, run: Run, query: HostQuery) -> HostSearch:
        """The domain as it is, then with each of `widen_domains`."""
        domain = run.delivery.domain
        scope = run.scope.child()
        scope.depth += 1
        search = find_by_dns(domain, scope, query)
        if search.status != FAILED or run.options.widen_domains is None:
            return search
        for suffix in split_list(run.options.widen_domains):
            name = f"{domain}.{suffix}"
            wider = find_by_dns(name, scope, query)
            if wider.status != FAILED:
                wider.name = wider.name or name
                return wider
        return search

    def _not_found(self, run: Run, search: HostSearch) -> Answer:
        options, scope = run.options, run.scope
        if options.fail_defer_domains is not None:
            try:
                if scope.services.lists.match_domain(
                    run.delivery.domain, options.fail_defer_domains, scope, option="fail_defer_domains"
                ):
                    return run.defer("missing MX, or all MXs point to missing A records, and defer requested")
            except ListDefer:
                return run.defer("lookup defer for fail_defer_domains option")
        if search.bad_name:
            run.delivery.message = f'mail domain "{run.delivery.domain}" is syntactically invalid'
        if search.message:
            run.delivery.message = search.message
        if search.message == NO_HOSTS_OR_ADDRESSES:
            run.delivery.user_message = INVALID_MX.format(run.delivery.domain)
        return Answer.DECLINE

    def _again(self, run: Run, search: HostSearch) -> Answer:
        if run.options.pass_on_timeout:
            return Answer.PASS
        return run.defer(search.message or "host lookup did not complete")

    def _assign(self, run: Run, hosts: list[Host]) -> Answer:
        translated = translate_addresses(run, hosts)
        if isinstance(translated, Answer):
            return translated
        return assign(run, translated)


def _truth(run: Run, text: str | None) -> bool:
    """An expanded yes or no; forced failure is no."""
    if text is None:
        return False
    try:
        return run.scope.expand(text).strip().lower() not in _FALSE
    except ForcedFailure:
        return False
