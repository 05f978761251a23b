"""Dovecot's authentication server decides, over its Unix socket (Exim spec 37; Dovecot's authentication protocol 1.1)."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from angaros.auths.base import FAIL, OK, AuthResult, ClientDialogue, Dialogue, check_condition, set_variables
from angaros.model.errors import ExpansionError
from angaros.model.text import octets, text
from angaros.net.tls import TlsError, TlsSettings

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance
    from angaros.model.interfaces import Stream
    from angaros.model.scope import Scope

TIMEOUT = 30.0
"""Seconds that Dovecot may take for one line; it delays failures by a few on purpose."""
MAX_LINE = 8192
"""Dovecot's own limit for a line of this protocol."""
MAX_GREETING_LINES = 100
MAX_LINES = 200
"""Lines after the greeting, of which a few are for us: a server that talks on and on shall not hold us."""


class _Refused(Exception):
    """The server cannot be used; `str()` is for the log."""


def _lines(stream: Stream) -> list[str]:
    line = text(stream.readline(MAX_LINE, TIMEOUT))
    if not line.endswith("\n"):
        raise _Refused("authentication socket read error or premature eof")
    return line.rstrip("\n").split("\t")


def _greet(stream: Stream, mechanism: str) -> None:
    """Exchange versions; the mechanism must be one that the server has."""
    stream.write(b"VERSION\t1\t0\nCPID\t%d\n" % os.getpid(), TIMEOUT)
    mechanisms: set[str] = set()
    for _ in range(MAX_GREETING_LINES):
        words = _lines(stream)
        if words[0] == "VERSION" and words[1:2] != ["1"]:
            raise _Refused("authentication socket protocol version mismatch")
        if words[0] == "MECH" and len(words) > 1:
            mechanisms.add(words[1].upper())
        if words[0] == "DONE":
            break
    if mechanism.upper() not in mechanisms:
        raise _Refused("mechanism not advertised by the authentication server")


def _parameters(scope: Scope) -> str:
    session = scope.session
    words = ["service=smtp"]
    if session is not None:
        if session.tls is not None or session.sender_host_address == session.interface_address:
            words.append("secured")
        if session.tls is not None and session.tls.certificate_verified:
            words.append("valid-client-cert")
        for key, value in (
            ("rip", session.sender_host_address),
            ("rport", session.sender_host_port),
            ("lip", session.interface_address),
            ("lport", session.interface_port),
        ):
            if value:
                words.append(f"{key}={value}")
    return "\t".join([*words, "nologin"])


def _user(words: list[str]) -> str:
    return next((word[5:] for word in words[2:] if word.startswith("user=")), "")


def server(instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    """Carry challenges and responses between client and Dovecot; `$auth1` is the user that Dovecot names."""
    mechanism = instance.options.public_name or ""
    try:
        stream = _connect(instance, scope)
    except (ExpansionError, TlsError, OSError, _Refused) as error:
        return AuthResult("defer", log_message=f"authentication socket connection error: {_words(error)}")
    try:
        return (yield from _exchange(stream, mechanism, instance, scope, initial))
    except (_Refused, OSError) as error:
        return AuthResult("defer", log_message=f"authentication socket error: {_words(error)}")
    finally:
        stream.close()


def _connect(instance: DriverInstance[Any], scope: Scope) -> Stream:
    """A Unix socket; with `host port` a TCP one, on which `server_tls` may be wanted."""
    where = scope.expand(instance.options.server_socket or "")
    host, _, port = where.partition(" ")
    waiter = scope.services.waiter
    if host.startswith("/"):
        return waiter.connect_unix(where, timeout=TIMEOUT)
    if not port.strip().isdigit():
        raise _Refused(f'"{where}" is neither a path nor a host with a port')
    stream = waiter.connect(host, int(port), timeout=TIMEOUT)
    if instance.options.server_tls:
        from angaros.net.tls_config import context_cache

        context = context_cache(scope.services).context(TlsSettings(server=False), scope.services.clock.now())
        try:
            stream.start_tls(context, timeout=TIMEOUT)
        except BaseException:
            stream.close()
            raise
    return stream


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _decoded(word: str) -> str:
    """A challenge."""
    try:
        return text(b64decode(word, validate=True))
    except ValueError:
        raise _Refused("authentication socket protocol error: challenge is no base64") from None


def _exchange(stream: Stream, mechanism: str, instance: DriverInstance[Any], scope: Scope, initial: str | None) -> Dialogue:
    _greet(stream, mechanism)
    response = f"\tresp={text(b64encode(octets(initial)))}" if initial is not None else ""
    stream.write(octets(f"AUTH\t1\t{mechanism}\t{_parameters(scope)}{response}\n"), TIMEOUT)
    for _ in range(MAX_LINES):
        words = _lines(stream)
        if words[1:2] != ["1"]:
            continue
        if words[0] == "CONT":
            answer = yield _decoded(words[2] if len(words) > 2 else "")
            stream.write(b"CONT\t1\t" + b64encode(octets(answer)) + b"\n", TIMEOUT)
        elif words[0] == "OK":
            set_variables(scope, [_user(words)])
            return check_condition(instance, scope, unset=OK)
        elif words[0] == "FAIL":
            set_variables(scope, [_user(words)])
            return AuthResult("defer") if "temp" in words[2:] else FAIL
        else:
            raise _Refused(f"authentication socket protocol error: unexpected {words[0][:20]}")
    raise _Refused("authentication socket protocol error: no end")


def client(instance: DriverInstance[Any], scope: Scope) -> ClientDialogue:
    """Server only."""
    return
    yield ""
