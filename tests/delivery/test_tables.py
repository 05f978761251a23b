"""Events, redirect items, retry errors and log selectors, row by row. Exim spec 22.6, 32.5, 53.15, 61."""

from __future__ import annotations

import errno
import json
import ssl
from pathlib import Path

import pytest

from angaros.config.rules import parse_retry_error
from angaros.delivery.options import DeliverOptions
from angaros.delivery.runner import run_queue
from angaros.hints.retry import CONNECT_TIMEOUT, VIA_A, VIA_MX, error_matches
from angaros.logs.selectors import SELECTORS
from angaros.model.errors import Why
from angaros.model.interfaces import DnsAnswer
from angaros.model.message import Message
from angaros.model.queue_run import QueueRun
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.net.dns import DnsSettings, StubResolver
from tests.delivery.world import ME, Sink, World
from tests.expand.test_tables import INVENTORY
from tests.inbound.smtp_world import World as Server
from tests.net.test_tls import Made

SMTP = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
LOCAL = "r:\n  driver = accept\n  transport = t\n"
EVENTS_ACL = "event_action = ${acl {ev}}\nbegin acl\nev:\n  accept logwrite = E:$event_name:$event_data\n"

# --- Events ------------------------------------------------------------------------------------------------------------

EVENTS: dict[str, tuple[dict[str, str], str]] = {
    "tcp:connect": ({}, "E:tcp:connect:"),
    "tcp:close": ({}, "E:tcp:close:"),
    "smtp:connect": ({}, "E:smtp:connect:220 sink.example ESMTP"),
    "smtp:ehlo": ({}, "E:smtp:ehlo:250-sink.example"),
    "msg:delivery": ({}, "E:msg:delivery:250 OK"),
    "msg:complete": ({}, "E:msg:complete:"),
    "msg:fail:delivery": (
        {"RCPT": "550 no"},
        "E:msg:fail:delivery:SMTP error from remote mail server after RCPT TO:<x@dom.example>: 550 no",
    ),
    "msg:rcpt:host:defer": ({"RCPT": "450 later"}, "E:msg:rcpt:host:defer:SMTP error from remote mail server after RCPT"),
    "msg:rcpt:defer": ({"RCPT": "450 later"}, "E:msg:rcpt:defer:SMTP error from remote mail server after RCPT"),
    "msg:host:defer": (
        {"CONNECT": "421 busy"},
        "E:msg:host:defer:SMTP error from remote mail server after initial connection: 421 busy",
    ),
    "msg:defer": ({".": "450 later"}, "E:msg:defer:SMTP error from remote mail server after end of data: 450 later"),
}
_HERE = "tests/delivery/test_tables.py"
EVENTS_ELSEWHERE = {
    "auth:fail": f"{_HERE}::test_event_of_a_refused_authentication",
    "dane:fail": f"{_HERE}::test_event_of_dane",
    "dns:fail": f"{_HERE}::test_event_of_a_failed_lookup",
    "msg:fail:internal": f"{_HERE}::test_events_of_routing_and_lookups",
    "tls:cert": f"{_HERE}::test_event_of_a_certificate",
    "tls:fail:connect": f"{_HERE}::test_event_of_a_server",
    "smtp:fail:protocol": f"{_HERE}::test_event_of_a_server",
    "smtp:fail:syntax": f"{_HERE}::test_event_of_a_server",
}


@pytest.mark.parametrize("name", EVENTS)
def test_event(name: str, tmp_path: Path) -> None:
    replies, line = EVENTS[name]
    with Sink(replies) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  event_action = ${{acl {{ev}}}}\n"
        log = World(tmp_path, SMTP, transport, main=EVENTS_ACL).deliver()
    assert any(one.startswith(line) for one in log), log


def test_events_of_routing_and_lookups(tmp_path: Path) -> None:
    world = World(tmp_path, "r:\n  driver = dnslookup\n  transport = t\n", "t:\n  driver = smtp\n", main=EVENTS_ACL)
    log = world.deliver("x@no.such")
    assert "E:msg:fail:internal:Unrouteable address" in log or any(line.startswith("E:msg:fail:internal") for line in log)


def test_event_of_a_refused_authentication(tmp_path: Path) -> None:
    authenticators = "begin authenticators\na:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n"
    with Sink({"AUTH": "535 not you"}, ehlo=("AUTH PLAIN",)) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  hosts_try_auth = *\n  event_action = ${{acl {{ev}}}}\n"
        log = World(tmp_path, SMTP, transport, main=EVENTS_ACL, retry=f"* * F,5d,10m\n{authenticators}").deliver()
    assert "E:auth:fail:535 not you" in log


def test_event_of_dane(tmp_path: Path) -> None:
    transport = "t:\n  driver = smtp\n  port = 1\n  hosts_require_dane = *\n  event_action = ${acl {ev}}\n"
    assert "E:dane:fail:dane-required" in World(tmp_path, SMTP, transport, main=EVENTS_ACL).deliver()


def test_event_of_a_failed_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, main=EVENTS_ACL)
    resolver = StubResolver(DnsSettings(), world.services.waiter, world.clock, world.services.random)
    monkeypatch.setattr(resolver, "_search", lambda *_: DnsAnswer("nomatch"))
    scope = Scope(world.services, Session(), Message())
    resolver.query("no.such", "MX", scope=scope)
    resolver.query("quiet.such", "A", scope=scope, events=False)
    assert world.log.lines == ["E:dns:fail:DNS_NOMATCH:no.such:MX"]


@pytest.mark.parametrize(("answer", "line"), [("", "=> x@dom.example"), ("not this one", "== x@dom.example")])
def test_event_of_a_certificate(answer: str, line: str, tmp_path: Path) -> None:
    made = Made(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.keyfile)
    action = f"${{if eq{{$event_name}}{{tls:cert}}{{${{acl{{ev}}}}{answer}}}}}"
    with Sink(tls=context) as sink:
        transport = (
            f"t:\n  driver = smtp\n  port = {sink.port}\n  tls_verify_certificates = {made.cafile}\n"
            "  hosts_require_tls = *\n  tls_verify_hosts = *\n"
            f"  tls_verify_cert_hostnames = :\n  event_action = {action}\n"
        )
        log = World(tmp_path, SMTP, transport, main=EVENTS_ACL).deliver()
    assert "E:tls:cert:0" in log or "E:tls:cert:1" in log
    assert any(one.startswith(line) for one in log), log


SERVED = {
    "smtp:fail:protocol": ("RCPT TO:<a@b>", "E:smtp:fail:protocol:sender not yet given"),
    "smtp:fail:syntax": ("MAIL FROM:<a@b> WHAT=1", "E:smtp:fail:syntax:malformed address: WHAT=1 may not follow"),
    "tls:fail:connect": ("STARTTLS", "E:tls:fail:connect:"),
}


@pytest.mark.parametrize("name", SERVED)
def test_event_of_a_server(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, wanted = SERVED[name]
    monkeypatch.setattr("angaros.net.tls_config.server_context", lambda *_: object())
    main = "acl_smtp_rcpt = accept\ntls_advertise_hosts = *\ntls_certificate = /x\nevent_action = ${acl {ev}}"
    world = Server(tmp_path, main=main, acl="ev:\n  accept logwrite = E:$event_name:$event_data\n")
    world.greeted().say(command)
    assert any(line.startswith(wanted) for line in world.log()), world.log()


def test_an_event_may_forbid_a_connection(tmp_path: Path) -> None:
    transport = "t:\n  driver = smtp\n  event_action = ${if eq{$event_name}{tcp:connect}{no}}\n"
    assert any("== x@dom.example" in line for line in World(tmp_path, SMTP, transport).deliver())


# --- Redirect items ----------------------------------------------------------------------------------------------------

ITEMS = {
    "address": ("one@other", "=> one <x@dom.example>"),
    "\\local_part": ("\\\\x", "=> x <x@dom.example>"),
    "|command": ("|/bin/true", "=> |/bin/true <x@dom.example> R=r T=p"),
    "/path": ("{dir}/file", "=> {dir}/file <x@dom.example> R=r T=f"),
    "/dev/null": ("/dev/null", "=> /dev/null <x@dom.example> R=r T=**bypassed**"),
    ":include:<path>": (":include:{dir}/list", "=> two <x@dom.example>"),
    ":blackhole:": (":blackhole:", "=> :blackhole: <x@dom.example> R=r"),
    ":defer: [text]": (":defer: later", "== x@dom.example R=r defer (-1): later"),
    ":fail: [text]": (":fail: gone", "** x@dom.example R=r : gone"),
    ":unknown:": (":unknown:", "=> x <x@dom.example> R=l T=t"),
    "# Exim filter": ("#Exim filter\\ndeliver three@other", "=> three <x@dom.example>"),
    "# Sieve filter": ('#Sieve filter\\nredirect \\"four@other\\";', "=> four <x@dom.example>"),
}


@pytest.mark.parametrize("name", ITEMS)
def test_redirect_item(name: str, tmp_path: Path) -> None:
    data, line = (text.replace("{dir}", str(tmp_path)) for text in ITEMS[name])
    (tmp_path / "list").write_text("two@other\n")
    (tmp_path / "list").chmod(0o644)
    routers = (
        f'r:\n  driver = redirect\n  domains = dom.example\n  data = "{data}"\n  pipe_transport = p\n  file_transport = f\n'
        f"  allow_defer\n  allow_fail\n  allow_filter\n  {ME}\nl:\n  driver = accept\n  transport = t\n"
    )
    own = f"\n  {ME}\n"
    transports = f"t:\n  driver = appendfile\n  file = {tmp_path}/box{own}f:\n  driver = appendfile{own}p:\n  driver = pipe{own}"
    log = World(tmp_path, routers, transports).deliver()
    assert any(one.startswith(line) for one in log), log


# --- Retry errors ------------------------------------------------------------------------------------------------------

RETRY_ERRORS = {
    "*": (1, 0),
    "auth_failed": (Why.AUTH_FAIL, 0),
    "data_4xx": (Why.DATA_4XX, 51 << 8),
    "mail_4xx": (Why.MAIL_4XX, 21 << 8),
    "mail_452": (Why.MAIL_4XX, 52 << 8),
    "rcpt_4xx": (Why.RCPT_4XX, 21 << 8),
    "rcpt_45x": (Why.RCPT_4XX, 57 << 8),
    "lost_connection": (Why.SMTP_CLOSED, 0),
    "lookup": (Why.UNKNOWN_HOST, 0),
    "refused": (errno.ECONNREFUSED, VIA_A),
    "refused_A": (errno.ECONNREFUSED, VIA_A),
    "refused_MX": (errno.ECONNREFUSED, VIA_MX),
    "timeout": (errno.ETIMEDOUT, VIA_MX),
    "timeout_A": (errno.ETIMEDOUT, VIA_A),
    "timeout_MX": (errno.ETIMEDOUT, VIA_MX),
    "timeout_connect": (errno.ETIMEDOUT, VIA_A | CONNECT_TIMEOUT),
    "timeout_connect_A": (errno.ETIMEDOUT, VIA_A | CONNECT_TIMEOUT),
    "timeout_connect_MX": (errno.ETIMEDOUT, VIA_MX | CONNECT_TIMEOUT),
    "tls_required": (Why.TLS_REQUIRED, 0),
    "quota": (Why.QUOTA, 0),
    "quota_<time>": (Why.QUOTA, 8 * 86400),
}
_NEVER = {"*": None}
"""What a rule for everything does not cover: nothing."""


@pytest.mark.parametrize("name", RETRY_ERRORS)
def test_retry_error(name: str) -> None:
    number, more = RETRY_ERRORS[name]
    wanted = parse_retry_error(name.replace("<time>", "7d"))
    assert error_matches(wanted, int(number), more)
    assert name in _NEVER or not error_matches(wanted, int(Why.BAD_TRANSPORT), 0)


# --- Log selectors of deliveries ---------------------------------------------------------------------------------------

SELECTED = {
    "all_parents": (
        "l:\n  driver = redirect\n  domains = a\n  data = y@dom\nm:\n  driver = redirect\n  local_parts = y\n  data = z@dom",
        "(y@dom)",
    ),
    "deliver_time": ("", "DT=0"),
    "delivery_size": ("", "S="),
    "outgoing_port": ("", "[127.0.0.1]:{port}"),
    "incoming_interface": ("", "I=[127.0.0.1]"),
    "queue_time": ("", "QT=0"),
    "queue_time_overall": ("", "Completed QT=0"),
    "return_path_on_delivery": ("", "P=<joe@author.example>"),
    "sender_on_delivery": ("", "F=<joe@author.example>"),
    "protocol_detail": ("", "PS="),
    "millisec": ("", "=> "),
    "queue_time_exclusive": ("", "=> "),
    "dnssec": ("", "=> "),
    "proxy": ("", "=> "),
    "pipelining": ("", " L "),
    "smtp_mailauth": ("", "=> "),
}
DEFAULTS = {"smtp_confirmation": 'C="250 OK"', "outgoing_interface": "I=["}


def _log_of(selector: str, tmp_path: Path, routers: str = "") -> tuple[str, int]:
    with Sink(ehlo=("PIPELINING",)) as sink:
        world = World(
            tmp_path, f"{routers}\n{SMTP}", f"t:\n  driver = smtp\n  port = {sink.port}\n", main=f"log_selector = {selector}\n"
        )
        world.log.on = world.log.on | {word[1:] for word in selector.split() if word[0] == "+"}
        world.log.on -= {word[1:] for word in selector.split() if word[0] == "-"}
        return "\n".join(world.deliver("x@a")), sink.port


@pytest.mark.parametrize("name", SELECTED)
def test_log_selector(name: str, tmp_path: Path) -> None:
    routers, text = SELECTED[name]
    log, port = _log_of(f"+{name}", tmp_path, routers)
    assert text.format(port=port) in log, log


@pytest.mark.parametrize("name", DEFAULTS)
def test_log_selector_that_is_on(name: str, tmp_path: Path) -> None:
    assert DEFAULTS[name] not in _log_of(f"+incoming_interface -{name}", tmp_path)[0]
    assert DEFAULTS[name] in _log_of("+incoming_interface", tmp_path)[0]
    assert SELECTORS[name]


def test_a_frozen_message_is_skipped(tmp_path: Path) -> None:
    world = World(tmp_path, LOCAL, f"t:\n  driver = appendfile\n  file = {tmp_path}/box\n  {ME}\n")
    message = world.accept(["x@a"])
    message.frozen, message.frozen_time = True, world.clock.now()
    held = list(world.held)
    assert world.attempt(DeliverOptions(queue_run=True)) == ["Message is frozen"]
    world.held = held
    world.log.on -= {"skip_delivery"}
    message = world.accept(["x@a"])
    message.frozen, message.frozen_time = True, world.clock.now()
    assert world.attempt(DeliverOptions(queue_run=True)) == []


def test_a_queue_run_is_logged(tmp_path: Path) -> None:
    world = World(tmp_path, LOCAL, "t:\n  driver = appendfile\n  file = /dev/null\n")
    for on, wanted in ((True, ["Start queue run: pid=", "End queue run: pid="]), (False, [])):
        world.log.lines.clear()
        world.log.on = world.log.on | {"queue_run"} if on else world.log.on - {"queue_run"}
        run_queue(world.services, QueueRun())
        assert [line.rstrip("0123456789") for line in world.log.lines] == wanted


# --- The environment of a pipe. Exim spec 29.4 ----------------------------------------------------------------------------

ENVIRONMENT = {
    "DOMAIN": "dom.example",
    "HOME": "{dir}",
    "HOST": "",
    "LOCAL_PART": "x",
    "LOCAL_PART_PREFIX": "pre-",
    "LOCAL_PART_SUFFIX": "-suf",
    "LOGNAME": "x",
    "MESSAGE_ID": "{id}",
    "PATH": "/bin:/usr/bin",
    "QUALIFY_DOMAIN": "here.example",
    "RECIPIENT": "pre-x-suf@dom.example",
    "SENDER": "joe@author.example",
    "SHELL": "/bin/sh",
    "TZ": "Europe/Berlin",
    "USER": "x",
}


def environment(tmp_path: Path, routers: str) -> tuple[dict[str, str], str]:
    """What a command sees, and the message's id."""
    transport = f"t:\n  driver = pipe\n  command = /usr/bin/env\n  path = /bin:/usr/bin\n  log_output\n  return_output\n  {ME}\n"
    transport = transport.replace("/usr/bin/env", f"/bin/sh -c 'cat > /dev/null; exec /usr/bin/env > {tmp_path}/out'")
    world = World(tmp_path, routers, transport, main="timezone = Europe/Berlin\n")
    message = world.accept(["pre-x-suf@dom.example"])
    world.attempt()
    lines = (tmp_path / "out").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines), message.id


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_pipe_environment(name: str, tmp_path: Path) -> None:
    affixes = f"  local_part_prefix = pre-\n  local_part_suffix = -suf\n  transport_home_directory = {tmp_path}\n"
    seen, message_id = environment(tmp_path, LOCAL + affixes)
    assert seen.get(name, "") == ENVIRONMENT[name].format(dir=tmp_path, id=message_id)


def test_a_pipe_is_told_the_first_host(tmp_path: Path) -> None:
    router = "r:\n  driver = manualroute\n  route_list = * one.example:two.example\n  transport = t\n"
    assert environment(tmp_path, router)[0]["HOST"] == "one.example:two.example"


# --- Retry parameters. Exim spec 32.7 -------------------------------------------------------------------------------------

HOUR, MINUTE = 3600, 60
PARAMETERS = {
    "F,cutoff,interval": ("* * F,2h,15m", [15 * MINUTE] * 3),
    "G,cutoff,interval,factor": ("* * G,16h,10m,2", [10 * MINUTE, 20 * MINUTE, 40 * MINUTE]),
    "H,cutoff,interval,factor": ("* * H,16h,10m,2", [10 * MINUTE, 20 * MINUTE, 40 * MINUTE]),
    "senders=<list>": ("* * senders=joe@author.example F,2h,7m\n* * F,2h,15m", [7 * MINUTE] * 3),
    "senders=<list> of others": ("* * senders=other@x F,2h,7m\n* * F,2h,15m", [15 * MINUTE] * 3),
    "several": ("* * F,20m,10m; F,4h,1h", [10 * MINUTE, 10 * MINUTE, HOUR]),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_retry_parameter(name: str, tmp_path: Path) -> None:
    rules, wanted = PARAMETERS[name]
    world = World(tmp_path, SMTP, "t:\n  driver = smtp\n  port = 1\n", retry=rules)
    message_id = world.accept(["x@dom.example"]).id
    world.attempt()
    for number, gap in enumerate(wanted):
        if number:
            world.clock.time += wanted[number - 1] + 5
            world.again(message_id)
        record = world.services.hints.get("retry", "T:[127.0.0.1]:127.0.0.1:1")
        assert record is not None
        waits = float(record["next_try"]) - float(record["last_try"])
        least = 10 * MINUTE if name.startswith("H") else gap - 20  # somewhere between the first interval and the bound
        assert least - 1 <= waits <= gap + 1, (number, waits)


def test_after_the_cutoff_the_address_fails(tmp_path: Path) -> None:
    world = World(tmp_path, SMTP, "t:\n  driver = smtp\n  port = 1\n", retry="* * F,2h,15m")
    message_id = world.accept(["x@dom.example"]).id
    world.attempt()
    world.clock.time += 3 * HOUR
    assert any("retry timeout exceeded" in line for line in world.again(message_id))


# --- All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
@pytest.mark.parametrize(
    ("file", "tested"),
    [
        ("events", set(EVENTS) | set(EVENTS_ELSEWHERE)),
        ("pipe_environment", set(ENVIRONMENT)),
        ("redirect_items", set(ITEMS)),
        ("retry_errors", set(RETRY_ERRORS)),
        ("retry_parameters", set(PARAMETERS)),
    ],
)
def test_each_row_is_tested(file: str, tested: set[str]) -> None:
    assert INVENTORY is not None
    assert {row["name"] for row in json.loads((INVENTORY / f"{file}.json").read_text())} <= tested


@pytest.mark.parametrize("name", EVENTS_ELSEWHERE)
def test_what_is_elsewhere_is_there(name: str) -> None:
    file, test = EVENTS_ELSEWHERE[name].split("::")
    assert f"def {test}(" in (Path(__file__).parents[2] / file).read_text()
