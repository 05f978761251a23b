"""Options that are declared but that no code reads: what must stand in `angaros/config/missing.py`.

`python scripts/unused_options.py` prints them as rows of that table; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from angaros.config.auth_options import AUTHENTICATORS, AuthOptions  # noqa: E402
from angaros.config.main_options import MainOptions  # noqa: E402
from angaros.config.options import Options  # noqa: E402
from angaros.config.router_options import ROUTERS, RouterOptions  # noqa: E402
from angaros.config.transport_options import TRANSPORTS, TransportOptions  # noqa: E402

TABLES = re.compile(r"config/(\w+_options|missing)\.py$")


def words_in_code() -> set[str]:
    """All attribute names and quoted words in the package, tables aside."""
    found: set[str] = set()
    for path in (ROOT / "angaros").rglob("*.py"):
        if TABLES.search(str(path)):
            continue
        text = path.read_text()
        found.update(re.findall(r"\.([a-z_][a-z0-9_]*)\b", text))
        found.update(re.findall(r"""["']([a-z_][a-z0-9_]*)["']""", text))
        found.update(name for pattern in re.findall(r'f"([a-z_]+)\{', text) for name in (pattern,))
    return found


def blocks() -> list[tuple[str, type[Options]]]:
    """(prefix, class): `main`, `router`, `accept`, ..."""
    return [
        ("main", MainOptions),
        ("router", RouterOptions),
        ("transport", TransportOptions),
        ("authenticator", AuthOptions),
        *ROUTERS.items(),
        *TRANSPORTS.items(),
        *AUTHENTICATORS.items(),
    ]


def unused() -> list[str]:
    """`prefix.option` of every option that nothing reads."""
    words = words_in_code()
    generic = {name for base in (RouterOptions, TransportOptions, AuthOptions) for name in base.OPTIONS}
    found = []
    for prefix, table in blocks():
        for name, row in table.OPTIONS.items():
            if prefix not in ("main", "router", "transport", "authenticator") and name in generic:
                continue
            attribute = f"{name}_" if f"{name}_" in words else name
            prefixed = any(name.startswith(word) and word.endswith("_") and len(word) > 5 for word in words)
            if attribute not in words and not prefixed and not getattr(row, "obsolete", False):
                found.append(f"{prefix}.{name}")
    return sorted(found)


if __name__ == "__main__":
    for name in unused():
        print(name)
