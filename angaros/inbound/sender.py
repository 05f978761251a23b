"""Who is the sender of a local message. Exim spec 5.2 (trusted users), 5.3 (-f), 14 (untrusted_set_sender)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.mime.addresses import AddressRules, extract_address, quote_local_part
from angaros.model.errors import ListDefer
from angaros.model.text import concat

if TYPE_CHECKING:
    from angaros.inbound.options import Submission
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope


def own_address(services: Services, submission: Submission) -> str:
    """The caller's login, qualified."""
    return concat([quote_local_part(submission.caller.login), "@", services.config.main.qualify_domain or ""])


def may_set_sender(address: str, submission: Submission, scope: Scope, *, smtp: bool = False) -> bool:
    """Whether the caller may have `address` as the envelope sender. Anyone may be nobody with -f, but not with MAIL."""
    if submission.caller.trusted or (not address and not smtp):
        return True
    allowed = scope.services.config.main.untrusted_set_sender
    if allowed is None:
        return False
    try:
        return bool(scope.services.lists.match_address(address, allowed, scope, option="untrusted_set_sender"))
    except ListDefer:
        return False


def parse_sender(text: str, services: Services) -> tuple[str, str]:
    """Address of -f (qualified), and an error. `""` and `<>` are the empty sender."""
    stripped = text.strip()
    if stripped in ("", "<>"):
        return "", ""
    main = services.config.main
    rules = AddressRules.of(main)
    found = extract_address(text, rules)
    if found.error:
        if not rules.strip_trailing_dot and text.rstrip(" >").endswith("."):
            trimmed = extract_address(text.rstrip(" >").rstrip("."), rules)
            if trimmed.ok:
                return "", f'bad -f address "{text}": domain is malformed (trailing dot not allowed)'
        return "", f'bad -f address "{text}": {found.error}'
    if "[" in found.address and not main.allow_domain_literals and found.address.endswith("]"):
        return "", f'bad -f address "{text}": domain literals not allowed'
    if not found.domain and found.address:
        return concat([found.address, "@", main.qualify_domain or ""]), ""
    return found.address, ""
