"""`exim -bmalware FILE`. Exim spec 5.3."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from angaros.scan.channel import ScanDefer
from angaros.scan.malware import DEFAULT_SCANNER, TIMEOUT, scan_path

if TYPE_CHECKING:
    from angaros.model.scope import Scope


def scan_file(scope: Scope, path: str) -> int:
    """Scan one file with the configured scanner and tell the result; the exit status."""
    av_scanner = scope.services.config.main.av_scanner or DEFAULT_SCANNER
    if not path:
        print("A filename must be supplied.")
        return 1
    full = os.path.abspath(path)
    try:
        if av_scanner.startswith("$"):
            av_scanner = scope.expand(av_scanner)
        name = scan_path(scope, av_scanner, full, os.path.dirname(full), TIMEOUT)
    except ScanDefer as problem:
        print(f"malware_in_file({path}) failed: {problem}")
        return 1
    if name is None:
        print("No malware found.")
        return 0
    print(f"Malware found: {name}")
    return 2
