"""What nearly every message needs, imported by the master before it starts workers.

They then share these pages, and the first messages of a new worker (after a start, a reload, a crash) do not wait for imports.
Not here: what only some configurations use (drivers, lookups, scanners); those come when they are first wanted.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from importlib import import_module

ROAD = (
    "angaros.daemon.worker",
    "angaros.daemon.couriers",
    "angaros.net.loop",
    "angaros.net.loop_streams",
    "angaros.net.hosts",
    "angaros.inbound.commands",
    "angaros.inbound.greeting",
    "angaros.inbound.accept",
    "angaros.acl.engine",
    "angaros.lists.match",
    "angaros.lists.files",
    "angaros.lookups.engine",
    "angaros.expand.engine",
    "angaros.expand.items.branches",
    "angaros.expand.items.control",
    "angaros.expand.conditions.compare",
    "angaros.rewriting",
    "angaros.scan.mbox",
    "angaros.spool.store",
    "angaros.spool.reader",
    "angaros.hints.retry",
    "angaros.routers.chain",
    "angaros.routers.registry",
    "angaros.routers.files",
    "angaros.delivery.deliver",
    "angaros.delivery.local",
    "angaros.delivery.verify",
    "angaros.transports.registry",
    "angaros.transports.local",
)
"""In the order of the road; each brings its own imports along."""
LIBRARIES = ("asyncio", "uvloop", "greenlet", "queue")


def preload() -> None:
    """Import, and take what is there out of the garbage collector's rounds."""
    for name in LIBRARIES:
        with suppress(ImportError):  # uvloop may be missing
            import_module(name)
    for name in ROAD:
        import_module(name)
    gc.collect()
    gc.freeze()
