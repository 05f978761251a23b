"""A filter in place of a redirection list: run it as the user, take what it sets up. Exim spec 22.3, 22.10."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from angaros.filters.exim.run import FORBIDDEN_OPTIONS, FilterSetting, run_exim_filter
from angaros.filters.outcome import FilterError, FilterOutcome, Item
from angaros.model.delivery import Delivery
from angaros.model.errors import ExpansionError, Why
from angaros.model.reply import Reply
from angaros.model.text import concat, untaint
from angaros.routers import as_user, redirect_notice, redirect_sieve
from angaros.routers.address import child_of
from angaros.routers.assign import set_envelope
from angaros.routers.chain import chain_of
from angaros.routers.outcome import Answer
from angaros.routers.redirect import add_child, qualify_child, verdict, where
from angaros.routers.router import Run


def run_filter(run: Run, language: str, source: str) -> Answer:
    """Run the filter and turn what it did into children or a verdict."""
    owner = run.delivery.owner
    try:
        interpret = (
            redirect_sieve.interpreter(run, source) if language == "sieve" else lambda: run_exim_filter(source, setting_of(run))
        )
    except ExpansionError as error:
        return run.defer(str(error))
    try:
        if owner is not None and as_user.needed(owner):
            with _readable_body(run):
                outcome = _unpacked(as_user.run_as(owner, lambda: asdict(interpret())))
        else:
            outcome = interpret()
    except as_user.ChildFailure as failure:
        if failure.kind != "FilterError":
            return run.defer(f"internal problem in {run.router.name} router: {failure.kind}: {failure}")
        return _refuse(run, language, str(failure))
    except FilterError as error:
        return _refuse(run, language, str(error))
    if language == "sieve":
        redirect_sieve.aftermath(run, outcome)
    return _act(run, outcome, language)


@contextmanager
def _readable_body(run: Run) -> Iterator[None]:
    """The body open for a filter whose user may not open it."""
    message = run.scope.message
    if message is None or not message.body_path or message.body_descriptor >= 0:
        yield
        return
    try:
        message.body_descriptor = os.open(message.body_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield  # whoever wants to read it gets the error
        return
    try:
        yield
    finally:
        os.close(message.body_descriptor)
        message.body_descriptor = -1


def _unpacked(packed: dict[str, Any]) -> FilterOutcome:
    """What came back from the child that ran as the user."""
    items = []
    for item in packed.pop("items"):
        reply = item.pop("reply")
        item["numeric"] = tuple(item["numeric"])
        items.append(Item(**item, reply=Reply(**reply) if reply is not None else None))
    return FilterOutcome(**packed, items=items)


def _refuse(run: Run, language: str, error: str) -> Answer:
    """The filter cannot be used."""
    if run.options.skip_syntax_errors and language == "exim":
        redirect_notice.report(run, [error], False)
        return Answer.DECLINE
    return run.defer(f"error in filter {where(run)}: {error}", Why.BAD_REDIRECT)


def setting_of(run: Run) -> FilterSetting:
    """What the options of the router permit."""
    options = run.options
    scope = run.scope.child()
    forbidden = [name for name in FORBIDDEN_OPTIONS if options.get(f"forbid_filter_{name}")]
    scope.local["expand_forbid"] = " ".join(forbidden)
    allowed = frozenset(name for name in ("fail", "defer", "freeze") if options.get(f"allow_{name}"))
    return FilterSetting(
        scope,
        allowed=allowed,
        may_log=not options.forbid_filter_logwrite,
        write_log=_log_writer(run),
        log_ids=(run.delivery.owner.uid, run.delivery.owner.gid) if run.delivery.owner is not None else None,
        own_addresses=redirect_sieve.own_addresses(scope),
    )


def _log_writer(run: Run) -> Any:
    """Appends to a user's log file, as that user."""

    def write(path: str, mode: int, text: str) -> None:
        owner = run.delivery.owner
        data = text.encode("latin-1")
        if owner is not None and os.geteuid() != owner.uid:
            run.scope.services.courier.append_file(path, data, mode, owner)
            return
        descriptor = os.open(os.path.join("/", path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    return write


def _act(run: Run, outcome: FilterOutcome, language: str) -> Answer:
    message = run.scope.message
    if outcome.action == "freeze" and message is not None and message.manually_thawed:
        outcome.action = ""  # Exim spec 45.6: somebody has looked at it and wants it delivered
    if outcome.action and (outcome.action == "defer" or not outcome.items):
        return verdict(run, outcome.action, outcome.text)
    if not outcome.items:
        if not outcome.delivered:
            return Answer.DECLINE
        run.delivery.extra["discarded"] = "discarded"
        return Answer.DISCARD
    goes_on = _copy(run) if not outcome.delivered and not outcome.action else None
    if not set_envelope(run):
        return Answer.DEFER
    for item in outcome.items:
        _add(run, item, language)
    if goes_on is not None:
        run.outcome.new.insert(0, goes_on)
    return verdict(run, outcome.action, outcome.text) if outcome.action else Answer.ACCEPT


def _copy(run: Run) -> Delivery | None:
    """Nothing significant was set up: the address itself goes on with the next router. Exim filter spec 3.8."""
    routers = chain_of(run.scope.services).routers
    if run.index + 1 >= len(routers):
        return None
    copy = child_of(run.delivery, run.delivery.address)
    copy.start_router = routers[run.index + 1].name
    return copy


def _add(run: Run, item: Item, language: str) -> None:
    if item.kind == "address":
        # A filter that runs as a user cannot write Exim's log.
        child = add_child(run, "address", qualify_child(run, item.text, quiet=run.delivery.owner is not None))
    elif item.kind == "file":
        child = add_child(run, "file", item.text if language == "sieve" else _path(run, item.text))
        child.file_mode = item.mode
    elif item.kind == "pipe":
        child = add_child(run, "pipe", concat(["|", item.text]))
        # The user's own filter made them, and the command runs as that user without a shell: they come back untainted.
        child.pipe_expand_numeric = tuple(untaint(value) for value in item.numeric)
        child.pipe_expand = {name: untaint(value) for name, value in item.variables.items()}
    else:
        child = add_child(run, "reply", concat([">", item.text]))
        child.reply = item.reply
    if item.failure:
        child.extra["forbidden"] = item.failure
    child.filter_generated = True
    redirect_sieve.decorate(child, item)
    child.props.ignore_error = item.ignore_error
    if item.errors_to is not None:
        child.props.errors_to = item.errors_to


def _path(run: Run, path: str) -> str:
    """A relative path begins at `$home` (filter_prepend_home)."""
    home = run.home
    if path.startswith("/") or not home or not run.options.filter_prepend_home:
        return path
    return concat([home, "/", path])
