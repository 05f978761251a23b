"""What `model.record` is at run time."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

_MISSING: Any = object()


class _Default:
    """`field(default_factory=...)`, `field(repr=False)`."""

    __slots__ = ("compare", "default", "factory", "repr")

    def __init__(self, default: Any, factory: Any, repr: bool, compare: bool) -> None:
        self.default = default
        self.factory = factory
        self.repr = repr
        self.compare = compare


def field(*, default: Any = _MISSING, default_factory: Any = _MISSING, repr: bool = True, compare: bool = True) -> Any:
    """A field's default, made anew for each object, or its place in `repr` and comparisons."""
    return _Default(default, default_factory, repr, compare)


def replace(instance: Any, /, **changes: Any) -> Any:
    """A copy with some fields changed."""
    given = {name: getattr(instance, name) for name in instance._record_fields}
    return type(instance)(**{**given, **changes})


class _StandardFields:
    """`__dataclass_fields__`, made when somebody asks."""

    __slots__ = ("_fields", "_made")

    def __init__(self, fields: dict[str, _Default]) -> None:
        self._fields = fields
        self._made: dict[str, Any] = {}

    def __get__(self, instance: Any, owner: type) -> dict[str, Any]:
        if not self._made:
            import dataclasses

            for name, given in self._fields.items():
                options: Any = {"repr": given.repr, "compare": given.compare}
                if given.factory is not _MISSING:
                    options["default_factory"] = given.factory
                elif given.default is not _MISSING:
                    options["default"] = given.default
                made: Any = dataclasses.field(**options)
                made.name, made._field_type = name, vars(dataclasses)["_FIELD"]
                self._made[name] = made
        return self._made


def dataclass(cls: Any = None, *, frozen: bool = False, slots: bool = True) -> Any:
    """`dataclasses.dataclass(slots=True)`."""
    if cls is None:
        return lambda found: _make(found, frozen)
    return _make(cls, frozen)


def _make(cls: Any, frozen: bool) -> Any:
    annotated: dict[str, Any] = getattr(cls, "__annotations__", {}) if "__annotations__" in vars(cls) else {}
    own = [name for name, kind in annotated.items() if not str(kind).startswith("ClassVar")]
    fields: dict[str, _Default] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(getattr(base, "_record_fields", {}))
    inherited = frozenset(fields)
    members = dict(cls.__dict__)
    for name in own:
        given = members.pop(name, _MISSING)
        fields[name] = given if isinstance(given, _Default) else _Default(given, _MISSING, True, True)
    for name in ("__dict__", "__weakref__"):
        members.pop(name, None)
    members["__slots__"] = tuple(name for name in own if name not in inherited)
    members["_record_fields"] = fields
    members["__dataclass_fields__"] = _StandardFields(fields)
    members["__match_args__"] = tuple(fields)
    members["_record_key"] = _key([name for name, given in fields.items() if given.compare])
    for name, function in (_FROZEN if frozen else _SHARED).items():
        members.setdefault(name, function)
    made: Any = type(cls)(cls.__name__, cls.__bases__, members)
    made.__qualname__ = cls.__qualname__
    if "__init__" not in members:
        made.__init__ = _init(made, fields, frozen)
    return made


def _key(names: list[str]) -> Callable[[Any], Any]:
    return staticmethod(attrgetter(*names)) if names else staticmethod(lambda _: ())


def _init(cls: Any, fields: dict[str, _Default], frozen: bool) -> Any:
    """`__init__`, compiled; its source has nothing but the fields' names in it."""
    known: dict[str, Any] = {"_MISSING": _MISSING}
    if frozen:
        known.update({f"_s_{name}": getattr(cls, name).__set__ for name in fields})
    head, body = ["self"], []
    for name, given in fields.items():
        value = name
        if given.factory is not _MISSING:
            known[f"_f_{name}"] = given.factory
            head.append(f"{name}=_MISSING")
            value = f"_f_{name}() if {name} is _MISSING else {name}"
        elif given.default is not _MISSING:
            known[f"_d_{name}"] = given.default
            head.append(f"{name}=_d_{name}")
        else:
            head.append(name)
        body.append(f"_s_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    body.append("self.__post_init__()" if hasattr(cls, "__post_init__") else "pass")
    exec(f"def __init__({', '.join(head)}):\n " + "\n ".join(body), known)
    return known["__init__"]


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._record_key(self) == self._record_key(other)


def _hash(self: Any) -> int:
    return hash(self._record_key(self))


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, given in self._record_fields.items() if given.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_set(self: Any, name: str, value: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self._record_fields]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self._record_fields, state, strict=True):
        object.__setattr__(self, name, value)


_SHARED: dict[str, Any] = {"__eq__": _eq, "__hash__": None, "__repr__": _repr}
_FROZEN: dict[str, Any] = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _get_state,
    "__setstate__": _set_state,
}
