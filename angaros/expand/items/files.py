"""`${readfile`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from angaros.expand.limits import permitted
from angaros.expand.nodes import Call, Node, fail
from angaros.expand.parser import Parser
from angaros.model.text import is_tainted

if TYPE_CHECKING:
    from angaros.model.scope import Scope

MAX_FILE = 16 << 20
"""Octets that are read of a file: an inserted file is configuration, not data."""


def open_failed(path: str, number: int) -> str:
    """The words for a file that cannot be opened; who we are, when that is the reason."""
    text = f"failed to open {path}: {os.strerror(number)}"
    return f"{text} (euid={os.geteuid()} egid={os.getegid()})" if number == errno.EACCES else text


def with_eol(text: str, eol: str | None) -> str:
    """Newlines replaced by `eol`."""
    return text if eol is None else text.replace("\n", eol)


def do_readfile(arguments: list[str], scope: Scope) -> str:
    """# Exim spec 11.5 (readfile)"""
    permitted(scope, "readfile")
    path = arguments[0]
    if is_tainted(path):
        scope.services.log.write(f"Tainted filename '{path}'", panic=True)
        raise fail(open_failed(path, errno.EACCES))
    try:
        with open(path.encode("latin-1"), "rb") as file:
            data = file.read(MAX_FILE + 1)
    except IsADirectoryError:
        return ""
    except OSError as error:
        raise fail(open_failed(path, error.errno or errno.EIO)) from None
    except ValueError:
        raise fail(open_failed(path, errno.EINVAL)) from None
    if len(data) > MAX_FILE:
        raise fail(f"file {path} is longer than {MAX_FILE} octets")
    return with_eol(data.decode("latin-1"), arguments[1] if len(arguments) > 1 else None)


def parse_readfile(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (readfile)"""
    arguments = p.arguments(name, 1, 2)
    return p.unfinished(arguments) if p.broken else Call(do_readfile, arguments)
