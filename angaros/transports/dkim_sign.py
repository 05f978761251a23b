"""DKIM signing by the smtp transport: the options, the key, the body's hash, and the copy with its new header lines.

Laws:
- Nothing is read before the data is to be sent; then the body is read once for its hashes and once to send it.
- Keys come from files or from the configuration, and go nowhere: no log line, error or bounce shows one.
- A signature that cannot be made is the administrator's to judge: `dkim_strict`. # Exim spec 58.2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.config.features import DKIM_SIGN_HEADERS
from angaros.lists.parse import split_list
from angaros.mailauth.dkim.keys import PrivateKey, PrivateKeyError, import_private_key
from angaros.mailauth.dkim.sign import Request, permitted
from angaros.mailauth.dkim.signature import HASHES
from angaros.model.errors import ExpansionError
from angaros.model.text import is_tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_KEY_FILE = 1 << 16
"""Octets: no PEM key is longer."""

KEY_MARK = "PRIVATE KEY"
"""In the first line of every PEM key."""

_NO = ("", "0", "false")


def wants_signing(options: Any) -> bool:
    """Whether the transport may sign."""
    return bool(options.dkim_domain or options.arc_sign) and not options.body_only


class SigningFailed(Exception):
    """`args[0]`: what the host line says, "" for nothing."""


class SigningDeferred(SigningFailed):
    """The same, and dkim_strict is set."""


@dataclass(slots=True)
class Plan:
    """What is to be signed."""

    requests: list[Request]

    def log_text(self) -> str:
        """`DKIM=` of the delivery line: domain:selector, ..."""
        return ":".join(f"{one.domain}:{one.selector}" for one in self.requests)


class Signing:
    """The options of one transport for one copy."""

    def __init__(self, options: Any, scope: Scope) -> None:
        self.options = options
        self.scope = scope

    def plan(self) -> Plan:
        """All signatures that the options ask for; none when one of them cannot be made. Raises SigningDeferred."""
        strict_scope = self.scope
        found: list[Request] = []
        try:
            for domain in self._list("dkim_domain", self.scope):
                scope = strict_scope = self.scope.child(dkim_domain=domain.lower())
                for selector in self._list("dkim_selector", scope):
                    scope = strict_scope = self.scope.child(dkim_domain=domain.lower(), dkim_selector=selector)
                    request = self._request(domain.lower(), selector, scope)
                    if request is not None:
                        found.append(request)
        except SigningFailed as failure:
            if not self._strict(strict_scope):
                return Plan([])
            self.scope.log("DKIM: message could not be signed, and dkim_strict is set. Deferring message delivery.")
            raise SigningDeferred(*failure.args) from None
        return Plan(found)

    def _list(self, name: str, scope: Scope) -> list[str]:
        return [item for item in split_list(self._expanded(name, scope)) if item]

    def _expanded(self, name: str, scope: Scope) -> str:
        value = getattr(self.options, name)
        if value is None:
            return ""
        try:
            return scope.expand(value)
        except ExpansionError as error:
            text = f"failed to expand {name}: {without_key(str(error), value)}"
            scope.log(text, panic=True)
            raise SigningFailed(text) from None

    def _strict(self, scope: Scope) -> bool:
        try:
            return self._expanded("dkim_strict", scope) in ("1", "true")
        except SigningFailed:
            return True

    def _request(self, domain: str, selector: str, scope: Scope) -> Request | None:
        key_text = self._expanded("dkim_private_key", scope)
        if key_text in _NO:
            return None
        digest = self._expanded("dkim_hash", scope) or "sha256"
        if digest not in HASHES:
            raise self._told(f"DKIM: unrecognised hashname '{digest}'")
        names = self._expanded("dkim_sign_headers", scope) if self.options.dkim_sign_headers is not None else DKIM_SIGN_HEADERS
        created, expires = self._times(scope)
        request = Request(
            domain=domain,
            selector=selector,
            key=self._key(key_text),
            digest=digest,
            canon=self._canon(scope),
            header_names=names,
            identity=self._expanded("dkim_identity", scope),
            created=created,
            expires=expires,
        )
        if not permitted(request):
            raise self._told(f"DKIM: signing failed: {request.algorithm} is not defined")
        return request

    def _told(self, text: str) -> SigningFailed:
        self.scope.log(text, panic=True)
        return SigningFailed("")

    def _canon(self, scope: Scope) -> str:
        text = self._expanded("dkim_canon", scope)
        if text in ("", "relaxed", "simple"):
            return text or "relaxed"
        scope.log(f"DKIM: unknown canonicalization method '{text}', defaulting to 'relaxed'.")
        return "relaxed"

    def _times(self, scope: Scope) -> tuple[int | None, int | None]:
        """t= and x=; an offset of 0 gives no x=. # Exim spec 58.2, dkim_timestamps"""
        if self.options.dkim_timestamps is None:
            return None, None
        text = self._expanded("dkim_timestamps", scope).strip()
        if not text:
            return None, None
        now = int(scope.services.clock.now())
        offset = int(text) if text.isascii() and text.isdigit() else 0
        return now, now + offset if offset else None

    def _key(self, text: str) -> PrivateKey:
        try:
            return load_key(text, self.scope)
        except OSError:
            raise self._told(f"unable to open file for reading: {text}") from None
        except PrivateKeyError as error:
            why = f"privkey PEM-block import: {error}"
            self.scope.log(f"signing_init: {why}", panic=True)
            self.scope.log("DKIM: signing failed: PRIVKEY", panic=True)
            raise SigningFailed(why) from None


def without_key(text: str, value: str) -> str:
    """An error text that may quote the value of the option; nothing of it is shown when it has a key in it."""
    return "(the text has a private key in it)" if KEY_MARK in value or KEY_MARK in text else text


def load_key(text: str, scope: Scope) -> PrivateKey:
    """A key that is given as PEM text or as the path of a file. Raises OSError, PrivateKeyError."""
    if not text.startswith("/"):
        return import_private_key(text.encode("latin-1", "replace"))
    if is_tainted(text):
        scope.log(f"Tainted filename '{text}'", panic=True)
        raise PermissionError
    with open(text, "rb") as file:
        return import_private_key(file.read(MAX_KEY_FILE))
