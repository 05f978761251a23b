"""Each router option by what it does: a configuration, an address, and what `-bt` (or `-bv`) says of it. Exim spec 15 to 22.

`test_each_option_has_a_row` proves that no option of the tables is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from angaros.config import router_options
from angaros.config.missing import MISSING, NO_EFFECT
from angaros.delivery.address_test import run as address_test
from angaros.model.errors import AngarosError
from angaros.model.scope import Scope
from tests.delivery.world import World

TRANSPORTS = """
t:
  driver = appendfile
  file = /dev/null
f:
  driver = appendfile
d:
  driver = appendfile
p:
  driver = pipe
a:
  driver = autoreply
s:
  driver = smtp
"""
ZONES: dict[str, list[Any]] = {
    "mx.dom": [{"MX": [10, "h1.dom"]}, {"MX": [20, "h2.dom"]}],
    "h1.dom": [{"A": "198.51.100.1"}, {"AAAA": "2001:db8::1"}],
    "h2.dom": [{"A": "198.51.100.2"}],
    "a.dom": [{"A": "198.51.100.9"}],
    "self.dom": [{"MX": [10, "me.dom"]}],
    "second.dom": [{"MX": [10, "h1.dom"]}, {"MX": [20, "me.dom"]}],
    "me.dom": [{"A": "127.0.0.1"}],
    "again.dom": ["TIMEOUT"],
    "_smtp._tcp.srv.dom": [{"SRV": (1, 1, 2525, "h2.dom")}],
    "_smtp._tcp.bad.dom": ["TIMEOUT"],
    "bad.dom": [{"MX": [10, "h2.dom"]}],
    "half.dom": ["TIMEOUT", {"A": "198.51.100.5"}, {"AAAA": "2001:db8::5"}],
    "nomx.dom": [{"MX": [10, "no.such"]}],
    "wide.extra.dom": [{"MX": [10, "h2.dom"]}],
}
LOGIN = "root"
RETRY = "* * F,5d,10m\n"
V4, V6 = "host h1.dom [198.51.100.1]", "host h1.dom [2001:db8::1]"


@dataclass
class Row:
    """`want`: texts that the answer contains; with `!` in front, that it does not contain."""

    routers: str
    address: str
    want: tuple[str, ...]
    mode: str = "bt"
    main: str = ""
    files: dict[str, str] = field(default_factory=dict)
    more: str = ""
    """Other sections."""


def accept(*lines: str) -> str:
    """One accept router, with a second one behind it."""
    return router("accept", "transport = t", *lines) + "last:\n  driver = accept\n  transport = p\n"


def router(driver: str, *lines: str, name: str = "r") -> str:
    return f"{name}:\n  driver = {driver}\n" + "".join(f"  {line}\n" for line in lines)


def redirect(*lines: str, data: str = "one@h") -> str:
    """A redirect router for domain `dom`; what it makes is taken by an accept router."""
    first = () if any(line.startswith(("data =", "file =")) for line in lines) else (f"data = {data}",)
    return router("redirect", "domains = dom", *first, *lines) + LAST


LAST = "last:\n  driver = accept\n  transport = t\n"
FIRST, SECOND = "router = r, transport = t", "router = last, transport = p"
DNS = ("transport = s",)
BRIGHTMAIL = "bmi_config_file = /x\nbmi_library = {dir}/shim.so\n"

GENERIC = {
    "address_data": Row(accept("address_data = D", "condition = ${if eq{$address_data}{}}"), "x@dom", (FIRST,)),
    "address_test": Row(accept("no_address_test"), "x@dom", (SECOND,)),
    **{
        option.split()[0]: Row(accept(option), "x@dom", (SECOND,), main=BRIGHTMAIL, files={"shim.so": ""})
        for option in ("bmi_deliver_alternate", "bmi_deliver_default", "bmi_dont_deliver", "bmi_rule = 1")
    },  # nobody has a verdict here; those that have: tests/scan/test_brightmail.py
    "cannot_route_message": Row(
        router("accept", "transport = t", "domains = a", "cannot_route_message = no $domain", "no_more"), "x@b", ("no b",)
    ),
    "caseful_local_part": Row(accept("caseful_local_part", "local_parts = Joe"), "Joe@dom", (FIRST,)),
    "caseful_local_part off": Row(accept("local_parts = joe"), "Joe@dom", (FIRST,)),
    "check_local_user": Row(accept("check_local_user"), f"{LOGIN}@dom", (FIRST,)),
    "check_local_user no such": Row(accept("check_local_user"), "no-such-user@dom", (SECOND,)),
    "condition": Row(accept("condition = ${if eq{$local_part}{x}}"), "y@dom", (SECOND,)),
    "condition twice": Row(accept("condition = yes", "condition = no"), "x@dom", (SECOND,)),
    "debug_print": Row(accept("debug_print = here"), "x@dom", (FIRST,)),
    "disable_logging": Row(accept("disable_logging"), "x@dom", (FIRST,)),
    "dnssec_request_domains": Row(router("dnslookup", "dnssec_request_domains = *", *DNS), "x@mx.dom", (V4,)),
    "dnssec_require_domains": Row(
        router("dnslookup", "dnssec_require_domains = *", *DNS), "x@mx.dom", ("host lookup done insecurely",)
    ),
    "domains": Row(accept("domains = a : b"), "x@c", (SECOND,)),
    "dsn_lasthop": Row(accept("dsn_lasthop"), "x@dom", (FIRST,)),
    "errors_to": Row(accept("errors_to = e@dom"), "x@dom", (FIRST,)),
    "expn": Row(accept("no_expn"), "x@dom", (FIRST,)),
    "fail_verify": Row(accept("fail_verify"), "x@dom", ("failed to verify",), "bv"),
    "fail_verify_recipient": Row(accept("fail_verify_recipient"), "x@dom", ("failed to verify",), "bv"),
    "fail_verify_sender": Row(accept("fail_verify_sender"), "x@dom", ("failed to verify",), "bvs"),
    "fallback_hosts": Row(
        router("manualroute", "route_list = * a.dom", "fallback_hosts = h2.dom", *DNS), "x@dom", ("host a.dom [198.51.100.9]",)
    ),
    "group": Row(accept(f"user = {os.geteuid()}", "group = ${if eq{1}{1}{no-such-group}}"), "x@dom", ("no-such-group",)),
    "headers_add": Row(accept("headers_add = ${bad}"), "x@dom", ("failed to expand add_headers item",)),
    "headers_remove": Row(accept("headers_remove = ${bad}"), "x@dom", ("failed to expand remove_headers item",)),
    "ignore_target_hosts": Row(router("dnslookup", "ignore_target_hosts = 198.51.100.1", *DNS), "x@mx.dom", (V6, f"!{V4}")),
    "initgroups": Row(accept("user = root", "initgroups"), "x@dom", (FIRST,)),
    "local_part_prefix": Row(accept("local_part_prefix = real-", "local_parts = joe"), "real-joe@dom", (FIRST,)),
    "local_part_prefix wild": Row(accept("local_part_prefix = *-", "local_parts = joe"), "any-joe@dom", (FIRST,)),
    "local_part_prefix_optional": Row(
        accept("local_part_prefix = real-", "local_part_prefix_optional", "local_parts = joe"), "joe@dom", (FIRST,)
    ),
    "local_part_suffix": Row(accept("local_part_suffix = -old", "local_parts = joe"), "joe-old@dom", (FIRST,)),
    "local_part_suffix_optional": Row(
        accept("local_part_suffix = +*", "local_part_suffix_optional", "local_parts = joe"), "joe@dom", (FIRST,)
    ),
    "local_parts": Row(accept("local_parts = a : ^b"), "bill@dom", (FIRST,)),
    "local_parts not": Row(accept("local_parts = a : ^b"), "zed@dom", (SECOND,)),
    "log_as_local": Row(accept("log_as_local"), "x@dom", (FIRST,)),
    "more": Row(redirect("no_more", data="${if eq{a}{b}{x}{}}"), "x@dom", ("undeliverable: Unrouteable address",)),
    "more expanded": Row(
        redirect("more = ${if eq{$local_part}{x}{no}{yes}}", data="${if eq{a}{b}{x}{}}"), "y@dom", ("router = last",)
    ),
    "pass_on_timeout": Row(router("dnslookup", "pass_on_timeout", "no_more", *DNS) + LAST, "x@again.dom", ("router = last",)),
    "pass_router": Row(
        router("dnslookup", "self = pass", "pass_router = last", "no_more", *DNS)
        + router("accept", "transport = p", name="between")
        + LAST,
        "x@self.dom",
        ("router = last",),
    ),
    "redirect_router": Row(
        redirect("redirect_router = third", data="one@dom") + "third:\n  driver = accept\n  transport = p\n",
        "x@dom",
        ("router = third, transport = p",),
    ),
    "require_files": Row(accept("require_files = {dir}/there"), "x@dom", (FIRST,), files={"there": ""}),
    "require_files not": Row(accept("require_files = !{dir}/there"), "x@dom", (SECOND,), files={"there": ""}),
    "retry_use_local_part": Row(accept("retry_use_local_part"), "x@dom", (FIRST,)),
    "router_home_directory": Row(
        accept("router_home_directory = {dir}", "require_files = $home/there"), "x@dom", (FIRST,), files={"there": ""}
    ),
    "self": Row(router("dnslookup", "self = send", *DNS), "x@self.dom", ("host me.dom [127.0.0.1]",)),
    "self defer": Row(
        router("dnslookup", "self = defer", *DNS), "x@self.dom", ("lowest numbered MX record points to local host",)
    ),
    "self fail": Row(router("dnslookup", "self = fail", *DNS), "x@self.dom", ("is undeliverable",)),
    "self reroute": Row(
        router("dnslookup", "self = reroute: a.dom", *DNS), "x@self.dom", ("x@a.dom", "host a.dom [198.51.100.9]")
    ),
    "senders": Row(accept("senders = joe@dom"), "x@dom", (SECOND,)),
    "set": Row(accept("set = r_v = $local_part", "condition = ${if eq{$r_v}{}}"), "x@dom", (FIRST,)),
    "translate_ip_address": Row(
        router("dnslookup", "translate_ip_address = ${if eq{$host_address}{198.51.100.9}{198.51.100.77}fail}", *DNS),
        "x@a.dom",
        ("[198.51.100.77]",),
    ),
    "transport": Row(router("accept", "transport = ${if eq{$local_part}{x}{p}{t}}"), "x@dom", ("transport = p",)),
    "transport missing": Row(router("accept", "transport = ${local_part}"), "x@dom", ("cannot be resolved",)),
    "transport_current_directory": Row(accept("transport_current_directory = /"), "x@dom", (FIRST,)),
    "transport_home_directory": Row(accept("transport_home_directory = /"), "x@dom", (FIRST,)),
    "unseen": Row(accept("unseen"), "x@dom", (FIRST, SECOND)),
    "user": Row(accept("user = ${if eq{1}{1}{no-such-user}}"), "x@dom", ("no-such-user",)),
    "verify": Row(router("accept", "transport = t", "no_verify"), "x@dom", ("failed to verify",), "bv"),
    "verify_only": Row(accept("verify_only"), "x@dom", (SECOND,)),
    "verify_recipient": Row(router("accept", "transport = t", "no_verify_recipient"), "x@dom", ("failed to verify",), "bv"),
    "verify_sender": Row(router("accept", "transport = t", "no_verify_sender"), "x@dom", ("failed to verify",), "bvs"),
}

DNSLOOKUP = {
    "check_secondary_mx": Row(router("dnslookup", "check_secondary_mx", *DNS) + LAST, "x@second.dom", (V4, "!me.dom")),
    "check_secondary_mx not": Row(router("dnslookup", "check_secondary_mx", *DNS) + LAST, "x@mx.dom", ("router = last",)),
    "check_srv": Row(router("dnslookup", "check_srv = smtp", *DNS), "x@srv.dom", ("host h2.dom [198.51.100.2] MX=1 port=2525",)),
    "check_srv list": Row(router("dnslookup", "check_srv = nosuch:smtp", *DNS), "x@srv.dom", ("port=2525",)),
    "fail_defer_domains": Row(
        router("dnslookup", "fail_defer_domains = nomx.dom", *DNS), "x@nomx.dom", ("missing MX, or all MXs point to missing A",)
    ),
    "ipv4_only": Row(router("dnslookup", "ipv4_only = yes", *DNS), "x@mx.dom", (V4, f"!{V6}")),
    "ipv4_prefer": Row(router("dnslookup", "ipv4_prefer = yes", *DNS), "x@h1.dom", ("[198.51.100.1]", "[2001:db8::1]")),
    "mx_domains": Row(router("dnslookup", "mx_domains = *", *DNS), "x@a.dom", ("Unrouteable address",)),
    "mx_fail_domains": Row(
        router("dnslookup", "mx_fail_domains = half.dom", *DNS), "x@half.dom", ("host half.dom [198.51.100.5]",)
    ),
    "qualify_single": Row(router("dnslookup", "no_qualify_single", *DNS), "x@single", ("Unrouteable address",)),
    "rewrite_headers": Row(router("dnslookup", "no_rewrite_headers", *DNS), "x@mx.dom", (V4,)),
    "same_domain_copy_routing": Row(router("dnslookup", "same_domain_copy_routing", *DNS), "x@mx.dom", (V4,)),
    "search_parents": Row(router("dnslookup", "search_parents", *DNS), "x@mx.dom", (V4,)),
    "srv_fail_domains": Row(
        router("dnslookup", "check_srv = smtp", "srv_fail_domains = bad.dom", *DNS), "x@bad.dom", ("host h2.dom [198.51.100.2]",)
    ),
    "srv_fail_domains not": Row(router("dnslookup", "check_srv = smtp", *DNS), "x@bad.dom", ("cannot be resolved",)),
    "widen_domains": Row(
        router("dnslookup", "widen_domains = extra.dom", *DNS), "x@wide", ("x@wide.extra.dom", "host h2.dom [198.51.100.2]")
    ),
}

MANUAL = {
    "host_all_ignored": Row(
        router("manualroute", "route_list = * a.dom", "ignore_target_hosts = *", "host_all_ignored = decline", *DNS) + LAST,
        "x@dom",
        ("router = last",),
    ),
    "host_find_failed": Row(
        router("manualroute", "route_list = * no.such", "host_find_failed = decline", *DNS) + LAST, "x@dom", ("router = last",)
    ),
    "host_find_failed ignore": Row(
        router("manualroute", "route_list = * no.such:a.dom", "host_find_failed = ignore", *DNS),
        "x@dom",
        ("host a.dom [198.51.100.9]",),
    ),
    "hosts_randomize": Row(
        router("manualroute", "route_list = * a.dom:h2.dom", "hosts_randomize", *DNS), "x@dom", ("host a.dom", "host h2.dom")
    ),
    "route_data": Row(router("manualroute", "route_data = $local_part.dom", *DNS), "a@dom", ("host a.dom [198.51.100.9]",)),
    "route_list": Row(
        router("manualroute", "route_list = other.dom h2.dom ; dom a.dom bydns", *DNS), "x@dom", ("host a.dom [198.51.100.9]",)
    ),
    "route_list transport": Row(router("manualroute", "route_list = * a.dom s"), "x@dom", ("transport = s",)),
    "same_domain_copy_routing": Row(
        router("manualroute", "route_list = * a.dom", "same_domain_copy_routing", *DNS), "x@dom", ("host a.dom",)
    ),
}

_ME = f"command_user = {os.geteuid()}"
QUERY = {
    "command": Row(
        router("queryprogram", "command = /bin/echo accept transport=p data=d", _ME, "command_group = 0"),
        "x@dom",
        ("transport = p",),
    ),
    "current_directory": Row(
        router(
            "queryprogram",
            "command = /bin/sh -c 'echo redirect `pwd`@h'",
            _ME,
            "command_group = 0",
            "current_directory = /usr",
            "domains = dom",
        )
        + LAST,
        "x@dom",
        ("/usr@h",),
    ),
    "timeout": Row(
        router("queryprogram", "command = /bin/sleep 3", _ME, "command_group = 0", "timeout = 1s"), "x@dom", ("timed out",)
    ),
}

REDIRECT = {
    "allow_defer": Row(redirect("allow_defer", data=":defer: later"), "x@dom", ("cannot be resolved at this time: later",)),
    "allow_defer not": Row(redirect(data=":defer: later"), "x@dom", ('":defer: later" is not permitted',)),
    "allow_fail": Row(redirect("allow_fail", data=":fail: never"), "x@dom", ("is undeliverable: never",)),
    "allow_filter": Row(redirect("allow_filter", data='"#Exim filter\\ndeliver two@h"'), "x@dom", ("two@h",)),
    "allow_freeze": Row(redirect("allow_filter", "allow_freeze", data='"#Exim filter\\nfreeze"'), "x@dom", ("!is disabled",)),
    "check_ancestor": Row(redirect("check_ancestor", data="${if eq{$local_part}{a}{b}{a}}@dom"), "a@dom", ("b@dom\n <-- b@dom",)),
    "check_group": Row(
        redirect("file = {dir}/f", "check_group", "owngroups = 65000", f"owners = {os.geteuid()}"),
        "x@dom",
        ("bad group",),
        files={"f": "one@h"},
    ),
    "check_group off": Row(
        redirect("file = {dir}/f", "no_check_group", "owngroups = 65000"), "x@dom", ("one@h",), files={"f": "one@h"}
    ),
    "check_owner off": Row(
        redirect("file = {dir}/f", "no_check_owner", "owners = 65000"), "x@dom", ("one@h",), files={"f": "one@h"}
    ),
    "check_owner": Row(
        redirect("file = {dir}/f", "check_owner", "owners = 65000"), "x@dom", ("bad owner",), files={"f": "one@h"}
    ),
    "data": Row(redirect(data="two@h"), "x@dom", ("two@h", "<-- x@dom")),
    "directory_transport": Row(redirect("directory_transport = d", data="/dir/"), "x@dom", ("-> /dir/", "transport = d")),
    "file": Row(redirect("file = {dir}/f"), "x@dom", ("one@h",), files={"f": "one@h\n# remark\n"}),
    "file_transport": Row(redirect("file_transport = f", data="/a/file"), "x@dom", ("-> /a/file", "transport = f")),
    "filter_prepend_home": Row(
        redirect(
            "allow_filter",
            "no_filter_prepend_home",
            "file_transport = f",
            "router_home_directory = /h",
            data='"#Exim filter\\nsave box"',
        ),
        "x@dom",
        ("-> box",),
    ),
    "forbid_blackhole": Row(redirect("forbid_blackhole", data=":blackhole:"), "x@dom", ('":blackhole:" is not permitted',)),
    "forbid_exim_filter": Row(
        redirect("allow_filter", "forbid_exim_filter", data='"#Exim filter\\ndeliver a@h"'),
        "x@dom",
        ("Exim filtering not enabled",),
    ),
    "forbid_file": Row(redirect("forbid_file", "file_transport = f", data="/a/file"), "x@dom", ("forbidden",)),
    "forbid_include": Row(redirect("forbid_include", data=":include:/x"), "x@dom", ("not permitted",)),
    "forbid_pipe": Row(redirect("forbid_pipe", "pipe_transport = p", data="|/bin/true"), "x@dom", ("forbidden",)),
    "forbid_sieve_filter": Row(
        redirect("allow_filter", "forbid_sieve_filter", data='"#Sieve filter\\nkeep;"'), "x@dom", ("Sieve filtering not enabled",)
    ),
    "forbid_smtp_code": Row(redirect("allow_fail", "forbid_smtp_code", data=":fail: 551 gone"), "x@dom", ("gone",)),
    "hide_child_in_errmsg": Row(redirect("hide_child_in_errmsg"), "x@dom", ("one@h",)),
    "ignore_eacces": Row(redirect("file = {dir}/f", "ignore_eacces"), "x@dom", ("one@h",), files={"f": "one@h"}),
    "ignore_enotdir": Row(redirect("file = {dir}/f/g", "ignore_enotdir"), "x@dom", ("router = last",), files={"f": ""}),
    "ignore_enotdir not": Row(redirect("file = {dir}/f/g"), "x@dom", ("cannot be resolved",), files={"f": ""}),
    "include_directory": Row(
        redirect("include_directory = {dir}", data=":include:{dir}/f"), "x@dom", ("one@h",), files={"f": "one@h"}
    ),
    "include_directory not": Row(
        redirect("include_directory = {dir}", data=":include:/etc/passwd"), "x@dom", ("not in directory",)
    ),
    "modemask": Row(redirect("file = {dir}/f", "modemask = 0444"), "x@dom", ("bad mode",), files={"f": "one@h"}),
    "one_time": Row(redirect("one_time"), "x@dom", ("one@h",)),
    "owners bad": Row(redirect("file = {dir}/f", "owners = 65000"), "x@dom", ("bad owner",), files={"f": "one@h"}),
    "owngroups bad": Row(redirect("file = {dir}/f", "owngroups = 65000"), "x@dom", ("bad group",), files={"f": "one@h"}),
    "owners": Row(redirect("file = {dir}/f", f"owners = 65000 : {os.geteuid()}"), "x@dom", ("one@h",), files={"f": "one@h"}),
    "owngroups": Row(redirect("file = {dir}/f", f"owngroups = {os.getegid()}"), "x@dom", ("one@h",), files={"f": "one@h"}),
    "pipe_transport": Row(redirect("pipe_transport = p", data="|/bin/true"), "x@dom", ("-> |/bin/true", "transport = p")),
    "qualify_domain": Row(redirect("qualify_domain = q.dom", data="joe"), "x@dom", ("joe@q.dom",)),
    "qualify_preserve_domain": Row(redirect("qualify_preserve_domain", data="joe"), "x@dom", ("joe@dom",)),
    "repeat_use": Row(redirect("no_repeat_use", data="$local_part-1@dom"), "x@dom", ("x-1@dom", "router = last")),
    "rewrite": Row(redirect("no_rewrite"), "x@dom", ("one@h",), more="begin rewrite\none@h two@h\n"),
    "skip_syntax_errors": Row(redirect("skip_syntax_errors", data="bad address, one@h"), "x@dom", ("one@h",)),
    "skip_syntax_errors not": Row(redirect(data="bad address, one@h"), "x@dom", ("cannot be resolved",)),
    "syntax_errors_text": Row(
        redirect("skip_syntax_errors", "syntax_errors_text = T", data="bad address, one@h"), "x@dom", ("one@h",)
    ),
    "syntax_errors_to": Row(
        redirect("skip_syntax_errors", "syntax_errors_to = p@dom", data="bad address, one@h"), "x@dom", ("one@h",)
    ),
}

_RUN = {
    "forbid_filter_dlfunc": "${dlfunc{/x}{f}}",
    "forbid_filter_existstest": "${if exists{/etc/passwd}{y}{n}}",
    "forbid_filter_lookup": "${lookup{x}lsearch{/etc/passwd}}",
    "forbid_filter_perl": "${perl{f}}",
    "forbid_filter_readfile": "${readfile{/etc/passwd}}",
    "forbid_filter_readsocket": "${readsocket{/x}{y}}",
    "forbid_filter_run": "${run{/bin/true}}",
}
FORBIDDEN = {
    name: Row(
        redirect("allow_filter", name, "file = {dir}/f"),
        "x@dom",
        ("not permitted",),
        files={"f": f'#Exim filter\nif "{item}" is "z" then deliver a@h endif\n'},
    )
    for name, item in _RUN.items()
} | {
    "forbid_filter_logwrite": Row(
        redirect("allow_filter", "forbid_filter_logwrite", "file = {dir}/f"),
        "x@dom",
        ("is disabled",),
        files={"f": "#Exim filter\nlogfile /x\nlogwrite y\n"},
    ),
}

TABLES = {
    "router": GENERIC,
    "dnslookup": DNSLOOKUP,
    "manualroute": MANUAL,
    "queryprogram": QUERY,
    "redirect": REDIRECT | FORBIDDEN,
}
ROWS = [pytest.param(row, id=f"{table}-{name}") for table, rows in TABLES.items() for name, row in rows.items()]


def answer(row: Row, directory: Path) -> str:
    """What the command says."""
    for name, content in row.files.items():
        (directory / name).write_text(content)
        (directory / name).chmod(0o644)
    fill: Callable[[str], str] = lambda text: text.replace("{dir}", str(directory))  # noqa: E731
    world = World(
        directory, fill(row.routers), TRANSPORTS, main="disable_ipv6 = no\n" + fill(row.main), zones=ZONES, retry=RETRY + row.more
    )
    said: list[str] = []
    address_test(Scope(world.services), [row.address], row.mode, write=said.append)
    return re.sub(r" +", " ", "".join(said))


def fits(row: Row, said: str) -> bool:
    return all((text[1:] not in said) if text.startswith("!") else (text in said) for text in row.want)


@pytest.mark.parametrize("row", ROWS)
def test_option(row: Row, tmp_path: Path) -> None:
    said = answer(row, tmp_path)
    assert fits(row, said), said


# --- Proof that a row tests its option: without the option the answer is another -------------------------------------------

EFFECTS = "tests/routers/test_router_effects.py"
SEEN_ELSEWHERE = {
    name: f"{EFFECTS}::{test}"
    for test, names in {
        "test_what_goes_with_the_address": "address_data caseful_local_part dsn_lasthop errors_to initgroups log_as_local set "
        "transport_current_directory transport_home_directory",
        "test_debug_print_is_shown": "debug_print",
        "test_disable_logging_keeps_the_log_empty": "disable_logging",
        "test_what_the_resolver_is_asked_for": "dnssec_request_domains qualify_single search_parents",
        "test_no_expn_hides_the_router": "expn",
        "test_fallback_hosts_go_along": "fallback_hosts",
        "test_retry_key_of_a_router": "retry_use_local_part",
        "test_ipv4_first": "ipv4_prefer",
        "test_widened_names_in_header_lines": "rewrite_headers",
        "test_one_routing_for_a_domain": "same_domain_copy_routing",
        "test_hosts_in_random_order": "hosts_randomize",
        "test_smtp_codes_of_a_redirection": "forbid_smtp_code",
        "test_one_time_and_hidden_children": "one_time hide_child_in_errmsg",
        "test_a_file_that_may_not_be_read": "ignore_eacces",
        "test_syntax_errors_are_told": "syntax_errors_text syntax_errors_to",
        "test_brightmail_options_have_tests": "bmi_deliver_alternate bmi_deliver_default bmi_dont_deliver bmi_rule",
    }.items()
    for name in names.split()
}


def without(text: str, option: str) -> str:
    """The configuration without an option's lines."""
    return re.sub(rf"(?m)^ *(no_|not_)?{option}( *=.*)?\n", "", text)


OPTIONS = sorted({(table, name.split()[0]) for table, rows in TABLES.items() for name in rows})


@pytest.mark.parametrize(("table", "option"), OPTIONS)
def test_without_the_option_the_answer_is_another(table: str, option: str, tmp_path: Path) -> None:
    if option in SEEN_ELSEWHERE:
        file, test = SEEN_ELSEWHERE[option].split("::")
        assert f"def {test}(" in (Path(__file__).parents[2] / file).read_text()
        return
    for number, (name, row) in enumerate(TABLES[table].items()):
        if name.split()[0] == option and (text := without(row.routers, option)) != row.routers:
            directory = tmp_path / str(number)
            directory.mkdir()
            try:
                if not fits(row, answer(replace(row, routers=text), directory)):
                    return
            except AngarosError:  # the configuration does not stand without it
                return
    pytest.fail(f"no row shows what {option} does")


def test_each_option_has_a_row() -> None:
    iplookup = {"hosts", "optional", "port", "protocol", "query", "reroute", "response_pattern", "timeout"}  # test_iplookup.py
    others = {"forbid_filter_reply", "reply_transport", "command_user", "command_group"}  # test_router_effects.py
    generic = set(router_options.RouterOptions.OPTIONS)
    for driver, options in router_options.ROUTERS.items():
        names = set(options.OPTIONS) - generic - (iplookup if driver == "iplookup" else set())
        built = {name for name in names if f"{driver}.{name}" not in MISSING and f"{driver}.{name}" not in NO_EFFECT}
        built -= {name for name in built if name in others or name.startswith("sieve_")}  # tests/filters
        assert built <= {name.split()[0] for name in TABLES.get(driver, {})}, driver
    assert generic - {"driver"} <= {name.split()[0] for name in GENERIC}
