"""What both waiters share: the error that cancels a core."""

from __future__ import annotations


class Cancelled(BaseException):
    """Thrown into a core at its wait when its run is cancelled. Not an `Exception`: only clean-up sees it."""


class StreamClosed(ConnectionError):
    """A write after our own `close`, or after the peer is known to be gone."""
