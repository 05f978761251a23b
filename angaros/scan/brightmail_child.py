"""The process that has Brightmail's library: loads it, hands it messages, answers frames (see `expand.coprocess`).

`brightmail_child.py LIBRARY CONFIGURATION UID GID`. The interface of the library is that of docs/brightmail.md.

Laws:
- It imports nothing of ours and is run with `-I`: what the library breaks is broken here only.
- The library never has root's power: a command of root becomes the Exim user before it is loaded.
"""

from __future__ import annotations

import ctypes
import os
import sys

VERSION = 1
"""Of the interface."""
ERROR_SIZE = 256
MAX_RULES = 1000
"""Rules of one verdict: a list without an end is a mistake of the library."""

_TEXT, _HANDLE = ctypes.c_char_p, ctypes.c_void_p
INTERFACE: dict[str, tuple[object, tuple[object, ...]]] = {
    "version": (ctypes.c_int, ()),
    "open": (_HANDLE, (_TEXT, _TEXT, ctypes.c_size_t)),
    "begin": (_HANDLE, (_HANDLE, _TEXT, _TEXT, _TEXT)),
    "recipient": (ctypes.c_int, (_HANDLE, _TEXT)),
    "data": (ctypes.c_int, (_HANDLE, _TEXT, ctypes.c_size_t)),
    "scan": (ctypes.c_int, (_HANDLE,)),
    "action": (ctypes.c_int, (_HANDLE, ctypes.c_uint)),
    "alternate": (_TEXT, (_HANDLE, ctypes.c_uint)),
    "verdict": (_TEXT, (_HANDLE, ctypes.c_uint)),
    "tracker": (_TEXT, (_HANDLE, ctypes.c_uint)),
    "rule": (ctypes.c_int, (_HANDLE, ctypes.c_uint, ctypes.c_uint)),
    "error": (_TEXT, (_HANDLE,)),
    "end": (None, (_HANDLE,)),
    "close": (None, (_HANDLE,)),
}
"""Function (without `angaros_bmi_`), result, arguments."""


class Problem(Exception):
    """For the panic log."""


class Library:
    """The loaded library and its session."""

    def __init__(self, path: str, configuration: str) -> None:
        try:
            loaded = ctypes.CDLL(path)
        except OSError as error:
            raise Problem(f"cannot load {path}: {error}") from None
        self.calls = {}
        for name, (result, arguments) in INTERFACE.items():
            try:
                function = getattr(loaded, f"angaros_bmi_{name}")
            except AttributeError:
                raise Problem(f"{path} has no function angaros_bmi_{name}") from None
            function.restype, function.argtypes = result, arguments
            self.calls[name] = function
        if self.calls["version"]() != VERSION:
            raise Problem(f"{path} has version {self.calls['version']()} of the interface, not {VERSION}")
        text = ctypes.create_string_buffer(ERROR_SIZE)
        self.session = self.calls["open"](os.fsencode(configuration), text, ERROR_SIZE)
        if not self.session:
            raise Problem(f"cannot open {configuration}: {text.value.decode('latin-1') or 'no reason given'}")

    def begin(self, words: list[bytes]) -> Scan:
        """A new message: client, HELO, sender, recipients."""
        return Scan(self, words)


class Scan:
    """One message inside the library."""

    def __init__(self, library: Library, words: list[bytes]) -> None:
        self.calls = library.calls
        self.count = len(words) - 3
        self.failed = ""
        self.handle = self.calls["begin"](library.session, *words[:3])
        if not self.handle:
            raise Problem("the library takes no message")
        for address in words[3:]:
            self._must("recipient", address)

    def _must(self, name: str, *arguments: object) -> None:
        if not self.failed and self.calls[name](self.handle, *arguments):
            self.failed = (self.calls["error"](self.handle) or b"no reason given").decode("latin-1")

    def data(self, octets: bytes) -> None:
        """The next piece."""
        self._must("data", octets, len(octets))

    def finish(self) -> list[bytes]:
        """The fields of all verdicts."""
        self._must("scan")
        if self.failed:
            raise Problem(self.failed)
        return [field for number in range(self.count) for field in self._verdict(number)]

    def _verdict(self, number: int) -> list[bytes]:
        texts = [self.calls[name](self.handle, number) or b"" for name in ("alternate", "verdict", "tracker")]
        rules: list[bytes] = []
        while len(rules) < MAX_RULES and (rule := self.calls["rule"](self.handle, number, len(rules))) >= 0:
            rules.append(b"%d" % rule)
        return [b"%d" % self.calls["action"](self.handle, number), *texts, b" ".join(rules)]

    def end(self) -> None:
        """The library may forget it."""
        self.calls["end"](self.handle)


class Link:
    """Frames over the descriptors that were standard input and output."""

    def __init__(self) -> None:
        self.source, self.sink = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)  # what the library prints is not for the other side

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = os.read(self.source, count - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def get(self) -> tuple[str, bytes]:
        """The next frame. Raises EOFError when the other side has gone."""
        head = self._exactly(5)
        return chr(head[0]), self._exactly(int.from_bytes(head[1:], "big"))

    def put(self, kind: str, payload: bytes) -> None:
        """Write one frame."""
        data = kind.encode() + len(payload).to_bytes(4, "big") + payload
        while data:
            data = data[os.write(self.sink, data) :]


def unpack(payload: bytes) -> list[bytes]:
    """Counted strings."""
    found, at = [], 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        found.append(payload[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def pack(fields: list[bytes]) -> bytes:
    """The inverse."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def serve(link: Link, library: Library) -> None:
    """Until EOFError. After a problem the rest of the message is read and dropped."""
    scan: Scan | None = None
    problem = ""
    while True:
        kind, payload = link.get()
        try:
            if kind == "M":
                problem = ""
                scan = library.begin(unpack(payload))
            elif kind == "B" and scan is not None:
                scan.data(payload)
            elif kind == "F":
                if scan is None:
                    raise Problem(problem)
                link.put("R", pack(scan.finish()))
        except Problem as error:
            problem = str(error)
        if kind == "F":
            if problem:
                link.put("E", problem.encode("latin-1", "replace"))
            if scan is not None:
                scan.end()
            scan, problem = None, ""


def main() -> None:
    """Load, then serve."""
    link = Link()
    if os.geteuid() == 0:
        uid, gid = int(sys.argv[3]), int(sys.argv[4])
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    try:
        library = Library(sys.argv[1], sys.argv[2])
    except Problem as error:
        link.put("E", str(error).encode("latin-1", "replace"))
        return
    link.put("R", b"")
    try:
        serve(link, library)
    except (EOFError, BrokenPipeError):
        library.calls["close"](library.session)


if __name__ == "__main__":
    main()
