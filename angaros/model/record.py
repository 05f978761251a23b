"""`dataclass`, `field` and `replace` as in the standard library, made in a quarter of the time.

Every start of the program makes some fifty of these classes; the standard decorator takes a third of a start of `exim -be` for
them (it compiles six functions a class and imports `inspect`). Here only `__init__` is compiled; equality, `repr` and so on are
shared functions. `dataclasses.fields` and `asdict` work on the classes. Classes have slots; there is no `order`,
`InitVar` or `kw_only`: use the standard decorator for those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    from angaros.model.record_maker import dataclass as dataclass
    from angaros.model.record_maker import field as field
    from angaros.model.record_maker import replace as replace

__all__ = ["dataclass", "field", "replace"]
