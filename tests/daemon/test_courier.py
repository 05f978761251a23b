"""Errands as another user: by fork and through the courier process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from angaros.daemon import errands, ipc
from angaros.daemon.courier import Courier, open_socket
from angaros.daemon.couriers import ForkCourier, RemoteCourier
from angaros.model.delivery import DeliveryResult, Owner
from angaros.net.blocking import BlockingWaiter

OURSELVES = Owner(os.geteuid(), os.getegid())
NOBODY = Owner(65534, 65534)


class Waiter(BlockingWaiter):
    """Blocking, with the one call that only the loop's waiter has."""

    def wait_writable(self, fd: int, timeout: float | None = None) -> None:
        time.sleep(0.001)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteCourier]:
    path = str(tmp_path / "courier.sock")
    listener = open_socket(path, os.geteuid(), os.getegid())
    pid = os.fork()
    if pid == 0:
        Courier(listener, os.geteuid(), frozenset({4242})).serve()
        os._exit(0)
    listener.close()
    courier = RemoteCourier(path, Waiter())
    yield courier
    courier.close()
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)


def test_a_fork_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"octets \xff\n")
    content, facts = ForkCourier().read_file(str(tmp_path / "f"), OURSELVES, limit=100)
    assert (content, facts.st_size) == (b"octets \xff\n", 9)


def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ForkCourier().read_file(str(tmp_path / "missing"), OURSELVES, limit=100)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: acts as another user")
def test_the_errand_process_has_only_the_users_power(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with pytest.raises(PermissionError):
        ForkCourier().read_file(str(secret), NOBODY, limit=10)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: acts as another user")
def test_the_courier_serves_users_and_refuses_root(remote: RemoteCourier) -> None:
    for _ in range(3):
        assert remote.check_paths(["/etc/passwd", "/nonexistent"], NOBODY) == [0, 2]
    assert sum(map(len, remote._idle.values())) == 1, "one errand process served all three"
    for owner in (Owner(0, 0), Owner(4242, 1)):
        with pytest.raises(PermissionError, match="never_users"):
            remote.check_paths(["/"], owner)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: acts as another user")
def test_a_dead_idle_process_is_replaced(remote: RemoteCourier) -> None:
    remote.check_paths(["/"], NOBODY)
    ((errand,),) = remote._idle.values()
    errand.channel.shutdown(2)
    assert remote.check_paths(["/"], NOBODY) == [0]


def test_a_command_runs_without_shell_and_environment() -> None:
    done = ForkCourier().run_command(["/bin/sh", "-c", 'echo "$HOME-$0"; exit 3', "a b"], OURSELVES)
    assert (done.status, done.output) == (3, b"-a b\n")


def test_results_survive_the_way() -> None:
    result = DeliveryResult(status="ok", message="m\xff", size=7, retries=[("T:x", "update", -1, 0, "text")])
    assert errands.result_from_json(errands.result_to_json(result)) == result


def test_frames_in_any_pieces() -> None:
    data = ipc.pack({"a": 1}) + ipc.pack({"b": "\xe9"})
    frames = ipc.Frames()
    found = [message for i in range(len(data)) for message in frames.feed(data[i : i + 1])]
    assert found == [{"a": 1}, {"b": "\xe9"}]
