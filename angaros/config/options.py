"""Options declared once.

An option is one row of a class body: its name, its type, its default and one line of meaning. The reader, `-bP`, the
`_OPT_*` macros and the manual read the same row (`OPTIONS`).

Laws:
- An instance holds what the file said; what it did not say is the class attribute, that is, the default.
- Instances are frozen once made.
- Values have one Python type per kind (see `KINDS`); how the language writes a kind is in `values.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar, overload

# Kinds of options (Exim spec 6.11 to 6.18). In brackets the Python type.
BOOL = "bool"
"""`name`, `no_name`, `not_name`, `name = yes|no|true|false` [bool]."""
BOOL_VERIFY = "bool_verify"
"""As BOOL; sets both `<name>_sender` and `<name>_recipient` (`verify`, `fail_verify`) [bool]."""
EXPAND_BOOL = "expand_bool"
"""As BOOL, or a string that is expanded when used [bool | str]."""
INT = "int"
"""[int]"""
MKINT = "mkint"
"""An integer that is shown with K or M where it is a multiple [int]."""
KINT = "kint"
"""Octets, rounded up to whole K [int]."""
OCTAL = "octal"
"""[int]"""
FIXED = "fixed"
"""Fixed point in thousandths; -1000 is unset [int]."""
TIME = "time"
"""Seconds [int]."""
TIME_LIST = "time_list"
"""Colon-separated intervals, kept as text [str]."""
STRING = "string"
"""Text as written, quotes undone [str | None]."""
REP_CON = "rep_con"
"""A string that may be given several times: conditions that are and-ed [str | None]."""
REP_STR = "rep_str"
"""A string that may be given several times: the texts are joined by newline or the list's separator [str | None]."""
REWRITE = "rewrite"
"""Rewriting rules (`headers_rewrite`) [str | None]."""
UID = "uid"
"""A user, name or number [str | None]."""
GID = "gid"
"""[str | None]"""
EXPAND_UID = "expand_uid"
"""A user, name or number, or a string that is expanded when used [str | None]."""
EXPAND_GID = "expand_gid"
"""[str | None]"""
UID_LIST = "uid_list"
"""Users; expanded when the file is read; kept as text [str | None]."""
GID_LIST = "gid_list"
"""[str | None]"""

BOOLEAN_KINDS = frozenset({BOOL, BOOL_VERIFY, EXPAND_BOOL})

UNSET_FIXED = -1000
"""`unset` of a FIXED option."""


class Option:
    """One row. Never changed after its class body has been read."""

    __slots__ = (
        "name",
        "kind",
        "default",
        "doc",
        "expanded",
        "items",
        "since",
        "spec",
        "hidden",
        "obsolete",
        "precondition",
        "macro",
        "joiner",
    )

    def __init__(
        self,
        kind: str,
        default: Any,
        doc: str,
        *,
        expanded: bool = False,
        items: str = "",
        since: str = "",
        spec: str = "",
        hidden: bool = False,
        obsolete: str = "",
        precondition: bool = False,
        macro: bool = True,
        joiner: str = "\n",
    ) -> None:
        self.name = ""
        self.kind = kind
        self.default = default
        self.doc = doc
        self.expanded = expanded
        """Expanded before use (the manual's dagger)."""
        self.items = items
        """Kind of list: `domain`, `host`, `address`, `local part`, `string`, `integer`; "" for no list."""
        self.since = since
        """Version of Exim; `angaros` for options of our own."""
        self.spec = spec
        """Chapter of Exim's manual."""
        self.hidden = hidden
        """Not shown by `-bP`: obsolete or for tests only."""
        self.obsolete = obsolete
        """The option that it sets nowadays; "-" for none. Read and kept, as in Exim."""
        self.precondition = precondition
        """Decides whether the router runs (the manual's double dagger)."""
        self.macro = macro
        """There is an `_OPT_...` macro for it."""
        self.joiner = joiner
        """Between the texts of a REP_STR option."""


def attribute_of(name: str) -> str:
    """The attribute that holds option `name`: the name itself, but `from_` for the word that Python keeps for itself."""
    return "from_" if name == "from" else name


class Options:
    """Base of all blocks of options. A subclass inherits the rows of its base: generic, then the driver's own."""

    OPTIONS: ClassVar[dict[str, Option]] = {}
    """All rows that may be set, by name, in the order of declaration."""
    OWN: ClassVar[dict[str, Option]] = {}
    """Rows declared in this very class (the driver's private options)."""
    DRIVER: ClassVar[str] = ""
    """Name of the driver; "" for generic options and main."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own: dict[str, Option] = {}
        for attribute, row in list(vars(cls).items()):
            if isinstance(row, Option):
                row.name = attribute.rstrip("_")
                own[row.name] = row
                setattr(cls, attribute, row.default)
        cls.OWN = own
        cls.OPTIONS = {**cls.OPTIONS, **own}

    def __init__(self, /, **given: Any) -> None:
        for name, value in given.items():
            if name not in self.OPTIONS:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
            self.__dict__[attribute_of(name)] = value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"options are frozen (setting {name})")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.given().items())})"

    def is_set(self, name: str) -> bool:
        """Whether the configuration gave this option."""
        return attribute_of(name) in self.__dict__

    def get(self, name: str) -> Any:
        """The value of the option called `name`."""
        return getattr(self, attribute_of(name))

    def given(self) -> dict[str, Any]:
        """The options that the configuration gave."""
        return {attribute.rstrip("_"): value for attribute, value in self.__dict__.items()}

    def with_(self, /, **changes: Any) -> Any:
        """A copy in which these options are given too."""
        return type(self)(**{**self.given(), **changes})


def row(kind: str, default: Any, doc: str, **facts: Any) -> Any:
    """A row of any kind; the functions below give it its Python type."""
    return Option(kind, default, doc, **facts)


def boolean(default: bool, doc: str, *, kind: str = BOOL, **facts: Any) -> bool:
    """A switch."""
    result: bool = row(kind, default, doc, **facts)
    return result


def expand_bool(default: bool, doc: str, **facts: Any) -> bool | str:
    """A switch, or a string that is expanded when used: use `values.bool_or_expand`."""
    result: bool | str = row(EXPAND_BOOL, default, doc, expanded=True, **facts)
    return result


def integer(default: int, doc: str, *, kind: str = INT, **facts: Any) -> int:
    """A number (INT, MKINT, KINT, OCTAL, FIXED, TIME)."""
    result: int = row(kind, default, doc, **facts)
    return result


@overload
def string(default: None, doc: str, *, kind: str = STRING, **facts: Any) -> str | None: ...
@overload
def string(default: str, doc: str, *, kind: str = STRING, **facts: Any) -> str: ...
def string(default: str | None, doc: str, *, kind: str = STRING, **facts: Any) -> str | None:
    """Text; None is unset."""
    result: str | None = row(kind, default, doc, **facts)
    return result
