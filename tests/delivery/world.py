"""A whole delivery in one process: a real configuration, spool, routers and transports; DNS, clock and courier are ours.

`World.deliver` accepts a message and delivers it at once; what happened stands in `log`, `sent` (bounces and replies), mail
files, and in what a `Sink` was told.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from angaros.assembly.reader import Reading, read_config
from angaros.assembly.wiring import Ports, build_services
from angaros.config.site import Site
from angaros.daemon import errands
from angaros.daemon.couriers import _Requests, _result
from angaros.delivery.deliver import deliver_held
from angaros.delivery.options import DeliverOptions
from angaros.logs.selectors import SELECTORS
from angaros.model.delivery import Owner
from angaros.model.message import Message
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.net.blocking import BlockingWaiter
from tests.mailauth.zones import Zones
from tests.policy import NOW, FakeLog

IMMEDIATE = DeliverOptions(immediate=True)
ME = f"user = {os.geteuid()}\n  group = {os.getegid()}"


_NUMBERS = count()


class Clock:
    """Goes on a little whenever somebody looks."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        self.time += 0.01
        return self.time

    monotonic = now


class Log(FakeLog):
    """With Exim's default selectors."""

    def __init__(self) -> None:
        super().__init__()
        self.on = {name for name, on in SELECTORS.items() if on}

    def logs_port(self, port: int) -> bool:
        return True

    def write(self, text: str, *, panic: bool = False, selector: str = "", **_: Any) -> None:
        if selector and not self.selected(selector):
            return
        super().write(text, panic=panic)


class HereCourier(_Requests):
    """Does everything at once, as ourselves."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []

    def ask(self, request: dict[str, Any], owner: Owner, fds: list[int]) -> Any:
        self.owners.append(owner)
        return _result(errands.run(request, [os.dup(fd) for fd in fds]))


class World:
    """One configuration."""

    def __init__(
        self, directory: Path, routers: str = "", transports: str = "", *, main: str = "", retry: str = "* * F,5d,10m",
        zones: dict[str, list[Any]] | None = None,
    ) -> None:  # fmt: skip
        file, spool = directory / "exim.conf", directory / f"spool{next(_NUMBERS)}"
        spool.mkdir(exist_ok=True)
        text = (
            f"primary_hostname = mx.example\nqualify_domain = here.example\nspool_directory = {spool}\n"
            f"exim_user = {os.geteuid()}\n"
            f"exim_group = {os.getegid()}\nnever_users =\nkeep_environment =\n{main}\n"
            f"begin routers\n{routers}\nbegin transports\n{transports}\nbegin retry\n{retry}\n"
        )
        file.write_text(text, "latin-1")
        site = Site(
            exim_user=str(os.geteuid()),
            exim_group=str(os.getegid()),
            spool_directory=str(spool),
            log_file_path=f"{spool}/%slog",
            fixed_never_users="",
        )
        self.config = read_config(Reading(site, files=str(file), any_caller=True))
        self.log, self.clock, self.courier = Log(), Clock(), HereCourier()
        self.services = build_services(self.config, site, Ports(BlockingWaiter(), self.log, lambda services: self.courier))  # type: ignore[arg-type]
        self.services.clock = self.clock
        self.services.dns = Zones(zones or {})
        self.services.hooks.start_delivery = self._start
        self.directory, self.spool = directory, spool
        self.held: list[tuple[Message, Any]] = []
        self.sent: list[str] = []
        """Messages that deliveries made: bounces, warnings, replies."""
        self.sent_to: list[list[str]] = []
        """Who they are for."""
        self.submitting = False

    def _start(self, message: Message, lock: Any, foreground: bool) -> None:
        if self.submitting:
            self.held.append((message, lock))
            return
        body = b"".join(self.services.store.body_chunks(message, lock)).decode("latin-1")
        self.sent.append("".join(header.text for header in message.headers if header.kind != "*") + "\n" + body)
        self.sent_to.append(sorted(recipient.address for recipient in message.recipients))
        self.services.store.remove(message)
        lock.release()

    def accept(
        self, recipients: Sequence[str], sender: str = "joe@author.example", text: str = "Subject: x\n\nbody\n"
    ) -> Message:
        """A message in the spool, locked."""
        self.submitting = True
        try:
            self.services.submitter.submit(  # type: ignore[union-attr]
                text.encode("latin-1"), Scope(self.services, Session()), sender=sender, recipients=list(recipients), as_root=True
            )
        finally:
            self.submitting = False
        return self.held[-1][0]

    def deliver(
        self, *recipients: str, sender: str = "joe@author.example", text: str = "Subject: x\n\nbody\n",
        options: DeliverOptions = IMMEDIATE,
    ) -> list[str]:  # fmt: skip
        """Accept and deliver; the log lines of the delivery."""
        self.accept(recipients or ("x@dom.example",), sender, text)
        return self.attempt(options)

    def attempt(self, options: DeliverOptions = IMMEDIATE) -> list[str]:
        """Deliver what was accepted last."""
        message, lock = self.held.pop()
        self.log.lines.clear()
        deliver_held(self.services, message, lock, options)
        return self.log.lines

    def again(self, message_id: str, options: DeliverOptions | None = None) -> list[str]:
        """A queue run comes to the message."""
        from angaros.delivery.deliver import deliver_message

        self.log.lines.clear()
        deliver_message(self.services, message_id, options or DeliverOptions(queue_run=True))
        return self.log.lines


class Sink:
    """An SMTP server on a port of 127.0.0.1 that says yes, or what `replies` says to a command; one connection at a time."""

    def __init__(
        self, replies: dict[str, str] | None = None, *, ehlo: Sequence[str] = (), path: str = "",
        tls: ssl.SSLContext | None = None, ehlo_tls: Sequence[str] = (), at: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:  # fmt: skip
        self.replies = replies or {}
        self.tls = tls
        self.ehlo = self._keywords([*ehlo, "STARTTLS"] if tls is not None else ehlo)
        self.ehlo_tls = self._keywords(ehlo_tls)
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
        else:
            self.listener = socket.create_server(at)
        self.port = 0 if path else self.listener.getsockname()[1]
        self.commands: list[str] = []
        self.messages: list[str] = []
        self.connections = 0
        self.peers: list[Any] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _keywords(words: Sequence[str]) -> list[str]:
        return ["250-sink.example", *[f"250-{word}" for word in words], "250 HELP"]

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more; while a thread waits in `accept`, closing alone would leave the port open."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                channel, peer = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.peers.append(peer)
            threading.Thread(target=self._talk, args=(channel,), daemon=True).start()

    def _reply(self, command: str, default: str) -> bytes:
        for start, reply in self.replies.items():
            if command.upper().startswith(start.upper()):
                return reply.encode() + b"\r\n"
        return default.encode() + b"\r\n"

    def _shake(self, channel: socket.socket) -> None:
        channel.sendall(b"220 go on\r\n")
        assert self.tls is not None
        try:
            secured = self.tls.wrap_socket(channel, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.commands.append(f"TLS: {error}")
            return
        self._talk(secured)

    def _talk(self, channel: socket.socket) -> None:
        secure = isinstance(channel, ssl.SSLSocket)
        with channel, channel.makefile("rb") as lines, suppress(OSError):
            if not secure:
                channel.sendall(self._reply("CONNECT", "220 sink.example ESMTP"))
            lmtp, recipients = False, 0
            for raw in lines:
                command = raw.decode("latin-1").rstrip("\r\n")
                self.commands.append(command)
                word = command[:4].upper()
                lmtp |= word == "LHLO"
                recipients = 0 if word == "MAIL" else recipients + (word == "RCPT")
                if word in ("EHLO", "LHLO"):
                    channel.sendall(self._reply(command, "\r\n".join(self.ehlo_tls if secure else self.ehlo)))
                elif command.upper() == "STARTTLS" and self.tls is not None:
                    self._shake(channel)
                    return
                elif word == "DATA":
                    answer = self._reply(command, "354 go on")
                    channel.sendall(answer)
                    if answer.startswith(b"3"):
                        self.messages.append(self._data(lines))
                        channel.sendall(self._reply(".", "250 OK") * (recipients if lmtp else 1))
                elif word == "BDAT":
                    self.messages.append(lines.read(int(command.split()[1])).decode("latin-1").replace("\r\n", "\n"))
                    channel.sendall(self._reply(command, "250 OK"))
                elif word == "QUIT":
                    channel.sendall(b"221 bye\r\n")
                    return
                else:
                    channel.sendall(self._reply(command, "250 OK"))

    @staticmethod
    def _data(lines: Any) -> str:
        out = []
        for raw in lines:
            if raw == b".\r\n":
                break
            out.append(raw.decode("latin-1").replace("\r\n", "\n"))
        return "".join(out)
