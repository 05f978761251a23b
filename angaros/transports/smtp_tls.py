"""TLS towards a host: whether, how strictly, with which records of the DNS or which policy (Exim spec 43.10, 43.18; RFC 7672,
RFC 8461)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from angaros.config.settings import split_list
from angaros.model.errors import Why
from angaros.model.events import raise_event
from angaros.net import dane
from angaros.net.mta_sts import NONE, TESTING
from angaros.net.tls import VERIFY_NO, VERIFY_REQUIRE, VERIFY_TRY, TlsContext, TlsHooks, TlsSettings
from angaros.net.tls_config import context_cache, expand_setting, openssl_options
from angaros.net.tls_report import POLICY_TLSA, is_report
from angaros.transports import smtp_sts
from angaros.transports.smtp_hosts import expand_host_list_option as listed
from angaros.transports.smtp_hosts import protocol_of
from angaros.transports.smtp_sts import StsDemand, TlsPolicyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from angaros.config.config import DriverInstance
    from angaros.model.delivery import Host
    from angaros.model.message import Message
    from angaros.model.scope import Scope


class DaneError(TlsPolicyError):
    """DANE is wanted and does not work out. `permanent`: the addresses fail."""

    def __init__(self, text: str, *, permanent: bool, result_type: str = "") -> None:
        super().__init__(f"DANE error: {text}", permanent=permanent, result_type=result_type)
        self.number = 0 if permanent else int(Why.DNS_DEFER)
        self.policy_type = POLICY_TLSA


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What is to happen at one host."""

    allowed: bool = True
    """STARTTLS is used when offered."""
    required: bool = False
    on_connect: bool = False
    tlsa: tuple[tuple[int, int, int, bytes], ...] = ()
    """Usable DANE records; then TLS is required."""
    verified: bool = False
    """REQUIRETLS: TLS, and a certificate for the host's name that can be verified. # RFC 8689 4.2.1"""
    lenient: bool = False
    """TLS-Required: No: neither DANE nor verification that is nobody's wish stops the message. # RFC 8689 4.2.2"""
    sts: StsDemand | None = None
    """What the MTA-STS policy demands, if it was asked; never together with `tlsa`."""

    @property
    def mandatory(self) -> bool:
        """Nothing goes out in the clear."""
        return self.required or self.on_connect or self.verified or self.covered

    @property
    def covered(self) -> bool:
        """DANE or an enforced MTA-STS policy vouches for the host: a session under this plan is with the right server, verified,
        or is not at all. RFC 8689 4.2.1 builds on this."""
        return bool(self.tlsa) or self.enforced

    @property
    def enforced(self) -> bool:
        """An MTA-STS policy has to be kept."""
        return self.sts is not None and self.sts.enforced


def policy(instance: DriverInstance[Any], host: Host, port: int, scope: Scope) -> TlsPolicy:
    """The policy for a host. Raises `TlsPolicyError`."""
    options, message = instance.options, scope.message
    config = scope.services.config
    lenient = message is not None and config.main.tls_required_header and _tls_not_required(message)
    lenient = lenient or (message is not None and is_report(message, config))  # RFC 8460 3: it goes out whatever TLS does
    verified = message is not None and message.requiretls
    needed = verified and host.mx >= 0 and not host.dnssec  # nothing else proves the name. RFC 8689 4.2.1
    records = tuple(_tlsa_records(instance, host, port, scope, lenient=lenient))
    sts = None if records else smtp_sts.demand(instance, host, scope, lenient=lenient, needed=needed)  # RFC 8461 2
    return TlsPolicy(
        allowed=not listed(options.hosts_avoid_tls, "hosts_avoid_tls", host, scope),
        required=listed(options.hosts_require_tls, "hosts_require_tls", host, scope),
        on_connect=host.smtps or protocol_of(options) in ("smtps", "submissions"),
        tlsa=records,
        verified=verified,
        lenient=lenient,
        sts=sts,
    )


def _tls_not_required(message: Message) -> bool:
    """`TLS-Required: No`, and nothing stronger. # RFC 8689 3"""
    if message.requiretls:
        return False
    return any(header.value.strip().lower() == "no" for header in message.headers_named("tls-required"))


def _tlsa_records(
    instance: DriverInstance[Any], host: Host, port: int, scope: Scope, *, lenient: bool
) -> Sequence[tuple[int, int, int, bytes]]:
    """The TLSA records that count (Exim spec 43.18, RFC 7672 2.2)."""
    options = instance.options
    required = listed(options.hosts_require_dane, "hosts_require_dane", host, scope)
    if not host.dnssec:
        if required:
            raise _failed(f"{host.name} lookup not DNSSEC", "dane-required", instance, scope, permanent=True)
        return ()
    if not required and (lenient or not listed(options.hosts_try_dane, "hosts_try_dane", host, scope)):
        return ()
    answer = scope.services.dns.query(f"_{port}._tcp.{host.name}", "TLSA", dnssec=True)
    if answer.status in ("again", "fail"):
        result = "dane-required" if required else "dnssec-invalid"
        raise _failed("tlsa lookup DEFER", result, instance, scope, permanent=False)
    if answer.status == "ok" and not answer.authenticated:
        message_id = scope.message.id if scope.message is not None else ""
        scope.services.log.write(f"DANE error: TLSA lookup for {host.name} not DNSSEC", message_id=message_id)
    promised = [data for _, data in answer.records] if answer.status == "ok" and answer.authenticated else []
    records = dane.usable(promised)
    if promised and not records:  # a verified connection is promised, and we cannot make one: not this host
        result = "dane-required" if required else "tlsa-invalid"
        raise _failed("no usable TLSA records", result, instance, scope, permanent=required)
    if not records and required:
        raise _failed("tlsa lookup FAIL", "dane-required", instance, scope, permanent=True)
    return records


def _failed(text: str, result_type: str, instance: DriverInstance[Any], scope: Scope, *, permanent: bool) -> DaneError:
    """The error to raise, after the event. Exim's data for it are the result types of RFC 8460 4.3.2.1."""
    raise_event(instance.options.event_action, "dane:fail", result_type, scope)
    return DaneError(text, permanent=permanent, result_type=result_type)


def client_context(instance: DriverInstance[Any], host: Host, plan: TlsPolicy, scope: Scope) -> tuple[TlsContext, str]:
    """The context for the handshake, and the SNI. Raises `net.tls.TlsError`."""
    options, services = instance.options, scope.services
    harness = services.harness
    danes = bool(plan.tlsa)
    scope.local["tls_out_tlsa_usage"] = str(dane.usage_bits(plan.tlsa))
    authorities = expand_setting(options.tls_verify_certificates, "tls_verify_certificates", scope)
    if (plan.verified or plan.enforced) and not authorities:
        authorities = "system"
    settings = TlsSettings(
        server=False,
        certificates=tuple(split_list(expand_setting(options.tls_certificate, "tls_certificate", scope))),
        keys=tuple(split_list(expand_setting(options.tls_privatekey, "tls_privatekey", scope))),
        verify=_verification(instance, host, plan, authorities, scope),
        authorities=authorities,
        crl="" if danes else expand_setting(options.tls_crl, "tls_crl", scope),
        ciphers=_ciphers(instance, danes, scope),
        options=openssl_options(services.config),
        alpn=tuple(split_list(expand_setting(options.tls_alpn, "tls_alpn", scope))),
        require_alpn=listed(options.hosts_require_alpn, "hosts_require_alpn", host, scope),
        request_ocsp=_ocsp_wanted(instance, host, plan, scope),
        require_ocsp=listed(options.hosts_require_ocsp, "hosts_require_ocsp", host, scope),
        resumption=listed(options.tls_resumption_hosts, "tls_resumption_hosts", host, scope),
        check_validity=not (harness and harness.ocsp_always_valid()),
    )
    context = context_cache(services).context(settings, services.clock.now())
    hooks = TlsHooks(
        check_names=_names(instance, host, plan, scope),
        tlsa=plan.tlsa,
    )
    sni = str(host.name) if danes else expand_setting(options.tls_sni, "tls_sni", scope)
    if plan.enforced and plan.sts is not None and not sni:
        sni = plan.sts.name
    return context.with_hooks(hooks), sni


def _verification(instance: DriverInstance[Any], host: Host, plan: TlsPolicy, authorities: str, scope: Scope) -> str:
    """Exim spec 30.4, tls_verify_hosts: with neither list set, all hosts must verify. Under MTA-STS too; in mode testing we only
    want to know."""
    options = instance.options
    if plan.tlsa:
        return VERIFY_NO  # DANE does it
    if plan.verified or plan.enforced:
        return VERIFY_REQUIRE
    if not authorities:
        return VERIFY_NO
    if not options.tls_verify_hosts and not options.tls_try_verify_hosts:
        return VERIFY_TRY if plan.lenient else VERIFY_REQUIRE
    if listed(options.tls_verify_hosts, "tls_verify_hosts", host, scope):
        return VERIFY_REQUIRE
    testing = plan.sts is not None and plan.sts.mode == TESTING
    return VERIFY_TRY if testing or listed(options.tls_try_verify_hosts, "tls_try_verify_hosts", host, scope) else VERIFY_NO


def _ciphers(instance: DriverInstance[Any], danes: bool, scope: Scope) -> str:
    options = instance.options
    found = expand_setting(options.dane_require_tls_ciphers, "dane_require_tls_ciphers", scope) if danes else ""
    return found or expand_setting(options.tls_require_ciphers, "tls_require_ciphers", scope)


def _ocsp_wanted(instance: DriverInstance[Any], host: Host, plan: TlsPolicy, scope: Scope) -> bool:
    """The default `*` means under DANE: only when all records name a trust anchor (Exim spec 43.18)."""
    items = instance.options.hosts_request_ocsp
    if plan.tlsa and items == "*":
        return dane.usage_bits(plan.tlsa) == 1 << dane.USAGE_TA
    return listed(items, "hosts_request_ocsp", host, scope)


def _names(instance: DriverInstance[Any], host: Host, plan: TlsPolicy, scope: Scope) -> tuple[str, ...]:
    """Names of which one must be in the certificate."""
    if plan.sts is not None and plan.sts.mode != NONE:
        return (plan.sts.name,)  # RFC 8461 4.1
    if plan.verified and not plan.tlsa:
        return (str(host.name),)
    if not plan.tlsa and not listed(instance.options.tls_verify_cert_hostnames, "tls_verify_cert_hostnames", host, scope):
        return ()
    return tuple(dict.fromkeys([str(name) for name in host.certificate_names] or [str(host.name)]))
