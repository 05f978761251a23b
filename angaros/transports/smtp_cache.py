"""SMTP sessions kept open for the next message to the same host.

Laws:
- A session is reused only for the same transport, host name, address, port, source address, HELO name and TLS policy; never when
  it was authenticated by options that depend on the message.
- It is looked at before it is reused: when the server has said or closed something, it is not used.
- Whoever keeps sessions ends them: in the daemon after some idle seconds, on the command line at the end (`close_all`). One
  that was kept for a certain message, which then did not go over it, ends there without QUIT: so does Exim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_hosts import source_address

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope
    from angaros.model.turned import Turned
    from angaros.transports.smtp_session import Opener, SmtpSession

IDLE = 3.0
"""Seconds a session is kept in the daemon. Servers and their administrators mind idle connections that last longer."""
IDLE_LIMIT = 64
"""Sessions kept in a process."""
PER_KEY = 4
"""Sessions kept for one destination."""

NEVER = float("inf")
Key = tuple[Any, ...]


@dataclass(slots=True)
class _Entry:
    session: SmtpSession
    ends: float
    for_next: bool = False
    """Kept for a certain message."""


@dataclass(slots=True)
class SessionCache:
    """The idle sessions of a process; in `services.extra["smtp_connections"]`."""

    entries: dict[Key, list[_Entry]] = field(default_factory=dict)
    count: int = 0
    sweeping: bool = False

    def take(self, key: Key) -> SmtpSession | None:
        """A usable session; the newest first."""
        waiting = self.entries.get(key)
        while waiting:
            session = waiting.pop().session
            self.count -= 1
            if not waiting:
                del self.entries[key]
            if not session.stream.input_waiting():
                session.reused = True
                return session
            session.close(say_quit=False)
        return None

    def has(self, key: Key) -> bool:
        """Whether there is one."""
        return key in self.entries

    def put(self, key: Key, session: SmtpSession, services: Services, *, for_next: bool = False) -> bool:
        """Keep a session; False when there is no room."""
        waiting = self.entries.setdefault(key, [])
        if self.count >= IDLE_LIMIT or len(waiting) >= PER_KEY:
            if not waiting:
                del self.entries[key]
            return False
        waiting.append(_Entry(session, services.clock.monotonic() + IDLE, for_next))
        self.count += 1
        if not self.sweeping and hasattr(services.waiter, "start"):  # a loop: somebody has to end them
            self.sweeping = True
            services.waiter.spawn(lambda: self._sweep(services))
        return True

    def _sweep(self, services: Services) -> None:
        try:
            while self.count:
                services.waiter.sleep(IDLE / 2)
                self.close_old(services.clock.monotonic())
        finally:
            self.sweeping = False

    def close_old(self, now: float) -> None:
        """End the sessions whose time is over."""
        ended = []
        for key, waiting in list(self.entries.items()):
            ended += [entry for entry in waiting if entry.ends <= now]
            waiting[:] = [entry for entry in waiting if entry.ends > now]
            if not waiting:
                del self.entries[key]
        self.count -= len(ended)
        for entry in ended:
            entry.session.close(say_quit=not (entry.for_next and now == NEVER))


def cache_of(services: Services) -> SessionCache:
    """The cache of this process."""
    cache = services.extra.get("smtp_connections")
    if cache is None:
        cache = services.extra["smtp_connections"] = SessionCache()
    return cache


def cache_key(opener: Opener) -> Key:
    """What must be equal for a session to be reused."""
    host, scope, options = opener.host, opener.scope, opener.options
    helo, sni = options.helo_data, options.tls_sni or ""
    return (
        opener.instance.name,
        host.name,
        host.address,
        opener.port,
        opener.plan,
        source_address(opener.instance, host, scope),
        helo if "sending_" in helo else scope.expand(helo),  # the address of the connection itself decides nothing more
        scope.expand(sni),
        id(scope.turned) if scope.turned is not None else 0,
    )


def may_be_kept(session: SmtpSession, opener: Opener) -> bool:
    """Whether the options and the server allow another message on this session (Exim spec 30.4, 43.13)."""
    options, scope = opener.options, opener.scope
    limits = [limit for limit in (options.connection_max_messages, session.limits.get("MAILMAX", 0)) if limit]
    if any(session.sequence >= limit for limit in limits):
        return False
    if session.tls is not None and listed(options.hosts_nopass_tls, "hosts_nopass_tls", session.host, scope):
        return False
    return not session.authenticated or _same_for_all(scope)


def _same_for_all(scope: Scope) -> bool:
    """Whether client authenticators do not depend on the message."""
    for authenticator in scope.services.config.authenticators:
        values = (getattr(authenticator.options, name, None) for name in ("client_send", "client_name", "client_secret"))
        if any(isinstance(value, str) and "$" in value for value in values):
            return False
    return True


def close_all(services: Services) -> None:
    """End all idle sessions."""
    cache_of(services).close_old(NEVER)


def close_turned(services: Services, turned: Turned) -> None:
    """End the session over a connection that ATRN has turned; nobody else may use it."""
    cache = cache_of(services)
    for key in [key for key in cache.entries if key[-1] == id(turned)]:
        for entry in cache.entries.pop(key):
            cache.count -= 1
            entry.session.close(wait_for_quit=True)
    if turned.stream is not None:  # nothing was sent
        turned.stream.close()
