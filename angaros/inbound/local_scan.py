"""`local_scan_python`: the administrator's own last check of a message, in Python. Exim spec 46, translated.

The option is `module:function` or `/path/file.py:function` (default function `local_scan`). The function gets a `ScanMessage`
(read only) and returns nothing or ACCEPT, or a `(code, text)` pair; an exception is a temporary rejection, and so is an answer
that does not come within `local_scan_timeout`. The text of an acceptance is `$local_scan_data`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from angaros.model.errors import ConfigError

if TYPE_CHECKING:
    from angaros.inbound.receive import Reception
    from angaros.model.message import Message
    from angaros.model.scope import Scope

ACCEPT, ACCEPT_FREEZE, ACCEPT_QUEUE = "accept", "accept_freeze", "accept_queue"
REJECT, REJECT_NOLOGHDR, TEMPREJECT, TEMPREJECT_NOLOGHDR = "reject", "reject_nologhdr", "tempreject", "tempreject_nologhdr"
CODES = frozenset({ACCEPT, ACCEPT_FREEZE, ACCEPT_QUEUE, REJECT, REJECT_NOLOGHDR, TEMPREJECT, TEMPREJECT_NOLOGHDR})
MAX_TEXT = 256
"""Octets of the function's text that are used, as in Exim's interface."""


@dataclass(frozen=True, slots=True)
class ScanMessage:
    """The message as the function may see it."""

    id: str
    sender_address: str
    recipients: tuple[str, ...]
    headers: tuple[str, ...]
    """Whole header lines, each ending in a newline."""
    sender_host_address: str
    sender_host_name: str
    received_protocol: str
    authenticated_id: str
    size: int
    body_path: str
    body_offset: int
    smtp_input: bool
    options: Mapping[str, str]
    """The `local_scan` section of the configuration, as text."""

    def body(self, chunk: int = 65536) -> Iterator[bytes]:
        """The body's octets."""
        with open(self.body_path, "rb") as file:
            file.seek(self.body_offset)
            while data := file.read(chunk):
                yield data


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What became of it."""

    accepted: bool = True
    temporary: bool = False
    text: str = ""
    log_headers: bool = True


def load(option: str) -> Callable[[ScanMessage], Any]:
    """The function that the option names; ConfigError when there is none."""
    place, _, name = option.partition(":")
    try:
        if place.startswith("/"):
            spec = importlib.util.spec_from_file_location("angaros_local_scan", place)
            if spec is None or spec.loader is None:
                raise ConfigError(f"local_scan_python: cannot load {place}")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        function: Callable[[ScanMessage], Any] = getattr(module, name or "local_scan")
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise ConfigError(f"local_scan_python: {error}") from error
    return function


def _view(message: Message, options: Mapping[str, str]) -> ScanMessage:
    session = message.session
    return ScanMessage(
        id=message.id,
        sender_address=str(message.sender_address),
        recipients=tuple(str(recipient.address) for recipient in message.recipients),
        headers=tuple(str(header.text) for header in message.headers if header.kind != "*"),
        sender_host_address=str(session.sender_host_address),
        sender_host_name=str(session.sender_host_name),
        received_protocol=session.protocol,
        authenticated_id=str(session.authenticated_id),
        size=message.message_size,
        body_path=message.body_path,
        body_offset=message.body_offset,
        smtp_input=session.smtp,
        options=MappingProxyType(dict(options)),
    )


class _TimedOut(Exception):
    """`local_scan_timeout` is over."""


def _within(seconds: int, call: Callable[[], Any]) -> Any:
    """The result of `call`, in a thread of its own that is left to itself when it takes too long."""
    if seconds <= 0:
        return call()
    results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:
            results.put((None, error))

    Thread(target=run, name="local_scan", daemon=True).start()
    try:
        answer, error = results.get(timeout=seconds)
    except Empty:
        raise _TimedOut from None
    if error is not None:
        raise error
    return answer


def scan(reception: Reception) -> ScanResult:
    """Run the function and obey it."""
    services, message = reception.services, reception.message
    option = services.config.main.local_scan_python
    assert option is not None
    cache = services.extra.setdefault("local_scan", {})
    try:
        function = cache.get(option)
        if function is None:
            function = cache[option] = load(option)
        view, limit = _view(message, services.config.local_scan), int(services.config.main.local_scan_timeout)
        answer = services.waiter.in_thread(lambda: _within(limit, lambda: function(view)))
    except _TimedOut:
        services.log.write(
            f"local_scan() function timed out - message temporarily rejected (size {message.message_size})",
            message_id=message.id,
            reject=True,
        )
        return ScanResult(False, True, "local verification problem")
    except Exception as error:  # the administrator's code: whatever it does wrong must not lose mail
        services.log.write(f"local_scan() function failed: {type(error).__name__}: {error}", message_id=message.id, panic=True)
        return ScanResult(False, True, "Temporary local problem")
    return _obey(answer, message, reception.scope)


def _obey(answer: Any, message: Message, scope: Scope) -> ScanResult:
    code, text = answer if isinstance(answer, tuple) else (answer or ACCEPT, "")
    text = str(text)[:MAX_TEXT].encode("latin-1", "replace").decode("latin-1")
    if code not in CODES:
        return ScanResult(False, True, "Temporary local problem")
    if code == ACCEPT_FREEZE:
        message.effects.freeze = True
        message.effects.caches["frozen_by"] = "local_scan()"
    elif code == ACCEPT_QUEUE:
        message.effects.queue_only = True
        message.effects.caches["queued_by"] = "local_scan()"
    if code in (ACCEPT, ACCEPT_FREEZE, ACCEPT_QUEUE):
        scope.state["local_scan_data"] = text
        if text:
            message.spool_variables["local_scan"] = text.replace("\n", " ")
        return ScanResult()
    temporary = code in (TEMPREJECT, TEMPREJECT_NOLOGHDR)
    default = "Temporary local problem" if temporary else "Administrative prohibition"
    return ScanResult(False, temporary, text or default, code in (REJECT, TEMPREJECT))
