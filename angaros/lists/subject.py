"""What is looked for in a list: the common side of domains, local parts, addresses, hosts, strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angaros.model.interfaces import ListMatch
    from angaros.model.scope import Scope

Store = dict[tuple[str, str, str], Any]


class Subject:
    """One thing to look for, and how an item is tested against it."""

    __slots__ = ("key", "keep", "label")

    kind = "string"
    """`domain`, `host`, `address`, `localpart`, `string`."""
    has_names = True
    """`+name` refers to a named list of this kind."""

    def __init__(self, label: str, key: str, keep: bool = False) -> None:
        self.label = label
        """In debugging lines."""
        self.key = key
        """In the cache of named lists."""
        self.keep = keep
        """Results of named lists may be kept."""

    def test(self, item: str, scope: Scope) -> ListMatch | None:
        """Whether the item (no sign) matches; sets `scope.numeric`. Raises `ListDefer`, `HostUnknown`."""
        raise NotImplementedError

    def special(self, item: str) -> bool:
        """`+caseful`."""
        return False

    def store(self, scope: Scope) -> Store | None:
        """Where results of named lists are kept; None: nowhere."""
        return None


def store_in(extra: dict[str, Any]) -> Store:
    """The cache in `delivery.extra`, `session.extra`."""
    store: Store | None = extra.get("lists")
    if store is None:
        store = extra["lists"] = {}
    return store
