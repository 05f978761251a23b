"""Conditions that remember: `ratelimit`, `seen`, and `dnslists` with its cache."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.acl.bloom import Bloom
from angaros.mailauth.reverse import reversed_labels
from angaros.model.outcome import Outcome
from tests.acl.conftest import World

YES, NO = Outcome.ACCEPT, Outcome.DENY

# --- ratelimit -----------------------------------------------------------------------------------------------------------


def _rate(world: World, argument: str, where: str = "rcpt") -> tuple[Outcome, str]:
    scope = world.scope()
    outcome = world.run(f" accept ratelimit = {argument}", where, scope).outcome
    return outcome, scope.state.get("sender_rate", "")


def test_first_event_counts_one(world: World) -> None:
    assert _rate(world, "2 / 1h / per_cmd / key") == (NO, "1.0")
    assert ("ratelimit", "1h/per_cmd/key") in world.hints.data


def test_rate_is_a_fading_average(world: World) -> None:
    _rate(world, "9 / 1h / per_cmd / strict / k")
    world.clock.time += 900
    interval = 900 / 3600
    fading = math.exp(-interval)
    expected = (1 - fading) / interval + fading * 1.0
    assert _rate(world, "9 / 1h / per_cmd / strict / k") == (NO, f"{expected:.1f}")


def test_long_silence_makes_it_one_again(world: World) -> None:
    for _ in range(5):
        _rate(world, "3 / 1m / per_cmd / strict / k")
        world.clock.time += 1
    world.clock.time += 3600
    assert _rate(world, "3 / 1m / per_cmd / strict / k") == (NO, "1.0")


@pytest.mark.parametrize(("mode", "grows"), [("strict", True), ("leaky", False)])
def test_over_the_limit(world: World, mode: str, grows: bool) -> None:
    for _ in range(4):
        _rate(world, f"2 / 1h / per_cmd / {mode} / k")
        world.clock.time += 1
    before = dict(world.hints.data["ratelimit", "1h/per_cmd/k"])
    assert _rate(world, f"2 / 1h / per_cmd / {mode} / k")[0] is YES
    assert (world.hints.data["ratelimit", "1h/per_cmd/k"] != before) is grows


def test_readonly_writes_nothing(world: World) -> None:
    assert _rate(world, "1 / 1h / per_cmd / readonly / k") == (NO, "0.0")
    assert not world.hints.data


def test_an_event_counts_once(world: World) -> None:
    """per_mail: the second condition of the same message sees the first one's rate."""
    world.run(" warn ratelimit = 5 / 1h / per_mail / k\n accept ratelimit = 5 / 1h / per_mail / k", "mail")
    assert world.hints.data["ratelimit", "1h/per_mail/k"]["rate"] == 1.0


def test_unique_events(world: World) -> None:
    for event, expected in (("a", "1.0"), ("a", "0.0"), ("b", "1.0")):
        rate = _rate(world, f"9 / 1h / per_cmd / strict / unique={event} / k")[1]
        assert float(rate) >= float(expected)
    assert world.hints.data["ratelimit", "1h/per_cmd/unique/k"]["rate"] == pytest.approx(2, abs=0.01)


def test_units_and_count(world: World) -> None:
    assert _rate(world, "1k / 1h / per_cmd / count=2048 / k") == (YES, "2048.0")


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("x / 1h", '"x" is not a positive number'),
        ("-1 / 1h", '"-1" is not a positive number'),
        ("1 / x", '"x" is not a time value'),
        ("1", '"NULL" is not a time value'),
        ("1 / 1h / per_cmd / per_mail", "conflicting per_* options"),
        ("1 / 1h / strict / leaky", "conflicting update modes"),
        ("1 / 1h / count=x", '"count=x" is not a positive number'),
    ],
)
def test_wrong_ratelimit(world: World, argument: str, error: str) -> None:
    verdict = world.run(f" accept ratelimit = {argument}")
    assert (verdict.outcome, verdict.log_message) == (
        Outcome.ERROR,
        f'error in arguments to "ratelimit" condition: {error}',
    )


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=20), max_size=60))
def test_bloom_never_forgets(events: list[str]) -> None:
    bloom = Bloom.empty(100)
    for event in events:
        bloom.add(event)
    again = Bloom.load(bloom.dump(), 100)
    assert again is not None
    assert not any(again.add(event) for event in events)


# --- seen ----------------------------------------------------------------------------------------------------------------


def test_seen(world: World) -> None:
    assert world.run(" accept seen = 10s / key=k").outcome is NO
    world.clock.time += 5
    assert world.run(" accept seen = 10s / key=k").outcome is YES
    world.clock.time += 11
    assert world.run(" accept seen = 10s / key=k / readonly").outcome is NO
    assert world.run(" accept seen = -10s / key=k / readonly").outcome is YES
    assert world.run(" accept seen = -10s / key=other / readonly").outcome is NO


# --- dnslists ------------------------------------------------------------------------------------------------------------

LISTED = ("4.3.2.1.list.test", "A")


def _dns(world: World, argument: str) -> tuple[Outcome, dict[str, str]]:
    scope = world.scope()
    outcome = world.run(f" accept dnslists = {argument}", "rcpt", scope).outcome
    return outcome, {name[8:]: str(value) for name, value in scope.state.items() if name.startswith("dnslist_")}


@pytest.mark.parametrize(
    ("argument", "outcome"),
    [
        ("list.test", YES),
        ("other.test", NO),
        ("other.test : list.test", YES),
        ("list.test=127.0.0.2", YES),
        ("list.test=127.0.0.3", NO),
        ("list.test=127.0.0.3,127.0.0.4", YES),
        ("list.test==127.0.0.2", NO),
        ("list.test==127.0.0.2,127.0.0.4", YES),
        ("list.test!=127.0.0.2", NO),
        ("list.test!=127.0.0.9", YES),
        ("list.test&0.0.0.6", NO),
        ("list.test&0.0.0.4", YES),
        ("list.test=&0.0.0.2", NO),
        ("list.test/1.2.3.4", YES),
        ("names.test/bad.name", YES),
        ("names.test/good.name", NO),
        ("names.test/<;good.name;bad.name", YES),
    ],
)
def test_dnslists(world: World, argument: str, outcome: Outcome) -> None:
    world.dns.zone[LISTED] = ["127.0.0.2", "127.0.0.4"]
    world.dns.zone["bad.name.names.test", "A"] = ["127.0.0.2"]
    assert _dns(world, argument)[0] is outcome


def test_dnslist_variables_and_cache(world: World) -> None:
    world.dns.zone[LISTED] = ["127.0.0.2"]
    world.dns.zone[LISTED[0], "TXT"] = ["because"]
    _, found = _dns(world, "list.test")
    assert found["domain"] == "list.test"
    assert found["matched"] == "1.2.3.4"
    assert found["value"] == "127.0.0.2"
    assert found["text"] == "because"
    asked = len(world.dns.queries)
    _dns(world, "list.test")
    assert len(world.dns.queries) == asked
    world.clock.time += 4000
    _dns(world, "list.test")
    assert len(world.dns.queries) > asked


@pytest.mark.parametrize(
    ("argument", "outcome"),
    [("list.test", NO), ("+include_unknown : list.test", YES), ("+exclude_unknown : list.test", NO),
     ("+defer_unknown : list.test", Outcome.DEFER)],
)  # fmt: skip
def test_unknown(world: World, argument: str, outcome: Outcome) -> None:
    world.dns.zone[LISTED] = "again"
    assert _dns(world, argument)[0] is outcome


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("1.2.3.4", "4.3.2.1"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"),
    ],
)
def test_reversed(address: str, key: str) -> None:
    assert reversed_labels(address) == key
