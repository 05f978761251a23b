"""The iplookup router: a program on another host answers with a new address. Exim spec 19."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.lists.parse import split_list
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.errors import ExpansionError
from angaros.model.text import taint, text
from angaros.net.hosts import HostQuery, find_by_name
from angaros.regex import compile as compile_regex
from angaros.routers.address import child_of
from angaros.routers.assign import set_envelope
from angaros.routers.outcome import Answer
from angaros.routers.router import Run

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

MAX_ANSWER = 1023
"""Octets of an answer that count."""


class Router:
    """Driver `iplookup`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Ask the hosts in order; replace the address by what the first one says."""
        options = run.options
        try:
            query = run.scope.expand(options.query) if options.query is not None else _default_query(run)
        except ExpansionError as error:
            return run.defer(f'{run.router.name} router: failed to expand "{options.query}": {error}')
        answer = self._ask(run, query)
        if answer is None:
            if options.optional:
                return Answer.PASS
            return run.defer(f"{run.router.name} router: failed to get anything")
        return self._reroute(run, answer)

    def _ask(self, run: Run, query: str) -> str | None:
        waiter, options = run.scope.services.waiter, run.options
        payload = query.encode("latin-1")
        for name in split_list(options.hosts):
            for host in find_by_name(name, run.scope, HostQuery(local_check=False)).hosts:
                try:
                    if options.protocol == "udp":
                        data = waiter.exchange_udp(host.address, options.port, payload, timeout=float(options.timeout))
                    else:
                        stream = waiter.connect(host.address, options.port, timeout=float(options.timeout))
                        try:
                            stream.write(payload, timeout=float(options.timeout))
                            data = stream.read(MAX_ANSWER, timeout=float(options.timeout))
                        finally:
                            stream.close()
                except (OSError, TimeoutError):
                    continue
                if data:
                    return taint(text(data[:MAX_ANSWER]))
        return None

    def _reroute(self, run: Run, answer: str) -> Answer:
        options = run.options
        groups: tuple[str, ...] = (answer,)
        if options.response_pattern is not None:
            found = compile_regex(options.response_pattern).match(answer)
            if found is None:
                return Answer.DECLINE
            groups = found
        elif options.query is None:
            _, _, rest = answer.partition(" ")
            identity = f"{run.delivery.local_part}@{run.delivery.domain}"
            if rest.strip().lower() != identity.lower():
                return Answer.DECLINE
        new = answer.split(None, 1)[0] if answer.split() else ""
        if options.reroute is not None:
            run.scope.numeric = groups
            try:
                new = run.scope.expand(options.reroute)
            except ExpansionError as error:
                return run.defer(f'{run.router.name} router: failed to expand "{options.reroute}": {error}')
        extracted = extract_address(new, AddressRules.of(run.scope.services.config.main), allow_null=False)
        if not extracted.ok or not extracted.domain:
            return run.defer(f"{run.router.name} router: reroute string {new} is not of the form user@domain")
        if not set_envelope(run):
            return Answer.DEFER
        child = child_of(run.delivery, extracted.address)
        child.start_router = options.redirect_router or ""
        run.outcome.new.append(child)
        return Answer.ACCEPT


def _default_query(run: Run) -> str:
    address = f"{run.delivery.local_part}@{run.delivery.domain}"
    return f"{address} {address}"
