"""The argument of `verify`: type, address, options. Exim spec 44.26, 44.45, 44.47, 44.49."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from angaros.config.values import parse_time
from angaros.lists.parse import split_list
from angaros.model.verify import PLAIN, CalloutOptions, QuotaOptions, VerifyOptions

if TYPE_CHECKING:
    from angaros.acl.frame import Frame


class BadVerify(Exception):
    """The argument is wrong; `str()` is the text for the log."""


@dataclass(frozen=True, slots=True)
class Type:
    """One thing that can be verified."""

    name: str
    allowed: frozenset[str] | None = None
    """None: anywhere."""
    options: str = ""
    """"" none at all, `address`: those of address verification; else the words that are known; `*`: anything."""


_RECEIVED = frozenset(("data", "prdr", "notsmtp", "mime", "dkim"))
_SENDER = frozenset(("rcpt", "mail", "predata", "mime", "dkim", "data", "prdr", "notsmtp"))

TYPES: dict[str, Type] = {
    row.name: row
    for row in (
        Type("arc", frozenset(("data", "prdr", "notsmtp")), "*"),
        Type("certificate"),
        Type("csa", options="*"),
        Type("header_names_ascii", _RECEIVED),
        Type("header_sender", _RECEIVED, "address"),
        Type("header_syntax", _RECEIVED),
        Type("helo"),
        Type("not_blind", _RECEIVED, "case_insensitive"),
        Type("recipient", frozenset(("rcpt",)), "address"),
        Type("reverse_host_lookup", options="defer_ok"),
        Type("sender", _SENDER, "address"),
    )
}


@dataclass(frozen=True, slots=True)
class Request:
    """What to verify."""

    type: Type
    address: str | None = None
    """Of `sender=<address>`."""
    words: tuple[str, ...] = ()
    """Options as written (types other than address verification)."""
    options: VerifyOptions = PLAIN


def parse(frame: Frame, argument: str) -> Request:
    """Raises `BadVerify`."""
    words = [word.strip() for word in split_list(argument, "/")]
    first = words[0] if words else ""
    address: str | None = None
    name = first.lower()
    if name.partition("=")[0].rstrip() == "sender" and "=" in name:
        address = first.partition("=")[2].strip()
        name = "sender"
    kind = TYPES.get(str(name))
    if kind is None:
        raise BadVerify(
            'expected "sender[=address]", "recipient", "helo", "header_syntax", "header_sender", "header_names_ascii" '
            f'or "reverse_host_lookup" at start of ACL condition "verify {argument}"'
        )
    if not kind.options and "/" in argument:
        raise BadVerify(f"unexpected '/' found in \"{argument}\" (this verify item has no options)")
    if kind.allowed is not None and frame.where not in kind.allowed:
        raise BadVerify(f"cannot verify {kind.name} in ACL for {frame.point}")
    rest = tuple(words[1:])
    if kind.options == "address":
        return Request(kind, address, (), _address_options(kind.name, rest, argument))
    for word in rest:
        if kind.options != "*" and word.lower() != kind.options:
            raise BadVerify(f'unknown option "{word}" in ACL condition "verify {argument}"')
    return Request(kind, None, rest)


def _address_options(name: str, words: tuple[str, ...], argument: str) -> VerifyOptions:
    options = PLAIN
    for word in words:
        lowered = word.lower()
        callout = options.callout or CalloutOptions()
        if lowered == "defer_ok":
            options = replace(options, defer_ok=True)
        elif lowered == "no_details":
            options = replace(options, no_details=True)
        elif lowered == "success_on_redirect":
            options = replace(options, success_on_redirect=True)
        elif lowered == "callout_defer_ok":
            options = replace(options, callout=replace(callout, defer_ok=True))
        elif lowered == "check_postmaster":
            options = replace(options, callout=replace(callout, postmaster=""))
        elif lowered == "callout" or lowered.startswith("callout="):
            options = replace(options, callout=_callout(callout, name, word[8:], argument))
        elif lowered == "quota" or lowered.startswith("quota="):
            options = replace(options, quota=_quota(word[6:], argument))
        elif word:
            raise BadVerify(f'unknown option "{word}" in ACL condition "verify {argument}"')
    _check(options, name)
    return options


def _check(options: VerifyOptions, name: str) -> None:
    callout = options.callout
    if callout is not None and name != "recipient" and (callout.use_sender or callout.use_postmaster):
        raise BadVerify("use_sender or use_postmaster cannot be used for a sender verify callout")
    if options.quota is not None:
        if name != "recipient":
            raise BadVerify("can only verify quota of recipient")
        if callout is not None:
            raise BadVerify("cannot verify quota and do callout")


_FLAGS = {
    "defer_ok": "defer_ok",
    "fullpostmaster": "fullpostmaster",
    "hold": "hold",
    "no_cache": "no_cache",
    "random": "random",
    "use_postmaster": "use_postmaster",
    "use_sender": "use_sender",
    "use_tptsender": "use_transport_sender",
}
_VALUES = ("connect", "mailfrom", "maxwait", "postmaster_mailfrom")


def _callout(callout: CalloutOptions, name: str, text: str, argument: str) -> CalloutOptions:
    for word in split_list(text, ","):
        key, equals, value = (part.strip() for part in word.partition("="))
        lowered = key.lower()
        if lowered in _FLAGS and not equals:
            flags: dict[str, Any] = {_FLAGS[lowered]: True}
            if lowered == "fullpostmaster":
                flags["postmaster"] = callout.postmaster or ""
            callout = replace(callout, **flags)
        elif lowered == "postmaster" and not equals:
            callout = replace(callout, postmaster="")
        elif lowered in _VALUES:
            if lowered == "mailfrom" and name != "header_sender":
                raise BadVerify(
                    '"mailfrom" is allowed as a callout option only for verify=header_sender '
                    f'(detected in ACL condition "{argument}")'
                )
            if not equals:
                raise BadVerify(f'\'=\' expected after "{lowered}" in ACL verify condition "{argument}"')
            callout = _value(callout, lowered, value, argument)
        else:
            callout = replace(callout, timeout=_time(word, argument))
    return callout


def _value(callout: CalloutOptions, key: str, value: str, argument: str) -> CalloutOptions:
    if key == "connect":
        return replace(callout, connect=_time(value, argument))
    if key == "maxwait":
        return replace(callout, maxwait=_time(value, argument))
    if key == "mailfrom":
        return replace(callout, mailfrom=value)
    return replace(callout, postmaster=value)


def _quota(text: str, argument: str) -> QuotaOptions:
    quota = QuotaOptions()
    for word in split_list(text, ","):
        key, equals, value = (part.strip() for part in word.partition("="))
        lowered = key.lower()
        if lowered == "no_cache":
            quota = QuotaOptions(0, 0)
        elif lowered in ("cachepos", "cacheneg"):
            if not equals:
                raise BadVerify(f'\'=\' expected after "{lowered}" in ACL verify condition "{argument}"')
            seconds = _time(value, argument)
            quota = replace(quota, **{"positive" if lowered == "cachepos" else "negative": seconds})
        elif word:
            raise BadVerify(f'unknown option "{word}" in ACL condition "verify {argument}"')
    return quota


def _time(text: str, argument: str) -> int:
    seconds = parse_time(text) if text[-1:].isalpha() else -1
    if seconds < 0:
        raise BadVerify(f'bad time value in ACL condition "verify {argument}"')
    return seconds
