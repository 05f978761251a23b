"""The extensions of ours behind options: FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS. What EHLO offers, what MAIL asks for.

Laws:
- What was not offered in this session is an unknown parameter.
- A parameter is given once; what contradicts another is refused when all have been read (`contradiction`).
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from typing import TYPE_CHECKING

from angaros.logs.times import tod_iso_utc
from angaros.model.errors import ExpansionError, ListDefer
from angaros.model.extensions import BY_REJECT, HIGHEST, LOWEST

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.inbound.receive import Reception

WRONG = "5.5.4 "
"""Invalid command arguments. # RFC 3463 3.6"""

# --- What EHLO offers -----------------------------------------------------------------------------------------------------


def offer_futurerelease(c: Conversation) -> str:
    """The longest interval, and the latest time. # RFC 4865 3"""
    main = c.main
    c.advertised.futurerelease = main.futurerelease_advertise_hosts is not None and c.host_in("futurerelease_advertise_hosts")
    if not c.advertised.futurerelease:
        return ""
    longest = main.futurerelease_max
    return f"FUTURERELEASE {longest} {tod_iso_utc(c.services.clock.now() + longest)}"


def offer_deliverby(c: Conversation) -> str:
    """The shortest time that may be asked for with mode R. # RFC 2852 3"""
    c.advertised.deliverby = c.main.deliverby_advertise_hosts is not None and c.host_in("deliverby_advertise_hosts")
    if not c.advertised.deliverby:
        return ""
    return f"DELIVERBY {c.main.deliverby_min}" if c.main.deliverby_min > 0 else "DELIVERBY"


def offer_mt_priority(c: Conversation) -> str:
    """# RFC 6710 3"""
    c.advertised.mt_priority = c.main.mt_priority_advertise_hosts is not None and c.host_in("mt_priority_advertise_hosts")
    return "MT-PRIORITY" if c.advertised.mt_priority else ""


def offer_requiretls(c: Conversation) -> str:
    """Only over TLS. # RFC 8689 2"""
    wanted = c.session.tls is not None and c.main.requiretls_advertise_hosts is not None
    c.advertised.requiretls = wanted and c.host_in("requiretls_advertise_hosts")
    return "REQUIRETLS" if c.advertised.requiretls else ""


def offer_enhanced_status_codes(c: Conversation) -> str:
    """# RFC 2034 3"""
    option = "enhancedstatuscodes_advertise_hosts"
    c.advertised.enhanced = c.main.enhancedstatuscodes_advertise_hosts is not None and c.host_in(option)
    return "ENHANCEDSTATUSCODES" if c.advertised.enhanced else ""


# --- Parameters of MAIL ---------------------------------------------------------------------------------------------------

_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII | re.IGNORECASE
)
_BY = re.compile(r"([+-]?)(\d{1,9});([NR])(T?)", re.ASCII | re.IGNORECASE)
_PRIORITY = re.compile(r"0|-?[1-9]", re.ASCII)


def parse_date_time(text: str) -> int | None:
    """Seconds since the epoch of an Internet date and time. # RFC 3339 5.6"""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if year < 1970 or not (1 <= month <= 12 and hour < 24 and minute < 60 and second <= 60):
        return None
    if not 1 <= day <= monthrange(year, month)[1]:
        return None
    moment = timegm((year, month, day, hour, minute, second))
    if match[7]:
        offset = int(match[8]) * 3600 + int(match[9]) * 60
        moment += offset if match[7] == "-" else -offset
    return moment


def read_holdfor(c: Conversation, value: str | None) -> str:
    """# RFC 4865 4"""
    text = str(value or "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return f"{WRONG}invalid data for HOLDFOR"
    return _hold(c, int(c.services.clock.now()) + int(text))


def read_holduntil(c: Conversation, value: str | None) -> str:
    """# RFC 4865 4"""
    moment = parse_date_time(str(value or ""))
    return f"{WRONG}invalid data for HOLDUNTIL" if moment is None else _hold(c, moment)


def _hold(c: Conversation, moment: int) -> str:
    wanted = c.message.extend()
    if wanted.release:
        return f"{WRONG}HOLDFOR or HOLDUNTIL can be specified once only"
    longest = c.main.futurerelease_max
    if moment > c.services.clock.now() + longest:
        return f"{WRONG}a message can be held for {longest} seconds at most"
    wanted.release = moment
    return ""


def read_by(c: Conversation, value: str | None) -> str:
    """BY=seconds;mode. # RFC 2852 4"""
    match = _BY.fullmatch(str(value or ""))
    if match is None:
        return f"{WRONG}invalid data for BY"
    wanted = c.message.extend()
    if wanted.by_mode:
        return f"{WRONG}BY can be specified once only"
    seconds = int(match[2]) if match[1] != "-" else -int(match[2])
    mode = match[3].upper()
    if mode == BY_REJECT and seconds <= 0:
        return f"{WRONG}BY must be positive with R"
    if mode == BY_REJECT and seconds < c.main.deliverby_min:
        return f"{WRONG}BY must be at least {c.main.deliverby_min} with R"
    wanted.by, wanted.by_mode, wanted.by_trace = int(c.services.clock.now()) + seconds, mode, bool(match[4])
    return ""


def read_mt_priority(c: Conversation, value: str | None) -> str:
    """# RFC 6710 4"""
    text = str(value or "")
    if not _PRIORITY.fullmatch(text):
        return f"{WRONG}invalid data for MT-PRIORITY"
    wanted = c.message.extend()
    if wanted.priority is not None:
        return f"{WRONG}MT-PRIORITY can be specified once only"
    wanted.priority = int(text)
    return ""


def read_requiretls(c: Conversation, value: str | None) -> str:
    """# RFC 8689 2"""
    c.message.extend().requiretls = True
    return ""


def contradiction(c: Conversation) -> str:
    """Why the parameters do not go together; "" when they do."""
    wanted = c.message.extensions
    if wanted is not None and wanted.by_mode == BY_REJECT and 0 < wanted.by <= wanted.release:
        return f"{WRONG}the message would be held longer than BY allows"
    return ""


def cap_priority(c: Conversation) -> str:
    """Bring the priority down to what policy allows; the reply that says so, "" when nothing was changed. # RFC 6710 5.1"""
    wanted = c.message.extensions
    if wanted is None or wanted.priority is None:
        return ""
    text = c.main.mt_priority_max
    try:
        highest = int(c.scope.expand(text))
    except (ExpansionError, ValueError) as error:
        c.log.write(f'failed to expand mt_priority_max "{text}": {error}', panic=True)
        highest = 0
    if wanted.priority <= highest:
        return ""
    wanted.priority = max(highest, LOWEST)
    code = "2.3.6 " if c.advertised.enhanced else ""
    return f"{code}{wanted.priority} is the new priority assigned to the message"


# --- The header line MT-Priority ------------------------------------------------------------------------------------------


def take_priority_header(reception: Reception) -> None:
    """`MT-Priority:` of a trusted peer counts where MAIL said nothing; nobody's line goes further. # RFC 6758 3"""
    message = reception.message
    lines = message.headers_named("mt-priority")
    if not lines:
        return
    text = lines[0].value.strip()
    asked = message.extensions is not None and message.extensions.priority is not None
    if not asked and _PRIORITY.fullmatch(text) and _trusted(reception):
        message.extend().priority = min(int(text), HIGHEST)
    for line in lines:
        line.kind = "*"


def _trusted(reception: Reception) -> bool:
    """A host of the list; a local caller must be a trusted user besides (an empty item of the list is the local host)."""
    session, services = reception.message.session, reception.services
    if not session.sender_host_address and not reception.how.submission.caller.trusted:
        return False
    option = "mt_priority_header_hosts"
    try:
        return bool(services.lists.match_host(services.config.main.mt_priority_header_hosts, reception.scope, option=option))
    except ListDefer:
        return False
