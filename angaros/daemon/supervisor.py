"""sd_notify and socket activation (systemd's two small protocols, without its library)."""

from __future__ import annotations

import os
import socket

from angaros.model.errors import ConfigError

FIRST_PASSED_FD = 3
"""sd_listen_fds(3): passed sockets start here."""


def notify(state: str) -> None:
    """Tell systemd, if it started us with Type=notify. Failure is not an error of ours."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(state.encode(), address)
    except OSError:
        pass


def passed_sockets() -> list[socket.socket]:
    """Listening sockets that systemd opened for us (LISTEN_FDS), [] when none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0") or 0)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    found = []
    for fd in range(FIRST_PASSED_FD, FIRST_PASSED_FD + count):
        channel = socket.socket(fileno=fd)
        channel.set_inheritable(False)
        if channel.type == socket.SOCK_STREAM:
            found.append(channel)
    return found


def inherited_socket() -> list[socket.socket]:
    """-bw: inetd's listening socket is standard input. Exim spec 5.3; raises ConfigError when it is none."""
    try:
        channel = socket.socket(fileno=os.dup(0))
        listening = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        listening = 0
    if not listening:
        raise ConfigError("-bw: standard input is not a listening socket")
    channel.set_inheritable(False)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return [channel]
