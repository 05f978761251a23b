"""Operators about numbers, times, addresses, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand import ip
from angaros.expand.arithmetic import evaluate, evaluate_decimal, wrap
from angaros.expand.conditions.compare import integer
from angaros.expand.nodes import fail
from angaros.lists.parse import split_list
from angaros.model.text import like

if TYPE_CHECKING:
    from angaros.model.scope import Scope

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
MAX_UNSIGNED = (1 << 64) - 1


def do_eval(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (eval)"""
    return str(evaluate(text))


def do_eval10(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (eval10)"""
    return str(evaluate_decimal(text))


def _decimal(text: str, name: str) -> int:
    plain = str(text).lstrip(" \t\n\v\f\r")
    digits = plain[1:] if plain[:1] in ("-", "+") else plain
    if text and not (digits.isdigit() and digits.isascii()):
        raise fail(f'argument for {name} operator is "{text}", which is not a decimal number')
    value = min(int(digits[:24] or "0"), MAX_UNSIGNED)
    return -value & MAX_UNSIGNED if plain.startswith("-") and value < MAX_UNSIGNED else value


def _in_base(value: int, digits: str) -> str:
    out = ""
    while value:
        value, digit = divmod(value, len(digits))
        out = digits[digit] + out
    return out


def _from_base(text: str, digits: str, name: str, base: str) -> str:
    value = 0
    for ch in str(text):
        digit = digits.find(ch)
        if digit < 0:
            raise fail(f'argument for {name} operator is "{text}", which is not a base {base} number')
        value = value * len(digits) + digit & MAX_UNSIGNED
    return str(wrap(value))


def do_base32(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base32)"""
    return _in_base(_decimal(text, "base32"), _BASE32)


def do_base32d(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base32d)"""
    return _from_base(text, _BASE32, "base32d", "32")


def do_base62(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base62)"""
    return _in_base(_decimal(text, "base62"), _BASE62).rjust(6, "0")[-6:]


def do_base62d(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (base62d)"""
    return _from_base(text, _BASE62, "base62d", "36/62")


def interval(text: str) -> int | None:
    """Seconds of an Exim time interval, `1w2d3h4m5s`; None when it is none."""
    total, digits = 0, ""
    sizes = dict(_UNITS)
    for ch in str(text):
        if "0" <= ch <= "9":
            digits += ch
        elif ch in sizes and digits:
            total += int(digits[:20]) * sizes[ch]
            digits = ""
        else:
            return None
    return None if digits or not text else total


def do_time_eval(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (time_eval)"""
    seconds = interval(text)
    if seconds is None:
        raise fail(f'string "{text}" is not an Exim time interval in "time_eval" operator')
    return str(seconds)


def do_time_interval(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (time_interval)"""
    if text.strip("0123456789"):
        raise fail(f'string "{text}" is not a positive number in "time_interval" operator')
    left = min(int(text or "0") if len(text) < 25 else MAX_UNSIGNED, MAX_UNSIGNED)
    out = ""
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            out += f"{count}{unit}"
    return out or "0s"


def do_randint(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (randint)"""
    limit = integer(text)
    if limit < 0:
        raise fail(f'non-negative integer expected but "{text}" found')
    return str(scope.services.random.below(limit) if limit else 0)


# --- IP addresses ------------------------------------------------------------------------------------------------------


def do_mask(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (mask)"""
    plain = str(text)
    address, slash, bits = plain.partition("/")
    octets = ip.parse_ipv4(address) or ip.parse_ipv6(address)
    if octets is None or bits.strip("0123456789"):
        raise fail(f'"{text}" is not an IP address')
    if not slash:
        raise fail(f'missing mask value in "{text}"')
    width = int(bits[:6] or "0")
    if width > len(octets) * 8:
        raise fail(f'mask value too big in "{text}"')
    masked = ip.apply_mask(octets, width)
    if len(masked) == 4:
        shown = ".".join(str(octet) for octet in masked)
    else:
        shown = ip.short_ipv6(masked) if argument == "n" else ".".join(ip.groups(masked))
    return like(f"{shown}/{width}", text)


def _sixteen(text: str) -> bytes:
    octets = ip.packed(text)
    return octets if len(octets) == 16 else b"\0" * 10 + b"\xff\xff" + octets


def do_ipv6denorm(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (ipv6denorm)"""
    return like(":".join(ip.groups(_sixteen(text))), text)


def do_ipv6norm(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (ipv6norm)"""
    return like(ip.short_ipv6(_sixteen(text)), text)


def do_reverse_ip(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (reverse_ip)"""
    plain, slash, bits = str(text).partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):
        plain = ""
    octets = ip.parse_ipv4(plain) or ip.parse_ipv6(plain)
    if octets is None:
        raise fail(f"reverse_ip() not given an IP address [{text}]")
    if len(octets) == 4:
        return like(".".join(str(octet) for octet in reversed(octets)), text)
    return like(".".join(reversed(octets.hex())), text)


# --- Lists -------------------------------------------------------------------------------------------------------------


def do_listcount(text: str, argument: str, scope: Scope) -> str:
    """# Exim spec 11.6 (listcount)"""
    return str(len(split_list(text)))


_KINDS = {"a": ("address", "address"), "d": ("domain", "domain"), "h": ("host", "host"), "l": ("localpart", "localpart")}
MAX_NESTED_LISTS = 20
"""Named lists inside named lists."""


def do_listnamed(text: str, argument: str, scope: Scope) -> str:
    """The items of a named list, nested ones taken apart, as a colon-separated list. # Exim spec 11.6 (listnamed)"""
    name = str(text).removeprefix("+")
    kinds = [_KINDS[key] for key in "dhal"]
    if argument:
        if argument[0] not in _KINDS:
            raise fail('bad suffix on "list" operator')
        kinds = [_KINDS[argument[0]]]
    named = scope.services.config.named_lists
    for kind, _ in kinds:
        if name in named.get(kind, {}):
            return " : ".join(_named_items(named[kind], name, 0))
    raise fail(f'"{name}" is not a {kinds[0][1]} named list' if argument else f'"{name}" is not a named list')


def _named_items(lists: object, name: str, depth: int) -> list[str]:
    found: list[str] = []
    items = split_list(_text_of(lists[name]))  # type: ignore[index]
    for item in items:
        if item.startswith("+") and item[1:] in lists and depth < MAX_NESTED_LISTS:  # type: ignore[operator]
            found += _named_items(lists, item[1:], depth + 1)
        else:
            found.append(item.replace(":", "::"))
    return found


def _text_of(named: object) -> str:
    text = getattr(named, "text", named)
    return str(text)
