"""Each option of the smtp transport by what the other server sees, or the log says. Exim spec 30.

TLS, DANE, OCSP, authentication and DKIM have tests of their own; `ELSEWHERE` says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from angaros.config import transport_options
from angaros.config.missing import MISSING, NO_EFFECT
from angaros.delivery.options import DeliverOptions
from angaros.hints import wait
from tests.delivery.world import Sink, World

ROUTER = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
ACCEPT = "r:\n  driver = accept\n  transport = t\n"
Seen = tuple[Sink, str, World]


@dataclass
class Row:
    """One delivery to a sink."""

    lines: str
    check: Callable[[Sink, str], Any]
    recipients: tuple[str, ...] = ("x@dom",)
    replies: dict[str, str] | None = None
    ehlo: tuple[str, ...] = ()
    router: str = ROUTER
    text: str = "Subject: x\n\nbody\n"
    main: str = ""
    zones: dict[str, list[Any]] | None = None


def command(text: str) -> Callable[[Sink, str], Any]:
    return lambda sink, log: text in sink.commands


def no_command(start: str) -> Callable[[Sink, str], Any]:
    return lambda sink, log: not any(one.startswith(start) for one in sink.commands)


def says(text: str) -> Callable[[Sink, str], Any]:
    return lambda sink, log: text in log


def connections(number: int) -> Callable[[Sink, str], Any]:
    return lambda sink, log: sink.connections == number


TWO = ("x@dom", "y@dom")
THREE = ("x@dom", "y@dom", "z@dom")
REFUSED = "r:\n  driver = manualroute\n  route_list = * 127.0.0.2:127.0.0.3:127.0.0.4:127.0.0.5\n  self = send\n  transport = t\n"

ROWS = {
    "address_retry_include_sender": Row("no_address_retry_include_sender", says("450"), replies={"RCPT": "450 later"}),
    "allow_localhost": Row("hosts = 127.0.0.1\n  allow_localhost", says("=> x@dom"), router=ACCEPT),
    "allow_localhost not": Row("hosts = me.dom", says("to be local"), router=ACCEPT, zones={"me.dom": [{"A": "127.0.0.1"}]}),
    "authenticated_sender": Row(
        "authenticated_sender = me@h\n  authenticated_sender_force", command("MAIL FROM:<joe@author.example> AUTH=me@h")
    ),
    "authenticated_sender_force": Row(
        "authenticated_sender = me@h\n  authenticated_sender_force", command("MAIL FROM:<joe@author.example> AUTH=me@h")
    ),
    "authenticated_sender_force not": Row("authenticated_sender = me@h", command("MAIL FROM:<joe@author.example>")),
    "command_timeout": Row("command_timeout = 3s", says("=> x@dom")),
    "connect_timeout": Row("connect_timeout = 3s", says("=> x@dom")),
    "connection_max_messages": Row(
        "max_rcpt = 2\n  connection_max_messages = 1", connections(2), THREE, main="remote_max_parallel = 1"
    ),
    "data_timeout": Row("data_timeout = 3s", says("=> x@dom")),
    "delay_after_cutoff": Row("no_delay_after_cutoff", says("=> x@dom")),
    "dns_qualify_single": Row("hosts = sink\n  no_dns_qualify_single", says("== x@dom"), router=ACCEPT),
    "dns_search_parents": Row("hosts = a.b\n  dns_search_parents", says("== x@dom"), router=ACCEPT),
    "dnssec_request_domains": Row(
        "hosts = me.dom\n  dnssec_request_domains = *\n  allow_localhost",
        says("=> x@dom"),
        router=ACCEPT,
        zones={"me.dom": [{"A": "127.0.0.1"}]},
    ),
    "dnssec_require_domains": Row(
        "hosts = me.dom\n  dnssec_require_domains = *\n  allow_localhost",
        says("== x@dom"),
        router=ACCEPT,
        zones={"me.dom": [{"A": "127.0.0.1"}]},
    ),
    "dscp": Row("dscp = ef", says("=> x@dom")),
    "fallback_hosts": Row(
        "fallback_hosts = 127.0.0.1\n  allow_localhost",
        says("=> x@dom"),
        main="retry_interval_max = 1d",
        router="r:\n  driver = manualroute\n  route_list = * 127.0.0.9\n  self = send\n  transport = t\n",
    ),
    "final_timeout": Row("final_timeout = 3s", says("=> x@dom")),
    "gethostbyname": Row(
        "hosts = localhost\n  gethostbyname\n  allow_localhost", says("=> x@dom"), router=ACCEPT, main="disable_ipv6"
    ),
    "helo_data": Row("helo_data = me.$domain", command("EHLO me.dom")),
    "hosts": Row("hosts = 127.0.0.1\n  allow_localhost", says("H=127.0.0.1"), router=ACCEPT),
    "hosts_avoid_esmtp": Row("hosts_avoid_esmtp = *", command("HELO mx.example")),
    "hosts_avoid_pipelining": Row("hosts_avoid_pipelining = *", says("=> x@dom"), ehlo=("PIPELINING",)),
    "hosts_max_try": Row("hosts_max_try = 2", lambda sink, log: log.count("Connection refused") == 3, router=REFUSED),
    "hosts_max_try_hardlimit": Row(
        "hosts_max_try_hardlimit = 1", lambda sink, log: log.count("Connection refused") == 2, router=REFUSED
    ),
    "hosts_override": Row("hosts = 127.0.0.1\n  hosts_override\n  allow_localhost", says("=> x@dom"), router=REFUSED),
    "hosts_randomize": Row("hosts = 127.0.0.1\n  hosts_randomize\n  allow_localhost", says("=> x@dom"), router=ACCEPT),
    "hosts_try_chunking": Row("hosts_try_chunking = :", no_command("BDAT"), ehlo=("CHUNKING",)),
    "hosts_try_chunking on": Row("", lambda sink, log: any(one.startswith("BDAT") for one in sink.commands), ehlo=("CHUNKING",)),
    "hosts_try_prdr": Row("hosts_try_prdr = :", command("MAIL FROM:<joe@author.example>"), TWO, ehlo=("PRDR",)),
    "interface": Row("interface = 127.0.0.1", lambda sink, log: sink.peers[0][0] == "127.0.0.1"),
    "interface that is not ours": Row("interface = 203.0.113.9", says("bind of [203.0.113.9]:0 failed")),
    "keepalive": Row("no_keepalive", says("=> x@dom")),
    "lmtp_ignore_quota": Row(
        "protocol = lmtp\n  lmtp_ignore_quota", command("RCPT TO:<x@dom> IGNOREQUOTA"), ehlo=("IGNOREQUOTA",)
    ),
    "max_rcpt": Row("max_rcpt = 1", lambda sink, log: len(sink.messages) == 3, THREE),
    "message_linelength_limit": Row(
        "message_linelength_limit = 20", says("message has lines too long for transport"), text=f"A: b\n\n{'x' * 30}\n"
    ),
    "multi_domain": Row("no_multi_domain", lambda sink, log: len(sink.messages) == 2, ("x@dom", "x@other")),
    "multi_domain on": Row("", lambda sink, log: len(sink.messages) == 1, ("x@dom", "x@other")),
    "port": Row("", says("=> x@dom")),
    "protocol": Row("protocol = LMTP", command("LHLO mx.example")),
    "retry_include_ip_address": Row("no_retry_include_ip_address", says("421"), replies={"CONNECT": "421 no"}),
    "serialize_hosts": Row("serialize_hosts = *", says("=> x@dom")),
    "size_addition": Row("size_addition = 7000", lambda sink, log: any("SIZE=7" in one for one in sink.commands), ehlo=("SIZE",)),
    "size_addition off": Row("size_addition = -1", command("MAIL FROM:<joe@author.example>"), ehlo=("SIZE",)),
    "socks_proxy": Row("socks_proxy = 127.0.0.1 port=1", says("== x@dom")),
    "utf8_downconvert": Row("utf8_downconvert = 1", says("=> x@dom"), ehlo=("SMTPUTF8",)),
}

_TLS = "tests/transports/test_smtp_tls_options.py"
ELSEWHERE = {
    name: where
    for where, names in {
        f"{_TLS}::test_option": "hosts_avoid_tls hosts_require_alpn hosts_require_ocsp hosts_require_tls tls_alpn "
        "tls_certificate tls_crl tls_privatekey tls_require_ciphers tls_tempfail_tryclear tls_try_verify_hosts "
        "tls_verify_cert_hostnames tls_verify_certificates tls_verify_hosts",
        f"{_TLS}::test_what_the_handshake_is_made_of": "dane_require_tls_ciphers hosts_request_ocsp tls_resumption_hosts",
        f"{_TLS}::test_a_session_with_tls_may_have_to_end": "hosts_nopass_tls",
        f"{_TLS}::test_callouts_in_the_clear": "hosts_verify_avoid_tls",
        f"{_TLS}::test_sni": "tls_sni",
        f"{_TLS}::test_the_name_of_a_farm_for_resumption": "host_name_extract",
        f"{_TLS}::test_authentication_is_tried": "hosts_require_auth hosts_try_auth",
        "tests/transports/test_dane_table.py::test_every_record": "hosts_require_dane hosts_try_dane",
        "tests/transports/test_sts_table.py::test_every_combination": "hosts_require_mta_sts hosts_try_mta_sts",
        "tests/transports/test_smtp_early.py::test_when_it_is_used": "hosts_pipe_connect",
        "tests/transports/test_smtp_early.py::test_hosts_try_fastopen": "hosts_try_fastopen",
    }.items()
    for name in names.split()
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_elsewhere_is_there(name: str) -> None:
    file, test = ELSEWHERE[name].split("::")
    assert f"def {test}" in (Path(__file__).parents[2] / file).read_text()


_SIGNING = ("dkim_", "arc_")
"""tests/mailauth"""


def played(row: Row, tmp_path: Path) -> tuple[Any, object]:
    """Whether what should happen did, and what happened."""
    with Sink(row.replies, ehlo=row.ehlo) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  {row.lines}\n"
        world = World(tmp_path, row.router, transport, main=row.main, zones=row.zones)
        log = "\n".join(world.deliver(*row.recipients, text=row.text))
    return row.check(sink, log), (log, sink.commands)


@pytest.mark.parametrize("name", ROWS)
def test_option(name: str, tmp_path: Path) -> None:
    good, seen = played(ROWS[name], tmp_path)
    assert good, seen


EFFECTS = "tests/transports/test_smtp_effects.py"
SEEN_ELSEWHERE = {
    name: f"{EFFECTS}::{test}"
    for test, names in {
        "test_how_long_is_waited": "command_timeout connect_timeout data_timeout final_timeout",
        "test_options_of_the_socket": "dscp interface keepalive",
        "test_after_the_cutoff": "delay_after_cutoff",
        "test_what_the_resolver_is_asked_for": "dns_qualify_single dns_search_parents dnssec_request_domains",
        "test_names_of_the_system": "gethostbyname",
        "test_no_pipelining": "hosts_avoid_pipelining",
        "test_hosts_in_random_order": "hosts_randomize",
        "test_keys_of_retry_records": "address_retry_include_sender retry_include_ip_address",
        "test_one_connection_at_a_time": "serialize_hosts",
        "test_addresses_in_ascii": "utf8_downconvert",
        "test_ports": "port",
    }.items()
    for name in names.split()
}


@pytest.mark.parametrize("option", sorted({name.split()[0] for name in ROWS}))
def test_without_the_option_another_thing_happens(option: str, tmp_path: Path) -> None:
    if option in SEEN_ELSEWHERE:
        file, test = SEEN_ELSEWHERE[option].split("::")
        assert f"def {test}(" in (Path(__file__).parents[2] / file).read_text()
        return
    for name, row in ROWS.items():
        lines = re.sub(rf"(?m)^ *(no_|not_)?{option}( *=.*)?$", "", row.lines)
        if name.split()[0] == option and lines != row.lines and not played(replace(row, lines=lines), tmp_path)[0]:
            return
    pytest.fail(f"no row shows what {option} does")


def test_each_option_has_a_row() -> None:
    own = set(transport_options.TRANSPORTS["smtp"].OPTIONS) - set(transport_options.TransportOptions.OPTIONS)
    built = {name for name in own if f"smtp.{name}" not in MISSING and f"smtp.{name}" not in NO_EFFECT}
    built = {name for name in built if not name.startswith(_SIGNING)}
    assert built <= {name.split()[0] for name in ROWS} | set(ELSEWHERE)


def test_what_retry_records_are_called(tmp_path: Path) -> None:
    with Sink({"RCPT": "450 later"}) as sink:
        for lines, key in (("", ":<joe@author.example>"), ("no_address_retry_include_sender", "")):
            world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n  {lines}\n")
            world.deliver()
            assert world.services.hints.get("retry", f"R:x@dom.example{key}")


def test_interface_is_part_of_the_keys(tmp_path: Path) -> None:
    with Sink({"CONNECT": "421 no"}) as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n  interface = 127.0.0.1\n")
        message = world.accept(["x@dom"])
        world.attempt()
    hints = world.services.hints
    assert hints.get("retry", f"T:[127.0.0.1]:127.0.0.1:{sink.port}/127.0.0.1")
    assert wait.waiting(hints, "t", "127.0.0.1") == [message.id]


def test_recipients_after_452_go_on_at_once(tmp_path: Path) -> None:
    with Sink({"RCPT TO:<y": "452 too many"}, ehlo=("PIPELINING",)) as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n")
        log = world.deliver("x@dom", "y@dom")
    assert sink.connections == 1
    assert [one for one in sink.commands if one.startswith("RCPT")] == ["RCPT TO:<x@dom>", "RCPT TO:<y@dom>", "RCPT TO:<y@dom>"]
    assert sum(line.startswith("==") for line in log) == 1


def test_a_message_that_waits_goes_over_the_open_connection(tmp_path: Path) -> None:
    with Sink() as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n")
        world.deliver("x@dom", options=DeliverOptions(immediate=True, queue_smtp=True))
        log = world.deliver("y@dom")
    assert sink.connections == 1
    assert any("127.0.0.1 [127.0.0.1]*" in line for line in log)


@pytest.mark.parametrize("command", ["CONNECT", "EHLO"])
def test_a_host_that_wants_nobody_gets_a_retry_record(tmp_path: Path, command: str) -> None:
    """The message fails; the next one does not ask at once. Observed with Exim 4.96."""
    with Sink({command: "550 go away", "HELO": "550 go away"}) as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n")
        assert any("** x@dom" in line and "550 go away" in line for line in world.deliver("x@dom"))
        record = world.services.hints.get("retry", f"T:[127.0.0.1]:127.0.0.1:{sink.port}")
        assert record is not None and record["basic_errno"] == 0 and record["more_errno"] == ord("A")
        assert any("== y@dom" in line and "retry time not reached" in line for line in world.deliver("y@dom"))
