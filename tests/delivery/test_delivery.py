"""What becomes of a message that is not simply delivered: bounces, warnings, freezing, retry. Exim spec 3.13, 14, 50."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.delivery.options import DeliverOptions
from tests.delivery.world import ME, Sink, World

LOCAL = "r:\n  driver = accept\n  transport = t\n"
DEFER = "r:\n  driver = redirect\n  data = :defer: later\n  allow_defer\n"
FAIL = "r:\n  driver = redirect\n  data = :fail: gone\n  allow_fail\n"
RUN = DeliverOptions(queue_run=True)


def box(directory: Path) -> str:
    return f"t:\n  driver = appendfile\n  file = {directory}/box\n  {ME}\n"


def test_bounce_says_who_failed_and_why(tmp_path: Path) -> None:
    world = World(tmp_path, FAIL)
    log = world.deliver("x@dom", text="Subject: lost\n\nthe body\n")
    assert log[0] == "** x@dom R=r : gone"
    assert log[-1] == "Completed"
    [bounce] = world.sent
    for text in (
        "To: joe@author.example",
        "X-Failed-Recipients: x@dom",
        "    gone",
        "Action: failed",
        "Final-Recipient: rfc822;x@dom",
        "the body",
    ):
        assert text in bounce


def test_bounce_says_what_the_host_was(tmp_path: Path) -> None:
    """EXPERIMENTAL_DSN_INFO: the host's address, greeting and answer to EHLO, beside RFC 3464's fields."""
    with Sink({"CONNECT": "220 I am here", "RCPT": "550 not for us"}) as sink:
        router = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  transport = t\n  self = send\n"
        world = World(tmp_path, router, f"t:\n  driver = smtp\n  port = {sink.port}\n  allow_localhost\n")
        world.deliver("x@dom")
    [bounce] = world.sent
    assert f"Remote-MTA: dns; 127.0.0.1\nRemote-MTA: X-ip; [127.0.0.1]:{sink.port}\n" in bounce
    assert "X-Remote-MTA-smtp-greeting: X-str; 220 I am here\n" in bounce
    assert "X-Remote-MTA-helo-response: X-str; 250" in bounce
    assert "Diagnostic-Code: smtp; 550 not for us\n" in bounce


BOUNCE_OPTIONS = {
    "bounce_return_body = no": ("text/rfc822-headers", "the body"),
    "bounce_return_size_limit = 1": ("the body", "\0"),
    "bounce_message_text = mind the gap": ("mind the gap", "\0"),
    "errors_reply_to = help@h": ("Reply-To: help@h", "\0"),
    'dsn_from = "Robot <r@h>"': ("From: Robot <r@h>", "\0"),
}


@pytest.mark.parametrize("line", BOUNCE_OPTIONS)
def test_bounce_option(line: str, tmp_path: Path) -> None:
    there, absent = BOUNCE_OPTIONS[line]
    world = World(tmp_path, FAIL, main=line)
    world.deliver("x@dom", text="Subject: lost\n\nthe body\n")
    assert there in world.sent[0]
    assert absent not in world.sent[0]


def test_bounce_message_file(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("Subject: Oh no\n****\nTo $sender_address:\n****\n")
    world = World(tmp_path, FAIL, main=f"bounce_message_file = {tmp_path}/b")
    world.deliver("x@dom")
    assert "Subject: Oh no" in world.sent[0]


def test_errors_to_gets_the_bounce(tmp_path: Path) -> None:
    world = World(tmp_path, LOCAL + "  errors_to = boss@h\n", f"t:\n  driver = pipe\n  command = /bin/false\n  {ME}\n")
    world.deliver("x@dom")
    assert world.sent_to == [["boss@h"]]


def test_bounce_of_a_bounce_is_frozen_and_later_dropped(tmp_path: Path) -> None:
    world = World(tmp_path, FAIL, main="ignore_bounce_errors_after = 2d\n")
    message = world.accept(["x@dom"], sender="")
    assert any("Frozen" in line for line in world.attempt())
    assert world.again(message.id) == ["Message is frozen"]
    world.clock.time += 3 * 86400
    log = world.again(message.id)
    assert "Unfrozen by errmsg timer" in log
    assert log[-2:] == ["x@dom: error ignored", "Completed"]


def test_timeout_frozen_after(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        'r:\n  driver = redirect\n  data = "#Exim filter\\nfreeze"\n  allow_filter\n  allow_freeze\n',
        main="timeout_frozen_after = 1d\n",
    )
    message = world.accept(["x@dom"])
    assert any("Frozen" in line for line in world.attempt())
    world.clock.time += 2 * 86400
    log = world.again(message.id)
    assert "cancelled by timeout_frozen_after" in log
    assert "delivery cancelled; message timed out" in world.sent[0]


def test_auto_thaw(tmp_path: Path) -> None:
    world = World(tmp_path, LOCAL, box(tmp_path), main="auto_thaw = 1h\n")
    message = world.accept(["x@dom"])
    message.frozen, message.frozen_time = True, world.clock.now()
    assert world.attempt() == ["Message is frozen"]
    stored = world.services.store.load(message.id)
    stored.frozen, stored.frozen_time = True, world.clock.now()
    world.services.store.update(stored)
    world.clock.time += 7200
    assert "Unfrozen by auto-thaw" in world.again(message.id)


def test_delay_warning_comes_once_and_only_after_an_attempt(tmp_path: Path) -> None:
    world = World(tmp_path, DEFER, main="delay_warning = 2h\n", retry="* * F,4d,15m")
    message = world.accept(["x@dom"])
    world.attempt()
    world.clock.time += 60
    assert not world.sent
    world.again(message.id)  # too early to try
    world.clock.time += 3 * 3600
    world.again(message.id)
    assert len(world.sent) == 1
    assert "Action: delayed" in world.sent[0]
    world.clock.time += 1800
    world.again(message.id)
    assert len(world.sent) == 1


def test_retry_times_are_kept_and_run_out(tmp_path: Path) -> None:
    with Sink({"RCPT": "450 later"}) as sink:
        routers = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
        world = World(tmp_path, routers, f"t:\n  driver = smtp\n  port = {sink.port}\n", retry="* * F,1d,1h")
        message = world.accept(["x@dom"])
        world.attempt()
        assert "retry time not reached" in world.again(message.id)[0]
        world.clock.time += 3700
        assert "450 later" in world.again(message.id)[0]
        world.clock.time += 2 * 86400
        assert "** x@dom: retry timeout exceeded" in world.again(message.id)


def test_success_is_told_when_asked_for(tmp_path: Path) -> None:
    from angaros.model.message import DSN_NOTIFY_SUCCESS

    world = World(tmp_path, LOCAL, box(tmp_path))
    message = world.accept(["x@dom"])
    message.recipients[0].dsn_flags, message.dsn_envid = DSN_NOTIFY_SUCCESS, "e1"
    world.attempt()
    assert "Action: delivered" in world.sent[0]
    assert "Original-Envelope-ID: e1" in world.sent[0]


def test_giving_up(tmp_path: Path) -> None:
    world = World(tmp_path, DEFER)
    log = world.deliver("x@dom", options=DeliverOptions(give_up=True, actor="joe", forced=True))
    assert "cancelled by joe" in log
    assert "X-Failed-Recipients: x@dom" in world.sent[0]


def test_hold_domains_wait_and_duplicates_go_once(tmp_path: Path) -> None:
    world = World(tmp_path, LOCAL, box(tmp_path), main="hold_domains = held\n")
    log = world.deliver("x@held", "y@dom", "y@dom")
    assert sum(line.startswith("=> y") for line in log) == 1
    assert "== x@held defer (-25): domain is held" in log or any("domain is held" in line for line in log)


def test_errors_copy(tmp_path: Path) -> None:
    world = World(tmp_path, FAIL, main="errors_copy = *@* copy@h\n")
    world.deliver("x@dom")
    assert world.sent_to == [["copy@h", "joe@author.example"]]


def test_a_long_reply_does_not_make_the_bounce_undeliverable(tmp_path: Path) -> None:
    with Sink({"RCPT": f"550 {'x' * 1100}"}) as sink:
        routers = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
        world = World(tmp_path, routers, f"t:\n  driver = smtp\n  port = {sink.port}\n")
        world.deliver("x@dom")
    assert max(len(line) for line in world.sent[0].splitlines()) < 998
