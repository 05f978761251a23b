"""Router options whose effect is not where an address goes but what goes with it. Exim spec 15, 19, 21, 22."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from angaros.delivery.address_test import run as address_test
from angaros.model.delivery import Delivery
from angaros.model.scope import Scope
from angaros.routers.address import new_delivery
from angaros.routers.chain import route
from angaros.routers.outcome import Mode, RouteOutcome
from tests.delivery.world import ME, Sink, World
from tests.mailauth.zones import Zones

UID, GID = os.geteuid(), os.getegid()


def routed(directory: Path, routers: str, address: str = "Joe-x@dom", transports: str = "") -> tuple[RouteOutcome, Delivery]:
    """The outcome, and the address as it goes to its transport (or what a redirection made of it)."""
    world = World(directory, routers, transports or "t:\n  driver = appendfile\n  file = /dev/null\ns:\n  driver = smtp\n")
    message = world.accept([address])
    outcome = route(new_delivery(address), Scope(world.services, message.session, message), Mode.DELIVER)
    return outcome, (outcome.routed or outcome.new)[0]


EFFECTS: dict[str, tuple[str, Callable[[Delivery], object], object]] = {
    "address_data": ("address_data = <$local_part>", lambda d: d.props.address_data, "<joe-x>"),
    "caseful_local_part": ("caseful_local_part", lambda d: d.local_part, "Joe-x"),
    "dsn_lasthop": ("dsn_lasthop", lambda d: d.dsn_lasthop, True),
    "errors_to": ("errors_to = e@dom", lambda d: d.props.errors_to, "e@dom"),
    "errors_to nobody": ('errors_to = ""', lambda d: d.props.errors_to, ""),
    "headers_add": ("headers_add = X-A: 1", lambda d: [h.strip() for h in d.props.headers_add], ["X-A: 1"]),
    "headers_remove": ("headers_remove = subject", lambda d: d.props.headers_remove, "subject"),
    "local_part_prefix": ("local_part_prefix = joe-", lambda d: (d.prefix, d.local_part), ("joe-", "x")),
    "local_part_suffix": ("local_part_suffix = -x", lambda d: (d.suffix, d.local_part), ("-x", "joe")),
    "set": ("set = r_a = 1 ; r_b = $local_part", lambda d: d.props.variables.get("r_b"), "joe-x"),
    "transport_current_directory": ("transport_current_directory = /usr", lambda d: d.current_directory, "/usr"),
    "transport_home_directory": ("transport_home_directory = /srv", lambda d: d.home, "/srv"),
    "user": (f"user = {UID}\n  group = {GID}", lambda d: d.owner and d.owner.uid, UID),
    "group": (f"user = root\n  group = {GID}", lambda d: d.owner and d.owner.gid, GID),
    "initgroups": ("user = root\n  initgroups", lambda d: bool(d.extra.get("initgroups")), True),
    "log_as_local": ("no_log_as_local", lambda d: bool(d.extra.get("log_local")), False),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_what_goes_with_the_address(name: str, tmp_path: Path) -> None:
    line, look, wanted = EFFECTS[name]
    _, delivery = routed(tmp_path, f"r:\n  driver = accept\n  transport = t\n  {line}\n")
    assert look(delivery) == wanted


def test_fallback_hosts_go_along(tmp_path: Path) -> None:
    line = "r:\n  driver = manualroute\n  route_list = * 198.51.100.7\n  transport = s\n  fallback_hosts = a.dom : b.dom\n"
    _, delivery = routed(tmp_path, line)
    assert [host.name for host in delivery.fallback_hosts] == ["a.dom", "b.dom"]


def test_one_time_and_hidden_children(tmp_path: Path) -> None:
    _, child = routed(tmp_path, "r:\n  driver = redirect\n  data = a@h\n  one_time\n")
    assert child.onetime_parent == "Joe-x@dom"
    _, child = routed(tmp_path, "r:\n  driver = redirect\n  data = a@h\n  hide_child_in_errmsg\n")
    assert child.hide_child


def test_disable_logging_keeps_the_log_empty(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        "r:\n  driver = accept\n  transport = t\n  disable_logging\n",
        f"t:\n  driver = appendfile\n  file = {tmp_path}/b\n  {ME}\n",
    )
    assert world.deliver() == ["Completed"]


def test_no_expn_hides_the_router(tmp_path: Path) -> None:
    world = World(tmp_path, "r:\n  driver = redirect\n  data = a@h\n  no_expn\n")
    assert route(new_delivery("x@dom"), Scope(world.services), Mode.EXPN).status != "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files and deliveries of other users")
def test_queryprogram_runs_as_the_command_user(tmp_path: Path) -> None:
    lines = (
        "r:\n  driver = queryprogram\n  command = /bin/echo accept transport=t\n  command_user = 65534\n  command_group = 65533\n"
    )
    world = World(tmp_path, lines, "t:\n  driver = appendfile\n  file = /dev/null\n")
    address_test(Scope(world.services), ["x@dom"], "bt", write=lambda text: None)
    assert [(owner.uid, owner.gid) for owner in world.courier.owners] == [(65534, 65533)]


FILTER = """r:
  driver = redirect
  allow_filter
  file = {dir}/f
  reply_transport = a
  {option}
  user = {uid}
  group = {gid}
"""


@pytest.mark.parametrize(("option", "forbidden"), [("no_forbid_filter_reply", False), ("forbid_filter_reply", True)])
def test_replies_of_filters(tmp_path: Path, option: str, forbidden: bool) -> None:
    (tmp_path / "f").write_text("#Exim filter\nmail to z@h subject hi text there\n")
    (tmp_path / "f").chmod(0o644)
    lines = FILTER.format(dir=tmp_path, option=option, uid=UID, gid=GID)
    world = World(tmp_path, lines, "a:\n  driver = autoreply\n")
    message = world.accept(["x@dom"])
    outcome = route(new_delivery("x@dom"), Scope(world.services, message.session, message), Mode.DELIVER)
    [reply] = [child for child in outcome.new if child.is_autoreply]
    assert bool(reply.extra.get("forbidden")) == forbidden
    assert reply.transport == "a" or forbidden


class Lookup:
    """A UDP or TCP service that answers what it is asked."""

    def __init__(self, kind: int, answer: Callable[[bytes], bytes]) -> None:
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked: list[bytes] = []
        self.answer = answer
        self.kind = kind
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        if self.kind == socket.SOCK_STREAM:
            try:
                channel, _ = self.socket.accept()
            except OSError:
                return
            self.asked.append(channel.recv(1000))
            channel.sendall(self.answer(self.asked[-1]))
            channel.close()
            return
        while True:
            try:
                data, peer = self.socket.recvfrom(1000)
            except OSError:
                return
            self.asked.append(data)
            self.socket.sendto(self.answer(data), peer)


IPLOOKUP = {
    "hosts and port": ("", "udp", lambda query: b"new@h " + query.split()[0], ["new@h"]),
    "protocol": ("protocol = tcp", "tcp", lambda query: b"new@h " + query.split()[0], ["new@h"]),
    "query": ("query = ask $local_part", "udp", lambda query: b"new@h for " + query, ["new@h"]),
    "response_pattern and reroute": (
        "query = $local_part\n  response_pattern = ^x is (\\w+)\n  reroute = $1@r.dom\n  timeout = 3s",
        "udp",
        lambda query: b"x is joe",
        ["joe@r.dom"],
    ),
}


@pytest.mark.parametrize("name", IPLOOKUP)
def test_iplookup(name: str, tmp_path: Path) -> None:
    lines, protocol, answer, wanted = IPLOOKUP[name]
    service = Lookup(socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM, answer)
    text = f"r:\n  driver = iplookup\n  hosts = 127.0.0.1\n  port = {service.port}\n  {lines}\n"
    world = World(tmp_path, text)
    outcome = route(new_delivery("x@dom"), Scope(world.services), Mode.DELIVER)
    service.socket.close()
    assert [child.address for child in outcome.new] == wanted


def test_iplookup_optional_passes_when_nobody_answers(tmp_path: Path) -> None:
    text = "r:\n  driver = iplookup\n  hosts = 127.0.0.1\n  port = 1\n  protocol = tcp\n  optional\n  timeout = 1s\n"
    text += "l:\n  driver = accept\n  transport = t\n"
    assert routed(tmp_path, text)[1].router == "l"


def test_syntax_errors_are_told(tmp_path: Path) -> None:
    text = (
        "r:\n  driver = redirect\n  domains = dom\n  data = bad address, a@h\n  skip_syntax_errors\n  syntax_errors_to = p@h\n"
        "  syntax_errors_text = please mend\nl:\n  driver = accept\n  transport = t\n"
    )
    world = World(tmp_path, text, f"t:\n  driver = appendfile\n  file = {tmp_path}/b\n  {ME}\n")
    world.deliver("x@dom")
    assert "please mend" in world.sent[0]
    assert "bad address" in world.sent[0]


def test_rewrite_and_qualify_preserve_the_right_things(tmp_path: Path) -> None:
    def children(lines: str) -> list[Any]:
        return [child.address for child in routed(tmp_path, f"r:\n  driver = redirect\n  {lines}\n")[0].new]

    assert children("data = joe\n  qualify_preserve_domain") == ["joe@dom"]
    assert children("data = joe\n  qualify_domain = q.dom") == ["joe@q.dom"]
    assert children("data = joe") == ["joe@here.example"]


# --- What -bt does not show -----------------------------------------------------------------------------------------------

PLAIN = "t:\n  driver = appendfile\n  file = /dev/null\ns:\n  driver = smtp\n"


def route_one(world: World, address: str) -> RouteOutcome:
    message = world.accept([address])
    return route(new_delivery(address), Scope(world.services, message.session, message), Mode.DELIVER)


def test_debug_print_is_shown(tmp_path: Path) -> None:
    world = World(tmp_path, "r:\n  driver = accept\n  transport = t\n  debug_print = at $local_part\n", PLAIN)
    shown: list[str] = []
    world.log.debugging = lambda *_, **__: True  # type: ignore[method-assign]
    world.log.debug = lambda selector, text, **_: shown.append(text)  # type: ignore[method-assign]
    route_one(world, "x@dom")
    assert "at x" in shown


@pytest.mark.parametrize(
    ("option", "name", "wanted"),
    [
        ("dnssec_request_domains = *", "dnssec", True),
        ("dnssec_request_domains = !*", "dnssec", False),
        ("qualify_single", "qualify_single", True),
        ("no_qualify_single", "qualify_single", False),
        ("search_parents", "search_parents", True),
        ("no_search_parents", "search_parents", False),
    ],
)
def test_what_the_resolver_is_asked_for(option: str, name: str, wanted: bool, tmp_path: Path) -> None:
    world = World(tmp_path, f"r:\n  driver = dnslookup\n  transport = s\n  {option}\n", PLAIN)
    asked: list[dict[str, Any]] = []
    zones = world.services.dns

    def query(owner: str, kind: str, **options: Any) -> Any:
        asked.append(options)
        return Zones.query(zones, owner, kind, **options)  # type: ignore[arg-type]

    zones.query = query  # type: ignore[method-assign]
    route_one(world, "x@dom")
    assert bool(asked[0].get(name)) == wanted


@pytest.mark.parametrize(("option", "key"), [("retry_use_local_part", "R:x@dom"), ("no_retry_use_local_part", "R:dom")])
def test_retry_key_of_a_router(option: str, key: str, tmp_path: Path) -> None:
    world = World(tmp_path, f"r:\n  driver = redirect\n  allow_defer\n  data = :defer: later\n  {option}\n", PLAIN)
    world.deliver("x@dom")
    other = {"R:x@dom": "R:dom", "R:dom": "R:x@dom"}[key]
    assert world.services.hints.get("retry", key) is not None
    assert world.services.hints.get("retry", other) is None


@pytest.mark.parametrize(("option", "order"), [("ipv4_prefer = yes", "46"), ("ipv4_prefer = no", "64")])
def test_ipv4_first(option: str, order: str, tmp_path: Path) -> None:
    zones: dict[str, list[Any]] = {"h.dom": [{"A": "198.51.100.1"}, {"AAAA": "2001:db8::1"}]}
    text = f"r:\n  driver = dnslookup\n  transport = s\n  {option}\n"
    world = World(tmp_path, text, PLAIN, zones=zones, main="disable_ipv6 = no")
    [delivery] = route_one(world, "x@h.dom").routed
    assert "".join("6" if ":" in host.address else "4" for host in delivery.hosts) == order


@pytest.mark.parametrize(("option", "wanted"), [("rewrite_headers", "x@wide.extra.dom"), ("no_rewrite_headers", "x@wide")])
def test_widened_names_in_header_lines(option: str, wanted: str, tmp_path: Path) -> None:
    zones: dict[str, list[Any]] = {"wide.extra.dom": [{"A": "127.0.0.1"}]}
    with Sink() as sink:
        text = f"r:\n  driver = dnslookup\n  transport = s\n  widen_domains = extra.dom\n  self = send\n  {option}\n"
        world = World(tmp_path, text, f"s:\n  driver = smtp\n  port = {sink.port}\n", zones=zones)
        world.deliver("x@wide", text="To: x@wide\n\nbody\n")
    assert f"\nTo: {wanted}\n" in f"\n{sink.messages[0]}"


@pytest.mark.parametrize(("option", "asked"), [("same_domain_copy_routing", 1), ("no_same_domain_copy_routing", 2)])
@pytest.mark.parametrize("driver", ["dnslookup", "manualroute\n  route_list = * a.dom"])
def test_one_routing_for_a_domain(driver: str, option: str, asked: int, tmp_path: Path) -> None:
    zones: dict[str, list[Any]] = {"a.dom": [{"A": "127.0.0.1"}]}
    with Sink() as sink:
        text = f"r:\n  driver = {driver}\n  transport = s\n  self = send\n  {option}\n"
        world = World(tmp_path, text, f"s:\n  driver = smtp\n  port = {sink.port}\n", zones=zones)
        world.deliver("x@a.dom", "y@a.dom")
    assert [kind for _, kind in world.services.dns.asked].count("A") == asked  # type: ignore[attr-defined]
    assert len(sink.messages) == 1


class Drawn:
    """The first host draws a high number."""

    def __init__(self) -> None:
        self.numbers = cycle((900, 100))

    def below(self, limit: int) -> int:
        return next(self.numbers)


@pytest.mark.parametrize(("option", "order"), [("hosts_randomize", "ba"), ("no_hosts_randomize", "ab")])
def test_hosts_in_random_order(option: str, order: str, tmp_path: Path) -> None:
    zones: dict[str, list[Any]] = {"a.dom": [{"A": "198.51.100.1"}], "b.dom": [{"A": "198.51.100.2"}]}
    text = f"r:\n  driver = manualroute\n  route_list = * a.dom:b.dom\n  transport = s\n  {option}\n"
    world = World(tmp_path, text, PLAIN, zones=zones)
    world.services.random = Drawn()  # type: ignore[assignment]
    [delivery] = route_one(world, "x@dom").routed
    assert "".join(host.name[0] for host in delivery.hosts) == order


@pytest.mark.parametrize(("option", "text"), [("no_forbid_smtp_code", "551 5.1.6 gone"), ("forbid_smtp_code", "gone")])
def test_smtp_codes_of_a_redirection(option: str, text: str, tmp_path: Path) -> None:
    world = World(tmp_path, f"r:\n  driver = redirect\n  allow_fail\n  data = :fail: 551 5.1.6 gone\n  {option}\n", PLAIN)
    delivery = new_delivery("x@dom")
    message = world.accept(["x@dom"])
    route(delivery, Scope(world.services, message.session, message), Mode.DELIVER)
    assert delivery.user_message == text


@pytest.mark.parametrize(("option", "router"), [("ignore_eacces", "l"), ("no_ignore_eacces", "")])
def test_a_file_that_may_not_be_read(option: str, router: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("a@h\n")
    real = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith("/f"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    text = f"r:\n  driver = redirect\n  file = {tmp_path}/f\n  {option}\nl:\n  driver = accept\n  transport = t\n"
    world = World(tmp_path, text, PLAIN)
    message = world.accept(["x@dom"])
    monkeypatch.setattr(os, "open", refuse)
    outcome = route(new_delivery("x@dom"), Scope(world.services, message.session, message), Mode.DELIVER)
    monkeypatch.undo()
    assert [one.router for one in outcome.routed] == ([router] if router else [])


def test_brightmail_options_have_tests() -> None:
    text = (Path(__file__).parents[1] / "scan" / "test_brightmail.py").read_text()
    assert all(f"bmi_{name}" in text for name in ("deliver_alternate", "deliver_default", "dont_deliver", "rule"))
