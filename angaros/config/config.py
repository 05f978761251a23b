"""The configuration, read and checked: a frozen value that is replaced whole on reload.

Laws:
- Text is as in the file after macros and quotes; nothing here is expanded, except the main options that Exim expands
  when it reads the file (`trusted_users`, `never_users`, `primary_hostname` and the like).
- `routers` and `retry_rules`, `rewrite_rules` keep their order: it is their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from angaros.config.options import Options
from angaros.model.record import dataclass, field

if TYPE_CHECKING:
    from angaros.config.auth_options import AuthOptions
    from angaros.config.main_options import MainOptions
    from angaros.config.router_options import RouterOptions
    from angaros.config.transport_options import TransportOptions

LIST_KINDS = ("domain", "host", "address", "localpart")
"""Kinds of named lists, in the order in which their names (`domainlist`, ...) are looked for."""

O_co = TypeVar("O_co", bound=Options, covariant=True)


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands."""

    file: str = ""
    line: int = 0


NOWHERE = Position()


@dataclass(frozen=True, slots=True)
class DriverInstance(Generic[O_co]):
    """One router, transport or authenticator. `options` is of the driver's class (`AcceptOptions`, ...)."""

    name: str
    driver: str
    options: O_co
    position: Position = NOWHERE
    hidden: frozenset[str] = frozenset()
    """Options given with `hide`: their values are shown to administrators only."""

    def is_set(self, option: str) -> bool:
        """Whether the configuration gave this option."""
        return self.options.is_set(option)


@dataclass(frozen=True, slots=True)
class AclLine:
    """One logical line of an ACL, macros replaced, continuation joined."""

    text: str
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class AclText:
    """One ACL of the `acl` section as text; `acl.parser` makes verbs of it. Blank and comment lines are gone."""

    name: str
    lines: tuple[AclLine, ...]
    position: Position = NOWHERE
    """Of the line that names it."""


@dataclass(frozen=True, slots=True)
class NamedList:
    """`domainlist local_domains = ...`."""

    name: str
    text: str
    kind: str = "domain"
    """`domain`, `host`, `address`, `localpart`."""
    cacheable: bool = False
    """Given with `_cache` (`domainlist_cache`): results may be kept although the list has lookups."""
    hidden: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class RetryStep:
    """One parameter set of a retry rule: `F,2h,15m` or `G,16h,1h,1.5` or `H,...`."""

    rule: str
    """`F`, `G`, `H`."""
    timeout: int
    """Cut-off in seconds after the first failure."""
    interval: int
    """F: the interval; G, H: the first interval."""
    factor: int = 0
    """G, H: in thousandths."""


@dataclass(frozen=True, slots=True)
class RetryError:
    """The error that a retry rule is for (Exim spec 32.5)."""

    kind: str = "*"
    """`*`, `auth_failed`, `data_4xx`, `mail_4xx`, `rcpt_4xx`, `lost_connection`, `lookup`, `refused`, `timeout`, `tls_required`,
    `quota`."""
    via: str = ""
    """`refused`, `timeout`: only for hosts from an `MX` or only for others (`A`)."""
    connect: bool = False
    """`timeout`: only while connecting."""
    code: str = ""
    """`*_4xx`: the code, `x` stands for any digit."""
    unread: int = 0
    """`quota`: only when the mailbox has not been read for so many seconds."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """One rule of the retry section (Exim spec 32). `pattern` is an address-list item."""

    pattern: str
    error_text: str = "*"
    """As written: `refused_A`, `rcpt_452`, `quota_7d`."""
    error: RetryError = RetryError()
    steps: tuple[RetryStep, ...] = ()
    senders: str | None = None
    """`senders=`: an address list."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """One rule of the rewrite section or of `headers_rewrite` (Exim spec 31). `pattern` is an address-list item."""

    pattern: str
    replacement: str
    flags: str = "FTbcfrst"
    """What it applies to and how, with `E` and `h` resolved: `F` `T` envelope; `b` `c` `f` `r` `s` `t` headers; `S` SMTP time;
    `Q` `q` `R` `w`."""
    written: str = ""
    """The flags as in the file."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Macro:
    """One macro; `builtin` ones are made from the tables, `command_line` ones by -D."""

    name: str
    value: str
    command_line: bool = False
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the configuration says."""

    main: MainOptions
    named_lists: Mapping[str, Mapping[str, NamedList]] = field(default_factory=lambda: {kind: {} for kind in LIST_KINDS})
    acls: Mapping[str, AclText] = field(default_factory=dict)
    routers: tuple[DriverInstance[RouterOptions], ...] = ()
    transports: Mapping[str, DriverInstance[TransportOptions]] = field(default_factory=dict)
    authenticators: tuple[DriverInstance[AuthOptions], ...] = ()
    retry_rules: tuple[RetryRule, ...] = ()
    rewrite_rules: tuple[RewriteRule, ...] = ()
    local_scan: Mapping[str, str] = field(default_factory=dict)
    """The `local_scan` section, raw."""
    macros: Mapping[str, Macro] = field(default_factory=dict)
    """All macros, in order of definition."""
    main_file: str = ""
    """`-bP configure_file`."""
    files: tuple[str, ...] = ()
    """All files read: the main one and those included."""
    trusted: bool = True
    """Root privilege may be kept with this file (Exim spec 5.3, -C and -D)."""
    main_hidden: frozenset[str] = frozenset()
    """Main options given with `hide`."""
    exim_uid: int = 0
    exim_gid: int = 0
    trusted_uids: frozenset[int] = frozenset()
    trusted_gids: frozenset[int] = frozenset()
    admin_gids: frozenset[int] = frozenset()
    never_uids: frozenset[int] = frozenset()
    """`never_users` and FIXED_NEVER_USERS."""
    log_selectors: frozenset[str] = frozenset()
    """Selectors that `log_selector` leaves on."""
    log_directory_parts: tuple[str, ...] = ()
    """Items of the expanded `log_file_path`: `syslog`, paths with `%s`."""
    warnings: tuple[str, ...] = ()
    """Texts for the log: obsolete and not yet built settings, and the like."""
    lines: tuple[str, ...] = ()
    """`-bP config`: the text as it was read, one logical line each."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def router(self, name: str) -> DriverInstance[RouterOptions] | None:
        """By name."""
        return next((router for router in self.routers if router.name == name), None)

    def authenticator(self, name: str) -> DriverInstance[AuthOptions] | None:
        """By name."""
        return next((auth for auth in self.authenticators if auth.name == name), None)
