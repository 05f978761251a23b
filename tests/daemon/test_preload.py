"""Preloading in the master: cheap to get wrong when a module is renamed."""

from __future__ import annotations

import subprocess
import sys


def test_preload_brings_the_road_of_a_message() -> None:
    """In a process of its own: it freezes what the garbage collector knows."""
    code = (
        "import sys; from angaros.daemon.preload import preload; preload();"
        "assert 'angaros.inbound.conversation' in sys.modules and 'angaros.delivery.deliver' in sys.modules;"
        "assert not {'OpenSSL', 'psycopg', 'ldap'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
