"""The manualroute router: hosts from the configuration. Exim spec 20."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from angaros.lists.parse import split_list
from angaros.model.delivery import Host
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer, Why
from angaros.model.text import like
from angaros.net.hosts import build_host_list
from angaros.routers.assign import REMOTE_DRIVERS, assign, find_transport
from angaros.routers.host_list import LookupPlan, look_up_hosts
from angaros.routers.outcome import Answer, Mode
from angaros.routers.router import Run

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

_SPACE = " \t\n\r"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def take_word(text: str) -> tuple[str, str]:
    """The first word, perhaps quoted, and the rest. Exim spec 6.19."""
    text = text.lstrip(_SPACE)
    if text.startswith("'"):
        word, _, rest = text[1:].partition("'")
        return word, rest
    if text.startswith('"'):
        return _quoted(text)
    for index, char in enumerate(text):
        if char in _SPACE:
            return text[:index], text[index:]
    return text, ""


def _quoted(text: str) -> tuple[str, str]:
    out: list[str] = []
    index = 1
    while index < len(text) and text[index] != '"':
        char = text[index]
        if char == "\\" and index + 1 < len(text):
            index += 1
            char = _ESCAPES.get(text[index], text[index])
        out.append(char)
        index += 1
    return like("".join(out), text), text[index + 1 :]


class Router:
    """Driver `manualroute`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance
        self.rules: list[tuple[str, str]] = []
        if instance.options.route_list is not None:
            self.rules = [take_word(rule) for rule in split_rules(instance.options.route_list) if rule]

    def route(self, run: Run) -> Answer:
        """Find the rule for the domain and obey it."""
        rule = self._rule(run)
        if isinstance(rule, Answer):
            return rule
        hosts_text, rest = take_word(rule)
        try:
            hosts_text = run.scope.expand(hosts_text)
        except ForcedFailure:
            return Answer.DECLINE
        except ExpansionError as error:
            return run.defer(f'{run.router.name} router: failed to expand "{hosts_text}": {error}')
        return self._assign(run, hosts_text, rest.split())

    def _rule(self, run: Run) -> str | Answer:
        """`hosts options` for this domain."""
        if not self.rules:
            return self._route_data(run)
        for pattern, rest in self.rules:
            try:
                match = run.scope.services.lists.match_domain(run.delivery.domain, _one_item(pattern), run.scope)
            except ListDefer as error:
                return run.defer(f"lookup defer for route_list: {error}" if str(error) else "lookup defer in route_list")
            if match:
                if match.data is not None:
                    run.scope.local["value"] = match.data
                return rest
        return Answer.DECLINE

    def _route_data(self, run: Run) -> str | Answer:
        text = run.options.route_data
        try:
            data = run.scope.expand(text).strip()
        except ForcedFailure:
            return Answer.DECLINE
        except ExpansionError as error:
            return run.defer(f'failed to expand "{text}": {error}')
        return data if data else Answer.DECLINE

    def _assign(self, run: Run, hosts_text: str, words: list[str]) -> Answer:
        parsed = self._words(run, words)
        if isinstance(parsed, Answer):
            return parsed
        randomize, plan, transport = parsed
        if transport is None:
            transport = find_transport(run, run.options.transport)
            if transport is None:
                return Answer.DEFER
        config = run.scope.services.config
        if transport and config.transports[transport].driver not in REMOTE_DRIVERS:
            # A local transport sees the whole list as $host (spec 20.6).
            return assign(run, [Host(hosts_text)] if hosts_text else [], transport)
        hosts = build_host_list(hosts_text, randomize, run.scope) if hosts_text else []
        if not hosts and run.mode in (Mode.DELIVER, Mode.ADDRESS_TEST):
            text = f"error in {run.router.name} router: no host(s) specified for domain {run.delivery.domain}"
            run.scope.services.log.write(text, message_id=run.scope.message.id if run.scope.message is not None else "")
            return run.defer(text)
        found = look_up_hosts(run, hosts, plan) if hosts else []
        if isinstance(found, Answer):
            return found
        if not transport and run.mode in (Mode.DELIVER, Mode.ADDRESS_TEST):
            return run.defer(f'neither "transport" nor "verify_only" is set for {run.router.name} router', Why.BAD_TRANSPORT)
        if randomize:
            run.delivery.extra["hosts_randomized"] = True
        return assign(run, found, transport)

    def _words(self, run: Run, words: list[str]) -> tuple[bool, LookupPlan, str | None] | Answer:
        """Options of a rule."""
        options = run.options
        randomize = _randomize(run)
        if isinstance(randomize, Answer):
            return randomize
        how, ipv4_only, ipv4_prefer = "", False, False
        transport: str | None = None
        for number, word in enumerate(words):
            lowered = word.lower()
            if lowered in ("randomize", "no_randomize"):
                randomize = lowered == "randomize"
            elif lowered in ("byname", "bydns"):
                how = lowered
            elif lowered == "ipv4_only":
                ipv4_only = True
            elif lowered == "ipv4_prefer":
                ipv4_prefer = True
            elif lowered.startswith("bydns") or lowered.startswith("byname"):
                how = lowered.partition("_")[0]
            elif word in run.scope.services.config.transports:
                transport = word
            else:
                text = f'unknown routing option or transport name "{" ".join(words[number:])}"'
                run.scope.services.log.write(f"Error in {run.router.name} router: {text}", panic=True)
                return run.defer(f"error in router: {text}")
        plan = LookupPlan(how, ipv4_only, ipv4_prefer, options.host_find_failed, options.host_all_ignored)
        return randomize, plan, transport


def _randomize(run: Run) -> bool | Answer:
    value: bool | str = run.options.hosts_randomize
    if isinstance(value, bool):
        return value
    try:
        return run.scope.expand(value).strip().lower() in ("yes", "true")
    except ForcedFailure:
        return False
    except ExpansionError as error:
        return run.defer(f'failed to expand "hosts_randomize" in {run.router.name} router: {error}')


def split_rules(text: str) -> list[str]:
    """`route_list` into rules: the separator is a semicolon unless the list says otherwise."""
    return split_list(text) if text.lstrip().startswith("<") else split_list(text, ";")


def _one_item(pattern: str) -> str:
    """A pattern as a list of its own, whatever colons are in it."""
    return pattern if ":" not in pattern else pattern.replace(":", "::")
