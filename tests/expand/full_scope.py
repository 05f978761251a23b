"""A scope in which everything has happened: each variable has a value that it has nowhere else."""

from __future__ import annotations

from pathlib import Path

from angaros.model.delivery import Delivery, Host
from angaros.model.message import Header, Message, Recipient
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.tls import TlsFacts
from tests.expand.conftest import NOW, build_services

SESSION = {
    "sender_host_address": "192.0.2.7",
    "sender_host_port": 4711,
    "sender_host_name": "peer.example",
    "sender_host_dnssec": True,
    "host_lookup_failed": True,
    "host_lookup_deferred": True,
    "sender_helo_name": "helo.example",
    "helo_verified": True,
    "sender_helo_dnssec": True,
    "sender_ident": "ident",
    "interface_address": "192.0.2.1",
    "interface_port": 25,
    "active_hostname": "active.example",
    "protocol": "esmtps",
    "authenticated_id": "auth-id",
    "authenticated_sender": "auth@sender",
    "sender_host_authenticated": "plain_server",
    "authentication_failed": True,
    "authenticated_fail_id": "fail-id",
    "proxy_session": True,
    "proxy_local_address": "192.0.2.3",
    "proxy_local_port": 31,
    "proxy_external_address": "192.0.2.4",
    "proxy_external_port": 41,
    "originator_uid": 501,
    "originator_gid": 502,
    "command_history": ["EHLO", "MAIL"],
}
MESSAGE = {
    "id": "1vMXyZ-0000000001t-0001",
    "sender_address": "from@sender.example",
    "received_time": NOW - 90,
    "body_size": 12,
    "body_linecount": 2,
    "body_zerocount": 3,
    "max_received_linelength": 77,
    "message_size": 345,
    "queue_name": "bulk",
    "smtputf8": True,
}
IN = TlsFacts("TLS1.3", "TLS1.3:IN:256", "STD_IN", 256, True, "CN=in", "sni.in", b"OUR-IN", b"PEER-IN", ocsp=4, resumption=3)
OUT = TlsFacts("TLS1.2", "TLS1.2:OUT:128", "STD_OUT", 128, True, "CN=out", "sni.out", b"OUR-OUT", b"PEER-OUT", 2, True, 12, 5)
HEADERS = (
    ("P", "Received: from a\n"),
    ("P", "Received: from b\n"),
    ("F", "From: f@from.example\n"),
    ("R", "Reply-To: r@reply.example\n"),
    (" ", "Subject: =?iso-8859-1?q?sub?=\n"),
)


def full_scope(directory: Path) -> Scope:
    """All of it."""
    services = build_services(directory)
    body = directory / "body"
    body.write_text("line1\nline2\n")
    session = Session(**SESSION, tls=IN, acl_c={"c0": "connection", "c_name": "named"})  # type: ignore[arg-type]
    message = Message(**MESSAGE, session=session, acl_m={"m0": "message", "m_name": "own"})  # type: ignore[arg-type]
    message.body_path = str(body)
    message.recipients = [Recipient("one@rcpt.example")]
    message.headers = [Header(text, kind) for kind, text in HEADERS]
    message.effects.added_headers = ["X-Added: by ACL\n"]
    scope = Scope(services, session, message)
    top = Delivery("old@top.example", local_part="old", domain="top.example", prefix="p-")
    parent = Delivery("mid@parent.example", local_part="mid", domain="parent.example", parent=top)
    delivery = Delivery(
        "new@here.example", local_part="new", domain="here.example", parent=parent, prefix="own-", prefix_variable="own",
        suffix="+ext", suffix_variable="ext", home="/home/new", self_hostname="self.example",
    )  # fmt: skip
    delivery.props.address_data = "address-data"
    delivery.props.domain_data = "domain-data"
    delivery.props.local_part_data = "local-part-data"
    delivery.props.errors_to = "errors@return.example"
    delivery.props.variables["r_list"] = "router-variable"
    delivery.extra["tls_out"] = OUT
    scope.delivery = delivery
    scope.host = Host("mx.example", "192.0.2.25", 2525)
    scope.where = "data"
    scope.numeric = ("whole", "first", "second")
    services.extra["initial_cwd"] = "/where/we/began"
    services.hooks.queue_size = lambda: 17
    return scope
