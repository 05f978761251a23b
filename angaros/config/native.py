"""C libraries that only some configurations need: whether they are there can be asked without loading them."""

from __future__ import annotations

from functools import cache

GSSAPI = ("libgssapi_krb5.so.2", "libgssapi.so.3")
"""MIT's and Heimdal's."""
LINKER_CACHE = "/etc/ld.so.cache"


@cache
def find_library(*names: str) -> str:
    """The first of `names` that the dynamic linker finds; "" when none is there."""
    try:
        with open(LINKER_CACHE, "rb") as file:
            known = file.read()
    except OSError:
        known = b""
    for name in names:
        if name.encode("ascii") + b"\0" in known:
            return name
    return next((name for name in names if _opens(name)), "")


def _opens(name: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
