"""The SASL mechanisms of Kerberos as dialogues: GSSAPI (RFC 4752) and GS2-KRB5 (RFC 5801), both sides.

The drivers that offer them (heimdal_gssapi, gsasl, cyrus_sasl) say where the key is and what the names mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from angaros.auths.base import ClientDialogue
from angaros.auths.sasl import gss
from angaros.model.text import octets, text

if TYPE_CHECKING:
    from angaros.model.scope import Scope

T = TypeVar("T")

MAX_STEPS = 10
"""Tokens of one context; Kerberos needs two."""
NO_SECURITY_LAYER = b"\x01\x00\x00\x00"
"""The only layer that is offered: TLS protects the session. # RFC 4752 3.3"""


@dataclass(frozen=True, slots=True)
class Key:
    """A service at a host, and where the server has its key ("": the system's keytab)."""

    service: str
    hostname: str
    keytab: str = ""

    def acceptor(self, binding: bytes = b"") -> gss.Acceptor:
        """The server's context."""
        return gss.Acceptor(self.service, self.hostname, self.keytab, binding)

    def initiator(self, binding: bytes = b"") -> gss.Initiator:
        """The client's context."""
        return gss.Initiator(self.service, self.hostname, binding)


@dataclass(frozen=True, slots=True)
class Names:
    """Whom the exchange has shown to be there, and as whom that wants to act ("" when it did not say)."""

    display: str
    authorization: str


Exchange = Generator[str, str, Names]
Server = Callable[["Scope", Key, "str | None"], Exchange]
Client = Callable[["Scope", Key, str], ClientDialogue]


def _blocking(scope: Scope, call: Callable[[], T]) -> T:
    return scope.services.waiter.in_thread(call)


def _step(scope: Scope, context: gss.Context, token: str) -> str:
    return text(_blocking(scope, lambda: context.step(octets(token))))


# --- GSSAPI --------------------------------------------------------------------------------------------------------------


def server(scope: Scope, key: Key, initial: str | None) -> Exchange:
    """GSSAPI. Raises GssError; ValueError when the client's last message makes no sense. # RFC 4752 3.2"""
    context = _blocking(scope, key.acceptor)
    try:
        yield from _accept(scope, context, initial or (yield ""))
        choice = context.unwrap(octets((yield text(context.wrap(NO_SECURITY_LAYER)))))
        if len(choice) < len(NO_SECURITY_LAYER) or choice[:1] != NO_SECURITY_LAYER[:1]:
            raise ValueError("the client wants a security layer that was not offered")
        return Names(context.peer_name(), _authorization(choice[len(NO_SECURITY_LAYER) :]))
    finally:
        context.close()


def _accept(scope: Scope, context: gss.Context, token: str) -> Generator[str, str, None]:
    """Tokens until the context stands; a last one of ours is answered by an empty response."""
    for _ in range(MAX_STEPS):
        answer = _step(scope, context, token)
        if context.complete and not answer:
            return
        token = yield answer
        if context.complete:
            if token:
                raise ValueError("the client sent more than the context wants")
            return
    raise ValueError("the context has no end")


def _authorization(name: bytes) -> str:
    """# RFC 4752 3.1: UTF-8, without NUL."""
    name.decode("utf-8")
    if b"\0" in name:
        raise ValueError("NUL in the authorization identity")
    return text(name)


def client(scope: Scope, key: Key, authorization: str) -> ClientDialogue:
    """GSSAPI. Raises GssError. # RFC 4752 3.1"""
    context = _blocking(scope, key.initiator)
    try:
        challenge = yield _step(scope, context, "")
        while not context.complete:
            challenge = yield _step(scope, context, challenge)
        offer = context.unwrap(octets(challenge))
        if len(offer) != len(NO_SECURITY_LAYER) or not offer[0] & NO_SECURITY_LAYER[0]:
            raise gss.GssError("the server insists on a security layer")
        yield text(context.wrap(NO_SECURITY_LAYER + octets(authorization)))
    finally:
        context.close()


# --- GS2-KRB5 ------------------------------------------------------------------------------------------------------------

_GS2_HEADER = re.compile(rb"(F,)?([ny],(?:a=((?:[^,=\0]|=2C|=3D)*))?,)")
"""Without channel binding: that is GS2-KRB5-PLUS. # RFC 5801 4"""


def gs2_server(scope: Scope, key: Key, initial: str | None) -> Exchange:
    """GS2-KRB5. The header enters the context as its channel binding: nobody can change it. # RFC 5801 3, 5.1"""
    message = octets(initial or (yield ""))
    header = _GS2_HEADER.match(message)
    if header is None:
        raise ValueError("malformed GS2 header")
    context = _blocking(scope, lambda: key.acceptor(header[2]))
    try:
        token = message[header.end() :]
        yield from _accept(scope, context, text(token if header[1] else gss.framed(token)))
        wanted = (header[3] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
        return Names(context.peer_name(), _authorization(wanted))
    finally:
        context.close()


def gs2_client(scope: Scope, key: Key, authorization: str) -> ClientDialogue:
    """GS2-KRB5. Raises GssError. # RFC 5801 3"""
    name = authorization.replace("=", "=3D").replace(",", "=2C")
    header = f"n,{f'a={name}' if name else ''},"
    context = _blocking(scope, lambda: key.initiator(octets(header)))
    try:
        first = gss.unframed(octets(_step(scope, context, "")))
        challenge = yield header + text(first)
        while not context.complete:
            challenge = yield _step(scope, context, challenge)
        yield ""
    finally:
        context.close()
