"""copy: deliver and keep. # RFC 3894"""

from __future__ import annotations

from angaros.filters.sieve.tree import Extension, Tag

_COPY = (Tag(":copy", capability="copy"),)
EXTENSION = Extension(("copy",), tags={"redirect": _COPY, "fileinto": _COPY})
