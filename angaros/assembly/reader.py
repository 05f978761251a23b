"""Reading the configuration: file and trust, sections, defaults and checks that need other rooms.

`read_config` is the one entry. Errors are `ConfigError`; `str(error)` is the text for standard error and the panic log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from angaros import VERSION_NUMBER
from angaros.config import trust
from angaros.config.config import Config, Position
from angaros.config.macros import Macros
from angaros.config.missing import MISSING
from angaros.config.sections import SectionReader
from angaros.config.settings import split_list
from angaros.config.site import Site
from angaros.config.source import Source, config_error
from angaros.config.users import find_group, find_user
from angaros.logs.selectors import DEFAULT_SELECTORS, parse_log_selector
from angaros.model.errors import ConfigError, ExpansionError
from angaros.model.record import dataclass, field, replace

if TYPE_CHECKING:
    from angaros.config.features import Features

MAX_LOCALHOST_NUMBER = 16
"""Exim spec 14.23 `localhost_number`."""
MAX_RETRY_INTERVAL = 86400
"""Greater values of `retry_interval_max` are taken for this (Exim spec 14.23)."""
DEFAULT_USERS = ("Debian-exim", "exim", "mail")
"""Whom we run as when neither the site file nor the configuration says: the first that exists."""
SYSLOG_FACILITIES = frozenset(
    {"auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"}
    | {f"local{number}" for number in range(8)}
)
ExpandWith = Callable[[str, Config], str]
"""Expands a string with what is known of the configuration so far."""


@dataclass(slots=True)
class Reading:
    """What `read_config` is asked for."""

    site: Site
    files: str | None = None
    """-C as given; None for CONFIGURE_FILE."""
    macros: Mapping[str, str] = field(default_factory=dict)
    """-D."""
    expand: ExpandWith | None = None
    """None: strings with `$` in options that are expanded now are an error."""
    features: Callable[[], Features] | None = None
    """Makes the built-in macros; called only when a line may name one."""
    keep_lines: bool = False
    """Keep the text for `-bP config`."""
    any_caller: bool = False
    """Exim's test mode: -C and -D are permitted to any caller."""
    check_acls: bool = True
    version: str = VERSION_NUMBER
    """`exim_version` and `$version_number`."""
    real_uid: int | None = None
    """None: of this process."""


def read_config(reading: Reading) -> Config:
    """The configuration, or ConfigError."""
    site = reading.site
    uid, gid = site_owner(site)
    wanted = trust.request(site, reading.files, reading.macros)
    real_uid = os.getuid() if reading.real_uid is None else reading.real_uid
    trusted = reading.any_caller or trust.keeps_power(site, wanted, real_uid, uid)
    if wanted.given and not reading.any_caller:
        trust.check_prefix(site, wanted.files)
    check = trusted and not reading.any_caller and os.geteuid() == 0
    name, content = trust.open_first(site, wanted, check=check)
    macros = Macros(_builtins(reading.features))
    for macro, value in reading.macros.items():
        macros.define_command_line(macro, value)
    source = Source(macros, keep=reading.keep_lines)
    source.start(name, content)
    return _Reader(reading, source, Config(main=_no_main(), main_file=name, trusted=trusted, exim_uid=uid, exim_gid=gid)).read()


def _no_main() -> Any:
    from angaros.config.main_options import MainOptions

    return MainOptions()


def _builtins(features: Callable[[], Features] | None) -> Callable[[], Mapping[str, str]]:
    def make() -> Mapping[str, str]:
        from angaros.config.features import Features, builtin_macros

        return builtin_macros(features() if features is not None else Features())

    return make


def site_owner(site: Site) -> tuple[int, int]:
    """uid and gid of the Exim user (EXIM_USER, EXIM_GROUP)."""
    user = None
    for name in (site.exim_user,) if site.exim_user else DEFAULT_USERS:
        try:
            user = find_user(name)
            break
        except KeyError:
            continue
    if user is None:
        raise ConfigError(f'exim: failed to find uid for user name "{site.exim_user or DEFAULT_USERS[0]}"')
    if not site.exim_group:
        return user.uid, user.gid if user.gid is not None else user.uid
    try:
        return user.uid, find_group(site.exim_group)
    except KeyError:
        raise ConfigError(f'exim: failed to find gid for group name "{site.exim_group}"') from None


class _Reader:
    """One reading."""

    def __init__(self, reading: Reading, source: Source, start: Config) -> None:
        self.reading = reading
        self.source = source
        self.config = start
        self.sections = SectionReader(source, self.expand)
        self.sections.after_main = self._finish_main
        self.warnings: list[str] = list(reading.site.warnings)

    def expand(self, text: str) -> str:
        """A string that is expanded while the configuration is read."""
        if "$" not in text and "\\" not in text:
            return text
        if self.reading.expand is None:
            raise ExpansionError("expansion is not possible here")
        return self.reading.expand(text, self._so_far())

    def _so_far(self) -> Config:
        sections = self.sections
        return replace(self.config, main=sections.main.finish(), named_lists=sections.lists, acls=sections.acls)

    def read(self) -> Config:
        """All of it."""
        try:
            self.sections.read()
        except ConfigError as error:
            given = self.sections.main.values
            error.log_file_path = given.get("log_file_path")
            error.spool_directory = given.get("spool_directory")
            raise
        sections, macros = self.sections, self.source.macros
        config = replace(
            self.config,
            named_lists=sections.lists,
            acls=sections.acls,
            routers=tuple(sections.drivers["router"]),
            transports={instance.name: instance for instance in sections.drivers["transport"]},
            authenticators=tuple(sections.drivers["authenticator"]),
            retry_rules=tuple(sections.retry),
            rewrite_rules=tuple(sections.rewrite),
            local_scan=sections.local_scan,
            macros=macros.own(),
            files=tuple(self.source.files),
            main_hidden=frozenset(sections.main.hidden),
            lines=tuple(self.source.kept),
            extra={"builtins": lambda: macros.builtins},
        )
        self.warnings += sections.warnings
        self._note_missing(config)
        config = replace(config, warnings=tuple(self.warnings))
        if self.reading.check_acls and config.acls:
            config = replace(config, extra={**config.extra, "acls": _check_acls(config)})
        return config

    # --- Main options: defaults, expansions, checks, in Exim's order ---

    def _finish_main(self) -> None:
        block = self.sections.main
        values = block.values
        self._owner(values)
        self._names(values)
        self._paths(values)
        self._localhost_number(values)
        if values.get("retry_interval_max", 0) > MAX_RETRY_INTERVAL:
            values["retry_interval_max"] = MAX_RETRY_INTERVAL
        facility = values.get("syslog_facility")
        if facility is not None and facility.lower().removeprefix("log_") not in SYSLOG_FACILITIES:
            raise config_error(f'failed to interpret syslog_facility "{facility}"')
        _check_openssl_options(values.get("openssl_options"))
        self.config = replace(
            self.config,
            main=block.finish(),
            trusted_uids=self._ids("trusted_users", user=True),
            never_uids=self._ids("never_users", user=True) | self._fixed_never_users(),
            trusted_gids=self._ids("trusted_groups", user=False),
            admin_gids=self._ids("admin_groups", user=False),
            log_selectors=_log_selectors(values.get("log_selector")),
        )

    def _owner(self, values: dict[str, Any]) -> None:
        uid, gid = self.config.exim_uid, self.config.exim_gid
        if (name := values.get("exim_user")) is not None:
            user = find_user(name)
            uid, gid = user.uid, user.gid if user.gid is not None else gid
        if (name := values.get("exim_group")) is not None:
            gid = find_group(name)
        values.setdefault("exim_user", str(uid))
        values.setdefault("exim_group", str(gid))
        self.config = replace(self.config, exim_uid=uid, exim_gid=gid)

    def _names(self, values: dict[str, Any]) -> None:
        """`primary_hostname`, `qualify_domain`, `qualify_recipient` (Exim spec 14.23)."""
        if not values.get("primary_hostname"):
            values["primary_hostname"] = host_name()
        values["qualify_domain"] = values.get("qualify_domain") or values["primary_hostname"]
        values["qualify_recipient"] = values.get("qualify_recipient") or values["qualify_domain"]

    def _paths(self, values: dict[str, Any]) -> None:
        """Paths with the site's defaults, expanded."""
        site = self.reading.site
        values.setdefault("exim_path", site.exim_path or f"{site.bin_directory}/exim")
        for name, default in (
            ("spool_directory", site.spool_directory),
            ("log_file_path", site.log_file_path),
            ("pid_file_path", site.pid_file_path),
        ):
            text = values.get(name, default)
            try:
                values[name] = self.expand(text)
            except ExpansionError as error:
                raise ConfigError(f'failed to expand {name} "{text}": {error}') from None
            if name == "spool_directory" and not values[name]:
                raise ConfigError("spool_directory undefined: cannot proceed")
        values.setdefault("headers_charset", site.headers_charset)
        values.setdefault("exim_version", self.reading.version)
        values.setdefault("process_log_path", f"{values['spool_directory']}/exim-process.info")

    def _localhost_number(self, values: dict[str, Any]) -> None:
        text = values.get("localhost_number")
        if text is None:
            return
        try:
            expanded = self.expand(text).strip()
        except ExpansionError as error:
            raise config_error(f'failed to expand localhost_number "{text}": {error}') from None
        if not expanded.isascii() or not expanded.lstrip("-").isdigit():
            raise config_error(f'localhost_number value is not a number: "{expanded}"')
        if int(expanded) < 0:
            raise config_error(f'localhost_number is negative: "{expanded}"')
        if int(expanded) > MAX_LOCALHOST_NUMBER:
            raise config_error(f"localhost_number is greater than the maximum allowed value ({MAX_LOCALHOST_NUMBER})")
        values["localhost_number"] = expanded

    def _ids(self, option: str, *, user: bool) -> frozenset[int]:
        items = split_list(self.sections.main.values.get(option) or "")
        return frozenset(find_user(item).uid if user else find_group(item) for item in items)

    def _fixed_never_users(self) -> frozenset[int]:
        uids: set[int] = set()
        for name in split_list(self.reading.site.fixed_never_users):
            try:
                uids.add(find_user(name).uid)
            except KeyError:
                self.warnings.append(f"FIXED_NEVER_USERS: user {name} was not found")
        return frozenset(uids)

    def _note_missing(self, config: Config) -> None:
        """Say which settings do nothing yet: never silently."""
        if not MISSING:
            return
        blocks: list[tuple[str, str, Any, Position | None]] = [("main", "", config.main, None)]
        for kind, instances in self.sections.drivers.items():
            blocks += [(kind, f" of {kind} {each.name}", each.options, each.position) for each in instances]
        for kind, whose, options, position in blocks:
            for name in options.given():
                why = MISSING.get(f"{kind}.{name}") or MISSING.get(f"{options.DRIVER}.{name}")
                if why:
                    place = position or self.sections.positions.get(name) or Position(config.main_file)
                    self.warnings.append(f"option {name}{whose} ({place.file} line {place.line}) has no effect: {why}")


def _log_selectors(text: str | None) -> frozenset[str]:
    if text is None:
        return DEFAULT_SELECTORS
    try:
        return parse_log_selector(text)
    except ConfigError as error:
        raise config_error(str(error)) from None


def _check_openssl_options(text: str | None) -> None:
    """Names are checked when the configuration is read; a value with `$` is expanded, and checked, when TLS starts."""
    if not text or "$" in text:
        return
    from angaros.net.openssl_options import parse_openssl_options

    if parse_openssl_options(tuple(text.split())) is None:
        raise config_error(f"openssl_options parse error: {text}")


def _check_acls(config: Config) -> Any:
    from angaros.acl.parser import check

    try:
        return check(config)
    except ConfigError as error:
        if error.file and "configuration error" not in error.text:
            raise config_error(error.text, Position(error.file, error.line), source=error.source) from None
        raise


def host_name() -> str:
    """The host's name from uname, made fully qualified when it has no dot (Exim spec 14.23 `primary_hostname`)."""
    name = os.uname().nodename
    if "." in name:
        return name
    import socket

    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return name
    canonical = found[0][3] if found else ""
    return canonical if canonical and "." in canonical else name
