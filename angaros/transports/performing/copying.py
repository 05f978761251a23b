"""Writing the copy of a message to a descriptor, perhaps through a transport filter."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

from angaros.model.delivery import Owner
from angaros.model.errors import Why
from angaros.transports.performing.outcome import deferred
from angaros.transports.plan import Copy
from angaros.transports.writer import Form, message_pieces, read_body, shaped, to_lf

EXEC_FAILED = 127


def pieces_of(copy: Copy, body_fd: int, where: str = "") -> Iterator[bytes]:
    """The message without prefix and suffix. `where`: for messages about the filter, ` while writing to ...`."""
    form = Form(copy.use_crlf, copy.check.encode("latin-1"), copy.escape.encode("latin-1"))
    header = copy.header.encode("latin-1")
    body: Iterable[bytes] = read_body(body_fd, copy.body_offset, copy.body_size) if copy.with_body else ()
    if copy.filter:
        if copy.wireformat:
            body = to_lf(body)
        plain = message_pieces(header, body, with_header=copy.with_header, with_body=copy.with_body)
        return shaped(filtered(plain, copy, where), form)
    return message_pieces(
        header, body, wireformat=copy.wireformat, form=form, with_header=copy.with_header, with_body=copy.with_body
    )


def all_pieces(copy: Copy, body_fd: int, where: str = "") -> Iterator[bytes]:
    """Prefix, message, suffix."""
    if copy.prefix:
        yield copy.prefix.encode("latin-1")
    yield from pieces_of(copy, body_fd, where)
    if copy.suffix:
        yield copy.suffix.encode("latin-1")


def write_all(fd: int, pieces: Iterable[bytes]) -> int:
    """Write everything; returns the number of octets. Raises OSError."""
    total = 0
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= 1 << 18:
            _write(fd, b"".join(held))
            total, size = total + size, 0
            held.clear()
    if held:
        _write(fd, b"".join(held))
    return total + size


def _write(fd: int, data: bytes) -> None:
    done = os.write(fd, data)
    if done < len(data):
        view = memoryview(data)[done:]
        while view:
            view = view[os.write(fd, view) :]


def filtered(pieces: Iterable[bytes], copy: Copy, where: str, become: Owner | None = None) -> Iterator[bytes]:
    """What `copy.filter` makes of the pieces (Exim spec 24.6). A thread feeds it while we read.

    `become`: who the command runs as; None: we are the right user already."""
    import select
    import subprocess
    import threading

    try:
        process = subprocess.Popen(
            copy.filter,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=copy.environment,
            preexec_fn=_restore_signals,
            start_new_session=True,
            **_identity(become),
        )
    except OSError:
        raise deferred(
            f"transport filter process failed ({EXEC_FAILED}){where}: unable to execute command", Why.FILTER_FAIL
        ) from None
    source, sink = process.stdout, process.stdin
    assert source is not None
    assert sink is not None
    feeder = threading.Thread(target=_feed, args=(sink.fileno(), pieces), daemon=True)
    feeder.start()
    try:
        poll = select.poll()
        poll.register(source, select.POLLIN | select.POLLHUP)
        while True:
            if not poll.poll(copy.filter_timeout * 1000 if copy.filter_timeout else None):
                _kill(process.pid)
                raise deferred(f"transport filter timeout{where}")
            data = os.read(source.fileno(), 1 << 16)
            if not data:
                break
            yield data
        status = process.wait()
        if status:
            detail = ": unable to execute command" if status == EXEC_FAILED else ""
            raise deferred(f"transport filter process failed ({status}){where}{detail}", Why.FILTER_FAIL)
    finally:
        source.close()
        if process.poll() is None:
            _kill(process.pid)
            process.wait()
        feeder.join()
        try:
            sink.close()
        except OSError:
            pass


def _identity(owner: Owner | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.uid, "group": owner.gid, "extra_groups": list(owner.groups)}


def _feed(fd: int, pieces: Iterable[bytes]) -> None:
    try:
        write_all(fd, pieces)
    except OSError:
        pass  # a filter that does not want all of it
    finally:
        _shut(fd)


def _shut(fd: int) -> None:
    """Close the pipe under the file object's descriptor number without freeing the number: point it at /dev/null."""
    null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, fd, inheritable=False)
    os.close(null)


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass


def _restore_signals() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
