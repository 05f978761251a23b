"""The -H file item by item: lines, where what they say is found, and what it is. Exim spec 57.1"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from angaros.model.message import Message
from angaros.model.tls import TlsFacts

START = "1vAaab-00000000abd-0Zz9-H\njoe smith 1000 1001\n<a@b>\n1700000000 2\n"
HEADS = "015  Subject: hello\n"
END = f"XX\n1\nx@y\n\n{HEADS}"


class Item(NamedTuple):
    """One row."""

    lines: str
    look: Callable[[Message], object]
    value: object
    again: str = ""
    """What we write for it, when it is not the same."""
    whole: str = ""

    def file(self) -> str:
        """A file that has it."""
        return self.whole or f"{START}{self.lines}{END}"


def said(line: str, look: Callable[[Message], object], value: object, again: str = "") -> Item:
    return Item(f"{line}\n", look, value, f"{again}\n" if again else "")


def session(line: str, name: str, value: object) -> Item:
    return said(line, lambda message: getattr(message.session, name), value)


def own(line: str, name: str, value: object = True) -> Item:
    return said(line, lambda message: getattr(message, name), value)


def facts(message: Message) -> TlsFacts:
    assert message.session.tls is not None
    return message.session.tls


def tls(line: str, name: str, value: object) -> Item:
    return said(line, lambda message: getattr(facts(message), name), value)


def travels(name: str, value: str) -> Item:
    """Nothing of ours looks at it, but the next program finds it."""
    return said(f"-{name} {value}" if value else f"-{name}", lambda message: message.spool_variables[name], value)


def end(text: str, look: Callable[[Message], object], value: object) -> Item:
    return Item(text, look, value, whole=f"{START}{text}")


ITEMS: dict[str, Item] = {
    "line 1": Item("1vAaab-00000000abd-0Zz9-H\n", lambda m: m.id, "1vAaab-00000000abd-0Zz9", whole=START + END),
    "line 2": Item(
        "joe smith 1000 1001\n",
        lambda m: (m.session.originator_login, m.session.originator_uid, m.session.originator_gid),
        ("joe smith", 1000, 1001),
        whole=START + END,
    ),
    "line 3": Item("<a@b>\n", lambda m: m.sender_address, "a@b", whole=START + END),
    "line 4": Item("1700000000 2\n", lambda m: (m.received_time, m.warning_count), (1.7e9, 2), whole=START + END),
    "-received_time_usec": own("-received_time_usec .250000", "received_time", 1.7e9 + 0.25),
    "-received_time_complete": own("-received_time_complete 1700000001.500000", "received_time_complete", 1.7e9 + 1.5),
    "-acl": Item("-acl 11 3\na\nb\n", lambda m: m.acl_m, {"m1": "a\nb"}, "-aclm 1 3\na\nb\n"),
    "-aclc": Item("-aclc _foo 3\na\nb\n", lambda m: m.session.acl_c, {"c_foo": "a\nb"}),
    "-aclm": Item("--aclm 0 8\n-frozen\n\n", lambda m: (m.acl_m, m.frozen), ({"m0": "-frozen\n"}, False)),
    "-active_hostname": session("-active_hostname my.host", "active_hostname", "my.host"),
    "-allow_unqualified_recipient": own("-allow_unqualified_recipient", "allow_unqualified_recipient"),
    "-allow_unqualified_sender": own("-allow_unqualified_sender", "allow_unqualified_sender"),
    "-auth_id": session("--auth_id joe", "authenticated_id", "joe"),
    "-auth_sender": session("--auth_sender joe@b", "authenticated_sender", "joe@b"),
    "-body_linecount": own("-body_linecount 17", "body_linecount", 17),
    "-body_zerocount": own("-body_zerocount 3", "body_zerocount", 3),
    "-debug_selector": travels("debug_selector", "0x12"),
    "-debuglog_name": travels("debuglog_name", "/log/debug"),
    "-deliver_firsttime": own("-deliver_firsttime", "deliver_firsttime"),
    "-dsn_envid": own("--dsn_envid QQ+20314159", "dsn_envid", "QQ+20314159"),
    "-dsn_ret": own("-dsn_ret 2", "dsn_ret", 2),
    "-frozen": said("-frozen 1700000009", lambda m: (m.frozen, m.frozen_time), (True, 1.7e9 + 9)),
    "-helo_name": session("--helo_name mail.b", "sender_helo_name", "mail.b"),
    "-host_address": said(
        "--host_address [192.0.2.1]:4711",
        lambda m: (m.session.sender_host_address, m.session.sender_host_port),
        ("192.0.2.1", 4711),
    ),
    "-host_auth": session("-host_auth plain", "sender_host_authenticated", "plain"),
    "-host_auth_pubname": said(
        "-host_auth plain\n-host_auth_pubname PLAIN", lambda m: m.spool_variables["host_auth_pubname"], "PLAIN"
    ),
    "-host_lookup_deferred": session("-host_lookup_deferred", "host_lookup_deferred", True),
    "-host_lookup_failed": session("-host_lookup_failed", "host_lookup_failed", True),
    "-host_name": said("--host_address [192.0.2.1]:4711\n--host_name mail.b.c", lambda m: m.session.sender_host_name, "mail.b.c"),
    "-ident": session("-ident joe", "sender_ident", "joe"),
    "-interface_address": said(
        "-interface_address [192.0.2.2]:25", lambda m: (m.session.interface_address, m.session.interface_port), ("192.0.2.2", 25)
    ),
    "-local": own("-local", "local"),
    "-localerror": own("-localerror", "local_error_message"),
    "-local_scan": travels("local_scan", "what it returned"),
    "-manual_thaw": own("-manual_thaw", "manually_thawed"),
    "-max_received_linelength": own("-max_received_linelength 998", "max_received_linelength", 998),
    "-N": own("-N", "dont_deliver"),
    "-received_protocol": said(
        "-received_protocol esmtps", lambda m: (m.session.protocol, m.session.smtp, m.session.esmtp), ("esmtps", True, True)
    ),
    "-sender_set_untrusted": own("-sender_set_untrusted", "sender_set_untrusted"),
    "-smtputf8": own("-smtputf8", "smtputf8"),
    "-spam_bar": travels("spam_bar", "+++"),
    "-spam_score": travels("spam_score", "3.4"),
    "-spam_score_int": travels("spam_score_int", "34"),
    "-spool_file_wireformat": own("-spool_file_wireformat", "wireformat"),
    "-tls_certificate_verified": tls("-tls_certificate_verified", "certificate_verified", True),
    "-tls_cipher": tls("-tls_cipher TLS1.3:AES:256", "cipher", "TLS1.3:AES:256"),
    "-tls_ocsp": tls("-tls_ocsp 4", "ocsp", 4),
    "-tls_ourcert": tls("-tls_ourcert -----BEGIN\\nA\\n", "our_certificate", b"-----BEGIN\nA\n"),
    "-tls_peercert": tls("--tls_peercert -----BEGIN\\nB\\n", "peer_certificate", b"-----BEGIN\nB\n"),
    "-tls_peerdn": tls("--tls_peerdn CN=joe", "peer_dn", "CN=joe"),
    "-tls_resumption": tls("-tls_resumption C", "resumption", 2),
    "-tls_sni": tls("--tls_sni my.host", "sni", "my.host"),
    "-tls_ver": tls("-tls_ver TLS1.3", "version", "TLS1.3"),
    "-utf8_downcvt": own("-utf8_downcvt", "utf8_downgrade", 1),
    "-utf8_optdowncvt": own("-utf8_optdowncvt", "utf8_downgrade", -1),
    "--<item>": said(
        "--(lsearch)ident j", lambda m: (m.session.sender_ident, getattr(m.session.sender_ident, "quoter", "")), ("j", "lsearch")
    ),
    "non-recipients tree": end(
        f"YY b@c\nNN a@c\nNN c@c\n1\nd@c\n\n{HEADS}", lambda m: sorted(m.non_recipients), ["a@c", "b@c", "c@c"]
    ),
    "recipient count": end(f"XX\n2\nx@y\nz@y\n\n{HEADS}", lambda m: [one.address for one in m.recipients], ["x@y", "z@y"]),
    "recipient extras": end(
        f"XX\n1\nx@y rfc822;x 8,5 bounce@z 8,-1#3\n\n{HEADS}",
        lambda m: [(one.address, one.orcpt, one.dsn_flags, one.errors_to, one.parent) for one in m.recipients],
        [("x@y", "rfc822;x", 5, "bounce@z", -1)],
    ),
    "header lines": end(
        "XX\n1\nx@y\n\n" + "".join(f"010{letter} X-{letter}: a\n b\n" for letter in "*BCFIPRST "),
        lambda m: [(one.kind, one.text) for one in m.headers],
        [(letter, f"X-{letter}: a\n b\n") for letter in "*BCFIPRST "],
    ),
}
