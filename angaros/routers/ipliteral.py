"""The ipliteral router: `user@[192.168.1.1]`. Exim spec 18."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from angaros.model.delivery import Host
from angaros.net.hosts import ignored
from angaros.net.interfaces import is_local_address
from angaros.routers.assign import assign
from angaros.routers.host_list import translate_addresses
from angaros.routers.outcome import Answer
from angaros.routers.router import Run
from angaros.routers.self_action import act_on_self

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance


class Router:
    """Driver `ipliteral`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Assign the host of a domain literal; decline everything else."""
        domain = run.delivery.domain
        if not (domain.startswith("[") and domain.endswith("]")):
            return Answer.DECLINE
        text = domain[1:-1]
        address = text[5:] if text[:5].lower() == "ipv6:" else text
        try:
            ipaddress.ip_address(str(address))
        except ValueError:
            return Answer.DECLINE
        if ignored(address, address, run.options.ignore_target_hosts, run.scope):
            run.delivery.message = "IP literal host explicitly ignored"
            return Answer.DECLINE
        host = Host(domain, address)
        if is_local_address(address, run.scope.services):
            answer = act_on_self(run, host)
            if answer is not Answer.ACCEPT:
                return answer
        hosts = translate_addresses(run, [host])
        if isinstance(hosts, Answer):
            return hosts
        return assign(run, hosts)
