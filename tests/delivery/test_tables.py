"""Events, redirect items, retry errors and log selectors, row by row. Exim spec 22.6, 32.5, 53.15, 61."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from angaros.config.rules import parse_retry_error
from angaros.hints.retry import CONNECT_TIMEOUT, VIA_A, VIA_MX, error_matches
from angaros.logs.selectors import SELECTORS
from angaros.model.errors import Why
from tests.delivery.world import ME, Sink, World

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
INBOUND_EVENTS = {"auth:fail", "dane:fail", "tls:cert", "tls:fail:connect", "smtp:fail:protocol", "smtp:fail:syntax"}
"""conformance 3418-plaintext-event, 5720-OpenSSL-events, 5860-DANE-OpenSSL-events; the others are below."""


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
    ":include:": (":include:{dir}/list", "=> two <x@dom.example>"),
    ":blackhole:": (":blackhole:", "=> :blackhole: <x@dom.example> R=r"),
    ":defer:": (":defer: later", "== x@dom.example R=r defer (-1): later"),
    ":fail:": (":fail: gone", "** x@dom.example R=r : gone"),
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
    "mail_452": (Why.MAIL_4XX, 52 << 8),
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
    "quota_7d": (Why.QUOTA, 8 * 86400),
}
_NEVER = {"*": None}
"""What a rule for everything does not cover: nothing."""


@pytest.mark.parametrize("name", RETRY_ERRORS)
def test_retry_error(name: str) -> None:
    number, more = RETRY_ERRORS[name]
    wanted = parse_retry_error(name)
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
