"""What this installation can do, from the registries of all rooms. For `-bV` and the built-in macros; not on any mail's road.

Law: what is not there is not claimed. Each feature names the module that does it; a feature without its module, or a library
that is not installed, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from angaros.config.features import Features


@dataclass(frozen=True, slots=True)
class Claim:
    """One word of `Support for:`."""

    name: str
    macros: tuple[str, ...] = ()
    """Endings of `_HAVE_` macros."""
    needs: tuple[str, ...] = ()
    """Modules without which it cannot be claimed."""
    experimental: str = ""
    """Ending of an `_EXP_` macro."""


CLAIMS = (
    Claim("crypteq", ("CRYPTEQ",), ("angaros.expand.conditions.auth",)),
    Claim("iconv()", ("ICONV",)),
    Claim("IPv6", ("IPV6",)),
    Claim("PAM", ("PAM",), ("angaros.expand.conditions.pam",)),
    Claim("Perl", ("PERL",), ("angaros.expand.items.perl",)),
    Claim("Expand_dlfunc", ("DLFUNC",), ("angaros.expand.items.dlfunc",)),
    Claim("Radius", ("RADIUS",), ("angaros.expand.conditions.radius", "pyrad")),
    Claim("OpenSSL", ("TLS", "OPENSSL"), ("angaros.net.tls_engine",)),
    Claim("TLS_resume", ("TLS_RESUME",), ("angaros.net.tls_engine",)),
    Claim("move_frozen_messages", ("MOVE_FROZEN_MESSAGES",)),
    Claim("Content_Scanning", ("CONTENT_SCANNING",), ("angaros.scan.malware",)),
    Claim("DANE", ("DANE",), ("angaros.net.dane",)),
    Claim("DKIM", ("DKIM",), ("angaros.mailauth.dkim",)),
    Claim("DMARC", ("DMARC",), ("angaros.mailauth.dmarc",)),
    Claim("DNSSEC", ("DNSSEC",)),
    Claim("ESMTP_Limits", ("ESMTP_LIMITS",)),
    Claim("ESMTP_Wellknown", ("WELLKNOWN",)),
    Claim("Event", ("EVENT",)),
    Claim("Exim_filter", (), ("angaros.filters.exim",)),
    Claim("I18N", ("I18N",), ("idna",)),
    Claim("OCSP", ("OCSP",), ("angaros.net.ocsp",)),
    Claim("PIPECONNECT", ("PIPE_CONNECT",), ("angaros.transports.smtp_early",)),
    Claim("PRDR", ("PRDR",)),
    Claim("PROXY", ("PROXY",), ("angaros.net.proxy",)),
    Claim("Queue_Ramp"),
    Claim("Sieve_filter", (), ("angaros.filters.sieve",)),
    Claim("SOCKS", ("SOCKS",), ("angaros.net.socks",)),
    Claim("SPF", ("SPF",), ("angaros.mailauth.spf",)),
    Claim("SRS", ("SRS", "NATIVE_SRS"), ("angaros.expand.items.srs",)),
    Claim("TCP_Fast_Open", ("TCP_FASTOPEN",), ("angaros.net.fast_open",)),
    Claim("Experimental_ARC", ("ARC",), ("angaros.mailauth.arc",), "ARC"),
    Claim("Experimental_DCC", ("DCC",), ("angaros.scan.dcc",), "DCC"),
    Claim("Experimental_DSN_info", ("DSN_INFO",), (), "DSNI"),
    Claim("Experimental_SRV_smtps", ("SRV_SMTPS",)),
    Claim("Experimental_QUEUEFILE", (), ("angaros.transports.queuefile",), "QUEUEFILE"),
    Claim("Experimental_XCLIENT", ("XCLIENT",), ("angaros.inbound.xclient",)),
)
"""In the order of `-bV`."""

_ALWAYS = ("DSCP", "HINTS_SQLITE", "TLS_ALPN", "TLS1_3", "TLS_OCSP_LIST", "TLS_CA_CACHE")
"""`_HAVE_` macros that have no word in `Support for:`."""


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def collect(*, libraries: bool = False) -> Features:
    """All that is there; `libraries`: with their versions, which loads them."""
    claims = [claim for claim in CLAIMS if all(_is_there(module) for module in claim.needs)]
    lookups = lookup_names()
    return Features(
        support=tuple(claim.name for claim in claims),
        have=(*(macro for claim in claims for macro in claim.macros), *_ALWAYS, *_gsasl_macros(), *_lmdb_macro(lookups)),
        experimental=tuple(claim.experimental for claim in claims if claim.experimental),
        lookups=lookups,
        lookup_macros=_lookup_macros(),
        authenticators=_authenticators(),
        routers=_drivers("routers", "router"),
        transports=_drivers("transports", "transport"),
        malware=_malware(),
        families=_families(),
        libraries=_libraries() if libraries else (),
        openssl_options=_openssl_options(),
    )


def lookup_names() -> tuple[str, ...]:
    """Lookup types whose libraries are there."""
    from angaros.lookups.engine import available

    return tuple(sorted(available()))


def _lookup_macros() -> tuple[str, ...]:
    from angaros.lookups.engine import is_available
    from angaros.lookups.registry import TYPES

    return tuple(sorted({row.build for row in TYPES.values() if is_available(row)}))


def _drivers(room: str, kind: str) -> tuple[str, ...]:
    """Drivers whose module is there."""
    from angaros.config.features import DRIVER_TABLES

    return tuple(sorted(name for name in DRIVER_TABLES[kind] if _is_there(f"angaros.{room}.{name}")))


def _authenticators() -> tuple[str, ...]:
    """heimdal_gssapi only where its library is."""
    from angaros.config.native import GSSAPI, find_library

    unusable = () if find_library(*GSSAPI) else ("heimdal_gssapi",)
    return tuple(name for name in _drivers("auths", "authenticator") if name not in unusable)


def _gsasl_macros() -> tuple[str, ...]:
    if not _is_there("angaros.auths.gsasl"):
        return ()
    return ("AUTH_GSASL_SCRAM_SHA_256", "AUTH_GSASL_SCRAM_SHA_512")


def _lmdb_macro(lookups: tuple[str, ...]) -> tuple[str, ...]:
    """LMDB has a macro in Exim that is older than those of the lookups."""
    return ("LMDB",) if "lmdb" in lookups else ()


def _malware() -> tuple[str, ...]:
    if not _is_there("angaros.scan.malware"):
        return ()
    from angaros.scan import malware

    return tuple(malware.SCANNERS)


def _openssl_options() -> tuple[str, ...]:
    from angaros.net.openssl_options import OPTION_NUMBERS

    return tuple(name for name in OPTION_NUMBERS if name != "all")


def _upper(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _families() -> dict[str, tuple[str, ...]]:
    from angaros.acl.table import ROWS
    from angaros.expand.language import CONDITIONS, ITEMS, OPERATORS
    from angaros.expand.variables import table
    from angaros.logs.selectors import SELECTORS

    return {
        "_LOG_": _upper(SELECTORS),
        "_CRYPTO_": ("HASH_SHA3", "SIGN_ED25519"),
        "_ACL_MOD_": _upper(row.name for row in ROWS.values() if row.modifier),
        "_ACL_COND_": _upper(row.name for row in ROWS.values() if not row.modifier),
        "_EXP_VAR_": _upper(table()),
        "_EXP_OP_": tuple(sorted(OPERATORS, key=lambda name: ("_" not in name, name))),
        "_EXP_ITEM_": _upper(ITEMS),
        "_EXP_COND_": _upper(name for name in CONDITIONS if name.isidentifier()),
    }


def _libraries() -> tuple[str, ...]:
    """`Library version:` lines of -bV: name and what runs."""
    import sqlite3
    import sys

    lines = [f"Library version: Python: {'.'.join(map(str, sys.version_info[:3]))}"]
    try:
        from OpenSSL import SSL

        lines.append(f"Library version: OpenSSL: Runtime: {SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()}")
    except ImportError:
        pass
    lines.append(f"Library version: SQLite: Runtime: {sqlite3.sqlite_version}")
    if version := _pcre2_version():
        lines.append(f"Library version: PCRE2: Runtime: {version}")
    return tuple(lines)


_PCRE2_CONFIG_VERSION = 11


def _pcre2_version() -> str:
    import ctypes

    try:
        library = ctypes.CDLL("libpcre2-8.so.0")
    except OSError:
        return ""
    text = ctypes.create_string_buffer(64)
    library.pcre2_config_8(_PCRE2_CONFIG_VERSION, text)
    return text.value.decode("ascii", "replace")
