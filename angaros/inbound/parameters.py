"""Parameters of MAIL and RCPT. Each row reads one parameter into the transaction and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.inbound import extensions
from angaros.model.message import (
    DSN_NOTIFY_DELAY,
    DSN_NOTIFY_FAILURE,
    DSN_NOTIFY_NEVER,
    DSN_NOTIFY_SUCCESS,
    DSN_RET_FULL,
    DSN_RET_HDRS,
)
from angaros.smtp.grammar import decode_xtext, split_parameters

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation

MAX_SIZE = 2147483647
"""A declared size beyond this is treated as this (Exim keeps an int)."""
MAX_ENVID = 100
"""RFC 3461 5.4: ENVID is at most 100 characters; longer ones are cut."""
MAX_ORCPT = 500
"""RFC 3461 5.2."""

Reader = Callable[["Conversation", str | None], str]
"""Takes the value (None without `=`); returns "" or the error for the peer."""


# --- MAIL ------------------------------------------------------------------------------------------------------------------


def _size(c: Conversation, value: str | None) -> str:
    """# RFC 1870 6"""
    digits = (value or "").strip()
    if digits.startswith("-") and digits[1:].isdigit():
        c.message.body_size_declared = MAX_SIZE
    elif digits.isascii() and digits.isdigit():
        c.message.body_size_declared = min(int(digits[:20]), MAX_SIZE)
    return ""


def _body(c: Conversation, value: str | None) -> str:
    """# RFC 6152 3"""
    kind = (value or "").upper()
    if kind not in ("8BITMIME", "7BIT"):
        return "invalid data for BODY"
    c.message.body_declared = 8 if kind == "8BITMIME" else 7
    return ""


def _auth(c: Conversation, value: str | None) -> str:
    """# RFC 4954 5"""
    if value is None:
        return "invalid data for AUTH"
    decoded = decode_xtext(value)
    if decoded is None:
        return "invalid data for AUTH"
    c.txn.extra["auth"] = decoded
    return ""


def _prdr(c: Conversation, value: str | None) -> str:
    c.txn.prdr = True
    c.scope.state["prdr_requested"] = "yes"
    return ""


def _ret(c: Conversation, value: str | None) -> str:
    """# RFC 3461 4.3"""
    if c.message.dsn_ret:
        return "RET can be specified once only"
    kinds = {"HDRS": DSN_RET_HDRS, "FULL": DSN_RET_FULL}
    found = kinds.get((value or "").upper())
    if found is None:
        return "Value for RET is invalid"
    c.message.dsn_ret = found
    return ""


def _envid(c: Conversation, value: str | None) -> str:
    """# RFC 3461 4.4"""
    if c.message.dsn_envid:
        return "ENVID can be specified once only"
    c.message.dsn_envid = (value or "")[:MAX_ENVID]
    return ""


def _smtputf8(c: Conversation, value: str | None) -> str:
    """# RFC 6531 3.4"""
    if not c.advertised.smtputf8:
        return "SMTPUTF8 used when not advertised"
    c.message.smtputf8 = True
    return ""


MAIL: dict[str, Reader] = {
    "SIZE": _size,
    "BODY": _body,
    "AUTH": _auth,
    "PRDR": _prdr,
    "RET": _ret,
    "ENVID": _envid,
    "SMTPUTF8": _smtputf8,
    "HOLDFOR": extensions.read_holdfor,
    "HOLDUNTIL": extensions.read_holduntil,
    "BY": extensions.read_by,
    "MT-PRIORITY": extensions.read_mt_priority,
    "REQUIRETLS": extensions.read_requiretls,
}
FLAGS = frozenset({"SMTPUTF8", "REQUIRETLS"})
"""Parameters that take no value; with one they are unknown."""


_OF_EXTENSIONS = (
    ("futurerelease", {"HOLDFOR", "HOLDUNTIL"}),
    ("deliverby", {"BY"}),
    ("mt_priority", {"MT-PRIORITY"}),
    ("requiretls", {"REQUIRETLS"}),
)
"""Field of `Advertised`, parameters."""


def mail_parameters(c: Conversation) -> frozenset[str]:
    """Parameters of MAIL that we understand in this session."""
    known = {"SIZE"}
    if c.esmtp:
        known |= {"AUTH", "SMTPUTF8"}
        if c.main.accept_8bitmime:
            known.add("BODY")
        if c.advertised.dsn:
            known |= {"RET", "ENVID"}
        if c.advertised.prdr:
            known.add("PRDR")
        for option, names in _OF_EXTENSIONS:
            if getattr(c.advertised, option):
                known |= names
    return frozenset(known)


# --- RCPT ------------------------------------------------------------------------------------------------------------------

_NOTIFY = {
    "NEVER": DSN_NOTIFY_NEVER,
    "SUCCESS": DSN_NOTIFY_SUCCESS,
    "FAILURE": DSN_NOTIFY_FAILURE,
    "DELAY": DSN_NOTIFY_DELAY,
}


def notify_flags(value: str) -> int | None:
    """NOTIFY= as spool bits; None when it is wrong. # RFC 3461 4.1"""
    if not value:
        return 0
    flags = 0
    words = value.upper().split(",")
    for word in words:
        bit = _NOTIFY.get(word)
        if bit is None:
            return None
        flags |= bit
    if flags & DSN_NOTIFY_NEVER and flags != DSN_NOTIFY_NEVER:
        return None
    return flags


def read_rcpt(found: list[tuple[str, str | None]]) -> tuple[int, str, str]:
    """DSN flags, ORCPT, and an error."""
    flags = 0
    orcpt = ""
    for name, value in found:
        if name == "NOTIFY":
            if flags:
                return 0, "", "NOTIFY can be specified once only"
            read = notify_flags(value or "")
            if read is None:
                return 0, "", "Invalid value for NOTIFY parameter"
            flags = read
        else:
            if orcpt:
                return 0, "", "ORCPT can be specified once only"
            orcpt = (value or "")[:MAX_ORCPT]
    return flags, orcpt, ""


def take_mail_parameters(c: Conversation, argument: str) -> tuple[str, str]:
    """Read the parameters of MAIL; the rest of the argument, and an error."""
    known = mail_parameters(c)
    rest, found = split_parameters(argument, known)
    for name, value in found:
        if name in FLAGS and value is not None:
            return argument, ""
        error = MAIL[name](c, value)
        if error:
            return rest, error
    return rest, extensions.contradiction(c)
