"""The accept router: takes every address its preconditions let through. Exim spec 16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.routers.assign import assign
from angaros.routers.outcome import Answer
from angaros.routers.router import Run

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance


class Router:
    """Driver `accept`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Assign the address to the transport."""
        return assign(run)
