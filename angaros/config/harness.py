"""Exim's own test mode (`TEST_HARNESS=yes` in the site file), and the plain clock and randomness beside it.

Law: this is the one module that knows how test mode differs from normal operation. `services.harness` is None when it is off;
code that has a test-mode variant asks `if services.harness is not None`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CRAM_CHALLENGE = "<1896.697170952@postoffice.reston.mci.net>"
"""The CRAM-MD5 challenge of test mode (the example of RFC 2195)."""
TICKET_LIFETIME = 2
"""Seconds that TLS session tickets live in test mode."""
SELF_SIGNED_LIFETIME = 2
"""Seconds that self-signed certificates live in test mode."""
TIMEOUT_CONNECT = 999999
"""A `connect_timeout` of this turns "connection refused" into a time-out."""
DEFERRED_ADDRESS = "99.99.99.99"
"""The name of this address cannot be looked up just now."""
_OCSP_VARIABLE = "EXIM_TESTHARNESS_DISABLE_OCSPVALIDITYCHECK"


class SystemClock:
    """`model.interfaces.Clock`: the real one."""

    __slots__ = ()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """For time-outs."""
        return time.monotonic()


class SystemRandom:
    """`model.interfaces.Random`: the real one."""

    __slots__ = ()

    def below(self, limit: int) -> int:
        """0 <= x < limit."""
        import secrets

        return secrets.randbelow(limit) if limit > 0 else 0

    def token(self, octets: int) -> bytes:
        """Cryptographic random octets."""
        return os.urandom(octets)


class PredictableRandom:
    """`model.interfaces.Random` of test mode: x = 1103515245 x + 12345 (mod 2^32) from 42; (x >> 16) mod limit."""

    __slots__ = ("_state",)

    def __init__(self, seed: int = 42) -> None:
        self._state = seed

    def below(self, limit: int) -> int:
        """0 <= x < limit."""
        if limit < 1:
            return 0
        self._state = (1103515245 * self._state + 12345) & 0xFFFFFFFF
        return (self._state >> 16) % limit

    def token(self, octets: int) -> bytes:
        """Cryptographic random octets, even in test mode: keys and cookies are never predictable."""
        return os.urandom(octets)

    def reseed(self, seed: int) -> None:
        """Start again, as a delivery process does."""
        self._state = seed


class Harness:
    """State of test mode in one process."""

    any_caller = True
    """-C, -D, -d, -N, -oP and -M... are permitted to any caller."""
    deliver_own_messages_at_once = True
    """Bounces and automatic replies that a delivery creates are delivered at once (-odi)."""
    syslog_to_stderr = True
    """Syslog lines are written to stderr as `SYSLOG: 'text'`."""
    accept_tainted_acl = True
    show_dnssec_in_tests = True
    """-bt and -bv show ` AD` after hosts found by DNSSEC."""
    version = "x.yz"
    """What a test-mode Exim calls its version (`exim_version`)."""
    config_version = "X"
    """The version in the head line of `-bP config`."""
    head_start = 0.15
    """Seconds by which each of several deliveries at once begins after the one before, so that their order is predictable."""
    writes_pid_file = "exim-daemon.pid"
    """In the spool directory, by each daemon whose pid file has no other name."""
    queue_size_believed = 3.0
    """Seconds between two counts of the queue for `$queue_size`."""
    before_greeting = 0.04
    """Seconds that a connection waits for its greeting, as if a process had to be started for it: who does not wait is seen."""
    cram_challenge = CRAM_CHALLENGE
    ticket_lifetime = TICKET_LIFETIME
    self_signed_lifetime = SELF_SIGNED_LIFETIME

    def __init__(self) -> None:
        self.random = PredictableRandom()
        self._load = -10
        self._ages: list[int] = []
        self.deliveries = 0
        """Deliveries started by this process."""

    def load_average(self) -> int:
        """Thousandths; starts at 0 and grows by 10 each time it is read."""
        self._load += 10
        return self._load

    def set_queue_ages(self, text: str) -> None:
        """-Tqt T1/T2/...: ages (as time intervals) of the messages that a queue run looks at, in order."""
        from angaros.config.values import parse_time

        self._ages = [max(0, parse_time(part)) for part in text.split("/") if part]

    def queue_age(self, age: float) -> float:
        """The age of the next message that a queue run looks at, or `age` when -Tqt has none left."""
        return self._ages.pop(0) if self._ages else age

    def start_delivery(self) -> PredictableRandom:
        """Randomness of the next delivery process: seeded with 42 + 2 * count of deliveries."""
        seed = 42 + 2 * self.deliveries
        self.deliveries += 1
        return PredictableRandom(seed)

    def refusal_is_timeout(self, connect_timeout: int) -> bool:
        """Whether "connection refused" is to be taken for a time-out."""
        return connect_timeout == TIMEOUT_CONNECT

    def defers_name(self, address: str, trace: Callable[[str], None]) -> bool:
        """Whether the look-up of a host's name is to end in a temporary error; says so."""
        if address != DEFERRED_ADDRESS:
            return False
        trace(" Test harness: host name lookup returns DEFER")
        return True

    def ocsp_always_valid(self) -> bool:
        """Whether OCSP responses are valid whatever their dates."""
        return _OCSP_VARIABLE in os.environ
