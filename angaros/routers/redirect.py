"""The redirect router: aliases, forward files, filters. Exim spec 22.

The text comes from `data` or `file`; `redirect_list` reads lists, `filters` runs filters; this file turns what they say into
child addresses, or into a verdict on the address itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from angaros.filters.forward_list import ListError, ListReader, Redirection
from angaros.mime.addresses import AddressRules
from angaros.model.delivery import Delivery, Owner
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.text import concat, text
from angaros.rewriting import rewrite_address
from angaros.routers import redirect_notice
from angaros.routers.address import child_of, inherit, same_address
from angaros.routers.assign import UNSET, find_transport, set_directories, set_envelope, set_owner
from angaros.routers.outcome import Answer, Mode
from angaros.routers.redirect_file import FileAbsent, FileError, read_as, read_redirection
from angaros.routers.router import Run

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance

_FILTER = re.compile(r"\s*#\s*(exim|sieve)\s+filter", re.IGNORECASE)
_CODE = re.compile(r"^\d{3}(?: \d\.\d{1,3}\.\d{1,3})?(?: |$)")

_TRANSPORT_OPTIONS = {
    "pipe": "pipe_transport",
    "file": "file_transport",
    "directory": "directory_transport",
    "reply": "reply_transport",
}


class _Declined(Exception):
    """`qualify_domain` cannot be expanded: the router declines."""


class Router:
    """Driver `redirect`."""

    def __init__(self, instance: DriverInstance[Any]) -> None:
        self.instance = instance

    def route(self, run: Run) -> Answer:
        """Read the redirection and act on it."""
        if not set_owner(run):
            return Answer.DEFER
        source = self._source(run)
        if isinstance(source, Answer):
            return source
        kind = _FILTER.match(source[:200])
        if kind is not None:
            return self._filter(run, kind[1].lower(), source)
        try:
            found = _reader(run).read(source)
        except ListError as error:
            return run.defer(f"error in redirect {where(run)}: {error}", Why.BAD_REDIRECT)
        except _Declined:
            return Answer.DECLINE
        return self._act(run, found)

    def _source(self, run: Run) -> str | Answer:
        """The text of the list or filter."""
        option = run.options.data if run.options.file is None else run.options.file
        try:
            value = run.scope.expand(option)
        except ForcedFailure:
            return Answer.DECLINE
        except ExpansionError as error:
            return run.defer(f'failed to expand "{option}": {error}')
        if run.options.file is None:
            return value
        if not value.startswith("/"):
            return run.defer(f'"{value}" is not an absolute path')
        try:
            contents = read_redirection(value, run, _reading_owner(run))
        except FileAbsent:
            return Answer.DECLINE
        except FileError as error:
            return run.defer(str(error))
        return text(contents)

    def _filter(self, run: Run, language: str, source: str) -> Answer:
        """A filter in place of a list."""
        options = run.options
        if not options.allow_filter:
            return run.defer(f"error in filter {where(run)}: filtering not enabled", Why.BAD_REDIRECT)
        if options.get(f"forbid_{language}_filter"):
            return run.defer(f"error in filter {where(run)}: {language.capitalize()} filtering not enabled", Why.BAD_REDIRECT)
        from angaros.routers.redirect_filter import run_filter

        return run_filter(run, language, source)

    def _act(self, run: Run, found: Redirection) -> Answer:
        if found.errors:
            redirect_notice.report(run, found.errors, bool(found.items) or bool(found.action))
        if found.action:
            return verdict(run, found.action, found.text)
        if not found.items:
            if found.errors:
                run.delivery.message = "syntax error in redirection data"
            return Answer.DECLINE
        if not set_envelope(run):
            return Answer.DEFER
        for kind, item in found.items:
            add_child(run, kind, item)
        return Answer.ACCEPT


def _reader(run: Run) -> ListReader:
    options, scope = run.options, run.scope
    owner = _reading_owner(run)

    def qualify(address: str, backslashed: bool) -> str:
        return qualify_child(run, address, backslashed)

    def read(path: str, limit: int) -> bytes:
        return read_as(path, owner, limit, scope.services)[0]

    utf8 = scope.message is not None and scope.message.smtputf8
    rules = AddressRules.of(scope.services.config.main, utf8=utf8)
    return ListReader(options, rules, run.delivery.domain, qualify, read, text)


def _reading_owner(run: Run) -> Owner | None:
    owner = run.delivery.owner
    return owner if owner is not None and owner.uid != UNSET and owner.gid != UNSET else None


def qualify_child(run: Run, address: str, backslashed: bool = False, *, quiet: bool = False) -> str:
    """A generated address with its domain, rewritten (`quiet`: no line in the log). Exim spec 22.5."""
    options, scope = run.options, run.scope
    if "@" not in address:
        if backslashed or options.qualify_preserve_domain:
            domain: str = run.delivery.domain
        elif options.qualify_domain is not None:
            try:
                domain = scope.expand(options.qualify_domain)
            except ExpansionError as error:
                raise _Declined from error
        else:
            domain = scope.services.config.main.qualify_recipient
        address = concat([address, "@", domain])
    if options.rewrite and scope.services.config.rewrite_rules:
        address = rewrite_address(address, scope, "T", quiet=quiet)
    return address


def verdict(run: Run, action: str, message: str) -> Answer:
    """`:fail:`, `:defer:`, `:blackhole:`, and a filter's `fail`, `freeze`."""
    if action == "blackhole":
        return Answer.DISCARD
    delivery = run.delivery
    delivery.message = delivery.user_message = _CODE.sub("", message) if run.options.forbid_smtp_code else message
    delivery.extra["pass_message"] = True
    if action == "fail":
        return Answer.FAIL
    if action == "freeze" and run.mode is Mode.DELIVER:
        delivery.special_action = "freeze"
    return Answer.DEFER


def where(run: Run) -> str:
    """`file` or `data`: where the text came from."""
    return "data" if option(run, "file", None) is None else "file"


def option(run: Run, name: str, default: Any) -> Any:
    """An option of redirect; `default` for another router that generates addresses (queryprogram)."""
    return getattr(run.options, name, default)


def add_child(run: Run, kind: str, item: str) -> Delivery:
    """One generated address, pipe, file or reply; appended to the outcome."""
    child = _address_child(run, item) if kind == "address" else _special_child(run, kind, item)
    child.hide_child = option(run, "hide_child_in_errmsg", False)
    if option(run, "one_time", False):
        child.onetime_parent = run.delivery.root().address
    run.outcome.new.append(child)
    return child


def _address_child(run: Run, address: str) -> Delivery:
    parent = run.delivery
    if option(run, "check_ancestor", False):
        node: Delivery | None = parent
        while node is not None:
            if same_address(node.address, address):
                address = parent.address
                break
            node = node.parent
    child = child_of(parent, address)
    child.start_router = run.options.redirect_router or ""
    return child


def _special_child(run: Run, kind: str, item: str) -> Delivery:
    """A pipe, file or reply: already at its transport, or with the reason why not."""
    parent, options = run.delivery, run.options
    child = Delivery(item, local_part=parent.local_part, domain=parent.domain)
    child.cased_local_part, child.lowered_local_part = parent.cased_local_part, parent.lowered_local_part
    child.prefix, child.suffix = parent.prefix, parent.suffix
    child.prefix_variable, child.suffix_variable = parent.prefix_variable, parent.suffix_variable
    child.unique = concat([item, ":", parent.unique])
    inherit(child, parent)
    child.router = run.router.name
    child.is_pipe, child.is_file, child.is_autoreply = kind == "pipe", kind == "file", kind == "reply"
    child.owner = parent.owner
    child.extra["initgroups"] = options.initgroups
    _set_special_transport(run, child, kind)
    _set_child_directories(run, child)
    return child


def _set_special_transport(run: Run, child: Delivery, kind: str) -> None:
    forbidden = option(run, {"pipe": "forbid_pipe", "file": "forbid_file", "reply": "forbid_filter_reply"}[kind], True)
    if forbidden or option(run, "one_time", False):
        child.extra["forbidden"] = {"pipe": "delivery to pipe forbidden", "file": "delivery to file forbidden"}.get(
            kind, "autoreply forbidden"
        )
    name = _TRANSPORT_OPTIONS["directory" if kind == "file" and child.address.endswith("/") else kind]
    value = option(run, name, None)
    if value is None:
        child.message, child.basic_errno = f"{name} unset in {run.router.name} router", Why.BAD_TRANSPORT
        return
    held = run.delivery.message, run.delivery.basic_errno
    if not child.is_autoreply:
        run.scope.local["address_pipe" if child.is_pipe else "address_file"] = child.address
    found = find_transport(run, value, name)
    if found is None:
        child.message, child.basic_errno = run.delivery.message, run.delivery.basic_errno
        run.delivery.message, run.delivery.basic_errno = held
        return
    child.transport = found


def _set_child_directories(run: Run, child: Delivery) -> None:
    parent = run.delivery
    set_directories(run)
    child.home, child.home_expanded, child.current_directory = parent.home, parent.home_expanded, parent.current_directory
