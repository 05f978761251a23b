"""environment: where the script runs. # RFC 5183"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros import __version__
from angaros.filters.sieve.match import MATCH_TAGS, check_comparator, compare
from angaros.filters.sieve.tests import KEYS
from angaros.filters.sieve.tree import Argument, Extension, Node, Spec

if TYPE_CHECKING:
    from angaros.filters.sieve.run import Run


def is_environment(run: Run, node: Node) -> bool:
    """An item that we do not know matches nothing. # RFC 5183 4"""
    value = item(run, node.args[0].lower())
    return value is not None and compare(run, node, [value], node.args[1])


def item(run: Run, name: str) -> str | None:
    """Value of an item, None for an unknown one. # RFC 5183 4.1"""
    host: str = run.scope.services.config.main.primary_hostname
    session = run.message.session
    values = {
        "domain": host.partition(".")[2],
        "host": host,
        "location": "MTA",
        "name": "Angaros",
        "phase": "during",
        "version": __version__,
        "remote-host": session.sender_host_name,
        "remote-ip": session.sender_host_address,
    }
    return values.get(name)


EXTENSION = Extension(
    ("environment",),
    tests=(
        Spec(
            "environment",
            is_environment,
            "environment",
            MATCH_TAGS,
            (Argument("string", "missing item string"), KEYS),
            check_comparator,
        ),
    ),
)
