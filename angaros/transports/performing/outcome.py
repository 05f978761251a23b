"""Ways for a performance to end early."""

from __future__ import annotations

import errno
import os
from typing import Any

from angaros.model.delivery import DeliveryResult
from angaros.model.errors import Why


class Failed(Exception):
    """Ends a performance with `result`."""

    def __init__(self, result: DeliveryResult) -> None:
        super().__init__(result.message)
        self.result = result


def deferred(text: str, number: int = 0, **more: Any) -> Failed:
    """Try again later."""
    return Failed(DeliveryResult("defer", message=text, basic_errno=number, **more))


def panicked(text: str, number: int = 0, **more: Any) -> Failed:
    """Try again later, and tell the administrator through the panic log."""
    return Failed(DeliveryResult("panic", message=text, basic_errno=number, **more))


def failed(text: str, number: int = 0, **more: Any) -> Failed:
    """Bounce."""
    return Failed(DeliveryResult("fail", message=text, basic_errno=number, **more))


def identity() -> str:
    """`(euid=8 egid=12)`, for messages about permissions."""
    return f"(euid={os.geteuid()} egid={os.getegid()})"


def mailbox_full(what: str, path: str, since_read: int) -> Failed:
    """Our own quota is exceeded. `what`: `quota` or `filecount quota`; `since_read`: seconds since the user last read mail."""
    return deferred(
        f"mailbox is full (MTA-imposed {what} exceeded while writing to {path})",
        Why.QUOTA,
        user_message="mailbox is full",
        more_errno=since_read,
    )


def write_failed(error: OSError, path: str, since_read: int) -> Failed:
    """The file could not be written."""
    if error.errno in (errno.EDQUOT, errno.ENOSPC):
        text = "mailbox is full" if error.errno == errno.EDQUOT else ""
        return deferred(
            f"mailbox is full (quota exceeded while writing to file {path})" if text else f"error while writing to {path}",
            error.errno,
            user_message=text,
            more_errno=since_read,
        )
    return deferred(f"error while writing to {path}", error.errno or 0)
