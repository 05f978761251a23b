from __future__ import annotations

import pytest

from angaros.config.harness import TIMEOUT_CONNECT, Harness, PredictableRandom, SystemClock, SystemRandom


def test_random_is_predictable() -> None:
    state, expected = 42, []
    for _ in range(5):
        state = (1103515245 * state + 12345) % 2**32
        expected.append((state >> 16) % 100)
    generator = PredictableRandom()
    assert [generator.below(100) for _ in range(5)] == expected
    generator.reseed(42)
    assert generator.below(100) == expected[0]
    assert generator.below(0) == 0
    assert len(generator.token(16)) == 16


def test_load_average_grows() -> None:
    harness = Harness()
    assert [harness.load_average() for _ in range(3)] == [0, 10, 20]


def test_queue_ages() -> None:
    harness = Harness()
    harness.set_queue_ages("3h/0s")
    assert [harness.queue_age(7.5) for _ in range(3)] == [10800, 0, 7.5]


def test_each_delivery_has_its_own_start() -> None:
    harness = Harness()
    assert harness.start_delivery().below(1 << 16) == PredictableRandom(42).below(1 << 16)
    assert harness.start_delivery().below(1 << 16) == PredictableRandom(44).below(1 << 16)


def test_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    assert harness.refusal_is_timeout(TIMEOUT_CONNECT) and not harness.refusal_is_timeout(300)
    monkeypatch.delenv("EXIM_TESTHARNESS_DISABLE_OCSPVALIDITYCHECK", raising=False)
    assert not harness.ocsp_always_valid()
    monkeypatch.setenv("EXIM_TESTHARNESS_DISABLE_OCSPVALIDITYCHECK", "y")
    assert harness.ocsp_always_valid()


def test_plain_ones() -> None:
    clock = SystemClock()
    assert clock.now() > 1e9
    assert clock.monotonic() <= clock.monotonic()
    generator = SystemRandom()
    assert 0 <= generator.below(3) < 3
    assert generator.below(0) == 0
    assert len(generator.token(8)) == 8
