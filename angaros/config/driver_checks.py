"""Checks that each driver makes of its options when the configuration is read, and the values it derives from others.

A check gets one instance and returns the derived options; it raises `ConfigError` in Exim's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os.path import isfile
from typing import Any

from angaros.config.config import DriverInstance
from angaros.config.native import GSSAPI, find_library
from angaros.config.settings import split_list
from angaros.config.source import config_error
from angaros.model.errors import ConfigError

Changes = dict[str, Any]
Check = Callable[["DriverInstance[Any]"], Changes]

FROM_LINE = "From ${if def:return_path{$return_path}{MAILER-DAEMON}} ${tod_bsdinbox}\n"
"""Default `message_prefix` (Exim spec 26, 29)."""


QUOTA_WARNING = (
    "To: $local_part@$domain\nSubject: Your mailbox\n\n"
    "This message is automatically created by mail delivery software (Exim).\n\n"
    "The size of your mailbox has exceeded a warning threshold that is\n"
    "set by the system administrator.\n"
)
"""Default `quota_warn_message` (Exim spec 26.2)."""


def _error(instance: DriverInstance[Any], text: str, kind: str) -> ConfigError:
    return config_error(text, whose=f"{instance.name} {kind}")


# --- Routers -----------------------------------------------------------------------------------------------------------

_BY_LOCAL_PART = (
    "check_local_user",
    "local_parts",
    "condition",
    "local_part_prefix",
    "local_part_suffix",
    "senders",
    "require_files",
)
"""With one of these, routing depends on the local part (Exim spec 15, `retry_use_local_part`)."""
_NEEDS_TRANSPORT = frozenset({"accept", "dnslookup", "ipliteral"})
_SELF = frozenset({"freeze", "defer", "fail", "send", "pass"})


def check_router(instance: DriverInstance[Any]) -> Changes:
    """Generic options of a router, then its own."""
    options = instance.options
    changes: Changes = {}
    if not options.is_set("retry_use_local_part") and any(options.get(name) for name in _BY_LOCAL_PART):
        changes["retry_use_local_part"] = True
    check = ROUTER_CHECKS.get(instance.driver)
    if check:
        changes.update(check(instance))
    return changes


def check_accept(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 16."""
    return {} if instance.is_set("log_as_local") else {"log_as_local": True}


def check_iplookup(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 19."""
    options = instance.options
    if not options.port:
        raise _error(instance, "a port must be specified", "router")
    if options.protocol not in ("udp", "tcp"):
        raise _error(instance, "protocol not specified as udp or tcp", "router")
    if not options.hosts:
        raise _error(instance, "host(s) must be specified", "router")
    return {}


_ALL_IGNORED = ("decline", "defer", "fail", "freeze", "pass")
_FIND_FAILED = (*_ALL_IGNORED, "ignore")


def check_manualroute(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 20."""
    options = instance.options
    if (options.route_list is None) == (options.route_data is None):
        raise _error(instance, "route_list or route_data (but not both) must be specified", "router")
    if options.host_find_failed not in _FIND_FAILED:
        raise _error(instance, "unrecognized setting for host_find_failed option", "router")
    if options.host_all_ignored not in _ALL_IGNORED:
        raise _error(instance, "unrecognized setting for host_all_ignored option", "router")
    return {}


def check_queryprogram(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 21."""
    if instance.options.command is None:
        raise _error(instance, "a command specification is required", "router")
    if instance.options.command_user is None:
        raise _error(instance, "command_user must be specified", "router")
    return {}


def check_redirect(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 22."""
    options = instance.options
    if options.file is None and options.data is None:
        raise _error(instance, 'one of "file" or "data" must be specified', "router")
    if options.file is not None and options.data is not None:
        raise _error(instance, 'only one of "file" or "data" must be specified', "router")
    if options.qualify_domain is not None and options.qualify_preserve_domain:
        raise _error(instance, 'only one of "qualify_domain" or "qualify_preserve_domain" must be set', "router")
    changes: Changes = {}
    if options.one_time:
        if options.headers_add is not None or options.headers_remove is not None:
            raise _error(instance, '"headers_add" and "headers_remove" are not permitted with "one_time"', "router")
        if options.unseen is not False:
            raise _error(instance, '"unseen" may not be used with "one_time"', "router")
        changes |= {"forbid_pipe": True, "forbid_file": True, "forbid_filter_reply": True}
    if not options.is_set("check_owner"):
        changes["check_owner"] = bool(options.check_local_user or options.owners)
    if not options.is_set("check_group"):
        group_writable = not options.modemask & 0o020
        changes["check_group"] = (options.check_local_user and group_writable) or bool(options.owngroups)
    return changes


ROUTER_CHECKS: dict[str, Check] = {
    "accept": check_accept,
    "iplookup": check_iplookup,
    "manualroute": check_manualroute,
    "queryprogram": check_queryprogram,
    "redirect": check_redirect,
}


def check_brightmail(routers: Sequence[DriverInstance[Any]], main: Mapping[str, Any]) -> None:
    """The facility is on when `bmi_config_file` is set, and then it needs a library."""
    library = main.get("bmi_library")
    if not main.get("bmi_config_file"):
        for router in routers:
            found = next((name for name in ROUTER_BRIGHTMAIL if router.options.is_set(name)), None)
            if found is not None:
                raise _error(router, f"{found} is set, but not the main options bmi_config_file and bmi_library", "router")
    elif not library:
        raise config_error(
            "bmi_config_file is set, but not bmi_library: the shared library that calls Brightmail's SDK (docs/brightmail.md)"
        )
    elif not library.startswith("/") or not isfile(library):
        raise config_error(f"bmi_library: {library} is not the absolute path of a file")


ROUTER_BRIGHTMAIL = ("bmi_deliver_alternate", "bmi_deliver_default", "bmi_dont_deliver", "bmi_rule")


def check_router_chain(routers: Sequence[DriverInstance[Any]]) -> None:
    """Checks that need all routers."""
    order = {router.name: number for number, router in enumerate(routers)}
    for number, router in enumerate(routers):
        options = router.options
        if router.driver in _NEEDS_TRANSPORT and not options.transport and not options.verify_only:
            raise config_error(f"{router.name} router:\n  a transport is required for this router")
        if router.driver == "redirect" and options.transport:
            raise config_error(f"{router.name} router:\n  a transport must not be defined for this router")
        if options.self not in _SELF and not options.self.startswith("reroute:"):
            raise _error(router, f"{options.self} is not valid for the self option", "router")
        for name, must_follow in ((options.redirect_router, False), (options.pass_router, True)):
            if not name:
                continue
            if name not in order:
                raise config_error(f'new_router "{name}" not found for "{router.name}" router')
            if must_follow and order[name] <= number:
                raise config_error(f'new_router "{name}" does not follow "{router.name}" router')


# --- Transports --------------------------------------------------------------------------------------------------------


def check_transport(instance: DriverInstance[Any]) -> Changes:
    """Generic options of a transport, then its own."""
    options = instance.options
    if options.body_only and options.headers_only:
        raise config_error(f"{instance.name} transport: body_only and headers_only are mutually exclusive")
    changes: Changes = {}
    if instance.driver == "smtp":
        if options.shadow_transport:
            raise config_error(f"shadow transport not allowed on non-local transport {instance.name}")
    elif not options.is_set("retry_use_local_part"):
        changes["retry_use_local_part"] = True
    check = TRANSPORT_CHECKS.get(instance.driver)
    if check:
        changes.update(check(instance))
    return changes


def _unless_set(instance: DriverInstance[Any], **derived: Any) -> Changes:
    return {name: value for name, value in derived.items() if not instance.is_set(name)}


def check_appendfile(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 26."""
    options = instance.options
    if options.file is not None and options.directory is not None:
        raise _error(instance, 'only one of "file" or "directory" can be specified', "transport")
    if options.maildir_format and options.mailstore_format:
        raise _error(instance, "only one of maildir and mailstore may be specified", "transport")
    if options.quota_filecount is not None and options.directory is None:
        raise _error(instance, 'quota_filecount must not be set without "directory"', "transport")
    if options.create_file not in ("", "anywhere", "belowhome", "inhome") and not options.create_file.startswith("/"):
        text = f"invalid value given for \"create_file\" for the {instance.name} transport: '{options.create_file}'"
        raise config_error(text)
    one_message_a_file = options.directory is not None or options.maildir_format or options.mailstore_format
    if options.use_bsmtp:
        changes = _unless_set(instance, check_string=".", escape_string="..")
    elif one_message_a_file:
        changes = {}
    else:
        changes = _unless_set(
            instance, check_string="From ", escape_string=">From ", message_prefix=FROM_LINE, message_suffix="\n"
        )
    if options.quota_warn_threshold is not None:
        changes |= _unless_set(instance, quota_warn_message=QUOTA_WARNING)
    changes |= _appendfile_locks(instance)
    return changes


def _appendfile_locks(instance: DriverInstance[Any]) -> Changes:
    options = instance.options
    locks = ("use_lockfile", "use_fcntl_lock", "use_flock_lock", "use_mbx_lock")
    changes: Changes = {}
    if options.mbx_format and not any(instance.is_set(lock) for lock in locks):
        changes |= {"use_mbx_lock": True, "use_lockfile": False}
    elif options.mbx_format:
        changes |= _unless_set(instance, use_lockfile=False)
    if options.use_flock_lock:
        changes |= _unless_set(instance, use_fcntl_lock=False)
    if not any(changes.get(lock, options.get(lock)) for lock in locks):
        raise _error(instance, "no locking configured", "transport")
    return changes


def check_pipe(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 29."""
    options, name = instance.options, instance.name
    if options.pipe_as_creator and (options.user is not None or options.group is not None):
        raise config_error(f"both pipe_as_creator and an explicit uid/gid are set for the {name} transport")
    if options.temp_errors != "*" and not all(item.isascii() and item.isdigit() for item in split_list(options.temp_errors)):
        raise config_error(f"temp_errors must be a list of numbers or an asterisk for the {name} transport")
    if options.return_output and options.return_fail_output:
        raise config_error(f"both return_output and return_fail_output set for {name} transport")
    if options.log_output and options.log_fail_output:
        raise config_error(f"both log_output and log_fail_output set for the {name} transport")
    if options.use_shell and options.restrict_to_path:
        raise config_error(f"both restrict_to_path and use_shell set for {name} transport")
    if options.use_shell and options.allow_commands is not None:
        raise config_error(f"both allow_commands and use_shell set for {name} transport")
    if options.use_bsmtp:
        return _unless_set(instance, check_string=".", escape_string="..")
    return _unless_set(instance, message_prefix=FROM_LINE, message_suffix="\n")


def check_lmtp(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 28."""
    if (instance.options.command is None) == (instance.options.socket is None):
        raise config_error(f"one (and only one) of command or socket must be set for the {instance.name} transport")
    return {}


def check_smtp(instance: DriverInstance[Any]) -> Changes:
    """Exim spec 30."""
    options = instance.options
    if 0 in (options.command_timeout, options.data_timeout, options.final_timeout):
        raise config_error(f"command, data, or final timeout value is zero for {instance.name} transport")
    changes: Changes = {}
    if options.port is None:
        protocol = (options.protocol or "").lower()
        changes["port"] = protocol if protocol in ("lmtp", "smtps", "submissions") else "smtp"
    return changes


TRANSPORT_CHECKS: dict[str, Check] = {
    "appendfile": check_appendfile,
    "pipe": check_pipe,
    "lmtp": check_lmtp,
    "smtp": check_smtp,
}


# --- Authenticators ----------------------------------------------------------------------------------------------------

_SERVER = {
    "plaintext": ("server_condition",),
    "cram_md5": ("server_secret",),
    "spa": ("server_password",),
    "dovecot": ("server_socket",),
    "external": ("server_param2", "server_param3", "server_condition"),
    "tls": ("server_param1", "server_param", "server_condition"),
    "gsasl": ("server_mech", "server_password", "server_condition", "server_key"),
    "heimdal_gssapi": ("public_name",),
    "cyrus_sasl": ("server_mech", "public_name"),
}
"""Options that make a driver a server (Exim spec 33 to 42); the first set one counts."""
_CLIENT = {
    "plaintext": "client_send",
    "cram_md5": "client_secret",
    "spa": "client_username",
    "external": "client_send",
    "gsasl": "client_password",
}


def is_server(instance: DriverInstance[Any]) -> bool:
    """Whether an authenticator can serve."""
    return any(instance.options.get(name) is not None for name in _SERVER.get(instance.driver, ()))


def is_client(instance: DriverInstance[Any]) -> bool:
    """Whether an authenticator can authenticate us."""
    name = _CLIENT.get(instance.driver)
    return name is not None and instance.options.get(name) is not None


SASL_MECHANISMS = {
    "cyrus_sasl": ("ANONYMOUS", "GSSAPI", "LOGIN", "PLAIN"),
    "gsasl": (
        "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "GS2-KRB5", "GSSAPI", "LOGIN", "OAUTHBEARER", "PLAIN", "SCRAM-SHA-1",
        "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "XOAUTH2",
    ),
}  # fmt: skip
"""Mechanisms of the drivers that carry several."""
KERBEROS = frozenset({"GS2-KRB5", "GSSAPI"})
"""Mechanisms that need the system's GSS-API library: better no start than one that is offered and never works."""


def check_authenticator(instance: DriverInstance[Any]) -> Changes:
    """The public name defaults to the instance's name (Exim spec 33.1); the mechanism must be one that the driver has."""
    known = SASL_MECHANISMS.get(instance.driver)
    mechanism = instance.options.public_name or instance.name
    if known is not None:
        mechanism = (instance.options.get("server_mech") or mechanism).upper()
    if known is not None and mechanism not in known:
        library = {"gsasl": "GNU SASL", "cyrus_sasl": "Cyrus SASL"}[instance.driver]
        raise config_error(f'{instance.name} authenticator: {library} does not support mechanism "{mechanism}"')
    if (instance.driver == "heimdal_gssapi" or (known is not None and mechanism in KERBEROS)) and not find_library(*GSSAPI):
        names = " or ".join(GSSAPI)
        raise config_error(f"{instance.name} authenticator: driver {instance.driver} needs a GSS-API library ({names})")
    return {} if instance.options.public_name is not None else {"public_name": instance.name}


def check_authenticators(authenticators: Sequence[DriverInstance[Any]]) -> None:
    """No two servers, and no two clients, may have one public name."""
    for number, first in enumerate(authenticators):
        for second in authenticators[number + 1 :]:
            if first.options.public_name.lower() != second.options.public_name.lower():
                continue
            for role, has_role in (("client", is_client), ("server", is_server)):
                if has_role(first) and has_role(second):
                    raise config_error(
                        f"two {role} authenticators ({first.name} and {second.name}) have the same public name "
                        f"({first.options.public_name})"
                    )


INSTANCE_CHECKS: dict[str, Check] = {
    "router": check_router,
    "transport": check_transport,
    "authenticator": check_authenticator,
}
"""By kind of driver."""
