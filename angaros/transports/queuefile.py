"""The queuefile transport: copies of the spool files in a directory, for another program (Exim spec, experimental transports)."""

from __future__ import annotations

from angaros.model.delivery import DeliveryResult
from angaros.model.errors import Why
from angaros.transports.headers import TransportError
from angaros.transports.local import LocalTransport, Setup, expand_option, perform, refuse_tainted
from angaros.transports.plan import QueuefilePlan


class Queuefile(LocalTransport):
    """Driver `queuefile`."""

    def run(self, setup: Setup) -> DeliveryResult:
        """Copy -D and -H."""
        from angaros.spool.codec import write_header

        if not self.options.directory:
            raise TransportError(f"{setup.name} transport: no directory specified", Why.UNKNOWN, panic=True)
        path = expand_option(setup, self.options.directory, "directory")
        refuse_tainted(path, "directory", setup)
        if not path.startswith("/"):
            raise TransportError(f'{setup.name} transport: directory "{path}" is not absolute', Why.NOT_ABSOLUTE)
        hostname = setup.scope.services.config.main.primary_hostname or ""
        header = write_header(setup.message, primary_hostname=hostname).decode("latin-1")
        same_user = setup.owner.uid == setup.scope.services.config.exim_uid
        plan = QueuefilePlan(
            str(path).rstrip("/"), setup.message.id, header, data_path=setup.message.body_path if same_user else ""
        )
        result = perform(setup, plan)
        if result.status != "ok":
            result.status, result.message = "panic", f"{setup.name} {result.message}"
        return result
