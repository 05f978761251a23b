"""What came of TLS at one host, for the daily reports (`tls_reports`, RFC 8460)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.model.errors import Why
from angaros.net import tls_report
from angaros.net.mta_sts import NONE
from angaros.net.tls_report import NO_POLICY, NO_STARTTLS, POLICY_STS, POLICY_TLSA, VALIDATION_FAILURE, Applied, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from angaros.model.delivery import Host
    from angaros.model.scope import Scope
    from angaros.transports.smtp_session import SessionFailure, SmtpSession
    from angaros.transports.smtp_sts import StsDemand, TlsPolicyError
    from angaros.transports.smtp_tls import TlsPolicy


class TlsResults:
    """Counts for the domains of one copy. Nothing is counted for a report of ours, nor when `tls_reports` is off."""

    def __init__(self, scope: Scope, host: Host, domains: Iterable[str]) -> None:
        services = scope.services
        self.services = services
        self.host = host
        self.domains = dict.fromkeys(domains)
        self.on = bool(
            services.config.main.tls_reports
            and scope.turned is None
            and not (scope.message is not None and tls_report.is_report(scope.message, services.config))
        )

    def refused(self, error: TlsPolicyError) -> None:
        """The host was not tried at all."""
        if self.on:
            host = str(self.host.name)
            applied = _sts(error.sts) if error.sts is not None else Applied(error.policy_type, host)
            detail = error.sts.detail if error.sts is not None else ""
            self._note(applied, [Failure(error.result_type, host, self.host.address, reason=error.reason, detail=detail)])

    def opened(self, session: SmtpSession) -> None:
        """There is a session; perhaps in the clear, perhaps with a certificate that is not what a policy in testing wants."""
        if not self.on:
            return
        plan, failures = session.plan, []
        if session.tls is None:
            if "STARTTLS" in session.client.features:
                return  # by our own wish (hosts_avoid_tls)
            failures = [NO_STARTTLS]
        elif plan.sts is not None and plan.sts.mode != NONE:
            engine = session.stream.tls_engine()  # type: ignore[attr-defined]
            failures = [tls_report.classify(engine.problems)] if engine is not None and engine.problems else []
        if plan.sts is not None and plan.sts.mismatch:
            failures.append(VALIDATION_FAILURE)
        local = session.stream.local_address
        self._under(plan, [self._failure(kind, local, plan) for kind in failures])

    def failed(self, failure: SessionFailure, plan: TlsPolicy) -> None:
        """There is none. What has nothing to do with TLS is no matter for the report."""
        if not self.on or not (failure.tls_failed or failure.number == Why.TLS_REQUIRED):
            return
        kind = NO_STARTTLS
        if failure.tls_failed:
            kind = VALIDATION_FAILURE if plan.tlsa else tls_report.classify(failure.problems)
        local = failure.session.stream.local_address if failure.session is not None else ""
        self._under(plan, [self._failure(kind, local, plan, "; ".join(failure.problems) or failure.text)])

    def _failure(self, kind: str, local: str, plan: TlsPolicy, detail: str = "") -> Failure:
        mismatch = kind == VALIDATION_FAILURE and plan.sts is not None and plan.sts.mismatch
        return Failure(kind, str(self.host.name), self.host.address, local, "mx-mismatch" if mismatch else "", detail)

    def _under(self, plan: TlsPolicy, failures: list[Failure]) -> None:
        """Count under the policy that held; a policy that could not be had is a failure of its own."""
        sts, good = plan.sts, not failures
        unavailable = [Failure(sts.problem, detail=sts.detail)] if sts is not None and sts.problem else []
        if plan.tlsa:
            self._note(Applied(POLICY_TLSA, str(self.host.name), tuple(_tlsa_text(r) for r in plan.tlsa)), failures)
        elif sts is not None and sts.mode != NONE:
            self._note(_sts(sts), [*failures, *unavailable], good=good)
        else:
            if unavailable and sts is not None:
                self._note(_sts(sts), unavailable)
            self._note(None, failures)

    def _note(self, applied: Applied | None, failures: list[Failure], *, good: bool | None = None) -> None:
        for domain in self.domains:
            about = applied or Applied(NO_POLICY, domain)
            tls_report.note(self.services, domain, about, failures, good=not failures if good is None else good)


def _sts(found: StsDemand) -> Applied:
    return Applied(POLICY_STS, found.domain, found.policy, found.mx)


def _tlsa_text(record: tuple[int, int, int, bytes]) -> str:
    """As a zone file has it. RFC 8460 4.4, policy-string"""
    return f"{record[0]} {record[1]} {record[2]} {record[3].hex()}"
