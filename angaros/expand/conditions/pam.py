"""PAM for `${if pam{user:password:...}}`: `libpam` through ctypes, in a thread. # Exim spec 11.7 (pam)"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from angaros.expand.nodes import fail

if TYPE_CHECKING:
    from angaros.model.scope import Scope

SERVICE = b"exim"
_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON = 1, 2
_SUCCESS, _BUF_ERR, _CONV_ERR = 0, 5, 19
_SILENT = 0x8000
_REFUSALS = frozenset({7, 10, 11, 13, 9})
"""PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_ACCT_EXPIRED, PAM_AUTHINFO_UNAVAIL: the answer is no, not an error."""


class _Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class _Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


_CONVERSE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = [("function", _CONVERSE), ("data", ctypes.c_void_p)]


def _responder(libc: Any, answers: list[bytes]) -> Any:
    """The callback: each prompt gets the next answer; with none left the conversation fails."""

    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        block = libc.calloc(count, ctypes.sizeof(_Response))
        if not block:
            return _BUF_ERR
        replies = ctypes.cast(block, ctypes.POINTER(_Response))
        for index in range(count):
            if messages[index].contents.style in (_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON):
                if not answers:
                    libc.free(block)
                    return _CONV_ERR
                replies[index].text = libc.strdup(answers.pop(0))
        responses[0] = replies
        return _SUCCESS

    return _CONVERSE(converse)


def _run(user: bytes, answers: list[bytes]) -> tuple[int, str]:
    """PAM's status and its words. Blocks."""
    pam = ctypes.CDLL("libpam.so.0")
    libc = ctypes.CDLL(None)
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    pam.pam_strerror.restype = ctypes.c_char_p
    pam.pam_strerror.argtypes = (ctypes.c_void_p, ctypes.c_int)
    for name in ("pam_authenticate", "pam_acct_mgmt", "pam_end"):
        getattr(pam, name).argtypes = (ctypes.c_void_p, ctypes.c_int)
    handle = ctypes.c_void_p()
    callback = _responder(libc, answers)
    conversation = _Conversation(callback, None)
    status = pam.pam_start(SERVICE, user, ctypes.byref(conversation), ctypes.byref(handle))
    if status == _SUCCESS:
        status = pam.pam_authenticate(handle, _SILENT)
    if status == _SUCCESS:
        status = pam.pam_acct_mgmt(handle, _SILENT)
    words = (pam.pam_strerror(handle, status) or b"").decode("latin-1")
    pam.pam_end(handle, status)
    return status, words


def authenticate(items: Sequence[str], scope: Scope) -> bool:
    """`user`, then answers in order. An empty user is refused without asking."""
    octets = [item.encode("latin-1") for item in items]
    if not octets or not octets[0]:
        return False
    if any(0 in item for item in octets):
        return False
    try:
        status, words = scope.services.waiter.in_thread(lambda: _run(octets[0], octets[1:]))
    except OSError as error:
        raise fail(f"PAM is not available: {error}") from None
    if status == _SUCCESS:
        return True
    if status in _REFUSALS or status == _CONV_ERR:
        return False
    raise fail(f"PAM error: {words}")
