"""What this program can do, as `-bV` and the built-in macros tell it (Exim spec 6.9).

`Features` is filled by `assembly.features` from the registries of all rooms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from angaros.config.auth_options import AUTHENTICATORS, AuthOptions
from angaros.config.main_options import MainOptions
from angaros.config.options import Options
from angaros.config.router_options import ROUTERS, RouterOptions
from angaros.config.transport_options import TRANSPORTS, TransportOptions

DKIM_SIGN_HEADERS = (
    "From:Sender:Reply-To:Subject:Date:Message-ID:To:Cc:MIME-Version:Content-Type:Content-Transfer-Encoding:Content-ID:"
    "Content-Description:Resent-Date:Resent-From:Resent-Sender:Resent-To:Resent-Cc:Resent-Message-ID:In-Reply-To:References:"
    "List-Id:List-Help:List-Unsubscribe:List-Subscribe:List-Post:List-Owner:List-Archive"
)
"""Headers that RFC 4871 recommends to sign."""

RESUME_DECODE = (
    "not requested or offered : 0x02 :client requested, no server ticket: 0x04 : 0x05 : 0x06 :client offered session, "
    "no server action: 0x08 :no client request: 0x0A :client requested new ticket, server provided: 0x0C :"
    "client offered session, not used: 0x0E :"
    "client offered session, server only provided new ticket: 0x10 :session resumed unasked: "
    "0x12 :session resumed unasked: 0x14 : 0x15 : 0x16 :session resumed: 0x18 :session resumed unasked: "
    "0x1A :session resumed unasked: 0x1C :session resumed: 0x1E :session resumed, also new ticket"
)
"""List for `${listextract {$tls_in_resumption} {_RESUME_DECODE}}` (Exim spec 43.12)."""


@dataclass(frozen=True, slots=True)
class Features:
    """Names, as Exim spells them."""

    support: tuple[str, ...] = ()
    """`Support for:` of -bV."""
    have: tuple[str, ...] = ()
    """Endings of `_HAVE_` macros."""
    experimental: tuple[str, ...] = ()
    """Endings of `_EXP_` macros that are no families."""
    lookups: tuple[str, ...] = ()
    lookup_macros: tuple[str, ...] = ()
    """Endings of `_HAVE_LOOKUP_` macros: one for each group of types that Exim builds together."""
    authenticators: tuple[str, ...] = tuple(AUTHENTICATORS)
    routers: tuple[str, ...] = tuple(ROUTERS)
    transports: tuple[str, ...] = tuple(TRANSPORTS)
    transport_formats: tuple[str, ...] = ("maildir", "mailstore", "mbx")
    """Of appendfile."""
    malware: tuple[str, ...] = ()
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Macro prefix to names: `_LOG_`, `_ACL_COND_`, `_ACL_MOD_`, `_EXP_COND_`, `_EXP_ITEM_`, `_EXP_OP_`, ..."""
    libraries: tuple[str, ...] = ()
    """Lines `Library version: ...`."""
    openssl_options: tuple[str, ...] = ()
    """Names that `openssl_options` knows."""


DRIVER_TABLES: Mapping[str, Mapping[str, type[Options]]] = {
    "authenticator": AUTHENTICATORS,
    "router": ROUTERS,
    "transport": TRANSPORTS,
}
"""Classes of options by kind of driver and driver."""


_FAMILIES_BEFORE = ("_EXP_VAR_", "_EXP_OP_", "_EXP_ITEM_", "_EXP_COND_", "_LOG_")
"""Families that come before those of options and drivers."""


def builtin_macros(features: Features) -> dict[str, str]:
    """All built-in macros, in Exim's order: newest tables last within a family."""
    macros: dict[str, str] = {"_DKIM_OVERSIGN_HEADERS": _oversign(), "_DKIM_SIGN_HEADERS": DKIM_SIGN_HEADERS}
    macros["_RESUME_DECODE"] = RESUME_DECODE
    for prefix in _FAMILIES_BEFORE:
        _add(macros, prefix, features.families.get(prefix, ()))
    _add_drivers(macros, "AUTHENTICATOR", features.authenticators, AUTHENTICATORS, AuthOptions)
    _add_drivers(macros, "TRANSPORT", features.transports, TRANSPORTS, TransportOptions)
    _add_drivers(macros, "ROUTER", features.routers, ROUTERS, RouterOptions)
    _add_options(macros, "_OPT_MAIN_", MainOptions)
    for prefix, names in features.families.items():
        if prefix not in _FAMILIES_BEFORE:
            _add(macros, prefix, names)
    _add(macros, "_EXP_", features.experimental)
    _add(macros, "_HAVE_", features.have)
    _add(macros, "_HAVE_LOOKUP_", features.lookup_macros)
    _add(macros, "_HAVE_TRANSPORT_APPEND_", features.transport_formats)
    _add(macros, "_HAVE_MALWARE_", features.malware)
    for name in features.openssl_options:
        macros[f"_OPT_OPENSSL_{_macro_name(name)}_X"] = "y"
    macros["_HAVE_ANGAROS"] = "y"
    return macros


def macros_of_ours() -> frozenset[str]:
    """Those of options that Exim does not have: defined, but not listed."""
    found: dict[str, str] = {}
    for kind, tables in DRIVER_TABLES.items():
        for name, table in tables.items():
            _add_options(found, f"_OPT_{kind.upper()}_{_macro_name(name)}_", table, own=True, ours=True)
    for kind, generic in (("AUTHENTICATOR", AuthOptions), ("TRANSPORT", TransportOptions), ("ROUTER", RouterOptions)):
        _add_options(found, f"_OPT_{kind}S_", generic, ours=True)
    _add_options(found, "_OPT_MAIN_", MainOptions, ours=True)
    return frozenset(found)


def _oversign() -> str:
    return ":".join(f"+{name}" for name in DKIM_SIGN_HEADERS.split(":"))


def _macro_name(name: str) -> str:
    return "".join(character for character in name.upper() if character.isalnum() or character == "_")


def _add(macros: dict[str, str], prefix: str, names: tuple[str, ...]) -> None:
    for name in reversed(names):
        macros[prefix + _macro_name(name)] = "y"


def _add_options(macros: dict[str, str], prefix: str, table: type[Options], *, own: bool = False, ours: bool = False) -> None:
    rows = table.OWN if own else table.OPTIONS
    for name in reversed(rows):
        if rows[name].macro and (not ours or rows[name].since == "angaros"):
            macros[prefix + _macro_name(name)] = "y"


def _add_drivers(
    macros: dict[str, str], kind: str, names: tuple[str, ...], tables: Mapping[str, type[Options]], generic: type[Options]
) -> None:
    for name in names:
        if name in tables:
            _add_options(macros, f"_OPT_{kind}_{_macro_name(name)}_", tables[name], own=True)
        macros[f"_DRIVER_{kind}_{_macro_name(name)}"] = "y"
    _add_options(macros, f"_OPT_{kind}S_", generic)
