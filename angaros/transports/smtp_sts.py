"""MTA-STS towards a host: what the policy of its domain demands of it. RFC 8461 4, 5.

Laws:
- DANE comes first: a host with usable TLSA records is not asked about here.
- Under an enforced policy a host that it does not name is not used, and nothing goes out in the clear or unverified.
- `hosts_require_mta_sts` enforces a policy in mode testing too, and a domain without one gets no mail from us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.model.errors import Why
from angaros.net.mta_sts import ENFORCE, NONE, allows, policy_lines
from angaros.net.tls_report import POLICY_STS, VALIDATION_FAILURE
from angaros.transports.smtp_hosts import expand_host_list_option as listed

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.scope import Scope
    from angaros.net.mta_sts_cache import Finding

VARIABLES = "mta_sts"
"""Key of `Delivery.extra` for `$mta_sts_mode`, `$mta_sts_domain`, `$mta_sts_id`."""


class TlsPolicyError(Exception):
    """A host cannot be used because of what DANE or MTA-STS demand. `permanent`: the addresses fail."""

    def __init__(self, text: str, *, permanent: bool = False, result_type: str = VALIDATION_FAILURE, reason: str = "") -> None:
        super().__init__(text)
        self.permanent = permanent
        self.number = 0 if permanent else int(Why.TLS_REQUIRED)
        self.result_type = result_type
        """RFC 8460 4.3"""
        self.reason = reason
        self.policy_type = ""
        self.sts: StsDemand | None = None


@dataclass(frozen=True, slots=True)
class StsDemand:
    """What was found, and whether it must be kept."""

    domain: str
    """The policy domain."""
    id: str = ""
    mode: str = NONE
    enforced: bool = False
    name: str = ""
    """The host as the MX record has it: the certificate must be for this."""
    policy: tuple[str, ...] = ()
    """Its lines, for reports."""
    mx: tuple[str, ...] = ()
    problem: str = ""
    """Why the newest policy could not be had. RFC 8460 4.3.2.2"""
    detail: str = ""
    mismatch: bool = False
    """Mode testing: the policy does not name the host."""


class StsError(TlsPolicyError):
    """The policy does not allow this host, or there is none where one is required."""

    def __init__(self, text: str, demand: StsDemand, *, reason: str) -> None:
        super().__init__(f"MTA-STS error: {text}", result_type=demand.problem or VALIDATION_FAILURE, reason=reason)
        self.sts = demand
        self.policy_type = POLICY_STS


def mx_name(host: Host) -> str:
    """The host's name before any alias was followed."""
    if host.mx >= 0:
        return str(host.certificate_names[0] if host.certificate_names else host.name)
    return str(host.domain or host.name)


def consulted(instance: DriverInstance[Any], host: Host, scope: Scope) -> tuple[bool, bool]:
    """Whether a policy is looked for, and whether there must be one."""
    options = instance.options
    required = listed(options.hosts_require_mta_sts, "hosts_require_mta_sts", host, scope)
    return required or listed(options.hosts_try_mta_sts, "hosts_try_mta_sts", host, scope), required


def demand(
    instance: DriverInstance[Any], host: Host, scope: Scope, *, lenient: bool = False, needed: bool = False
) -> StsDemand | None:
    """What the policy demands of this host; None where it was not asked for. `lenient`: only if it is required (RFC 8689 4.2.2,
    RFC 8460 3). `needed`: whatever the options say (REQUIRETLS). Raises `StsError`."""
    if scope.delivery is not None:
        scope.delivery.extra.pop(VARIABLES, None)
    asked, required = consulted(instance, host, scope)
    if not (asked or needed) or (lenient and not required):
        return None
    if scope.turned is not None:  # ATRN: the peer came to us, no MX record led to it
        return None
    from angaros.net import mta_sts_cache

    finding = mta_sts_cache.find(host.domain or host.name, scope)
    found = _demand_of(finding, mx_name(host), required)
    if scope.delivery is not None:
        scope.delivery.extra[VARIABLES] = found
    scope.trace(
        "transport", f"MTA-STS policy of {found.domain}: mode={found.mode} id={found.id or 'none'} mx={':'.join(found.mx)}"
    )
    if finding.mode == NONE and required:
        raise StsError(f"no policy of {found.domain} (required)", found, reason="no-policy")
    if finding.policy is not None and found.mode != NONE and not allows(finding.policy, found.name):
        text = f"{found.name} is not in the policy of {found.domain} ({found.mode})"
        if found.enforced:
            raise StsError(text, found, reason="mx-mismatch")
        if scope.message is not None:  # no probe of the command line
            scope.log(f"MTA-STS: {text}: used all the same")
    return found


def _demand_of(finding: Finding, name: str, required: bool) -> StsDemand:
    policy = finding.policy
    if policy is None:
        return StsDemand(finding.domain, name=name, problem=finding.problem, detail=finding.detail)
    return StsDemand(
        finding.domain,
        finding.id,
        policy.mode,
        enforced=policy.mode == ENFORCE or (required and policy.mode != NONE),
        name=name,
        policy=tuple(policy_lines(policy)),
        mx=policy.mx,
        problem=finding.problem,
        detail=finding.detail,
        mismatch=policy.mode != NONE and not allows(policy, name),
    )


def shown(instance: DriverInstance[Any], host: Host, scope: Scope) -> str:
    """For `exim -bt`: the mode that holds for a host, `STS=enforce`; `STS=refused` if the policy forbids it; "" for none."""
    if not consulted(instance, host, scope)[0]:
        return ""
    try:
        found = demand(instance, host, scope)
    except StsError:
        return "STS=refused"
    return f"STS={found.mode}" if found is not None else ""
