"""`max_rcpt` and `remote_max_parallel`: over how many connections one message goes. Observed with Exim 4.96."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.world import Sink, World

ROUTER = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"

SHARES = [
    # max_rcpt, remote_max_parallel, recipients, shares
    (2, 2, 3, [2, 1]),
    (2, 4, 3, [2, 1]),
    (2, 2, 5, [2, 2, 1]),
    (2, 2, 6, [3, 3]),
    (2, 4, 5, [2, 2, 1]),
    (3, 2, 7, [3, 3, 1]),
    (3, 4, 7, [3, 3, 1]),
    (4, 2, 5, [4, 1]),
    (2, 1, 5, [5]),
    (1, 2, 3, [1, 1, 1]),
]


@pytest.mark.parametrize(("limit", "parallel", "count", "expected"), SHARES)
def test_shares(tmp_path: Path, limit: int, parallel: int, count: int, expected: list[int]) -> None:
    with Sink() as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  max_rcpt = {limit}\n"
        world = World(tmp_path, ROUTER, transport, main=f"remote_max_parallel = {parallel}")
        log = world.deliver(*(f"r{number}@dom.example" for number in range(count)))
        assert sum("=> r" in line or "-> r" in line for line in log) == count
        assert sink.connections == len(expected)
        assert len(sink.messages) == sum(-(-share // limit) for share in expected)


INTERFACE = "t:\n  driver = smtp\n  port = {port}\n  interface = ${{if eq{{{of}}}{{127.0.0.2}}}}\n"


def follow(world: World) -> list[str]:
    """Deliver a message for which two others wait, the first from another address; the log."""
    odd = world.accept(["x@dom.example"], sender="odd@a.example")
    same = world.accept(["y@dom.example"])
    for _, lock in world.held:
        lock.release()
        world.services.hints.put("wait-t", "127.0.0.1", {"ids": [odd.id, same.id], "sequence": 0})
    world.held.clear()
    return world.deliver("z@dom.example")


def test_a_message_that_waited_goes_over_the_same_connection_or_waits_on(tmp_path: Path) -> None:
    """Its own address is another: the connection that the message before it has left open is of no use to it."""
    with Sink() as sink:
        log = follow(World(tmp_path, ROUTER, INTERFACE.format(port=sink.port, of="$local_part}{x")))
        assert any("== x@dom.example" in line and "connection limit reached for 'dom.example'" in line for line in log)
        assert sink.connections == 1


def test_a_message_whose_sender_asks_for_another_address_is_not_offered(tmp_path: Path) -> None:
    with Sink() as sink:
        world = World(tmp_path, ROUTER, INTERFACE.format(port=sink.port, of="$sender_address}{odd@a.example"))
        log = follow(world)
        assert not any("x@dom.example" in line and "==" in line for line in log)
        assert any("=> y@dom.example" in line and "[127.0.0.1]*" in line for line in log)
        assert sink.connections == 1
        assert world.services.hints.get("wait-t", "127.0.0.1") is not None


@pytest.mark.parametrize("given", ["odd@a.example", "even@a.example"])
def test_waiting_messages_follow(tmp_path: Path, given: str) -> None:
    with Sink() as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = smtp\n  port = {sink.port}\n")
        waits = world.accept(["x@dom.example"], sender=given)
        world.held.pop()[1].release()
        world.services.hints.put("wait-t", "127.0.0.1", {"ids": [waits.id], "sequence": 0})
        log = world.deliver("z@dom.example")
        assert any("=> x@dom.example" in line and "[127.0.0.1]*" in line for line in log)
        assert sink.connections == 1 and len(sink.messages) == 2


def test_a_delay_is_told_while_no_retry_time_has_come(tmp_path: Path) -> None:
    """With what the server had said at the last attempt."""
    with Sink({"RCPT": "450 mailbox is full"}) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n"
        world = World(tmp_path, ROUTER, transport, main="delay_warning = 1h\ndelay_warning_condition = yes", retry="* * F,5d,10h")
        world.accept(["x@dom.example"])
        message, _ = world.held[-1]
        world.attempt()
        world.clock.time += 2 * 3600
        assert not world.sent
        log = world.again(message.id)
    assert any("== x@dom.example routing defer (-52): retry time not reached" in line for line in log)
    assert "Delay reason: " in world.sent[0] and "mailbox is full" in world.sent[0]
