"""Early pipelining: commands sent before the greeting, from what the host answered to EHLO last time (Exim spec 30.4,
hosts_pipe_connect). The hints remember one answer for sessions in the clear and one for encrypted ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from angaros.hints.early import DATABASE, KEYWORD, early_key
from angaros.smtp.client import ClientReply, parse_features
from angaros.transports.smtp_hosts import expand_host_list_option as listed

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.scope import Scope

_NEEDS_CONNECTION = re.compile(r"\$\{?sending_(?:ip_address|port)")
CLEAR, CRYPTED = "clear", "crypted"


class EarlyPipe:
    """What is remembered of one host, and what is learnt in this session."""

    def __init__(self, instance: DriverInstance[Any], host: Host, port: int, scope: Scope, *, avoid: bool) -> None:
        options = instance.options
        self._services = scope.services
        self._key = early_key(host.address, port)
        self.watching = not avoid and options.hosts_pipe_connect is not None
        self.watching = self.watching and listed(options.hosts_pipe_connect, "hosts_pipe_connect", host, scope)
        self.wanted = self.watching and (bool(options.interface) or not _NEEDS_CONNECTION.search(options.helo_data))
        """Commands may go out early in this session."""
        self.used = False
        self._record = self._read() if self.watching else {}

    def _read(self) -> dict[str, Any]:
        record = self._services.hints.get(DATABASE, self._key)
        now, limit = self._services.clock.now(), self._services.config.main.retry_data_expire
        if record is None or now - float(record.get("time_stamp", 0)) > limit:
            return {}
        return record

    def features(self, phase: str) -> dict[str, str]:
        """What the host offered in this phase; {} unless it can be spoken to early."""
        text = self._record.get(phase, "") if self.wanted else ""
        found = parse_features(ClientReply(250, text)) if text else {}
        return found if KEYWORD in found and "PIPELINING" in found else {}

    def learn(self, phase: str, reply: ClientReply) -> None:
        """An answer to EHLO: remember it, if it is of use and not what was known."""
        if not self.watching:
            return
        text = str(reply.text) if KEYWORD in parse_features(reply) else ""
        if self._record.get(phase, "") != text:
            self._record = {**self._record, phase: text, "time_stamp": self._services.clock.now()}
            self._services.hints.put(DATABASE, self._key, self._record)

    def forget(self) -> None:
        """What was remembered was wrong; this session goes on the slow way."""
        self._record = {}
        self.wanted = self.used = False
        self._services.hints.delete(DATABASE, self._key)
