"""`bounce_message_file` and `warn_message_file`: texts of the administrator's. Exim spec 50."""

from __future__ import annotations

from angaros.delivery.attempt import Attempt
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope
from angaros.model.text import is_tainted, text

SEPARATOR = "****\n"


class Template:
    """The items of a template file, each expanded when it is wanted; "" stands for the default text."""

    def __init__(self, items: list[str], scope: Scope, attempt: Attempt, what: str) -> None:
        self._items = items
        self._scope = scope
        self._attempt = attempt
        self._what = what

    def item(self, number: int) -> str:
        """Item `number` (from 1), expanded."""
        raw = self._items[number - 1] if number <= len(self._items) else ""
        if not raw:
            return ""
        try:
            return self._scope.expand(raw)
        except ExpansionError as error:
            self._attempt.log(f"Failed to expand string from {self._what}: {error}", panic=True)
            return ""


def read_template(attempt: Attempt, option: str, scope: Scope) -> Template:
    """The template of an option; an empty one when it is not set or cannot be read (that is logged)."""
    path: str | None = getattr(attempt.services.config.main, option)
    if path is None:
        return Template([], scope, attempt, option)
    try:
        path = scope.expand(path)
        if is_tainted(path):
            raise OSError(0, "tainted")
        with open(path, "rb") as file:
            contents = text(file.read())
    except ExpansionError as error:
        attempt.log(f"Failed to expand {option}: {error}", panic=True)
        contents = ""
    except OSError as error:
        what = "error" if option == "bounce_message_file" else "warning"
        attempt.log(f"Failed to open {path} for {what} message texts: {error.strerror}", panic=True)
        contents = ""
    return Template(contents.split(SEPARATOR) if contents else [], scope, attempt, str(path))
