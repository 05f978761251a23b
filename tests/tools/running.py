"""Calls a tool's `main` in this process, with its output captured as octets."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest


class Result:
    """What a call left."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


def run(main: Callable[[], int], *arguments: str, stdin: str = "") -> Result:
    """`main()` with these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        out, err = io.TextIOWrapper(io.BytesIO(), "latin-1"), io.StringIO()
        patch.setattr(sys, "argv", ["tool", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("latin-1")), "latin-1"))
        status = main()
        out.flush()
        return Result(status, out.buffer.getvalue().decode("latin-1"), err.getvalue())  # type: ignore[attr-defined]
