"""Our `dataclass` does what the standard one does."""

from __future__ import annotations

import copy
import dataclasses
from typing import ClassVar

import pytest

from angaros.model.record import dataclass, field, replace


@dataclass(slots=True)
class Base:
    """Plain."""

    kind: ClassVar[str] = "k"
    a: int
    b: list[int] = field(default_factory=list)
    hidden: str = field(default="h", repr=False, compare=False)

    def doubled(self) -> int:
        """A method."""
        return self.a * 2


@dataclass(slots=True)
class Derived(Base):
    """With one more."""

    c: str = "c"

    def __post_init__(self) -> None:
        self.c += "!"


@dataclass(frozen=True, slots=True)
class Fixed:
    """Frozen."""

    x: int = 1
    y: tuple[int, ...] = ()


def test_construction() -> None:
    one, two = Base(1), Base(a=1)
    one.b.append(3)
    assert two.b == [] and one.doubled() == 2 and Base.kind == "k"
    assert Derived(1, [2], c="x").c == "x!"
    with pytest.raises(TypeError):
        Base()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        one.other = 1  # type: ignore[attr-defined]
    assert not hasattr(one, "__dict__")


def test_comparison_and_repr() -> None:
    assert Base(1, [2], "x") == Base(1, [2], "y") != Base(2)
    assert Base(1) != Derived(1)
    assert repr(Base(1)) == "Base(a=1, b=[])"
    assert hash(Fixed(1, (2,))) == hash(Fixed(1, (2,))) and {Fixed(): 1}[Fixed()] == 1
    with pytest.raises(TypeError):
        hash(Base(1))


def test_frozen() -> None:
    fixed = Fixed()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fixed.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del fixed.x  # type: ignore[misc]
    assert replace(fixed, x=5) == dataclasses.replace(fixed, x=5) == Fixed(5)
    assert copy.copy(fixed) == copy.deepcopy(fixed) == fixed


def test_standard_functions() -> None:
    assert [f.name for f in dataclasses.fields(Derived)] == ["a", "b", "hidden", "c"]
    assert dataclasses.asdict(Base(1, [2])) == {"a": 1, "b": [2], "hidden": "h"}
    assert dataclasses.is_dataclass(Fixed)
    match Fixed(3):
        case Fixed(x):
            assert x == 3
