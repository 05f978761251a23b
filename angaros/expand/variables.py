"""The variables: which function knows each. Names in a scope's `local` and `state` win over all here.

Laws:
- A function reads the scope and nothing else; "" is what an unset one is, unless Exim shows a number.
- Text from the peer is tainted where it was read, not here.
- A variable of a feature that has not run yet is there and empty (or zero), as in Exim. # Exim spec 11.9
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from angaros.expand.nodes import Node, Variable, fail
from angaros.expand.parser import ONLY_IN_FILTERS
from angaros.model.brightmail import NO_VERDICT, BmiVerdict, verdict_for
from angaros.model.brightmail import VARIABLES as BRIGHTMAIL

if TYPE_CHECKING:
    from angaros.model.scope import Scope

Getter = Callable[["Scope"], str]

STATE: dict[str, str] = {
    "acl_narg": "0", "acl_verify_message": "", "address_data": "", "address_file": "", "address_pipe": "",
    "arc_domains": "", "arc_oldest_pass": "", "arc_state": "", "arc_state_reason": "", "atrn_host": "", "atrn_mode": "",
    "auth1": "", "auth2": "", "auth3": "", "auth4": "", "av_failed": "0", "bounce_recipient": "", "callout_address": "",
    "connection_id": "", "csa_status": "", "dcc_header": "", "dcc_result": "",
    "dkim_algo": "", "dkim_bodylength": "9999999999999", "dkim_canon_body": "", "dkim_canon_headers": "",
    "dkim_copiedheaders": "", "dkim_created": "0", "dkim_cur_signer": "", "dkim_domain": "", "dkim_expires": "9999999999999",
    "dkim_headernames": "", "dkim_identity": "", "dkim_key_granularity": "*", "dkim_key_length": "0",
    "dkim_key_nosubdomains": "0", "dkim_key_notes": "", "dkim_key_srvtype": "*", "dkim_key_testing": "0", "dkim_selector": "",
    "dkim_signers": "", "dkim_verify_reason": "", "dkim_verify_signers": "", "dkim_verify_status": "",
    "dmarc_alignment_dkim": "", "dmarc_alignment_spf": "", "dmarc_domain_policy": "", "dmarc_status": "",
    "dmarc_status_text": "", "dmarc_used_domain": "", "dnslist_domain": "", "dnslist_matched": "", "dnslist_text": "",
    "dnslist_value": "", "event_data": "", "event_defer_errno": "0", "event_name": "", "host_data": "", "inode": "0", "item": "",
    "ldap_dn": "", "local_scan_data": "", "local_user_gid": "4294967295", "local_user_uid": "4294967295",
    "lookup_dnssec_authenticated": "", "mailstore_basename": "", "malware_name": "", "mime_anomaly_level": "0",
    "mime_anomaly_text": "", "mime_boundary": "", "mime_charset": "", "mime_content_description": "",
    "mime_content_disposition": "", "mime_content_id": "", "mime_content_size": "0", "mime_content_transfer_encoding": "",
    "mime_content_type": "", "mime_decoded_filename": "", "mime_filename": "", "mime_is_coverletter": "0",
    "mime_is_multipart": "0", "mime_is_rfc822": "0", "mime_part_count": "-1", "prdr_requested": "no",
    "prvscheck_address": "", "prvscheck_keynum": "", "prvscheck_result": "", "rcpt_count": "0", "rcpt_defer_count": "0",
    "rcpt_fail_count": "0", "recipient_data": "", "recipient_verify_failure": "", "regex_match_string": "",
    "router_name": "", "runrc": "0", "sender_address_data": "", "sender_data": "", "sender_rate": "",
    "sender_rate_limit": "", "sender_rate_period": "", "sender_verify_failure": "", "sending_ip_address": "",
    "sending_port": "-1", "smtp_command": "", "smtp_command_argument": "", "smtp_count_at_connection_start": "0",
    "smtp_notquit_reason": "", "spam_action": "", "spam_bar": "", "spam_report": "", "spam_score": "", "spam_score_int": "",
    "spf_header_comment": "", "spf_received": "", "spf_result": "", "spf_result_guessed": "no",
    "spf_smtp_comment": "", "spf_used_domain": "", "srs_recipient": "", "thisaddress": "", "transport_name": "", "value": "",
    "verify_mode": "", "warn_message_delay": "", "warn_message_recipients": "",
}  # fmt: skip
"""Variables that somebody sets in a scope (`local`, `state`), and what they are until then."""
STATE.update({f"acl_arg{number}": "" for number in range(1, 10)})
STATE.update({f"regex{number}": "" for number in range(10)})

ALIASES: dict[str, str] = {
    "interface_address": "received_ip_address",
    "interface_port": "received_port",
    "message_id": "message_exim_id",
    "return_size_limit": "bounce_return_size_limit",
    "tls_bits": "tls_in_bits",
    "tls_certificate_verified": "tls_in_certificate_verified",
    "tls_peerdn": "tls_in_peerdn",
    "tls_sni": "tls_in_sni",
    "warn_message_recipient": "warn_message_recipients",
    "warnmsg_delay": "warn_message_delay",
    "warnmsg_recipient": "warn_message_recipients",
    "warnmsg_recipients": "warn_message_recipients",
}
"""Old names."""

ONLY_WHERE_SET = ONLY_IN_FILTERS | {"pipe_addresses"}
"""Names that exist only where somebody sets them: filters' counters, `$pipe_addresses` in pipe commands."""


@lru_cache(maxsize=1)
def table() -> dict[str, Getter]:
    """All variables with a fixed name."""
    from angaros.expand import variables_message, variables_session, variables_system

    found: dict[str, Getter] = {name: _constant(value) for name, value in STATE.items()}
    found.update(variables_system.TABLE)
    found.update(variables_session.TABLE)
    found.update(variables_message.TABLE)
    found.update({name: _of_brightmail(get) for name, get in BRIGHTMAIL.items()})
    for old, new in ALIASES.items():
        found[old] = _alias(new, found[new])
    return found


def _of_brightmail(get: Callable[[BmiVerdict], str]) -> Getter:
    def value(scope: Scope) -> str:
        return get(verdict_for(scope) or NO_VERDICT)

    return value


def _constant(value: str) -> Getter:
    return lambda scope: value


def _alias(name: str, getter: Getter) -> Getter:
    def get(scope: Scope) -> str:
        value = scope.local.get(name)
        if value is None:
            value = scope.state.get(name)
        return getter(scope) if value is None else value

    return get


def find(name: str) -> Getter | None:
    """The function of a variable; None when there is no such."""
    getter = table().get(name)
    if getter is not None:
        return getter
    if name.startswith("acl_"):
        return _acl_variable(name)
    if name.startswith("r_"):
        return lambda scope: _router_variable(scope, name)
    return None


def _acl_variable(name: str) -> Getter | None:
    if name[4:5] not in ("c", "m") or not (len(name) == 5 or name[5] == "_" or name[5].isdigit()):
        return None
    key = name[4:]
    if key[0] == "c":
        return lambda scope: _unset(scope, name) if (v := _acl_c(scope, key)) is None else v
    return lambda scope: _unset(scope, name) if (v := _acl_m(scope, key)) is None else v


def _acl_c(scope: Scope, key: str) -> str | None:
    session = scope.session or (scope.message.session if scope.message is not None else None)
    return session.acl_c.get(key) if session is not None else None


def _acl_m(scope: Scope, key: str) -> str | None:
    return scope.message.acl_m.get(key) if scope.message is not None else None


def _unset(scope: Scope, name: str) -> str:
    if scope.services.config.main.strict_acl_vars:
        raise fail(f'unknown variable name "{name}" (strict_acl_vars is set)')
    return ""


def _router_variable(scope: Scope, name: str) -> str:
    delivery = scope.delivery
    return delivery.props.variables.get(name, "") if delivery is not None else ""


def why_unknown(name: str) -> str:
    """What an error about an unknown name adds."""
    if not name.startswith("acl_"):
        return ""
    if name[4:5] not in ("c", "m"):
        return " (user-defined ACL variables must start acl_c or acl_m)"
    return " (6th character of a user-defined ACL variable must be a digit or underscore)"


class _Lenient(Variable):
    """A variable for `def:`: an ACL variable that is not set is no error, even with strict_acl_vars."""

    __slots__ = ()

    def eval(self, scope: Scope) -> str:
        key = self.name[4:]
        found = _acl_c(scope, key) if key.startswith("c") else _acl_m(scope, key)
        return found or ""


def lenient(name: str, function: Getter) -> Node:
    """The node that `def:` asks."""
    if name.startswith(("acl_c", "acl_m")):
        return _Lenient(name, function)
    return Variable(name, function)
