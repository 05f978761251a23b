"""Who is in delivery at once: no slow host, dead host or dead domain holds up the others."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from angaros.delivery import crowd as room
from angaros.delivery.crowd import PER_DOMAIN, PER_HOST, SLOW, Crowd, work_through
from angaros.delivery.local import HERE
from angaros.net.loop import LoopWaiter, current_run
from tests.delivery.world import ME
from tests.delivery.world import World as Deliveries


class World:
    """A clock; messages are named `n@domain`, and `hosts` says whom they talk to."""

    def __init__(self, limit: int = 10, most: int = 1000) -> None:
        self.now = 0.0
        self.hosts: dict[str, str] = {}
        self.crowd: Crowd[str] = Crowd(lambda: self.now, self.domains, self.hosts.get, limit, most)
        self.begun: list[str] = []
        self.asked = 0

    def domains(self, item: str) -> list[str]:
        self.asked += 1
        return [item.rpartition("@")[2]]

    def begin(self) -> list[str]:
        """All that may begin now."""
        found = []
        while (item := self.crowd.take()) is not None:
            found.append(item)
        self.begun += found
        return found

    def later(self, seconds: float = SLOW) -> list[str]:
        self.now += seconds
        return self.begin()

    def end(self, *items: str) -> list[str]:
        for item in items:
            self.crowd.done(item)
        return self.begin()


def to(domain: str, count: int, first: int = 0) -> list[str]:
    return [f"{number}@{domain}" for number in range(first, first + count)]


def test_so_many_begin_and_the_others_follow() -> None:
    world = World(limit=3)
    world.crowd.add(to("a", 5))
    assert world.begin() == to("a", 3)
    assert (world.crowd.in_hand, world.crowd.waiting) == (3, 2)
    assert world.end("1@a") == ["3@a"]
    assert world.end("0@a", "2@a", "3@a") == ["4@a"]
    assert world.end("4@a") == []
    assert (world.crowd.in_hand, world.crowd.waiting, world.crowd.pause()) == (0, 0, None)
    assert world.asked == 0, "nobody is looked at while all goes well"


def test_a_thousand_slow_hosts_are_served_at_once() -> None:
    world = World(limit=200, most=2000)
    world.crowd.add(f"x@d{number}" for number in range(1000))
    assert len(world.begin()) == 200
    for _ in range(4):
        assert world.crowd.pause() == SLOW
        assert len(world.later()) == 200
    assert world.crowd.in_hand == 1000


def test_memory_is_bounded() -> None:
    world = World(limit=10, most=25)
    world.crowd.add(f"x@d{number}" for number in range(1000))
    world.begin()
    world.later()
    world.later()
    assert (world.crowd.in_hand, world.crowd.pause()) == (25, None)
    assert len(world.end("x@d0")) == 1


def test_a_dead_domain_does_not_hold_up_the_others() -> None:
    world = World(limit=30)
    world.crowd.add(to("dead", 5000) + to("good", 100))
    assert world.begin() == to("dead", 30)
    began = world.later()
    assert not [one for one in began if one.endswith("@dead")]
    assert began == to("good", 20), "10 of the dead domain's count still"
    for one in to("good", 80):
        world.end(one)
    assert set(to("good", 100)) <= set(world.begun)


def test_those_put_off_come_back_quickly_when_the_domain_answers() -> None:
    world = World(limit=30)
    world.crowd.add(to("d", 5000))
    world.begin()
    assert world.later() == []
    assert world.crowd.waiting == 4970
    assert world.end(*to("d", 10)) == [], "there are 20 slow ones yet"
    began = world.end("10@d")
    assert len(began) == 1
    for _ in range(4):  # quick ones bring two each
        began = world.end(*began)
    assert len(began) == 16
    while began:  # the slow ones are still there; all others go through
        began = world.end(*began)
    assert (world.crowd.in_hand, world.crowd.waiting) == (19, 0)


def test_when_the_last_slow_one_is_done_all_come_back() -> None:
    world = World(limit=30)
    world.crowd.add(to("d", 100))
    world.begin()
    world.later()
    began = world.end(*to("d", 30))
    assert len(began) == 30
    assert len(world.end(*began)) == 30


def test_a_dead_host_for_all_domains_is_called_by_few() -> None:
    world = World(limit=30)
    items = [f"x@d{number}" for number in range(1000)]
    world.hosts.update(dict.fromkeys(items, "192.0.2.1"))
    world.crowd.add(items)
    world.begin()
    for _ in range(10):
        world.later()
    assert world.crowd.in_hand == 30 + PER_HOST
    world.end(items[0], items[1])
    assert world.crowd.in_hand == 30 + PER_HOST
    for one in items[2:50]:
        world.end(one)
    world.hosts.clear()
    assert len(world.later()) == 30


def test_a_message_with_another_recipient_is_not_put_off() -> None:
    world = World(limit=PER_DOMAIN)
    world.crowd = Crowd(lambda: world.now, lambda item: item.split("+"), lambda item: None, PER_DOMAIN, 100)
    world.crowd.add(["dead"])
    world.crowd.add(f"dead+{number}" for number in range(PER_DOMAIN - 1))
    world.begin()
    world.crowd.add(["dead+good", "dead"])
    assert world.later() == ["dead+good"]
    assert world.crowd.waiting == 1


@pytest.mark.parametrize("seed", range(20))
def test_everybody_gets_a_turn(seed: int) -> None:
    """However long each takes: nobody is forgotten, the limits hold."""
    chance = random.Random(seed)
    world = World(limit=8, most=40)
    items = [f"{number}@d{chance.randrange(4)}" for number in range(400)]
    for item in items:
        world.hosts[item] = f"h{chance.randrange(3)}"
    world.crowd.add(items)
    world.begin()
    while world.crowd.in_hand:
        assert world.crowd.in_hand <= 40
        ended = [one for one in world.begun if one in world.crowd and chance.random() < 0.3]
        world.end(*ended)
        world.later(chance.choice([0.0, 0.1, 3.0]))
    assert sorted(world.begun) == sorted(items)
    assert world.crowd.waiting == 0


def test_slow_local_deliveries_count_as_one_host(tmp_path: Path) -> None:
    """The crowd is told of a local delivery while it goes on, and not afterwards."""
    told: list[dict[str, str]] = []
    world = Deliveries(
        tmp_path, "r:\n  driver = accept\n  transport = t\n", f"t:\n  driver = pipe\n  command = /bin/true\n  {ME}\n"
    )
    deliver = world.services.courier.deliver_local
    world.services.courier.deliver_local = lambda plan, owner: [  # type: ignore[method-assign]
        told.append(dict(world.services.run.trying)),
        deliver(plan, owner),
    ][1]
    assert world.deliver("x@dom", "y@dom")[-1] == "Completed"
    assert [set(one.values()) for one in told] == [{HERE}, {HERE}]
    assert world.services.run.trying == {}


def run(core: object) -> object:
    loop = asyncio.new_event_loop()
    waiter = LoopWaiter(loop)
    try:
        return loop.run_until_complete(waiter.run(core, waiter))  # type: ignore[arg-type]
    finally:
        waiter.close()
        loop.close()


def test_all_are_worked_through_though_some_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones go on only when the last one is done."""
    monkeypatch.setattr(room, "SLOW", 0.0)
    done: list[int] = []
    parked: list[object] = []

    def core(waiter: LoopWaiter) -> None:
        crowd: Crowd[int] = Crowd(waiter.loop.time, lambda item: [str(item)], limit=2, most=100)
        crowd.add(range(50))

        def work(item: int) -> None:
            if item < 40:
                me = current_run()
                parked.append((me, me.serial))
                me.park()
            done.append(item)
            if item == 49:
                for other, serial in parked:  # type: ignore[misc]
                    other.wake(serial)

        work_through(crowd, work, waiter)

    run(core)
    assert sorted(done) == list(range(50))
    assert done.index(49) < done.index(0)


def test_an_error_of_one_comes_out_when_all_have_ended() -> None:
    done: list[int] = []

    def core(waiter: LoopWaiter) -> None:
        crowd: Crowd[int] = Crowd(waiter.loop.time, lambda item: [], limit=2)
        crowd.add(range(10))

        def work(item: int) -> None:
            if item == 3:
                raise ValueError("three")
            done.append(item)

        work_through(crowd, work, waiter)

    with pytest.raises(ValueError, match="three"):
        run(core)
    assert done == [0, 1, 2, 4, 5, 6, 7, 8, 9]
