"""TLS settings from the main options, for incoming connections (Exim spec 14 and 43.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from angaros.config.settings import split_list
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer
from angaros.model.scope import Scope
from angaros.model.text import taint
from angaros.model.tls import TlsFacts
from angaros.net.tls import VERIFY_NO, VERIFY_REQUIRE, VERIFY_TRY, ContextCache, TlsContext, TlsError, TlsHooks, TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from angaros.config.config import Config
    from angaros.model.interfaces import Services


def expand_setting(text: str | None, name: str, scope: Scope, *, strict: bool = False) -> str:
    """An expanded TLS option; "" when unset or, unless `strict`, when the expansion is forced to fail. Raises `TlsError`."""
    if not text:
        return ""
    try:
        return scope.expand(text).strip()
    except ForcedFailure:
        if strict:
            raise TlsError(f"expansion of {name} failed") from None
        return ""
    except ExpansionError as error:
        raise TlsError(f"expansion of {name} failed: {error}") from None


def expand_files(text: str | None, name: str, scope: Scope, *, strict: bool = False) -> tuple[str, ...]:
    """An expanded list of files."""
    return tuple(item for item in split_list(expand_setting(text, name, scope, strict=strict)) if item)


def openssl_options(config: Config) -> tuple[str, ...]:
    """The items of `openssl_options`."""
    return tuple((config.main.openssl_options or "").split())


def context_cache(services: Services) -> ContextCache:
    """The contexts of this process."""
    cache = services.extra.get("tls")
    if cache is None:
        cache = services.extra["tls"] = ContextCache()
    return cache


def server_settings(scope: Scope, *, strict: bool = False) -> TlsSettings:
    """What the main options say for this connection. `strict`: certificate and key must expand (Exim spec 43.12). Raises
    `TlsError`."""
    services = scope.services
    main, harness = services.config.main, services.harness
    certificates = expand_files(main.tls_certificate, "tls_certificate", scope, strict=strict)
    verify = VERIFY_NO
    if _matches(main.tls_verify_hosts, "tls_verify_hosts", scope):
        verify = VERIFY_REQUIRE
    elif _matches(main.tls_try_verify_hosts, "tls_try_verify_hosts", scope):
        verify = VERIFY_TRY
    return TlsSettings(
        server=True,
        certificates=certificates,
        keys=expand_files(main.tls_privatekey, "tls_privatekey", scope, strict=strict),
        self_signed="" if certificates else (main.primary_hostname or "localhost"),
        verify=verify,
        authorities=expand_setting(main.tls_verify_certificates, "tls_verify_certificates", scope),
        crl=expand_setting(main.tls_crl, "tls_crl", scope),
        ciphers=expand_setting(main.tls_require_ciphers, "tls_require_ciphers", scope),
        options=openssl_options(services.config),
        dhparam=expand_setting(main.tls_dhparam, "tls_dhparam", scope),
        dh_max_bits=main.tls_dh_max_bits,
        eccurve=expand_setting(main.tls_eccurve, "tls_eccurve", scope),
        alpn=tuple(split_list(expand_setting(main.tls_alpn, "tls_alpn", scope))),
        require_alpn=_matches(main.hosts_require_alpn, "hosts_require_alpn", scope),
        ocsp_files=_ocsp_files(certificates, scope),
        resumption=_matches(main.tls_resumption_hosts, "tls_resumption_hosts", scope),
        ticket_lifetime=harness.ticket_lifetime if harness else 7200,
        self_signed_lifetime=harness.self_signed_lifetime if harness else 3600,
        check_validity=not (harness and harness.ocsp_always_valid()),
    )


def _ocsp_files(certificates: tuple[str, ...], scope: Scope) -> tuple[str, ...]:
    """Responses to staple: the administrator's, else those that we fetch ourselves."""
    main = scope.services.config.main
    given = expand_files(main.tls_ocsp_file, "tls_ocsp_file", scope)
    if given or not main.tls_ocsp_fetch or not certificates:
        return given
    from angaros.net.ocsp_fetch import fetcher_of

    return fetcher_of(scope.services).files(certificates)


def _matches(items: str | None, name: str, scope: Scope) -> bool:
    if not items:
        return False
    return items == "*" or bool(scope.services.lists.match_host(items, scope, option=name))


def server_context(
    scope: Scope, on_certificate: Callable[[int, Any], str | None] | None = None, early_words: bytes = b""
) -> TlsContext:
    """The context for an incoming connection, for `Stream.accept_tls`. Raises `TlsError`, whose text goes into the log after
    `TLS error on connection from ... `. `on_certificate`, `early_words`: see `TlsHooks`."""
    cache = context_cache(scope.services)
    now = scope.services.clock.now()
    context = cache.context(server_settings(scope), now)
    on_sni = None
    if "tls_in_sni" in (scope.services.config.main.tls_certificate or ""):

        def on_sni(name: str) -> TlsContext | None:  # Exim spec 43.12
            if scope.session is not None:
                scope.session.tls = TlsFacts(sni=taint(name))
            try:
                return cache.context(server_settings(scope, strict=True), now)
            except TlsError as error:
                scope.services.log.write(str(error), panic=True)
                raise

    if context.settings.verify != VERIFY_NO:
        early_words = b""
    return context.with_hooks(TlsHooks(on_sni=on_sni, on_certificate=on_certificate, early_words=early_words))


_CONTEXT_OPTIONS = (
    "tls_certificate",
    "tls_privatekey",
    "tls_verify_certificates",
    "tls_crl",
    "tls_require_ciphers",
    "tls_dhparam",
    "tls_eccurve",
    "tls_alpn",
    "tls_ocsp_file",
)


def prepare(services: Services) -> None:
    """Before the workers are forked: make the contexts that do not depend on the client (Exim spec 43.9). All workers then share
    them, and with them the keys of session tickets, so that a client may resume with any worker. A fault shows when the first
    client comes."""
    main = services.config.main
    if not main.tls_advertise_hosts and not main.tls_on_connect_ports:
        return
    if any("$" in (getattr(main, name) or "") for name in _CONTEXT_OPTIONS):
        return
    cache, now, scope = context_cache(services), services.clock.now(), Scope(services)
    verify = {VERIFY_NO}
    if main.tls_verify_hosts:
        verify = {VERIFY_REQUIRE} if main.tls_verify_hosts == "*" else {*verify, VERIFY_REQUIRE}
    if main.tls_try_verify_hosts:
        verify.add(VERIFY_TRY)
    try:
        base = replace(server_settings(scope), verify=VERIFY_NO, require_alpn=False, resumption=False)
        for wish in verify:
            for resumption in {False, bool(main.tls_resumption_hosts)}:
                cache.context(replace(base, verify=wish, resumption=resumption), now)
    except (TlsError, ListDefer):
        return


def log_problems(context_name: str, problems: list[str], scope: Scope) -> None:
    """Log what was wrong with the peer's certificate, `[1.2.3.4] SSL verify error: ...`."""
    message_id = scope.message.id if scope.message is not None else ""
    for problem in problems:
        scope.services.log.write(f"{context_name} {problem}", message_id=message_id)
