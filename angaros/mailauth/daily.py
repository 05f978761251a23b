"""What daily reports have in common: a day's counts in a hints database, who claims it, the mail with a packed attachment.

Law: a day is claimed before it is sent: of several processes one sends it, and a crash loses a report rather than repeats it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from angaros.mime.addresses import extract_address

if TYPE_CHECKING:
    from angaros.model.interfaces import Services
    from angaros.model.scope import Scope

DAY = 86400
MAX_REPORT = 10 << 20
"""Octets of one report mail: what hosts commonly take. The RFCs leave it to us."""
MAX_ROWS = 50_000
"""Rows of one report; more do not fit into MAX_REPORT anyway."""
CLAIM = "sent"
"""Key that has the last day that was sent."""
LINE = 76


def claim(services: Services, database: str, today: int) -> bool:
    """Whether the days before `today` are ours to send."""
    mine = False

    def change(known: dict[str, Any] | None) -> dict[str, Any]:
        nonlocal mine
        mine = known is None or known["day"] < today
        return {"day": today} if mine or known is None else known

    services.hints.update(database, CLAIM, change)
    return mine


def take(services: Services, database: str, today: int) -> dict[tuple[int, str], list[tuple[str, dict[str, Any]]]]:
    """(day, domain) -> (rest of the key, record) of the days before `today`, latest changed last; they leave the database. Keys
    are `day:domain:rest`."""
    groups: dict[tuple[int, str], list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for key, _, record in sorted(services.hints.items(database), key=lambda item: item[1]):
        number, _, rest = key.partition(":")
        if not rest or not number.isdigit() or int(number) >= today:
            continue
        domain, _, rest = rest.partition(":")
        rows = groups[int(number), domain]
        if len(rows) < MAX_ROWS:
            rows.append((rest, record))
        services.hints.delete(database, key)
    return groups


def author(scope: Scope, text: str | None) -> tuple[str, str]:
    """From: and the envelope sender; `text` is the option that says so."""
    main = scope.services.config.main
    if not text:
        return f"postmaster@{main.qualify_domain or main.primary_hostname}", ""
    shown = str(scope.expand(text))
    return shown, extract_address(shown).address


def organization(scope: Scope, text: str | None) -> str:
    """Our name; `text` is the option that says so."""
    return str(scope.expand(text)) if text else str(scope.services.config.main.primary_hostname)


def packed(text: str) -> bytes:
    """gzip. mtime: the same report is the same octets."""
    import gzip

    return gzip.compress(text.encode("utf-8"), mtime=0)


def mail(fields: Mapping[str, str], boundary: str, said: str, attachment: bytes, media_type: str, file_name: str) -> bytes:
    """The whole message, with LF line ends: header lines, some words, and the packed report."""
    import base64

    encoded = base64.b64encode(attachment)
    lines = b"\n".join(encoded[start : start + LINE] for start in range(0, len(encoded), LINE))
    head = "".join(f"{name}: {value}\n" for name, value in fields.items()) + (
        f"\n--{boundary}\nContent-Type: text/plain; charset=us-ascii\n\n{said}\n\n"
        f'--{boundary}\nContent-Type: {media_type}; name="{file_name}"\n'
        f'Content-Disposition: attachment; filename="{file_name}"\nContent-Transfer-Encoding: base64\n\n'
    )
    return head.encode("latin-1") + lines + f"\n\n--{boundary}--\n".encode("latin-1")
