"""Where each row of the inventory is proved: by a case of a table here, or by a test elsewhere (`ELSEWHERE`)."""

from __future__ import annotations

from pathlib import Path

from tests.rows import language

HERE = Path(__file__).parent
SMTP_TABLES = ("acl_conditions", "acl_modifiers", "acl_controls", "verify", "callout_options", "ratelimit_options")
IN = {"verify_types": "verify", "verify_options": "verify", "cli_options": "commands"}
"""Inventory file -> the table that has its cases, where the names differ."""

_DAEMON = "tests/rows/test_daemon.py::"
_ACL = "tests/acl/test_rows.py::"
_SMTP_POINTS = (
    "connect", "helo", "starttls", "auth", "mailauth", "mail", "rcpt", "predata", "dkim", "mime", "data", "quit", "notquit",
    "etrn", "atrn", "expn", "vrfy", "wellknown",
)  # fmt: skip
ELSEWHERE: dict[str, dict[str, str]] = {
    "acl_points": {
        **{f"acl_smtp_{name}": f"{_ACL}test_point[{name}]" for name in _SMTP_POINTS},
        "acl_smtp_data_prdr": f"{_ACL}test_point[prdr]",
        **{name: f"{_ACL}test_local_point[{name}]" for name in ("acl_not_smtp", "acl_not_smtp_start", "acl_not_smtp_mime")},
    },
    "acl_verbs": {
        name: f"{_ACL}test_verb[{name}]" for name in ("accept", "defer", "deny", "discard", "drop", "require", "warn")
    },
    "acl_conditions": {
        "atrn_domains": "tests/inbound/test_atrn.py::test_named_domains",
        "dcc": "tests/scan/test_dcc.py::test_conversation",
        "malware": "tests/scan/test_malware.py::test_scanners",
        "spam": "tests/scan/test_spam.py::test_answers",
    },
    "verify_types": {
        **{
            name: f"{_ACL}test_verify[{name}]"
            for name in ("header_sender", "header_syntax", "helo", "not_blind", "recipient", "sender")
        },
        "sender=<address>": f"{_ACL}test_verify[sender=]",
        "certificate": f"{_ACL}test_verify_certificate",
        "reverse_host_lookup": f"{_ACL}test_verify_reverse_host_lookup",
    },
    "cli_options": {
        "-atrn": f"{_DAEMON}test_atrn_fetches_the_mail_of_our_domains",
        "-bd": f"{_DAEMON}test_bd_goes_into_the_background",
        "-bdf": f"{_DAEMON}test_bdf_oX_oP_oY",
        "-bw": f"{_DAEMON}test_bw_takes_the_socket_of_inetd",
        "-oP": f"{_DAEMON}test_bdf_oX_oP_oY",
        "-oX": f"{_DAEMON}test_bdf_oX_oP_oY",
        "-oY": f"{_DAEMON}test_oY_makes_no_notifier_socket",
        "-tls-on-connect": f"{_DAEMON}test_tls_on_connect",
    },
    "callout_options": {"quota (recipient=quota)": "tests/rows/verify.txt::quota (recipient=quota)"},
    "acl_controls": {"dmarc_enable_forensic": "tests/mailauth/test_dmarc_session.py::test_failure_report"},
    **language.ELSEWHERE,
}  # fmt: skip
"""Inventory file -> row -> the test that shows what it does."""


def names(file: str) -> list[str]:
    """The rows of an inventory file (Exim 4.99)."""
    return (HERE / "names" / f"{file}.txt").read_text("utf-8").splitlines()
