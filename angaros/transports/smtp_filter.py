"""`transport_filter` of the smtp transport. Exim spec 24.6.

Laws:
- The command runs once the host wants the data, and only then: a host that takes no recipient costs no process.
- It has run to its end, with success, before the first octet of its output leaves; a filter that fails cannot make a host take
  half a message. The connection is then given up: there is no other way to take DATA back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from angaros.model.delivery import Owner
from angaros.model.errors import Why
from angaros.transports.arguments import build_arguments
from angaros.transports.headers import TransportError
from angaros.transports.performing.copying import filtered
from angaros.transports.performing.outcome import Failed
from angaros.transports.plan import Copy
from angaros.transports.smtp_hosts import SetupError

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Delivery
    from angaros.model.scope import Scope

PIECE = 1 << 16
IN_MEMORY = 1 << 18
"""Octets of output that are kept without a temporary file."""


class FilteredSource:
    """What the filter made of the message (`smtp.transaction.DataSource`)."""

    def __init__(self, run: Callable[[], IO[bytes]]) -> None:
        self._run = run
        self._output: IO[bytes] | None = None

    def header(self) -> bytes:
        """Nothing apart: the filter had header and body in one."""
        return b""

    def body_size(self) -> int | None:
        """Not known: line ends are still to be made."""
        return None

    def body(self) -> Iterable[bytes]:
        """The output with CRLF line ends, the last one added where it is missing. Raises SetupError when the command fails."""
        if self._output is None:
            self._output = self._run()
        self._output.seek(0)
        return _with_crlf(self._output)


def _with_crlf(source: IO[bytes]) -> Iterator[bytes]:
    last = b"\n"
    while piece := source.read(PIECE):
        last = piece[-1:]
        yield piece.replace(b"\n", b"\r\n")
    if last != b"\n":
        yield b"\r\n"


def run_filter(
    instance: DriverInstance[Any], deliveries: list[Delivery], scope: Scope, pieces: Iterable[bytes]
) -> FilteredSource:
    """The message (LF line ends) as the command makes it. Raises SetupError when there is no command."""
    what = f"{instance.name} transport filter"
    try:
        argv = build_arguments(instance.options.transport_filter, scope, deliveries, what)
    except TransportError as error:
        raise SetupError(str(error), error.errno or int(Why.EXPAND_FAIL), panic=error.panic) from None
    environment = dict(os.environ)
    copy = Copy(filter=argv, filter_timeout=instance.options.transport_filter_timeout, environment=environment)
    config = scope.services.config
    owner = deliveries[0].owner or Owner(config.exim_uid, config.exim_gid)
    return FilteredSource(lambda: _run(scope, pieces, copy, owner if os.geteuid() == 0 else None))


def _run(scope: Scope, pieces: Iterable[bytes], copy: Copy, owner: Owner | None) -> IO[bytes]:
    output: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (read as long as the copy lives)

    def run() -> None:
        for piece in filtered(pieces, copy, "", owner):
            output.write(piece)

    try:
        scope.services.waiter.in_thread(run)
    except Failed as error:
        raise SetupError(error.result.message, error.result.basic_errno) from None
    return output
