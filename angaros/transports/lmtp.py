"""The lmtp transport: LMTP to a command or a unix socket (Exim spec 28)."""

from __future__ import annotations

import os

from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.scope import Scope
from angaros.transports.arguments import build_arguments
from angaros.transports.headers import TransportError
from angaros.transports.local import LocalTransport, Setup, expand_option, make_copy, perform, refuse_tainted
from angaros.transports.plan import LmtpPlan
from angaros.transports.recipients import envelope_recipient


class Lmtp(LocalTransport):
    """Driver `lmtp`."""

    def deliver(self, deliveries: list[Delivery], scope: Scope) -> list[DeliveryResult]:
        """One conversation; each address has its own result."""
        results = super().deliver(deliveries, scope)
        outcomes = results[0].detail.pop("outcomes", None)
        if outcomes:
            delivered = False
            for result, outcome in zip(results, outcomes, strict=True):
                result.detail = {}
                result.basic_errno, result.more_errno, result.message = 0, 0, ""
                for name, value in outcome.items():
                    setattr(result, name, value)
                if result.status == "ok":
                    result.followed, delivered = delivered, True
        return results

    def run(self, setup: Setup) -> DeliveryResult:
        """Make the plan and have it performed."""
        options = self.options
        copy = make_copy(setup, "while writing to LMTP server")
        copy.use_crlf = True
        plan = LmtpPlan(
            copy=copy,
            helo=setup.scope.services.config.main.primary_hostname or "localhost",
            sender=setup.return_path,
            recipients=[str(envelope_recipient(delivery, self.instance)) for delivery in setup.deliveries],
            timeout=options.timeout,
            ignore_quota=options.ignore_quota,
        )
        if options.command:
            refuse_tainted(options.command, "command", setup)
            what = f"{setup.name} transport"
            plan.argv = build_arguments(options.command, setup.scope, setup.deliveries, what, expand=True, fail=False)
            plan.environment = dict(os.environ)
        elif options.socket:
            plan.socket = expand_option(setup, options.socket)
            refuse_tainted(plan.socket, "socket", setup)
        else:
            raise TransportError(f"no command or socket specified for {setup.name} transport")
        return perform(setup, plan)
