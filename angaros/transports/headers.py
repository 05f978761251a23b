"""The header of a delivered copy: what the transport and the routers add, remove and rewrite (Exim spec 24, 48.17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.lists.parse import split_list
from angaros.logs.times import tod_full
from angaros.model.errors import AngarosError, ExpansionError, ForcedFailure
from angaros.model.message import Header

if TYPE_CHECKING:
    from angaros.config.config import DriverInstance, RewriteRule
    from angaros.config.transport_options import TransportOptions
    from angaros.model.delivery import Delivery
    from angaros.model.message import Message
    from angaros.model.scope import Scope


class TransportError(AngarosError):
    """A delivery cannot be set up. `str()` is the text for the log; the outcome is defer unless `fail`."""

    def __init__(self, text: str, errno: int = 0, *, panic: bool = False, fail: bool = False) -> None:
        super().__init__(text)
        self.errno = errno
        self.panic = panic
        self.fail = fail


def expand_items(scope: Scope, text: str, separator: str, what: str) -> list[str]:
    """A list whose items are expanded one by one; empty results and forced failures are left out."""
    found = []
    for item in split_list(text, separator):
        try:
            value = scope.expand(item)
        except ForcedFailure:
            continue
        except ExpansionError as error:
            raise TransportError(f'failed to expand "{item}" ({what}): {error}', panic=True) from None
        if value:
            found.append(value)
    return found


def removal_names(scope: Scope, delivery: Delivery, instance: DriverInstance[TransportOptions]) -> list[str]:
    """Lower-case names, or prefixes ending in `*`, of header lines that this copy goes without."""
    names: list[str] = []
    if delivery.props.headers_remove:
        names += split_list(delivery.props.headers_remove)
    if instance.options.headers_remove:
        for value in expand_items(scope, instance.options.headers_remove, ":", f"headers_remove in {instance.name} transport"):
            names += value.split(":")
    return [name.strip().lower() for name in names if name.strip()]


def is_removed(name: str, removals: Sequence[str]) -> bool:
    """Whether a header name is covered."""
    lowered = name.lower()
    return any(lowered.startswith(one[:-1]) if one.endswith("*") else lowered == one for one in removals)


def added_lines(scope: Scope, delivery: Delivery, instance: DriverInstance[TransportOptions]) -> list[str]:
    """Header lines that routers and the transport add, each ending in a newline."""
    lines = list(delivery.props.headers_add)
    if instance.options.headers_add:
        lines += expand_items(scope, instance.options.headers_add, "\n", f"headers_add in {instance.name} transport")
    return [line if line.endswith("\n") else line + "\n" for line in lines if line]


def own_lines(scope: Scope, deliveries: Sequence[Delivery], options: TransportOptions, return_path: str) -> str:
    """Return-path:, Envelope-to: and Delivery-date:, as the options ask."""
    out = ""
    if options.return_path_add:
        out += f"Return-path: <{return_path}>\n"
    if options.envelope_to_add:
        folded = ",\n ".join(envelope_recipients(deliveries))
        out += f"Envelope-to: {folded}\n"
    if options.delivery_date_add:
        out += f"Delivery-date: {tod_full(scope.services.clock.now())}\n"
    return out


def envelope_recipients(deliveries: Sequence[Delivery]) -> list[str]:
    """Original recipients that led to this delivery, with those of dropped duplicates (`extra["duplicates"]`), each once; one
    that was given several times in the envelope counts as several."""
    found: dict[int, str] = {}
    for delivery in deliveries:
        for one in (*reversed(delivery.extra.get("duplicates", ())), delivery):
            root = one.root()
            found[id(root)] = root.address
    return list(found.values())


def header_text(
    scope: Scope, deliveries: Sequence[Delivery], instance: DriverInstance[TransportOptions], return_path: str
) -> str:
    """All header lines of the copy, without the empty line. Raises TransportError."""
    message = scope.message
    assert message is not None
    options, first = instance.options, deliveries[0]
    removals = removal_names(scope, first, instance)
    headers = [header for header in message.headers if header.kind != "*"]
    if removals:
        headers = [header for header in headers if not is_removed(header.name, removals)]
    added = added_lines(scope, first, instance)
    if options.headers_rewrite:
        rules = rewrite_rules(scope, options.headers_rewrite)
        headers = [_rewritten(header, rules, scope) for header in headers]
        added = [_rewritten(_typed(line), rules, scope).text for line in added]
    return "".join([own_lines(scope, deliveries, options, return_path), *(header.text for header in headers), *added])


def _typed(line: str) -> Header:
    from angaros.mime.headers import header_type

    return Header(line, header_type(line.partition(":")[0].strip()))


def rewrite_rules(scope: Scope, text: str) -> tuple[RewriteRule, ...]:
    """The parsed `headers_rewrite` of a transport; parsed once."""
    from angaros.config.rules import parse_headers_rewrite

    cache: dict[str, tuple[RewriteRule, ...]] = scope.services.extra.setdefault("headers_rewrite", {})
    rules = cache.get(text)
    if rules is None:
        rules = cache[text] = parse_headers_rewrite(text)
    return rules


def _rewritten(header: Header, rules: tuple[RewriteRule, ...], scope: Scope) -> Header:
    from angaros.rewriting import rewrite_header

    return rewrite_header(header, scope, rules=rules) or header


def size_of_copy(message: Message, header_size: int, *, body_only: bool, headers_only: bool) -> int:
    """Octets of a copy as the spool has it (LF line ends)."""
    return (0 if body_only else header_size + 1) + (0 if headers_only else message.body_size)
