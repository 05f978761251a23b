"""Bodies that a crash left without a message."""

from __future__ import annotations

import os
from pathlib import Path

from angaros.spool.locks import try_lock
from angaros.spool.orphans import remove_orphans

IDS = ("1xUfcS-00000000088-2k0l", "1xUfcT-00000000088-2k0l", "1xUfcU-00000000088-2k0l")


def test_only_free_bodies_without_header_files_go(tmp_path: Path) -> None:
    for place in ("input", "input/x", "queue/input"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "input" / f"{IDS[0]}-D").write_text(f"{IDS[0]}-D\n")
    (tmp_path / "input" / "x" / f"{IDS[1]}-D").write_text("x")
    (tmp_path / "queue" / "input" / f"{IDS[1]}-D").write_text("x")
    (tmp_path / "input" / f"{IDS[1]}-D").write_text("x")
    (tmp_path / "input" / f"{IDS[1]}-H").write_text("x")
    held = tmp_path / "input" / f"{IDS[2]}-D"
    held.write_text("x")
    fd = os.open(held, os.O_RDWR)
    assert try_lock(fd, 26)
    assert remove_orphans(str(tmp_path)) == 3
    left = sorted(p.name for p in tmp_path.rglob("*-?"))
    assert left == [f"{IDS[1]}-D", f"{IDS[1]}-H", f"{IDS[2]}-D"]
    os.close(fd)
