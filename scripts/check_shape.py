"""Prove the import order of the rooms and the shape budget (docs/architecture.md)."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "angaros"

ORDER = [
    "model", "regex", "config", "smtp", "mime", "mailauth", "logs", "net", "spool", "lists", "expand", "rewriting", "hints",
    "lookups", "auths", "scan", "acl", "filters", "routers", "transports", "delivery", "inbound", "assembly", "daemon", "cli",
    "tools", "web", "cluster",
]  # fmt: skip
"""A room imports only from rooms at or before its own place."""

TYPES_ONLY = {"model/interfaces.py", "model/scope.py"}
"""Files that may name later rooms under TYPE_CHECKING."""

MAX_FILE = 600
MAX_FUNCTION = 80
DECLARED_TABLES = ("config/main_options.py", "config/router_options.py", "config/transport_options.py", "config/auth_options.py")
"""Declared tables: long because the facts are many."""


def room_of(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def imports(tree: ast.AST, allow_type_checking: bool) -> list[tuple[int, str]]:
    skipped: set[ast.AST] = set()
    if allow_type_checking:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                skipped.update(n for child in node.body for n in ast.walk(child))
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "angaros":
                found += [(node.lineno, f"angaros.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module))
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return [(line, name) for line, name in found if name.startswith("angaros.")]


def check_file(path: Path) -> list[str]:
    relative = path.relative_to(PACKAGE)
    tree = ast.parse(path.read_text())
    problems = []
    room = room_of(relative.parts)
    if room in ORDER:
        for line, name in imports(tree, str(relative) in TYPES_ONLY):
            target = name.split(".")[1]
            if target in ORDER and ORDER.index(target) > ORDER.index(room):
                problems.append(f"{relative}:{line}: {room} imports {name}, which comes later in the order of the rooms")
    elif relative.name != "__init__.py":
        problems.append(f"{relative}: room {room!r} is not in the order of the rooms")
    if str(relative) in DECLARED_TABLES:
        return problems
    length = len(path.read_text().splitlines())
    if length > MAX_FILE:
        problems.append(f"{relative}: {length} lines (limit {MAX_FILE})")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            size = node.end_lineno - node.lineno + 1
            if size > MAX_FUNCTION:
                problems.append(f"{relative}:{node.lineno}: {node.name} has {size} lines (limit {MAX_FUNCTION})")
    return problems


def main() -> int:
    problems = [p for path in sorted(PACKAGE.rglob("*.py")) for p in check_file(path)]
    for problem in problems:
        print(problem)
    print(f"shape: {len(problems)} problems" if problems else "shape: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
