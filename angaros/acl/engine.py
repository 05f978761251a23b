"""Runs ACLs. Exim spec 44.12 to 44.20.

Laws:
- An ACL is parsed once: named ones by name, inline text by text, files by path and modification time.
- Nothing a peer says can become ACL text: tainted text is refused (except in Exim's test mode).
- Whatever goes wrong inside an ACL ends as a temporary error, never as an acceptance.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from angaros.acl import messages, verbs
from angaros.acl.frame import Frame, RunState
from angaros.acl.parser import Acl, AclSyntaxError, Item, Statement, parse_named, parse_text
from angaros.acl.points import ALL, MESSAGE_POINTS, POINTS
from angaros.config.config import NOWHERE
from angaros.model.errors import AngarosError, ConfigError, ExpansionError, ForcedFailure, ListDefer
from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import is_tainted

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope

MAX_NESTING = 20
"""ACLs that call each other; catches loops (Exim spec 44.26, `acl`)."""

MAX_CACHED_TEXTS = 500
"""Inline ACLs kept parsed; expansion can make endless different ones."""

MAX_FILE_SIZE = 1 << 20
"""Octets of an ACL file: more is a mistake (a path to something else)."""

MAX_ARGUMENTS = 9
"""`$acl_arg1` to `$acl_arg9`."""


class AclEngine:
    """`interfaces.AclRunner`. One for each configuration."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._named: dict[str, Acl] = {}
        self._inline: dict[str, Acl] = {}
        self._files: dict[str, tuple[tuple[int, int], Acl]] = {}

    def run_option(self, where: str, scope: Scope) -> Verdict:
        """Expand the main option of the point (`acl_smtp_rcpt` for `rcpt`) and run what it names."""
        point = POINTS[where]
        text = getattr(self.services.config.main, point.option)
        if text is None:
            return Verdict(point.unset)
        return self.run(text, where, scope)

    def run(self, acl: str, where: str, scope: Scope) -> Verdict:
        """Expand `acl` (the value of an option) and run the ACL that it names or is, at the point `where`."""
        run = scope.child()
        run.where = where
        try:
            text = run.expand(acl)
        except ForcedFailure:
            return Verdict(Outcome.ACCEPT)
        except ExpansionError as error:
            outcome = Outcome.DEFER if error.temporary else Outcome.ERROR
            return Verdict(outcome, log_message=f'failed to expand ACL string "{acl}": {error}')
        state = RunState()
        frame = Frame(self, run, where, "", state, tracing=run.tracing("acl"))
        outcome = self._finish(frame, self.run_text(frame, text))
        scope.numeric = run.numeric
        return messages.verdict(frame, outcome)

    def evaluate(self, text: str, arguments: list[str], scope: Scope) -> tuple[Outcome, str]:
        """`${acl {name}{arg}...}` and the `acl` expansion condition: outcome and the text of its `message`.

        Exim spec 11.5, 11.7. Runs at the point where the expansion stands; nothing is logged for a refusal."""
        run = self._with_arguments(scope, arguments)
        run.where = scope.where or "unknown"
        frame = Frame(self, run, run.where, "", RunState(), level=scope.acl_depth, tracing=run.tracing("acl"))
        outcome = self.run_text(frame, text)
        return outcome, frame.user_message or ""

    def call(self, caller: Frame, name: str, arguments: list[str]) -> Outcome:
        """The `acl` condition: run another ACL inside this one. Exim spec 44.26."""
        if caller.level >= MAX_NESTING:
            return caller.error("ACL nested too deep: possible loop")
        run = self._with_arguments(caller.scope, arguments)
        run.depth = caller.scope.depth + 1
        run.acl_depth = caller.level + 1
        frame = Frame(self, run, caller.where, "", caller.state, caller.level + 1, tracing=caller.tracing)
        frame.statement = caller.statement
        outcome = self.run_text(frame, name)
        caller.user_message, caller.log_message = frame.user_message, frame.log_message
        return outcome

    @staticmethod
    def _with_arguments(scope: Scope, arguments: list[str]) -> Scope:
        names = {f"acl_arg{number}": "" for number in range(1, MAX_ARGUMENTS + 1)}
        for number, argument in enumerate(arguments[:MAX_ARGUMENTS], 1):
            names[f"acl_arg{number}"] = argument
        run = scope.child()
        run.local.update(names)
        run.local["acl_narg"] = str(min(len(arguments), MAX_ARGUMENTS))
        return run

    def run_text(self, frame: Frame, text: str) -> Outcome:
        """Find the ACL and run its statements."""
        try:
            acl = self._find(frame, text)
        except AclSyntaxError as error:
            return frame.error(error.text)
        except ConfigError as error:
            return frame.error(str(error))
        if acl is None:
            return Outcome.ERROR
        for statement in acl:
            frame.statement = statement
            frame.scope.local["config_location"] = statement.location
            frame.scope.state.pop("sender_address_data", None)
            frame.user_message = frame.log_message = None
            outcome = self._run_statement(frame, statement)
            if outcome is not None:
                return outcome
        frame.trace(f"end of {frame.name}: implicit DENY")
        return Outcome.DENY

    def _find(self, frame: Frame, text: str) -> Acl | None:
        text = text.lstrip(" \t\n")
        name = text.rstrip(" \t\n")
        named = self._named.get(name)
        if named is None and (written := self.services.config.acls.get(name)) is not None:
            named = self._named[name] = parse_named(written)
        if named is not None:
            frame.name = f"ACL {name}"
            frame.trace(f'using ACL "{name}"')
            return named
        if is_tainted(text) and self.services.harness is None:
            what = "open a tainted ACL file name" if text.startswith("/") else "use tainted ACL text"
            frame.panic(f'attempt to {what} "{text}"')
            frame.log_message = "internal configuration error"
            return None
        if text.startswith("/"):
            return self._find_file(frame, name)
        frame.name = "inline ACL"
        acl = self._inline.get(text)
        if acl is None:
            if len(self._inline) >= MAX_CACHED_TEXTS:
                self._inline.clear()
            acl = self._inline[text] = parse_text(text, frame.statement.position if frame.statement else NOWHERE)
        return acl

    def _find_file(self, frame: Frame, path: str) -> Acl | None:
        frame.name = f"ACL {path}"
        try:
            with open(path, encoding="latin-1") as file:
                status = os.fstat(file.fileno())
                stamp = (status.st_mtime_ns, status.st_size)
                kept = self._files.get(path)
                if kept is not None and kept[0] == stamp:
                    frame.trace(f'using ACL "{path}"')
                    return kept[1]
                if status.st_size > MAX_FILE_SIZE:
                    frame.log_message = f'ACL file "{path}" is too big'
                    return None
                content = file.read()
        except OSError as error:
            frame.log_message = f'failed to open ACL file "{path}": {os.strerror(error.errno or 0)}'
            return None
        frame.trace(f"read ACL from file {path}")
        acl = parse_text(content, frame.statement.position if frame.statement else NOWHERE)
        self._files[path] = (stamp, acl)
        return acl

    def _run_statement(self, frame: Frame, statement: Statement) -> Outcome | None:
        """Outcome of the ACL, None to go on with the next statement."""
        if frame.tracing:
            position = statement.position
            place = f" ({position.file} {position.line})" if position.file else ""
            frame.trace(f'processing {frame.name} "{statement.verb}"{place}')
        endpass = False
        user_text: Item | None = None
        log_text: Item | None = None
        outcome = Outcome.ACCEPT
        for item in statement.items:
            name = item.row.name
            if name == "message":
                user_text = item
                frame.trace(f"  message: {item.text}")
            elif name == "log_message":
                log_text = item
                frame.trace(f"l_message: {item.text}")
            elif name == "endpass":
                endpass = True
            else:
                outcome = self._check(frame, item)
                if outcome is not Outcome.ACCEPT:
                    break
        verbs.expand_messages(frame, outcome, endpass, user_text, log_text)
        return verbs.decide(frame, outcome, endpass)

    def _check(self, frame: Frame, item: Item) -> Outcome:
        """One condition or immediate modifier."""
        frame.item = item
        row = item.row
        argument = item.text
        if row.expand and argument:
            try:
                argument = frame.scope.expand(argument)
            except ForcedFailure:
                return Outcome.ACCEPT
            except ExpansionError as error:
                frame.log_message = f'failed to expand ACL string "{item.text}": {error}'
                return Outcome.DEFER if error.temporary else Outcome.ERROR
        if frame.tracing:
            frame.trace(f"check {item.title} = {item.text}")
            if argument != item.text:
                depth, frame.scope.depth = frame.scope.depth, 0
                frame.trace(f"      {' ' * len(item.title)} = {argument}")
                frame.scope.depth = depth
        if row.allowed is not ALL and frame.where not in row.allowed:
            action = "use" if row.modifier else "test"
            return frame.error(f"cannot {action} {row.name} condition in {frame.point} ACL")
        outcome = self._call_handler(frame, item, argument)
        if item.negated:
            if outcome is Outcome.ACCEPT:
                outcome = Outcome.DENY
            elif outcome in (Outcome.DENY, Outcome.DROP):
                outcome = Outcome.ACCEPT
        return outcome

    @staticmethod
    def _call_handler(frame: Frame, item: Item, argument: str) -> Outcome:
        assert item.handler is not None
        try:
            return item.handler(frame, argument)
        except ListDefer as error:
            if str(error):
                frame.log_message = str(error)
            return Outcome.DEFER
        except AngarosError as error:
            return frame.error(str(error))

    def _finish(self, frame: Frame, outcome: Outcome) -> Outcome:
        """Outcomes that make no sense at this point. Exim spec 44.13."""
        where = frame.where
        if outcome is Outcome.DISCARD and (where not in MESSAGE_POINTS or where in ("predata", "notsmtp_start")):
            frame.panic(f'"discard" verb not allowed in {frame.point} ACL')
            return Outcome.ERROR
        if outcome is Outcome.DROP and where == "mailauth":
            frame.panic(f'"drop" verb not allowed in {frame.point} ACL')
            return Outcome.ERROR
        return outcome
