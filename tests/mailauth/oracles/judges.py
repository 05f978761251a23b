"""Three verdicts on a message: whether its signature passes."""

from __future__ import annotations

from collections.abc import Sequence

from angaros.mailauth.dkim.verify import Limits, Verifier, Watcher
from tests.mailauth.oracles.corpus import NOW, Mail
from tests.mailauth.oracles.opendkim import OpenDkim


def ours(mail: Mail) -> bool:
    """Angaros, the body in pieces."""
    watcher = Watcher()
    verifier = Verifier(Limits(), watcher)
    verifier.header([line.decode("latin-1") for line in mail.headers])
    for at in range(0, len(mail.body), 61):
        watcher.body(mail.body[at : at + 61])
    digests = watcher.finish()

    def fetch(name: str) -> Sequence[str]:
        record = mail.records.get(name)
        return [] if record is None else [record.decode("latin-1")]

    for one in verifier.signatures:
        verifier.judge(one, digests, fetch)
    return any(one.status == "pass" for one in verifier.signatures)


def dkimpys(mail: Mail) -> bool:
    """dkimpy."""
    import dkim

    def fetch(name: bytes, timeout: int = 5) -> bytes | None:
        return mail.records.get(name.decode().rstrip("."))

    try:
        return bool(dkim.DKIM(mail.octets).verify(dnsfunc=fetch))
    except (dkim.DKIMException, ValueError):
        return False


class OpenDkims:
    """OpenDKIM's library."""

    def __init__(self) -> None:
        self.library = OpenDkim()
        self.library.set_time(NOW)

    def __call__(self, mail: Mail) -> bool:
        self.library.records = mail.records
        return self.library.verify(mail.headers, mail.body) == 0
