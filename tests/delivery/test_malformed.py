"""Spool files that nobody can read. # Exim spec 14.23 (keep_malformed)"""

from __future__ import annotations

from pathlib import Path

from tests.delivery.world import World

DEFER = "r:\n  driver = redirect\n  data = :defer: later\n  allow_defer\n"


def spool_files(world: World) -> list[str]:
    return sorted(path.name[-2:] for path in world.spool.glob("input/*"))


def test_keep_malformed(tmp_path: Path) -> None:
    world = World(tmp_path, DEFER, main="keep_malformed = 2d\n")
    message = world.accept(["x@dom"])
    world.attempt()
    (header,) = world.spool.glob("input/*-H")
    header.write_bytes(header.read_bytes()[:60])
    assert world.again(message.id) == [f"Format error in spool file {message.id}-H: size=60"]
    assert spool_files(world) == ["-D", "-H"]
    world.clock.time += 2 * 86400
    assert world.again(message.id)[-1] == "Message removed because older than 2d"
    assert spool_files(world) == []
