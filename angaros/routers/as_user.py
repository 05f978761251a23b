"""Doing something as another user in a process that is root: fork, give up root, work, send the answer back.

Only a command-line process ever is root and comes here; a worker of the daemon has no privilege and asks the courier for what it
may not do itself. What comes back is JSON: texts (with their taint), numbers, lists, dictionaries.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from angaros.model.delivery import Owner
from angaros.model.text import is_tainted, taint


class ChildFailure(Exception):
    """The child raised the error that `kind` and the text tell of."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def needed(owner: Owner | None) -> bool:
    """Whether this process can and must become somebody else for `owner`."""
    return owner is not None and os.geteuid() == 0 and owner.uid > 0


def run_as(owner: Owner, call: Callable[[], Any]) -> Any:
    """`call()` in a child that runs as `owner`; what it returns. Its exceptions come back as ChildFailure."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(owner, call, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise ChildFailure("OSError", f"child process failed (status {status})")
    answer = json.loads(data)
    if "kind" in answer:
        raise ChildFailure(answer["kind"], answer["text"])
    return _unpack(answer["value"])


def _in_child(owner: Owner, call: Callable[[], Any], writing: int) -> None:
    """Never returns."""
    status = 1
    try:
        os.setgroups(list(owner.groups) or [owner.gid])
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)
        try:
            answer = {"value": _pack(call())}
        except Exception as error:  # every failure has to reach the parent
            answer = {"kind": type(error).__name__, "text": str(error)}
        data = json.dumps(answer).encode("ascii")
        while data:
            data = data[os.write(writing, data) :]
        status = 0
    finally:
        os._exit(status)


def _pack(value: Any) -> Any:
    """JSON that keeps the taint."""
    if isinstance(value, str):
        return ["t", str(value)] if is_tainted(value) else ["s", value]
    if isinstance(value, list | tuple):
        return ["l", [_pack(item) for item in value]]
    if isinstance(value, dict):
        return ["d", {key: _pack(item) for key, item in value.items()}]
    return ["v", value]


def _unpack(packed: Any) -> Any:
    kind, value = packed
    if kind == "t":
        return taint(value)
    if kind == "l":
        return [_unpack(item) for item in value]
    if kind == "d":
        return {key: _unpack(item) for key, item in value.items()}
    return value
