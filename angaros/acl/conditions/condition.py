"""`condition`, `continue`, `set`. Exim spec 44.26, 44.21, 44.19."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.acl.frame import test
from angaros.model.outcome import Outcome

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


def condition(frame: Frame, argument: str) -> Outcome:
    """True for a non-zero number, `yes`, `true`; false for nothing, zero, `no`, `false`; else the ACL defers."""
    value = argument.lower()
    if value.isascii() and value.removeprefix("-").isdigit():
        return test(int(value) != 0)
    if value in ("true", "yes"):
        return Outcome.ACCEPT
    if value in ("", "false", "no"):
        return Outcome.DENY
    return frame.defer(f'invalid "condition" value "{argument}"')


def continue_(frame: Frame, argument: str) -> Outcome:
    """Only the side effects of the expansion count."""
    return Outcome.ACCEPT


def set_variable(frame: Frame, argument: str) -> Outcome:
    """`set acl_c... =`, `set acl_m... =` and, in the DKIM ACL, `set dkim_verify_status =` and `..._reason =`."""
    assert frame.item is not None
    name = frame.item.variable
    if name.startswith("dkim"):
        if frame.where != "dkim":
            return frame.error(f"cannot set {name} in {frame.point} ACL")
        frame.scope.state[name] = argument
    elif name[0] == "c":
        frame.session.acl_c[name] = argument
    else:
        frame.message.acl_m[name] = argument
    return Outcome.ACCEPT
