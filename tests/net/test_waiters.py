"""Both waiters do the same things; the loop does them side by side."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from angaros.net.blocking import BlockingWaiter
from angaros.net.blocking_streams import BlockingStream
from angaros.net.loop import LoopWaiter
from angaros.net.waiting import Cancelled


def in_loop(core: Callable[[LoopWaiter], Any]) -> Any:
    async def main() -> Any:
        waiter = LoopWaiter(asyncio.get_running_loop())
        try:
            return await waiter.run(core, waiter)
        finally:
            waiter.close()

    return asyncio.run(main())


def blocking(core: Callable[[BlockingWaiter], Any]) -> Any:
    return core(BlockingWaiter())


BOTH = pytest.mark.parametrize("run", [blocking, in_loop])


class EchoServer:
    """Says hello, then sends each line back; in a thread."""

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return int(self.listener.getsockname()[1])

    def _serve(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        try:
            with connection, connection.makefile("rb") as file:
                connection.sendall(b"hello\r\n")
                for line in file:
                    connection.sendall(line)
        except OSError:
            return

    def __exit__(self, *error: object) -> None:
        self.listener.close()


@BOTH
def test_lines(run: Callable[[Any], Any]) -> None:
    def core(waiter: Any) -> list[bytes]:
        stream = waiter.connect("127.0.0.1", port, timeout=5)
        assert (stream.peer_address, stream.peer_port) == ("127.0.0.1", port)
        stream.write(b"one\r\ntwo\r\n" + b"x" * 70000 + b"\r\n", 5)
        lines = [stream.readline(timeout=5), stream.readline(timeout=5), stream.readline(limit=2, timeout=5)]
        rest = stream.readline(timeout=5)
        long = stream.readline(limit=100, timeout=5)
        stream.close()
        return [*lines, rest, long]

    with EchoServer() as port:
        assert run(core) == [b"hello\r\n", b"one\r\n", b"tw", b"o\r\n", b"x" * 100]


@BOTH
def test_refused_and_time_out(run: Callable[[Any], Any]) -> None:
    def core(waiter: Any) -> None:
        with pytest.raises(ConnectionRefusedError):
            waiter.connect("127.0.0.1", closed, timeout=5)
        stream = waiter.connect("127.0.0.1", port, timeout=5)
        assert stream.readline(timeout=5) == b"hello\r\n"
        assert not stream.input_waiting()
        with pytest.raises(TimeoutError):
            stream.read(timeout=0.02)
        stream.unread(b"again")
        assert stream.input_waiting() and stream.read() == b"again"
        stream.shutdown_write()
        assert stream.read(timeout=5) == b""
        assert stream.input_waiting()
        stream.close()

    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    with EchoServer() as port:
        run(core)


@BOTH
def test_unix_peer(run: Callable[[Any], Any], tmp_path: Any) -> None:
    path = str(tmp_path / "s")

    def core(waiter: Any) -> int:
        stream = waiter.connect_unix(path, timeout=5)
        uid: int = stream.peer_uid
        stream.close()
        return uid

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert run(core) == os.getuid()


@BOTH
def test_commands(run: Callable[[Any], Any]) -> None:
    def core(waiter: Any) -> None:
        result = waiter.run_command(["/bin/sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"x" * 200000)
        assert (result.status, len(result.output), result.output[-4:]) == (3, 200004, b"err\n")
        assert waiter.run_command(["/bin/sh", "-c", "exec sleep 9"], timeout=0.05).timed_out
        assert len(waiter.run_command(["/bin/sh", "-c", "yes"], max_output=1000).output) == 1000
        with pytest.raises(FileNotFoundError):
            waiter.run_command(["/no/such/command"])
        command = waiter.open_command(["cat"])
        command.write(b"abc\n", 5)
        assert command.readline(timeout=5) == b"abc\n"
        assert command.finish(5) == 0
        command.close()

    run(core)


@BOTH
def test_datagrams(run: Callable[[Any], Any]) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(2):
            data, peer = server.recvfrom(100)
            server.sendto(b"XX wrong", peer)
            server.sendto(data + b" wrong", peer)
            server.sendto(data + b" right", peer)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    def core(waiter: Any) -> None:
        port = server.getsockname()[1]
        got = waiter.exchange_udp("127.0.0.1", port, b"ID ask", timeout=5, accept=lambda d: d.endswith(b"right"))
        assert got == b"ID ask right"
        assert waiter.exchange_udp("127.0.0.1", port, b"ID", timeout=5) == b"XX wrong"
        with pytest.raises(TimeoutError):
            waiter.exchange_udp("127.0.0.1", port, b"ID", timeout=0.02, accept=lambda d: False)

    run(core)
    server.close()


def test_a_core_that_never_waits_runs_at_once() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        LoopWaiter(asyncio.get_running_loop()).start(seen.append, 1, done=lambda run: seen.append(2))
        return seen

    assert asyncio.run(main()) == [1, 2]


def test_gather_side_by_side_in_order() -> None:
    def core(waiter: LoopWaiter) -> tuple[list[int], int]:
        now = most = 0

        def one(number: int) -> int:
            nonlocal now, most
            now += 1
            most = max(most, now)
            waiter.sleep(0.001 * (5 - number))
            now -= 1
            return number

        return waiter.gather([lambda n=n: one(n) for n in range(5)], 3), most  # type: ignore[misc]

    assert in_loop(core) == ([0, 1, 2, 3, 4], 3)


def test_gather_raises_the_first_error() -> None:
    def bad() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        in_loop(lambda waiter: waiter.gather([lambda: waiter.sleep(0.001), bad]))


def test_share_asks_once() -> None:
    def core(waiter: LoopWaiter) -> tuple[list[int], int]:
        calls = []

        def slow() -> int:
            calls.append(1)
            waiter.sleep(0.001)
            return 7

        return waiter.gather([lambda: waiter.share("key", slow)] * 4), len(calls)

    assert in_loop(core) == ([7] * 4, 1)


def test_cancel_reaches_the_wait() -> None:
    async def main() -> list[str]:
        waiter = LoopWaiter(asyncio.get_running_loop())
        seen: list[str] = []

        def core() -> None:
            try:
                waiter.sleep(60)
            except Cancelled:
                seen.append("cancelled")
                waiter.sleep(0)
                seen.append("cleaned up")
                raise

        ended = asyncio.Event()
        run = waiter.start(core, done=lambda _: ended.set())
        run.cancel()
        await ended.wait()
        assert isinstance(run.error, Cancelled)
        return seen

    assert asyncio.run(main()) == ["cancelled", "cleaned up"]


def test_errors_of_forgotten_runs_are_reported() -> None:
    async def main() -> list[str]:
        waiter = LoopWaiter(asyncio.get_running_loop())
        seen: list[str] = []
        waiter.on_error = lambda error: seen.append(repr(error))

        def bad() -> None:
            raise ValueError("x")

        waiter.spawn(bad)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return seen

    assert asyncio.run(main()) == ["ValueError('x')"]


def test_served_connections() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        waiter = LoopWaiter(loop)

        def core(stream: Any) -> None:
            stream.write(b"you said " + stream.readline(timeout=5))

        server = await loop.create_server(waiter.serve(core), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        def client() -> bytes:
            stream = waiter.connect("127.0.0.1", port, timeout=5)
            stream.write(b"hi\n")
            answer = bytes(stream.readline(timeout=5))
            assert stream.read(timeout=5) == b""
            stream.close()
            return answer

        answer = await waiter.run(client)
        server.close()
        return answer

    assert asyncio.run(main()) == b"you said hi\n"


def test_stream_over_a_file(tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\nb")
    with open(path, "rb") as file, open(os.devnull, "wb") as null:
        stream = BlockingStream(file.fileno(), null.fileno())
        assert [stream.readline(timeout=1), stream.readline(), stream.readline()] == [b"a\n", b"b", b""]


@BOTH
def test_a_reset_is_no_end_of_input(run: Callable[[Any], Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def core(waiter: Any) -> None:
            stream = waiter.connect("127.0.0.1", server.getsockname()[1], timeout=5)
            stream.reset()
            assert stream.closed

        run(core)
        peer, _ = server.accept()
        with peer, pytest.raises(ConnectionResetError):
            peer.settimeout(5)
            peer.recv(10)
