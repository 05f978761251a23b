"""Address rewriting: the rules of the rewrite section and of `headers_rewrite`. # Exim spec 31

Laws:
- Rules are tried in order on what earlier rules have made of the address; a replacement `*` ends it, a forced failure skips the
  rule, any other failure ends it with what there is.
- Local parts are compared as they are written; `$local_part` and `$domain` keep their letters.
- A header line is changed only where an address in it changes; the old line stays as type `*` (that is the caller's business).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from angaros import regex
from angaros.lists.addresses import AddressSubject
from angaros.lists.cache import ListCache
from angaros.lists.walk import Walk
from angaros.mime.addresses import AddressRules, Extracted, extract_address, skip_comment, split_address, split_address_list
from angaros.mime.headers import header_type
from angaros.model.errors import ExpansionError, ForcedFailure, ListDefer
from angaros.model.message import Header
from angaros.model.text import concat, like, lower, untaint

if TYPE_CHECKING:
    from angaros.config.config import RewriteRule
    from angaros.model.scope import Scope

MAX_REPEATS = 10
"""How often a rule with R is applied again. # Exim spec 31.10"""
FOLD_COLUMN = 39
"""A line that a rewritten address has made longer is folded behind the next comma when that stands further right."""
HEADER_FLAGS = {"S": "s", "F": "f", "T": "t", "C": "c", "B": "b", "R": "r"}
"""Flag by header type. # Exim spec 31.8"""
_NAMES = {"s": "sender:", "f": "from:", "t": "to:", "c": "cc:", "b": "bcc:", "r": "reply-to:", "F": "env-from", "T": "env-to"}
_REWROTE = {"F": "sender", "T": "original-recipient"}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")


class _Result(NamedTuple):
    """What the rules made of an address."""

    address: str
    whole: str
    """Text that replaces the whole item of a header (flag w); "" for none."""
    shown: str = ""
    """For the log."""
    quiet: bool = False
    """Nothing is logged."""


def rewrite_address(
    address: str,
    scope: Scope,
    flag: str,
    *,
    rules: Sequence[RewriteRule] | None = None,
    add_header: bool = False,
    quiet: bool = False,
) -> str:
    """An envelope address (`flag` F sender, T recipient) after the rules. `add_header` (reception): keep the old one in an
    `X-rewrote-...:` line of type `*`. `quiet`: no line in the log."""
    rules = scope.services.config.rewrite_rules if rules is None else rules
    if not any(flag in rule.flags for rule in rules):
        return address
    new = _rewrite_one(address, flag, rules, scope, quiet).address
    if add_header and new != address and scope.message is not None:
        scope.message.headers.append(Header(f"X-rewrote-{_REWROTE[flag]}: {address}\n", "*"))
    return new


def rewrite_smtp(text: str, scope: Scope, *, recipient: bool) -> str:
    """Data of MAIL or RCPT, with any angle brackets, after the rules with S. # Exim spec 31.9"""
    name = "smtp recipient" if recipient else "smtp sender"
    for number, rule in enumerate(scope.services.config.rewrite_rules, 1):
        if "S" not in rule.flags:
            continue
        text, go_on = _smtp_rule(text, rule, number, name, scope)
        if not go_on:
            break
    return text


def _smtp_rule(text: str, rule: RewriteRule, number: int, name: str, scope: Scope) -> tuple[str, bool]:
    """One rule with its repeats; False when it is the last."""
    write = scope.log
    try:
        pattern = scope.expand(rule.pattern)
    except ForcedFailure:
        return text, True
    except ExpansionError as error:
        write(f'failed to expand "{rule.pattern}" while checking for SMTP rewriting: {error}', panic=True)
        return text, False
    done = False
    for _ in range(MAX_REPEATS + 1):
        groups = regex.compile(pattern).match(text)
        if groups is None:
            return text, not (done and "q" in rule.flags)
        done = True
        child = scope.child(local_part="", domain="")
        child.numeric = groups
        new, go_on = _replacement(text, rule, child)
        if new is None:
            return text, go_on
        write(f'"{text}" from {name} rewritten as "{new}" by rule {number}', selector="address_rewrite")
        text = new
        if "R" not in rule.flags:
            return text, "q" not in rule.flags
    write("rewrite rule repeat ignored after 10 times")
    return text, "q" not in rule.flags


def _replacement(subject: str, rule: RewriteRule, scope: Scope) -> tuple[str | None, bool]:
    """The expanded replacement, None for none, and whether later rules may follow. # Exim spec 31.6"""
    if rule.replacement == "*":
        return None, False
    try:
        return scope.expand(rule.replacement), True
    except ForcedFailure:
        return None, "q" not in rule.flags
    except ExpansionError as error:
        scope.log(f"Expansion of {rule.replacement} failed while rewriting: {error}", panic=True)
        return None, False


def _rewrite_one(address: str, flag: str, rules: Sequence[RewriteRule], scope: Scope, quiet: bool = False) -> _Result:
    """All rules on one address."""
    result = _Result(address, "", quiet=quiet)
    cache = ListCache(scope.services.config)
    for number, rule in enumerate(rules, 1):
        if flag not in rule.flags or "S" in rule.flags:
            continue
        result, go_on = _apply(result, flag, rule, number, scope, cache)
        if not go_on:
            break
    return result


def _apply(result: _Result, flag: str, rule: RewriteRule, number: int, scope: Scope, cache: ListCache) -> tuple[_Result, bool]:
    """One rule with its repeats; False when it is the last that counts. # Exim spec 31.10"""
    done = False
    for _ in range(MAX_REPEATS + 1):
        child = _matching(result.address, rule, scope, cache)
        if child is None:
            return result, not (done and "q" in rule.flags)
        done = True
        text, go_on = _replacement(result.address, rule, child)
        if text is None:
            return result, go_on
        made = _parsed(result.address, text, flag, rule, scope)
        if made is None:
            return result, False
        old, result = result.address, made._replace(quiet=result.quiet)
        line = f'"{old}" from {_NAMES[flag]} rewritten as "{made.shown}" by rule {number}'
        if not result.quiet and (scope.services.log.selected("address_rewrite") or scope.tracing("rewrite")):
            scope.log(line, selector="address_rewrite")
        if "R" not in rule.flags:
            return result, "q" not in rule.flags
    scope.log("rewrite rule repeat ignored after 10 times")
    return result, "q" not in rule.flags


def _matching(address: str, rule: RewriteRule, scope: Scope, cache: ListCache) -> Scope | None:
    """The scope for the replacement when the pattern, a list of one item, matches; else None. # Exim spec 31.5"""
    local_part, domain = split_address(address)
    child = scope.child(local_part=local_part, domain=domain)
    subject = AddressSubject(address, False, cache, numeric=True)
    child.numeric = ()
    try:
        pattern = scope.expand(rule.pattern)
        matched = Walk(subject, child, cache).along((pattern,), f'"{pattern}"').matched
    except (ForcedFailure, ListDefer):
        return None
    except ExpansionError as error:
        scope.log(f'failed to expand "{rule.pattern}" while checking a list: {error}', panic=True)
        return None
    if not matched:
        return None
    child.numeric = (address, *child.numeric[1:])
    return child


def _parsed(old: str, text: str, flag: str, rule: RewriteRule, scope: Scope) -> _Result | None:
    """The replacement as an address; None (logged) when it is none. # Exim spec 31.6, 31.10"""
    main = scope.services.config.main
    found = extract_address(text, AddressRules.of(main), allow_null=flag == "F")
    if not found.ok:
        line = f"Rewrite of {old} yielded unparseable address: {found.error} in address {text}"
        scope.log(line, panic=True)
        return None
    address = found.address
    if address and not found.domain:
        if "Q" not in rule.flags:
            scope.log(f'Rewrite of {old} yielded unqualified address "{address}"', panic=True)
            return None
        text = address = concat([address, "@", main.qualify_recipient or main.qualify_domain or ""])
    whole = _encoded(text, main.headers_charset or "UTF-8") if "w" in rule.flags and flag.islower() else ""
    return _Result(address, whole, text)


def _encoded(text: str, charset: str) -> str:
    """Text outside angle brackets as RFC 2047 words where it must be. # Exim spec 31.10 (w)"""
    start = text.rfind("<")
    end = text.rfind(">") + 1
    if start < 0 or end <= start or not _UNPRINTABLE.search(text):
        return text
    from angaros.mime.encoded import encode_2047

    head, tail = text[:start].strip(), text[end:].strip()
    head = encode_2047(head, charset) if _UNPRINTABLE.search(head) else head
    tail = encode_2047(tail, charset) if _UNPRINTABLE.search(tail) else tail
    return concat([head, " " if head else "", text[start:end], " " if tail else "", tail])


_PLAIN = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*@[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*"
_ONE_PLAIN_ADDRESS = re.compile(rf"[!-9;-~]+:[ \t]*(?:{_PLAIN}|[A-Za-z0-9]+(?: [A-Za-z0-9]+)* <{_PLAIN}>)[ \t]*\n?")
"""A header line with nothing to qualify and nothing to complain of, as nearly all are."""
# --- Header lines ------------------------------------------------------------------------------------------------------


def rewrite_header(
    header: Header,
    scope: Scope,
    *,
    rules: Sequence[RewriteRule] | None = None,
    routed: tuple[str, str] | None = None,
) -> Header | None:
    """The header line with its addresses qualified (where the message may have unqualified ones) and rewritten; None when nothing
    changes. `rules`: those of the rewrite section by default, of `headers_rewrite` in a transport. `routed`: (old, new) domain
    that routing has widened. # Exim spec 31.2, 46.16"""
    flag = HEADER_FLAGS.get(header.kind)
    if flag is None:
        return None
    rules = scope.services.config.rewrite_rules if rules is None else rules
    rules = rules if any(flag in rule.flags for rule in rules) else ()
    if not rules and routed is None and _ONE_PLAIN_ADDRESS.fullmatch(header.text):
        return None
    utf8 = scope.message is not None and scope.message.smtputf8
    allowed = AddressRules.of(scope.services.config.main, utf8=utf8)
    text = str(header.text)
    out, done = "", 0
    for piece in split_address_list(text, text.index(":") + 1):
        if piece.empty:
            continue
        item = text[piece.start : piece.end]
        found = extract_address(item, allowed, allow_null=False)
        if not found.ok:
            scope.log(f"qualify/rewrite: {found.error}")
            continue
        new = _rewritten(like(found.address, header.text), bool(found.domain), flag, rules, routed, scope)
        if new is not None:
            start, end = _place(item, found, bool(new.whole))
            part = str(new.whole or new.address)
            out += text[done : piece.start + start] + part
            done = piece.start + end
            if not new.whole and len(part) > end - start:
                out, done = _folded(out, text, done, piece.end)
    if not done:
        return None
    return Header(like(out + text[done:], header.text), header.kind)


def _place(item: str, found: Extracted, whole: bool) -> tuple[int, int]:
    """What is replaced in an item: the address with any source route, or all but white space around."""
    if not whole:
        route = item.rfind("<", 0, found.start) + 1
        start = route if item[route : found.start].lstrip()[:1] == "@" else found.start
        return start, _end_of_address(item, found.start, found.end)
    start = len(item) - len(item.lstrip())
    return start, len(item.rstrip())


def _end_of_address(item: str, start: int, end: int) -> int:
    """Where the address ends when comments behind it are left out."""
    pos = last = start
    while pos < end:
        char = item[pos]
        if char in " \t\r\n(":
            pos = skip_comment(item, pos)
            continue
        if char == '"':
            match = _QUOTED.match(item, pos)
            pos = match.end() if match else end
        else:
            pos += 2 if char == "\\" else 1
        last = pos
    return min(last, end)


def _folded(out: str, text: str, done: int, comma: int) -> tuple[str, int]:
    """Begin a new line behind the comma after an address that became longer, unless one begins there or the line is short."""
    column = len(out) - (out.rfind("\n") + 1) + comma + 1 - done
    if comma >= len(text.rstrip()) or column <= FOLD_COLUMN:
        return out, done
    after = comma + 1
    while text[after : after + 1] in (" ", "\t"):
        after += 1
    if after >= len(text) or text[after] == "\n":
        return out, done
    return f"{out}{text[done:after]}\n\t", after


def _rewritten(
    address: str, qualified: bool, flag: str, rules: Sequence[RewriteRule], routed: tuple[str, str] | None, scope: Scope
) -> _Result | None:
    """The address after qualification, widening and rules; None when it stays."""
    new = address
    if not qualified:
        domain = _qualifier(flag, scope)
        if not domain:
            return None
        new = concat([new, "@", domain])
    if routed is not None:
        local_part, domain = split_address(new)
        if lower(domain) == lower(routed[0]):
            new = concat([local_part, "@", routed[1]])
    result = _rewrite_one(new, flag, rules, scope) if rules else _Result(new, "")
    return None if result.address == address and not result.whole else result


def _qualifier(flag: str, scope: Scope) -> str:
    """The domain for unqualified addresses in this kind of header; "" when they stay. # Exim spec 31"""
    message, main = scope.message, scope.services.config.main
    if flag in "tcb":
        allowed = message is None or message.allow_unqualified_recipient
        return (main.qualify_recipient or main.qualify_domain or "") if allowed else ""
    allowed = message is None or message.allow_unqualified_sender
    return (main.qualify_domain or "") if allowed else ""


def rewrite_domain(header: Header, old: str, new: str, scope: Scope) -> Header | None:
    """The header line with `old` replaced by `new` as domain of its addresses, then the global rules (dnslookup's
    `widen_domains` and `rewrite_headers`, `self = reroute: rewrite:`); None when nothing changes."""
    return rewrite_header(header, scope, routed=(old, new))


# --- exim -brw ---------------------------------------------------------------------------------------------------------


def rewrite_test(text: str, scope: Scope) -> list[str]:
    """Lines of `exim -brw text`. # Exim spec 31.3"""
    main = scope.services.config.main
    if not scope.services.config.rewrite_rules:
        return ["No rewrite rules are defined"]
    changed = rewrite_smtp(text, scope, recipient=False)
    if changed != text:
        bare = changed[1:-1] if changed[:1] == "<" and changed[-1:] == ">" else changed
        return [f"    SMTP: {bare}"]
    if "@" not in text:
        text = concat([text, "@", main.qualify_recipient or main.qualify_domain or ""])
    found = extract_address(text, AddressRules.of(main), allow_null=False)
    if not found.ok:
        return [f"Syntax error in {text}", found.error[:1].upper() + found.error[1:]]
    lines = []
    for name in ("sender", "from", "to", "cc", "bcc", "reply-to"):
        header = Header(f"{name}: {text}\n", header_type(name))
        new = rewrite_header(header, scope) or header
        lines.append(f"{name:>8}: {untaint(new.value).removeprefix(' ')}")
    for name, flag in (("env-from", "F"), ("env-to", "T")):
        address = rewrite_address(found.address, scope, flag)
        lines.append(f"{name:>8}: {address or '<>'}")
    return lines
