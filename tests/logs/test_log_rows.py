"""Each log selector and each flag of the log, by what it changes. Exim spec 53.5, 53.15.

A selector is tried twice: with it the text stands in the log, without it (and with all others) it does not.
`test_each_row_is_tested` proves that no row is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from angaros.cli.main import arguments_line
from angaros.logs import lines
from angaros.logs.lines import Arrival, Attempt, arrival_lines, completed_line, defer_line, delivery_line, failure_line
from angaros.logs.selectors import SELECTORS
from angaros.model.delivery import Delivery, DeliveryResult, Host
from angaros.model.message import Message
from angaros.model.session import Session
from angaros.model.tls import TlsFacts
from tests.expand.test_tables import INVENTORY
from tests.inbound.smtp_world import World

ALL = frozenset(SELECTORS)
TLS = TlsFacts(
    cipher="TLS1.3:X:256", certificate_verified=True, peer_dn="CN=peer", sni="sni.ex", peer_certificate=b"x", resumption=16
)


class Log:
    """Says what is selected."""

    def __init__(self, on: frozenset[str]) -> None:
        self.on = on

    def selected(self, selector: str) -> bool:
        return selector in self.on

    def logs_port(self, port: int) -> bool:
        return True


# --- The fields of a line ------------------------------------------------------------------------------------------------


def arrival(log: Any, **changed: Any) -> str:
    """A line with everything in it."""
    session = Session(
        sender_host_address="192.0.2.7", sender_host_port=1025, sender_host_name="h.ex", sender_helo_name="helo.ex",
        sender_host_dnssec=True, interface_address="192.0.2.1", interface_port=25, sender_ident="joe", protocol="esmtpsa",
        tls=TLS, sender_host_authenticated="plain", authenticated_id="jim", authenticated_sender="jim@ex",
        proxy_session=True, proxy_local_address="198.51.100.1",
    )  # fmt: skip
    facts: dict[str, Any] = {
        "size": 100, "message_id_header": "m@ex", "subject": "hi", "sender": "s@ex", "recipients": ["r@ex"],
        "reception_seconds": 2.5, "connection_id": "c1", "pipelining_advertised": True, "pipelining_used": True,
        "early_pipe": "*", "fast_open": "TFO*", "prdr": True, "chunking": True, "spf": "pass", "dkim": "d.ex", "dmarc": "accept",
        "body_declared": 8, "queue_name": "slow", "reference": "1abc",
    }  # fmt: skip
    return arrival_lines(Message(sender_address="s@ex", session=session), Arrival(**{**facts, **changed}), log)[0]


RESULT = DeliveryResult(
    "ok", host=Host("h.ex", "192.0.2.9", 25, dnssec=True), tls=TLS, authenticator="plain", auth_id="jim", auth_sender="jim@ex",
    used=frozenset({"chunking", "prdr", "pipelining", "tfo"}), local_address="192.0.2.1", local_port=4000,
    proxy_address="198.51.100.1", proxy_port=1080, size=123, started=1000.0, finished=1002.5, smtp_response="250 OK",
)  # fmt: skip
HOW = Attempt(shadow="two", sequence=2, return_path="p@ex", dkim="d.ex:sel", startup="seas", now=1010.0)


def delivery(log: Any, build: Callable[..., str] = delivery_line) -> str:
    """The same of a delivery."""
    top, middle = Delivery("a@ex"), Delivery("b@ex")
    middle.parent = top
    between = Delivery("c@ex", parent=middle)
    last = Delivery("d@ex", local_part="d", domain="ex", parent=between, router="r", transport="t")
    message = Message(sender_address="s@ex", received_time=1000.0, received_time_complete=1004.0, queue_name="slow")
    return delivery_line("=>", last, RESULT, message, log, HOW) if build is delivery_line else build(last, RESULT, message, log)


FIELDS: dict[str, tuple[Callable[[Any], str], str]] = {
    "8bitmime": (arrival, r" M8S=8\b"),
    "all_parents": (delivery, r"d@ex \(c@ex\) \(b@ex\) <a@ex>"),
    "connection_id": (arrival, r" Ci=c1\b"),
    "deliver_time": (delivery, r" DT=2"),
    "delivery_size": (delivery, r" S=123\b"),
    "dkim": (arrival, r" DKIM=d\.ex\b"),
    "dkim_verbose": (delivery, r" DKIM=d\.ex:sel\b"),
    "dmarc_verbose": (arrival, r" DMARC=accept\b"),
    "dnssec": (arrival, r" DS H="),
    "dnssec of a delivery": (delivery, r"H=h\.ex DS \["),
    "incoming_interface": (arrival, r" I=\[192\.0\.2\.1\]:25"),
    "incoming_port": (arrival, r"\[192\.0\.2\.7\]:1025"),
    "msg_id": (arrival, r" id=m@ex"),
    "msg_id_created": (lambda log: arrival(log, message_id_created=True), r" id\*=m@ex"),
    "outgoing_interface": (delivery, r" I=\[192\.0\.2\.1\]"),
    "outgoing_port": (delivery, r"\[192\.0\.2\.9\]:25\*"),
    "pipelining": (arrival, r" L\* "),
    "pipelining not used": (lambda log: arrival(log, pipelining_used=False, early_pipe=""), r" L- "),
    "pipelining of a delivery": (delivery, r" L "),
    "protocol_detail": (delivery, r" PS=seas\b"),
    "proxy": (arrival, r" PRX=198\.51\.100\.1\b"),
    "proxy of a delivery": (delivery, r" PRX=\[198\.51\.100\.1\]:1080"),
    "queue_time": (delivery, r" QT=\d"),
    "queue_time_overall": (lambda log: completed_line(Message(received_time=1000.0), 1010.0, log), r"Completed QT=10"),
    "receive_time": (arrival, r" RT=2"),
    "received_recipients": (arrival, r" for r@ex$"),
    "received_sender": (arrival, r" from <s@ex>"),
    "return_path_on_delivery": (delivery, r" P=<p@ex>"),
    "sender_on_delivery": (delivery, r" F=<s@ex>"),
    "smtp_confirmation": (delivery, r' C="250 OK"'),
    "smtp_mailauth": (arrival, r" A=plain:jim:jim@ex\b"),
    "smtp_mailauth of a delivery": (delivery, r" A=plain:jim:jim@ex\b"),
    "spf_verbose": (arrival, r" SPF=pass\b"),
    "subject": (arrival, r' T="hi"'),
    "tls_certificate_verified": (arrival, r" CV=yes\b"),
    "tls_cipher": (arrival, r" X=TLS1\.3:X:256"),
    "tls_peerdn": (arrival, r' DN="CN=peer"'),
    "tls_resumption": (arrival, r" X=TLS1\.3:X:256\*"),
    "tls_sni": (arrival, r" SNI=sni\.ex\b"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_selector_adds_its_field(name: str) -> None:
    build, wanted = FIELDS[name]
    selector = name.split()[0]
    assert re.search(wanted, build(Log(ALL)))
    assert not re.search(wanted, build(Log(ALL - {selector})))


@pytest.mark.parametrize(("selector", "wordy"), [("spf", "spf_verbose"), ("dmarc", "dmarc_verbose")])
def test_a_tag_without_its_verbose_form(selector: str, wordy: str) -> None:
    tag = rf" {selector.upper()} "
    assert re.search(tag, arrival(Log(ALL - {wordy})))
    assert not re.search(tag, arrival(Log(ALL - {wordy, selector})))


def test_queue_time_without_the_time_of_reception() -> None:
    message = Message(received_time=1000.0, received_time_complete=1004.0)
    assert completed_line(message, 1010.0, Log(frozenset({"queue_time_overall"}))) == "Completed QT=10s"
    assert completed_line(message, 1010.0, Log(frozenset({"queue_time_overall", "queue_time_exclusive"}))) == "Completed QT=6s"


def test_times_with_and_without_milliseconds() -> None:
    assert " RT=2.500s" in arrival(Log(ALL))
    assert " RT=2s" in arrival(Log(ALL - {"millisec"}))


def test_deferred_before_their_time() -> None:
    assert lines.defer_selector(DeliveryResult("defer", basic_errno=lines.RETRY_BASE - 1)) == "retry_defer"
    assert lines.defer_selector(DeliveryResult("defer", basic_errno=111)) == ""


def test_arguments() -> None:
    assert arguments_line(["exim", "-odi", "a b", ""]) == f'cwd={Path.cwd()} 4 args: exim -odi "a b" ""'


# --- Lines of a session --------------------------------------------------------------------------------------------------


def _rewritten(w: World) -> None:
    talk = w.greeted()
    talk.mail(recipient="old@here.test")
    talk.message()


def _lookup_fails(w: World) -> None:
    w.greeted("192.0.2.55")


def _incomplete(w: World) -> None:
    talk = w.greeted()
    talk.mail()
    talk.say("RSET")


def _connect(w: World) -> None:
    talk = w.greeted()
    talk.say("QUIT")
    talk.hang_up()


def _lost(w: World) -> None:
    talk = w.greeted()
    talk.mail()
    talk.hang_up()


SESSIONS: dict[str, tuple[str, Callable[[World], Any], str]] = {
    "acl_warn_skipped": (
        "acl_smtp_rcpt = a\nbegin acl\na:\n  warn dnslists = +defer_unknown : again.test\n  accept",
        lambda w: _dnslist(w),
        "statement skipped",
    ),
    "address_rewrite": (
        "acl_smtp_rcpt = accept\nbegin rewrite\nold@here.test new@here.test Eh", _rewritten, 'as "new@here.test" by rule'
    ),
    "connection_reject": ("host_reject_connection = 192.0.2.0/24", lambda w: w.connect(), "refused connection"),
    "delay_delivery": ("acl_smtp_rcpt = accept\nsmtp_accept_queue_per_connection = 1", lambda w: _twice(w), "no immediate"),
    "dnslist_defer": (
        "acl_smtp_rcpt = a\nbegin acl\na:\n  deny dnslists = again.test\n  accept", lambda w: _dnslist(w), "DNS list lookup defer"
    ),
    "etrn": ("acl_smtp_etrn = accept\nsmtp_etrn_command = /bin/true", lambda w: w.greeted().say("ETRN #x"), "ETRN #x received"),
    "host_lookup_failed": ("host_lookup = *", _lookup_fails, "no host name found for IP address 192.0.2.55"),
    "lost_incoming_connection": ("acl_smtp_rcpt = accept", _lost, "unexpected disconnection"),
    "pid": ("acl_smtp_rcpt = deny", lambda w: w.greeted().mail(), r"^\[\d+\] "),
    "millisec": ("acl_smtp_rcpt = deny", lambda w: w.greeted().mail(), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "),
    "sender_verify_fail": (
        "acl_smtp_rcpt = require verify = sender", lambda w: w.greeted().mail("unknown@here.test"), "sender verify fail for"
    ),
    "size_reject": (
        "acl_smtp_rcpt = accept\nmessage_size_limit = 10", lambda w: w.greeted().say("MAIL FROM:<a@b> SIZE=99"), "too big"
    ),
    "smtp_connection": ("acl_smtp_rcpt = accept", _connect, "^SMTP connection .*from"),
    "smtp_incomplete_transaction": ("acl_smtp_rcpt = accept", _incomplete, "incomplete transaction"),
    "smtp_no_mail": ("acl_smtp_rcpt = accept", _connect, "no MAIL in SMTP connection"),
    "smtp_protocol_error": ("acl_smtp_rcpt = accept", lambda w: w.greeted().say("RCPT TO:<a@b>"), "SMTP protocol error"),
    "smtp_syntax_error": ("acl_smtp_rcpt = accept", lambda w: w.greeted().say("XYZZY"), "SMTP syntax error"),
    "unknown_in_list": (
        "host_lookup =\nacl_smtp_rcpt = a\nbegin acl\na:\n  deny hosts = *.far.test\n  accept",
        lambda w: w.greeted().mail(),
        "list matching forced to fail",
    ),
}  # fmt: skip


def _twice(w: World) -> None:
    talk = w.greeted()
    for _ in range(2):
        talk.mail()
        talk.message()


def _dnslist(w: World) -> None:
    w.dns.records[("7.2.0.192.again.test", "A")] = "again"
    w.greeted().mail()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_selector_adds_its_line(name: str, tmp_path: Path) -> None:
    text, play, wanted = SESSIONS[name]
    main, _, section = text.partition("\nbegin ")
    more = {"acl": section[4:]} if section.startswith("acl\n") else {"authenticators": f"begin {section}" if section else ""}
    for on in (True, False):
        directory = tmp_path / str(on)
        directory.mkdir()
        chosen = f"+all -pid -millisec +{name}" if on else f"+all -pid -millisec -{name}"
        world = World(directory, main=f"{main}\nlog_selector = {chosen}\n", **more)
        play(world)
        file = directory / "log" / "mainlog"
        log = file.read_text("latin-1") if file.exists() else ""
        assert any(re.search(wanted, line if name == "millisec" else line[20:]) for line in log.splitlines()) == on, log


def test_rejected_header(tmp_path: Path) -> None:
    for sign, found in (("+", True), ("-", False)):
        directory = tmp_path / sign
        directory.mkdir()
        main = f"acl_smtp_rcpt = accept\nacl_smtp_data = deny\nlog_selector = {sign}rejected_header"
        world = World(directory, main=main)
        talk = world.greeted()
        talk.mail()
        talk.message()
        assert ("  Subject: x" in world.log("reject")) == found
        assert any("rejected after DATA" in line for line in world.log("main"))


def test_an_ident_server_that_does_not_answer(tmp_path: Path) -> None:
    for sign, found in (("+", True), ("-", False)):
        directory = tmp_path / sign
        directory.mkdir()
        world = World(directory, main=f"rfc1413_hosts = *\nrfc1413_query_timeout = 1s\nlog_selector = {sign}ident_timeout")

        def connect(*_: object, **__: object) -> None:
            raise TimeoutError

        world.waiter.connect = connect  # type: ignore[assignment, method-assign]
        world.connect()
        assert any("ident connection to 192.0.2.7 timed out" in line for line in world.log()) == found


@pytest.mark.parametrize(("chosen", "protocol"), [("+tls_on_connect", "essmtp"), ("-tls_on_connect", "esmtps")])
def test_tls_from_the_first_octet_has_a_name_of_its_own(chosen: str, protocol: str, tmp_path: Path) -> None:
    world = World(tmp_path, main=f"acl_smtp_rcpt = accept\nlog_selector = {chosen}")
    talk = world.connect()
    talk.conversation.session.tls = TlsFacts(cipher="TLS1.3:X:256", on_connect=True)
    talk.say("EHLO client.test")
    talk.mail()
    talk.message()
    assert f" P={protocol} " in next(line for line in world.log() if " <= " in line)


# --- The flags -----------------------------------------------------------------------------------------------------------

NONE = Log(frozenset())
DELIVERY = Delivery("d@ex", local_part="d", domain="ex", router="r", transport="t")
FLAGS: dict[str, tuple[Callable[[], str], str]] = {
    "<=": (lambda: arrival(NONE), r"^<= s@ex R=1abc "),
    "(=": (lambda: arrival(NONE, fake_reject=True), r"^\(= s@ex "),
    **{
        flag: (lambda flag=flag: delivery_line(flag, DELIVERY, RESULT, Message(), NONE), f"^{re.escape(flag)} d@ex ")  # type: ignore[misc]
        for flag in ("=>", "->", ">>", "*>")
    },
    "**": (lambda: failure_line(DELIVERY, DeliveryResult("fail", message="no"), Message(), NONE), r"^\*\* d@ex R=r T=t ?: no"),
    "==": (
        lambda: defer_line(DELIVERY, DeliveryResult("defer", basic_errno=111), Message(), NONE),
        r"^== d@ex R=r T=t defer \(111\)",
    ),
    "Completed": (lambda: completed_line(Message(), 0.0, NONE), "^Completed$"),
    "A=": (lambda: arrival(NONE), r" A=plain:jim "),
    "C=": (lambda: delivery(Log(ALL)), r' C="250 OK"'),
    "Ci=": (lambda: arrival(Log(ALL)), r" Ci=c1 "),
    "CV=": (lambda: delivery(Log(ALL)), r" CV=yes "),
    "DKIM=": (lambda: arrival(Log(ALL)), r" DKIM=d\.ex "),
    "DN=": (lambda: delivery(Log(ALL)), r' DN="CN=peer"'),
    "DS": (lambda: delivery(Log(ALL)), r" H=h\.ex DS \["),
    "DT=": (lambda: delivery(Log(ALL)), r" DT=2"),
    "F=": (lambda: delivery(Log(ALL)), r" F=<s@ex> "),
    "H=": (lambda: arrival(NONE), r" H=h\.ex \(helo\.ex\) \[192\.0\.2\.7\] "),
    "I=": (lambda: arrival(Log(ALL)), r" I=\[192\.0\.2\.1\]:25 "),
    "id=": (lambda: arrival(Log(ALL)), r" id=m@ex "),
    "K": (lambda: delivery(NONE), " K "),
    "L": (lambda: delivery(Log(ALL)), " L "),
    "M8S=": (lambda: arrival(Log(ALL)), " M8S=8 "),
    "P=": (lambda: arrival(NONE), " P=esmtpsa "),
    "PRDR": (lambda: delivery(NONE), " PRDR "),
    "PRX=": (lambda: delivery(Log(ALL)), r" PRX=\[198\.51\.100\.1\]:1080 "),
    "PS=": (lambda: delivery(Log(ALL)), " PS=seas "),
    "Q=": (lambda: arrival(NONE), " Q=slow "),
    "QT=": (lambda: delivery(Log(ALL)), r" QT=\d"),
    "R=": (lambda: delivery(NONE), " R=r T=t "),
    "RT=": (lambda: arrival(Log(ALL)), r" RT=2\.500s"),
    "S=": (lambda: arrival(NONE), " S=100"),
    "SNI=": (lambda: arrival(Log(ALL)), r" SNI=sni\.ex "),
    "ST=": (lambda: delivery_line("=>", DELIVERY, DeliveryResult("ok"), Message(), NONE, HOW), " ST=two"),
    "T=": (lambda: arrival(Log(ALL)), ' T="hi" '),
    "TFO": (lambda: delivery(NONE), " TFO "),
    "U=": (lambda: arrival(NONE), " U=joe "),
    "X=": (lambda: arrival(Log(ALL)), r" X=TLS1\.3:X:256\* "),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
def test_flag(name: str) -> None:
    build, wanted = FLAGS[name]
    assert re.search(wanted, f"{build()} " if wanted[-1] == " " else build())


# --- All of them -----------------------------------------------------------------------------------------------------------

ELSEWHERE = {
    "all": "tests/logs/test_logs.py::test_selectors",
    "arguments": "tests/logs/test_log_rows.py::test_arguments",
    "dmarc": "tests/logs/test_log_rows.py::test_a_tag_without_its_verbose_form",
    "spf": "tests/logs/test_log_rows.py::test_a_tag_without_its_verbose_form",
    "ident_timeout": "tests/logs/test_log_rows.py::test_an_ident_server_that_does_not_answer",
    "queue_run": "tests/delivery/test_tables.py::test_a_queue_run_is_logged",
    "queue_time_exclusive": "tests/logs/test_log_rows.py::test_queue_time_without_the_time_of_reception",
    "rejected_header": "tests/logs/test_log_rows.py::test_rejected_header",
    "retry_defer": "tests/logs/test_log_rows.py::test_deferred_before_their_time",
    "skip_delivery": "tests/delivery/test_tables.py::test_a_frozen_message_is_skipped",
    "tls_on_connect": "tests/logs/test_log_rows.py::test_tls_from_the_first_octet_has_a_name_of_its_own",
    "rejected ...": "tests/logs/test_log_rows.py::test_rejected_header",
    "Start/End queue run": "tests/delivery/test_tables.py::test_a_queue_run_is_logged",
    "D=": "tests/logs/test_log_rows.py::test_duration_of_a_connection",
    "mainlog": "tests/logs/test_logs.py::test_writer_and_rotation",
    "rejectlog": "tests/logs/test_logs.py::test_reject_log",
    "paniclog": "tests/logs/test_logs.py::test_panic_log_has_no_date",
    "debuglog": "tests/inbound/test_debug_log.py::test_",
    "processlog": "tests/tools/test_small_tools.py::test_what_a_process_does",
    "msglog": "tests/logs/test_logs.py::test_arrival",
}


def test_duration_of_a_connection(tmp_path: Path) -> None:
    world = World(tmp_path, main="acl_smtp_rcpt = accept\nlog_selector = +smtp_connection")
    world.greeted().say("QUIT")
    assert any(" D=0s closed by QUIT" in line for line in world.log())


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
@pytest.mark.parametrize("file", ["log_selectors", "log_flags"])
def test_each_row_is_tested(file: str) -> None:
    assert INVENTORY is not None
    here = {name.split(" ")[0] for name in FIELDS} | set(SESSIONS) | set(FLAGS)
    for row in json.loads((INVENTORY / f"{file}.json").read_text()):
        assert row["name"] in here or row["name"] in ELSEWHERE, row["name"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_elsewhere_is_there(name: str) -> None:
    file, test = ELSEWHERE[name].split("::")
    assert f"def {test}" in (Path(__file__).parents[2] / file).read_text()
