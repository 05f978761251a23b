"""Every variable: what it is where nothing has happened, and where its value comes from."""

from __future__ import annotations

import os

import pytest

from angaros.expand import variables
from angaros.model.delivery import Delivery, Host
from angaros.model.scope import Scope
from angaros.model.tls import TlsFacts
from tests.expand.conftest import shown

UNSET = {
    "spf_result_guessed": "no", "bmi_deliver": "1",
    "acl_narg": "0", "authentication_failed": "0", "av_failed": "0", "body_linecount": "0", "body_zerocount": "0",
    "bounce_return_size_limit": "102400", "dkim_bodylength": "9999999999999", "dkim_created": "0",
    "dkim_expires": "9999999999999", "dkim_key_granularity": "*",
    "dkim_key_length": "0", "dkim_key_nosubdomains": "0", "dkim_key_srvtype": "*",
    "dkim_key_testing": "0",
    "event_defer_errno": "0", "host_lookup_deferred": "0", "host_lookup_failed": "0", "host_port": "0", "inode": "0",
    "interface_port": "-1", "local_user_gid": "4294967295", "local_user_uid": "4294967295", "localhost_number": "0",
    "max_received_linelength": "0", "message_age": "0", "message_body_size": "0", "message_linecount": "0", "message_size": "0",
    "message_smtputf8": "no", "mime_anomaly_level": "0", "mime_content_size": "0", "mime_is_coverletter": "0",
    "mime_is_multipart": "0", "mime_is_rfc822": "0", "mime_part_count": "-1", "originator_gid": "0", "originator_uid": "0",
    "prdr_requested": "no", "primary_hostname": "myhost.test.ex", "proxy_external_port": "0", "proxy_local_port": "0",
    "proxy_session": "no", "qualify_domain": "myhost.test.ex", "qualify_recipient": "myhost.test.ex", "rcpt_count": "0",
    "rcpt_defer_count": "0", "rcpt_fail_count": "0", "received_count": "0", "received_port": "-1", "received_time": "0",
    "recipients_count": "0", "return_path": "root@myhost.test.ex", "return_size_limit": "102400", "runrc": "0",
    "sender_address": "root@myhost.test.ex", "sender_address_domain": "myhost.test.ex", "sender_address_local_part": "root",
    "sender_helo_dnssec": "no", "sender_host_dnssec": "no", "sender_host_port": "0", "sender_ident": "root",
    "sending_port": "-1", "spf_guess": "v=spf1 a/24 mx/24 ptr ?all",
    "smtp_active_hostname": "myhost.test.ex", "smtp_count_at_connection_start": "0", "tls_bits": "0",
    "tls_certificate_verified": "0", "tls_in_bits": "0", "tls_in_certificate_verified": "0", "tls_in_ocsp": "0",
    "tls_in_resumption": "0", "tls_out_bits": "0", "tls_out_certificate_verified": "0", "tls_out_dane": "no",
    "tls_out_ocsp": "0", "tls_out_resumption": "0", "tls_out_tlsa_usage": "0", "exim_path": "/usr/sbin/exim4",
    "config_file": "/etc/exim4/exim4.conf", "config_dir": "/etc/exim4", "exim_uid": "100", "exim_gid": "101",
    "exim_version": "4.99-Angaros", "version_number": "4.99-Angaros", "compile_number": "1",
    "tod_bsdinbox": "Sat Nov 21 06:20:37 2026", "tod_epoch": "1795242037", "tod_full": "Sat, 21 Nov 2026 06:20:37 +0000",
    "tod_log": "2026-11-21 06:20:37", "tod_logfile": "20261121", "tod_zone": "+0000", "tod_zulu": "20261121062037Z",
}  # fmt: skip
"""What is not empty; observed of `exim -be` except the host's own names."""
MACHINE = frozenset(
    {
        "caller_gid", "caller_uid", "compile_date", "initial_cwd", "load_average", "log_inodes", "log_space", "pid",
        "regex_cachesize", "spool_directory", "spool_inodes", "spool_space", "tod_epoch_l",
    }
)  # fmt: skip
"""Different from run to run."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are in UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize("name", sorted(set(variables.table()) - MACHINE))
def test_unset(name: str, scope: Scope) -> None:
    assert shown(f"${name}", scope) == UNSET.get(name, "")


@pytest.mark.parametrize("name", sorted(MACHINE))
def test_machine(name: str, scope: Scope) -> None:
    os.makedirs(f"{scope.services.config.main.spool_directory}/log")
    assert shown(f"${name}", scope) not in ("", "-1")


@pytest.mark.parametrize("name", sorted(variables.ONLY_WHERE_SET))
def test_only_where_set(name: str, scope: Scope) -> None:
    assert shown(f"${name}", scope) == f'Failed: unknown variable name "{name}"'
    scope.local[name] = "1"
    assert shown(f"${name}", scope) == "1"


@pytest.mark.parametrize("name", sorted(variables.STATE))
def test_local_and_state_win(name: str, scope: Scope) -> None:
    scope.state[name] = "state"
    assert shown(f"${name}", scope) == "state"
    scope.local[name] = "local"
    assert shown(f"${name}", scope) == "local"


@pytest.mark.parametrize(("old", "new"), sorted(variables.ALIASES.items()))
def test_old_names(old: str, new: str, scope: Scope) -> None:
    scope.local[new] = "x"
    assert shown(f"${old}", scope) == "x"


def test_user_variables(scope: Scope) -> None:
    assert scope.session is not None and scope.message is not None
    scope.session.acl_c.update(c0="zero", c_foo="foo")
    scope.message.acl_m.update(m1="one")
    scope.delivery = Delivery("a@b")
    scope.delivery.props.variables["r_x"] = "router"
    assert shown("$acl_c0 $acl_c_foo $acl_m1 [$acl_m2] $r_x [$r_y]", scope) == "zero foo one [] router []"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acl_mx", " (6th character of a user-defined ACL variable must be a digit or underscore)"),
        ("acl_x0", " (user-defined ACL variables must start acl_c or acl_m)"),
        ("auth5", ""),
        ("header", ""),
    ],
)
def test_unknown(name: str, words: str, scope: Scope) -> None:
    assert shown(f"${name}", scope) == f'Failed: unknown variable name "{name}"{words}'


def test_address_being_delivered(scope: Scope) -> None:
    parent = Delivery("old@first.example", local_part="old", domain="first.example")
    scope.delivery = Delivery(
        "new@second.example", local_part="new", domain="second.example", parent=parent, prefix="x-", home="/h"
    )
    scope.delivery.props.errors_to = "errors@example"
    scope.host = Host("mx.example", "192.0.2.1", 25)
    text = "$local_part@$domain $parent_local_part@$original_domain $local_part_prefix $home $return_path"
    text += " $host[$host_address]:$host_port"
    assert shown(text, scope) == "new@second.example old@first.example x- /h errors@example mx.example[192.0.2.1]:25"


def test_tls(scope: Scope) -> None:
    assert scope.session is not None
    scope.session.tls = TlsFacts("TLS1.3", "TLS1.3:X:256", "TLS_X", 256, True, "CN=a", "sni", ocsp=4)
    text = (
        "$tls_in_ver $tls_in_cipher $tls_in_cipher_std $tls_bits $tls_in_certificate_verified $tls_peerdn $tls_sni $tls_in_ocsp"
    )
    assert shown(text, scope) == "TLS1.3 TLS1.3:X:256 TLS_X 256 1 CN=a sni 4"


def test_host_name_is_looked_up_when_wanted(scope: Scope) -> None:
    session = scope.session
    assert session is not None
    session.sender_host_address = "192.0.2.1"

    def look_up(_scope: Scope) -> None:
        session.sender_host_name = "h.example"

    scope.services.hooks.look_up_host_name = look_up
    assert shown("${if eq{a}{b}{$sender_host_name}{no}}", scope) == "no" and not session.sender_host_name
    assert shown("$sender_host_name $sender_fullhost", scope) == "h.example h.example [192.0.2.1]"


def test_spool_space(scope: Scope) -> None:
    found = os.statvfs(scope.services.config.main.spool_directory)
    assert abs(int(shown("$spool_space", scope)) - found.f_bavail * found.f_frsize // 1024) < 1 << 20
