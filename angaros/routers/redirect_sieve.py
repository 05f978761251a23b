"""Sieve filters of the redirect router: what the options give them, and what only they set up. Exim spec 22.3, 22.10."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from angaros.filters.outcome import FilterOutcome, Item
from angaros.model.delivery import Delivery
from angaros.model.errors import AngarosError, ExpansionError, ForcedFailure
from angaros.model.scope import Scope
from angaros.model.text import octets, untaint
from angaros.routers import redirect_notice
from angaros.routers.assign import UNSET
from angaros.routers.outcome import Mode
from angaros.routers.redirect_file import read_as
from angaros.routers.router import Run

if TYPE_CHECKING:
    from angaros.filters.sieve.run import SieveSetting

FLAGS_VARIABLE = "r_sieve_flags"
"""`$r_sieve_flags`: IMAP flags for the transport (RFC 5232)."""


def interpreter(run: Run, source: str) -> Callable[[], FilterOutcome]:
    """What runs the script, as the user; options are expanded before. Raises ExpansionError."""
    from angaros.filters.sieve.run import run_sieve

    setting = _setting(run)
    return lambda: run_sieve(source, setting)


def _setting(run: Run) -> SieveSetting:
    from angaros.filters.sieve.run import SieveSetting

    everybodys = _expanded(run, run.scope.services.config.main.sieve_global_directory, "sieve_global_directory")
    directories = {"global": everybodys, "personal": os.path.dirname(_option(run, "file") or "")}
    scope = run.scope.child()
    return SieveSetting(
        scope,
        own_addresses=own_addresses(scope),
        inbox=_option(run, "sieve_inbox") or "inbox",
        useraddress=_option(run, "sieve_useraddress"),
        subaddress=_option(run, "sieve_subaddress"),
        vacation_directory=_option(run, "sieve_vacation_directory"),
        enotify_owner=_option(run, "sieve_enotify_mailto_owner"),
        script_directories={place: path for place, path in directories.items() if path},
        read_file=lambda path, limit: read_as(path, run.delivery.owner, limit, run.scope.services)[0],
        mailbox_exists=lambda name: _mailbox_exists(run, name),
    )


def _option(run: Run, name: str) -> str | None:
    """An expanded option; None when it is unset or its expansion is forced to fail."""
    return _expanded(run, run.options.get(name), f"{name} of {run.router.name} router")


def _expanded(run: Run, text: str | None, what: str) -> str | None:
    if text is None:
        return None
    try:
        return run.scope.expand(text)
    except ForcedFailure:
        return None
    except ExpansionError as error:
        raise ExpansionError(f'failed to expand "{text}" ({what}): {error}') from error


def own_addresses(scope: Scope) -> tuple[str, ...]:
    """The addresses of the user who runs the filter."""
    delivery = scope.delivery
    assert delivery is not None
    plain = f"{delivery.local_part}@{delivery.domain}"
    full = f"{delivery.prefix}{delivery.local_part}{delivery.suffix}@{delivery.domain}"
    return tuple({plain.lower(), full.lower()})


def _mailbox_exists(run: Run, name: str) -> bool:
    """Where the transport would file it: is something there? # RFC 5490 3.1"""
    transport = run.scope.services.config.transports.get(_option(run, "file_transport") or "")
    if transport is None:
        return False
    path = transport.options.get("file") or transport.options.get("directory")
    try:
        place = name if path is None else run.scope.child(None, address_file=untaint(name)).expand(path)
    except ExpansionError:
        return False
    owner = run.delivery.owner
    if owner is None or owner.uid in (UNSET, os.geteuid()):
        return place.startswith("/") and os.path.exists(place)
    return place.startswith("/") and run.scope.services.courier.check_paths([str(place)], owner)[0] == 0


def decorate(child: Delivery, item: Item) -> None:
    """What a Sieve action gives its delivery: flags and header changes."""
    if item.flags:
        child.props.variables = {**child.props.variables, FLAGS_VARIABLE: item.flags}
    if item.headers_add:
        child.props.headers_add = [*child.props.headers_add, *item.headers_add]
    if item.headers_remove:
        child.props.headers_remove = ":".join(filter(None, (child.props.headers_remove, item.headers_remove)))


def aftermath(run: Run, outcome: FilterOutcome) -> None:
    """Errors are told to `syntax_errors_to`, and notifications go out. # RFC 5228 2.10.6, RFC 5436"""
    services, message = run.scope.services, run.scope.message
    if run.mode is Mode.ADDRESS_TEST:
        print(
            f"Sieve error: {outcome.error}" if outcome.error else "Implicit keep" if outcome.implicit_keep else "No implicit keep"
        )
    if outcome.error:
        services.log.debug("filter", f"Sieve error: {outcome.error}")
        if run.options.skip_syntax_errors and run.options.syntax_errors_to is not None:
            redirect_notice.report(run, [outcome.error], False)
    if run.mode is not Mode.DELIVER or services.submitter is None or message is None:
        return
    for text in outcome.notifications:
        try:
            services.submitter.submit(octets(text), run.scope, reference=message.id, owner=run.delivery.owner)
        except AngarosError as error:
            services.log.write(f"{run.router.name} router: failed to send notification: {error}", message_id=message.id)
