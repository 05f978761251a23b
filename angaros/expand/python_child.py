"""The program behind `${python{...}}`: loads the allowed files and answers frames (see `expand.coprocess`).

Law: it imports nothing of ours; it is run with `-I` and knows only what the administrator's files bring.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {}
"""Per allowed file, its functions."""


class Link:
    """Frames over the descriptors that were standard input and output."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink

    def exactly(self, count: int) -> bytes:
        """So many octets; ends the process at the end of input."""
        data = b""
        while len(data) < count:
            more = os.read(self.source, count - len(data))
            if not more:
                os._exit(0)
            data += more
        return data

    def get(self) -> tuple[str, bytes]:
        """The next frame."""
        head = self.exactly(5)
        return chr(head[0]), self.exactly(int.from_bytes(head[1:], "big"))

    def put(self, kind: str, text: str) -> None:
        """Write one frame."""
        payload = text.encode("latin-1", "replace")
        data = kind.encode() + len(payload).to_bytes(4, "big") + payload
        while data:
            data = data[os.write(self.sink, data) :]


class Printer:
    """What `print` writes to: a frame to the parent."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def write(self, text: str) -> int:
        """Send it on."""
        self.link.put("O", text)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""


def unpack(payload: bytes) -> list[str]:
    """Counted strings."""
    found: list[str] = []
    pos = 0
    while pos < len(payload):
        length = int.from_bytes(payload[pos : pos + 4], "big")
        found.append(payload[pos + 4 : pos + 4 + length].decode("latin-1"))
        pos += 4 + length
    return found


def load(path: str) -> None:
    """Import one file under its own name."""
    name = os.path.basename(path).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    FUNCTIONS[name] = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == name and not key.startswith("_")
    }


def convert(value: str, kind: Any) -> Any:
    """An argument as its annotation wants it."""
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    if name == "int":
        return int(value or "0")
    if name == "float":
        return float(value or "0")
    if name == "bool":
        return value.strip().lower() not in ("", "0", "no", "false")
    if name == "bytes":
        return value.encode("latin-1")
    if name.startswith("list"):
        return [item.strip().replace("\0", ":") for item in value.replace("::", "\0").split(":")] if value else []
    return value


def call(words: list[str]) -> str | None:
    """The function's result as text."""
    module, _, function = words[0].rpartition(":")
    module = module or next(iter(FUNCTIONS))
    found = FUNCTIONS.get(module, {}).get(function)
    if found is None:
        raise LookupError(f"no function {words[0]!r} in python_startup")
    kinds = [parameter.annotation for parameter in inspect.signature(found).parameters.values()]
    values = [convert(word, kinds[index] if index < len(kinds) else str) for index, word in enumerate(words[1:])]
    return shown(found(*values))


def shown(value: Any) -> str | None:
    """A result as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ":".join((shown(item) or "").replace(":", "::") for item in value)
    return str(value)


def answer(link: Link, kind: str, payload: bytes) -> None:
    """One request."""
    try:
        if kind == "S":
            for path in unpack(payload):
                load(path)
            link.put("R", "")
        else:
            words = unpack(payload)
            result = call(words)
            link.put("U" if result is None else "R", result or "")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        what = "python_startup" if kind == "S" else f'Python function "{unpack(payload)[0]}"'
        link.put("W", f"{what} failed:\n{traceback.format_exc()}")
        link.put("E", f"{what} failed: {type(error).__name__}: {error}")


def main() -> None:
    """Answer until the parent goes away."""
    link = Link(os.dup(0), os.dup(1))
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout = Printer(link)
    while True:
        answer(link, *link.get())


if __name__ == "__main__":
    main()
