"""The queryprogram router: an external command decides. Exim spec 21."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from angaros.filters.forward_list import ListError, ListReader
from angaros.model.delivery import Owner
from angaros.model.errors import Why
from angaros.model.interfaces import CommandRun
from angaros.model.text import text
from angaros.net.hosts import build_host_list
from angaros.routers.assign import assign, find_transport, set_envelope
from angaros.routers.command import CommandError, set_up_command
from angaros.routers.host_list import LookupPlan, look_up_hosts
from angaros.routers.outcome import Answer, Mode
from angaros.routers.redirect import add_child, verdict
from angaros.routers.router import Run
from angaros.routers.users import find_group_id, find_user_id

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

MAX_LINE = 1023
"""Octets of the answer that count. Exim spec 21."""

_FIELD = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|\S*)')


class _ListRules:
    """What a list from a command may have: what a redirect router without any option allows, without pipes and files."""

    forbid_blackhole = False
    allow_defer = True
    allow_fail = True
    forbid_include = True
    include_directory = None
    skip_syntax_errors = False


class Router:
    """Driver `queryprogram`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Run the command and do what it says."""
        try:
            argv = set_up_command(run.options.command, run.scope, f"{run.router.driver_name} router")
        except CommandError as error:
            return run.defer(str(error))
        owner = _owner(run)
        if owner is None:
            return run.defer(f"user for {run.router.name} router not found")
        try:
            result = _run(run, argv, owner)
        except OSError:
            result = CommandRun(127)
        refused = _check(run, result)
        if refused is not None:
            return refused
        line = text(result.output[:MAX_LINE]).partition("\n")[0].rstrip()
        word, _, rest = line.partition(" ")
        return self._act(run, word.lower(), rest.strip())

    def _act(self, run: Run, word: str, rest: str) -> Answer:
        if word == "accept":
            return self._accept(run, rest)
        if word == "redirect":
            return self._redirect(run, rest)
        if word in ("decline", "pass"):
            return Answer.DECLINE if word == "decline" else Answer.PASS
        if word in ("fail", "defer", "freeze"):
            run.delivery.message = rest
            if word == "fail":
                run.delivery.user_message = rest
                run.delivery.extra["pass_message"] = True
                return Answer.FAIL
            if word == "freeze" and run.mode is Mode.DELIVER:
                run.delivery.special_action = "freeze"
            return Answer.DEFER
        return self._bad(run, f"bad command yield: {word} {rest}")

    def _bad(self, run: Run, message: str) -> Answer:
        run.scope.services.log.write(f"{run.router.name} router: {message}", main=False, panic=True)
        return run.defer(message)

    def _redirect(self, run: Run, rest: str) -> Answer:
        def qualify(address: str, backslashed: bool) -> str:
            if "@" in address:
                return address
            domain = run.delivery.domain if backslashed else run.scope.services.config.main.qualify_recipient
            return f"{address}@{domain}"

        from angaros.mime.addresses import AddressRules

        rules = AddressRules.of(run.scope.services.config.main)
        reader = ListReader(_ListRules, rules, run.delivery.domain, qualify, _no_files, text)
        try:
            found = reader.read(rest)
        except ListError as error:
            return run.defer(f"error in redirect data: {error}", Why.BAD_REDIRECT)
        if found.action:
            return verdict(run, found.action, found.text)
        if not found.items:
            return Answer.DECLINE
        if not set_envelope(run):
            return Answer.DEFER
        for kind, item in found.items:
            add_child(run, kind, item)
        return Answer.ACCEPT

    def _accept(self, run: Run, rest: str) -> Answer:
        fields = {name.lower(): _dequote(value) for name, value in _FIELD.findall(rest)}
        transport = fields.get("transport")
        config = run.scope.services.config
        if transport is None:
            if not run.options.transport:
                return run.defer(f"transport unset in {run.router.name} router", Why.BAD_TRANSPORT)
            transport = find_transport(run, run.options.transport)
            if transport is None:
                return Answer.DEFER
        elif transport not in config.transports:
            return self._bad(run, f"unknown transport name {transport} yielded by command")
        how = fields.get("lookup", "").lower()
        if how not in ("", "byname", "bydns"):
            return self._bad(run, f'bad lookup type "{how}" yielded by command')
        if "data" in fields:
            run.delivery.props.address_data = fields["data"]
        hosts = build_host_list(fields.get("hosts", ""), False, run.scope) if fields.get("hosts") else []
        if not hosts:
            return assign(run, [], transport)
        found = look_up_hosts(run, hosts, LookupPlan(how, find_failed="defer", ignored_fails=True))
        return found if isinstance(found, Answer) else assign(run, found, transport)


def _no_files(path: str, limit: int) -> bytes:
    raise PermissionError(13, "Permission denied", path)


def _dequote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') and value.endswith('"') and len(value) > 1 else value


def _owner(run: Run) -> Owner | None:
    services, options = run.scope.services, run.options
    found = find_user_id(options.command_user or "", services)
    if found is None:
        return None
    gid = find_group_id(options.command_group) if options.command_group else (found[1].pw_gid if found[1] is not None else None)
    return Owner(found[0], gid) if gid is not None else None


def _run(run: Run, argv: list[str], owner: Owner) -> CommandRun:
    """As the user when we can; when verifying without the power to, as ourselves (Exim spec 21, command_user)."""
    services, options = run.scope.services, run.options
    timeout = options.timeout or None
    if owner.uid != os.geteuid():
        try:
            return services.courier.run_command(argv, owner, cwd=options.current_directory, timeout=timeout)
        except PermissionError:
            if run.mode is Mode.DELIVER:
                raise
    return services.waiter.run_command(argv, env={}, cwd=options.current_directory, timeout=timeout, max_output=4096)


def _check(run: Run, result: CommandRun) -> Answer | None:
    """Time-outs, signals, codes, no output."""
    name, delivery = run.router.name, run.delivery
    if result.timed_out:
        delivery.special_action = "freeze"
        return run.defer(f"{name} router: command timed out")
    if result.status < 0:
        return run.defer(f"{name} router: command killed by signal {-result.status}")
    if result.status > 0:
        return run.defer(f"{name} router: command returned non-zero code {result.status}")
    if not result.output:
        return run.defer(f"{name} router: command failed to return data")
    return None
