"""A stream with a script: `C:` lines are what the client must send, `S:` lines what the server answers."""

from __future__ import annotations

from angaros.net.streams import BaseStream


class ScriptStream(BaseStream):
    """Feeds the `S:` lines that follow a `C:` line once that line has come."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self._steps: list[tuple[str, bytes]] = []
        for line in script.strip().splitlines():
            if not line.strip():
                continue
            kind, _, text = line.strip().partition(":")
            text = text.removeprefix(" ")
            self._steps.append((kind, text.encode("latin-1") + (b"" if kind in ("CLOSE", "TIMEOUT", "RAW") else b"\r\n")))
        self._sent = b""
        self.log: list[bytes] = []

    def _receive(self, timeout: float | None) -> bytes:
        if not self._steps:
            raise AssertionError("the client waits, but the script is at its end")
        kind, data = self._steps[0]
        if kind == "S":
            del self._steps[0]
            return data
        if kind == "CLOSE":
            return b""
        if kind == "TIMEOUT":
            del self._steps[0]
            raise TimeoutError
        raise AssertionError(f"the client waits, but should send {data!r}; it sent {self._sent!r}")

    def _send(self, data: bytes, timeout: float | None) -> None:
        self._sent += data
        self.log.append(data)
        steps = self._steps
        position = 0
        while self._sent:
            while position < len(steps) and steps[position][0] != "C" and steps[position][0] != "RAW":
                position += 1
            assert position < len(steps), f"not expected: {self._sent!r}"
            expected = steps[position][1]
            if len(self._sent) < len(expected) and expected.startswith(self._sent):
                return
            assert self._sent.startswith(expected), f"expected {expected!r}, got {self._sent!r}"
            self._sent = self._sent[len(expected) :]
            del steps[position]

    def _pending(self) -> bool:
        return bool(self._steps) and self._steps[0][0] in ("S", "CLOSE")

    def close(self) -> None:
        self.closed = True

    def done(self) -> bool:
        return not [step for step in self._steps if step[0] in ("C", "RAW")]
