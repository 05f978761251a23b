"""The daemon's notifier socket."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from select import select

from angaros.daemon.notifier import answer, ask, hear, open_notifier, tell


def test_asking_for_the_size_of_the_queue(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with open_notifier(path, os.geteuid(), os.getegid()) as channel:

        def daemon() -> None:
            select([channel], [], [], 10)
            heard = hear(channel)
            assert heard is not None and heard[0] == {"ask": "queue_size"}
            answer(channel, heard[1], "queue_size", 17)

        thread = threading.Thread(target=daemon)
        thread.start()
        assert ask(path, "queue_size") == 17
        thread.join()


def test_nobody_answers(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "none"), "queue_size") is None
    assert not tell(str(tmp_path / "none"), {"deliver": "x"})


def test_hints_and_nonsense(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with open_notifier(path, os.geteuid(), os.getegid()) as channel:
        assert hear(channel) is None
        assert tell(path, {"deliver": "1xUeSj-000000004cY-05CZ"})
        heard = hear(channel)
        assert heard is not None and heard[0] == {"deliver": "1xUeSj-000000004cY-05CZ"} and not heard[1]
        answer(channel, b"\0nobody", "queue_size", 1)
