"""What is done as another user: the operations of an errand process, which has given up all other power.

An errand is a request `{"do": NAME, ...}` with descriptors; the answer is `{"ok": ...}` or `{"error": text, "errno": n}`. The
same functions serve the courier's children and the forks of a command run as root.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable
from typing import Any

from angaros.model.delivery import DeliveryResult

Operation = Callable[[dict[str, Any], list[int]], Any]


def _deliver(request: dict[str, Any], fds: list[int]) -> list[dict[str, Any]]:
    from angaros.transports.plan import perform, plan_from_json

    return [result_to_json(result) for result in perform(plan_from_json(request["plan"]), fds)]


def _read_file(request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    limit = request["limit"]
    with open(os.fsencode(request["path"].encode("latin-1")), "rb") as file:
        facts = os.fstat(file.fileno())
        content = file.read(limit + 1) if stat.S_ISREG(facts.st_mode) else b""
    return {"content": content.decode("latin-1"), "stat": list(facts)}


def _check_paths(request: dict[str, Any], fds: list[int]) -> list[int]:
    found = []
    for path in request["paths"]:
        try:
            os.stat(path.encode("latin-1"))
            found.append(0)
        except OSError as error:
            found.append(error.errno or 1)
    return found


def _append_file(request: dict[str, Any], fds: list[int]) -> bool:
    path = request["path"].encode("latin-1")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, request["mode"])
    try:
        os.write(fd, request["data"].encode("latin-1"))
    finally:
        os.close(fd)
    return True


def _run_command(request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    from angaros.net.commands import run as run_here

    done = run_here(
        request["argv"],
        env={},
        cwd=request["cwd"],
        timeout=request["timeout"],
        max_output=request["max_output"],
        merge_stderr=False,
    )
    return {"status": done.status, "output": done.output.decode("latin-1"), "timed_out": done.timed_out}


OPERATIONS: dict[str, Operation] = {
    "deliver": _deliver,
    "read_file": _read_file,
    "check_paths": _check_paths,
    "append_file": _append_file,
    "run_command": _run_command,
}


def run(request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    """Do one errand; errors become an answer."""
    try:
        return {"ok": OPERATIONS[request["do"]](request, fds)}
    except OSError as error:
        return {"error": error.strerror or str(error), "errno": error.errno or 0}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "errno": 0}
    finally:
        for fd in fds:
            try:
                os.close(fd)
            except OSError:
                pass


_PLAIN = tuple(f.name for f in dataclasses.fields(DeliveryResult) if f.name not in ("host", "tls", "used", "retries"))
_DEFAULTS = DeliveryResult()


def result_to_json(result: DeliveryResult) -> dict[str, Any]:
    """Only what differs from the default; hosts and TLS do not occur in local deliveries."""
    values = {name: getattr(result, name) for name in _PLAIN if getattr(result, name) != getattr(_DEFAULTS, name)}
    if result.retries:
        values["retries"] = result.retries
    return values


def result_from_json(values: dict[str, Any]) -> DeliveryResult:
    """The inverse of `result_to_json`."""
    retries = [tuple(item) for item in values.pop("retries", [])]
    return DeliveryResult(**values, retries=retries)
