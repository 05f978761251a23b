"""Preconditions of a router, in the order of Exim's manual. Exim spec 3.12.

`check` answers `run`, `skip` or `defer`; the text for a deferral is in the delivery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from angaros.lists.parse import split_list
from angaros.model.brightmail import ALTERNATE, DEFAULT, NONE, verdict_for
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer
from angaros.model.text import untaint
from angaros.routers.files import check_require_files
from angaros.routers.outcome import Mode
from angaros.routers.router import Prepared, Run
from angaros.routers.users import find_user

RUN, SKIP, DEFER = "run", "skip", "defer"

_FALSE = frozenset({"", "0", "no", "false"})


def strip_affixes(router: Prepared, run: Run) -> bool:
    """Take prefix and suffix off the local part; False: a mandatory one is missing. Exim spec 15."""
    delivery = run.delivery
    if router.prefixes:
        found = _match_prefix(router.prefixes, delivery.local_part)
        if found is not None:
            length, variable = found
            delivery.prefix = delivery.local_part[:length]
            delivery.prefix_variable = delivery.local_part[:variable]
            delivery.local_part = delivery.local_part[length:]
        elif not router.options.local_part_prefix_optional:
            return False
    if router.suffixes:
        found = _match_suffix(router.suffixes, delivery.local_part)
        if found is not None:
            length, variable = found
            cut = len(delivery.local_part) - length
            delivery.suffix = delivery.local_part[cut:]
            delivery.suffix_variable = delivery.suffix[length - variable :] if variable else ""
            delivery.local_part = delivery.local_part[:cut]
        elif not router.options.local_part_suffix_optional:
            return False
    return True


def _match_prefix(prefixes: list[str], local_part: str) -> tuple[int, int] | None:
    """(length of the prefix, length of what the `*` matched) of the first that fits."""
    lowered = local_part.lower()
    for prefix in prefixes:
        wanted = prefix.lower()
        if wanted.startswith("*"):
            at = lowered.rfind(wanted[1:])
            if at >= 0:
                return at + len(wanted) - 1, at
        elif lowered.startswith(wanted):
            return len(wanted), 0
    return None


def _match_suffix(suffixes: list[str], local_part: str) -> tuple[int, int] | None:
    """As `_match_prefix`, at the other end."""
    lowered = local_part.lower()
    for suffix in suffixes:
        wanted = suffix.lower()
        if wanted.endswith("*"):
            at = lowered.find(wanted[:-1])
            if at >= 0:
                return len(lowered) - at, len(lowered) - at - len(wanted) + 1
        elif lowered.endswith(wanted):
            return len(wanted), 0
    return None


def fits_mode(router: Prepared, mode: Mode) -> bool:
    """verify_sender, verify_recipient, address_test, verify_only, expn. Exim spec 3.12."""
    options = router.options
    if mode is Mode.VERIFY_RECIPIENT:
        return bool(options.verify_recipient)
    if mode is Mode.VERIFY_SENDER:
        return bool(options.verify_sender)
    if options.verify_only:
        return False
    if mode is Mode.ADDRESS_TEST:
        return bool(options.address_test)
    return mode is not Mode.EXPN or bool(options.expn)


def check(router: Prepared, run: Run) -> str:
    """All preconditions but the affixes."""
    if not fits_mode(router, run.mode):
        return SKIP
    for test in router.tests:
        if (verdict := test(router, run)) != RUN:
            return verdict
    return RUN


def tests_of(options: Any) -> list[Callable[[Prepared, Run], str]]:
    """The tests that a router with these options needs."""
    return [test for option, test in _TESTS if getattr(options, option) not in (None, False)]


def _check_domains(router: Prepared, run: Run) -> str:
    delivery = run.delivery
    try:
        match = run.scope.services.lists.match_domain(delivery.domain, router.options.domains, run.scope, option="domains")
    except ListDefer as error:
        return _list_defer(run, "domains", error)
    if not match:
        return SKIP
    delivery.props.domain_data = match.data
    return RUN


def _check_local_parts(router: Prepared, run: Run) -> str:
    delivery = run.delivery
    try:
        match = run.scope.services.lists.match_local_part(
            delivery.local_part, router.options.local_parts, run.scope, caseless=not router.caseful, option="local_parts"
        )
    except ListDefer as error:
        return _list_defer(run, "local_parts", error)
    if not match:
        return SKIP
    delivery.props.local_part_data = match.data
    return RUN


def _check_local_user(router: Prepared, run: Run) -> str:
    entry = find_user(run.delivery.local_part, run.scope.services)
    if entry is None:
        return SKIP
    run.user = entry
    # The password file, the administrator's own data, has confirmed the name.
    run.delivery.props.local_part_data = untaint(entry.pw_name)
    run.scope.local["home"] = entry.pw_dir
    run.scope.local["local_user_uid"] = str(entry.pw_uid)
    run.scope.local["local_user_gid"] = str(entry.pw_gid)
    return RUN


def _check_home_directory(router: Prepared, run: Run) -> str:
    text = router.options.router_home_directory
    try:
        home = run.scope.expand(text)
    except ForcedFailure:
        return RUN
    except ExpansionError as error:
        return _defer(run, f'failed to expand "{text}" for router_home_directory: {error}')
    run.scope.local["home"] = home
    return RUN


def _show_debug_print(router: Prepared, run: Run) -> str:
    log = run.scope.services.log
    if log.debugging("v", hc=True):
        try:
            text = run.scope.expand(router.options.debug_print)
        except ExpansionError as error:
            text = f'failed to expand debug_output "{router.options.debug_print}": {error}'
        log.debug("v", text.rstrip("\n"), hc=True)
    return RUN


def _check_senders(router: Prepared, run: Run) -> str:
    message = run.scope.message
    sender = message.sender_address if message is not None and run.mode is not Mode.VERIFY_SENDER else ""
    try:
        match = run.scope.services.lists.match_address(sender, router.options.senders, run.scope, option="senders")
    except ListDefer as error:
        return _list_defer(run, "senders", error)
    return RUN if match else SKIP


def _check_files(router: Prepared, run: Run) -> str:
    verdict, message = check_require_files(router.options.require_files, run)
    if verdict == DEFER:
        run.delivery.message = message
    return verdict


def _check_condition(router: Prepared, run: Run) -> str:
    condition = router.options.condition
    try:
        result = run.scope.expand(condition)
    except ForcedFailure:
        return SKIP
    except ExpansionError as error:
        if error.temporary:
            return _defer(run, "condition check lookup defer")
        text = f'failed to expand condition "{condition}" for {router.name} router: {error}'
        run.scope.services.log.write(text, panic=True)
        return SKIP
    return SKIP if result.lower() in _FALSE else RUN


def _check_brightmail(action: str) -> Callable[[Prepared, Run], str]:
    """`bmi_deliver_default`, `bmi_deliver_alternate`, `bmi_dont_deliver`: the recipient has a verdict, and it says so."""

    def check_it(router: Prepared, run: Run) -> str:
        verdict = verdict_for(run.scope)
        return RUN if verdict is not None and verdict.action == action else SKIP

    return check_it


def _check_bmi_rule(router: Prepared, run: Run) -> str:
    verdict = verdict_for(run.scope)
    if verdict is None:
        return SKIP
    return RUN if any(number in verdict.rules for number in split_list(router.options.bmi_rule)) else SKIP


def _list_defer(run: Run, what: str, error: ListDefer) -> str:
    return _defer(run, f"{what} check lookup or other defer")


def _defer(run: Run, message: str) -> str:
    run.delivery.message = message
    return DEFER


_TESTS: tuple[tuple[str, Callable[[Prepared, Run], str]], ...] = (
    ("domains", _check_domains),
    ("local_parts", _check_local_parts),
    ("check_local_user", _check_local_user),
    ("router_home_directory", _check_home_directory),
    ("debug_print", _show_debug_print),
    ("senders", _check_senders),
    ("require_files", _check_files),
    ("condition", _check_condition),
    ("bmi_deliver_default", _check_brightmail(DEFAULT)),
    ("bmi_deliver_alternate", _check_brightmail(ALTERNATE)),
    ("bmi_dont_deliver", _check_brightmail(NONE)),
    ("bmi_rule", _check_bmi_rule),
)
"""Option and test, in order; a test runs when its option is set."""
