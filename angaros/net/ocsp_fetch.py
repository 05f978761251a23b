"""Fresh OCSP responses to staple, from the responder that a certificate names (`tls_ocsp_fetch`; RFC 6960, RFC 5280 4.2.2.1).

Laws:
- A session never waits: it staples what lies in the spool (`ocsp/`, a file for each certificate) or nothing.
- Only a good response is stored: signed by the issuer or its delegate, for this certificate, in time, not revoked.
- A response is renewed at half of its life; after a failure with a growing pause. One process does it, however many there are.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from angaros.net import http, ocsp

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from angaros.model.interfaces import Services

DATABASE = "ocsp"
CHECK_INTERVAL = 60.0
"""Seconds between looks at what is due."""
FETCH_SECONDS = 30.0
MAX_RESPONSE = 65536
"""Octets; real ones have some 500 to 2500."""
LEASE = 4 * FETCH_SECONDS
"""Seconds for which a process that fetches keeps the others off."""
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 6 * 3600.0
"""Seconds after the first failure (doubled by each further one), and at most."""
SHORTEST_LIFE = 300.0
"""Seconds that a response is left alone, however short its life: the responder is not ours."""
NO_NEXT_UPDATE = 12 * 3600.0
"""Seconds after which a response that names no end is renewed."""
FILE_MODE, DIRECTORY_MODE = 0o640, 0o750


class FetchError(Exception):
    """No good response; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A certificate file as it is now."""

    path: str
    stamp: tuple[int, ...]
    fingerprint: str = ""
    leaf: Certificate | None = None
    issuer: Certificate | None = None
    url: str = ""
    """The responder; "" where there is nothing to ask."""


class OcspFetcher:
    """The certificates of this process and their responses. In `services.extra["ocsp_fetch"]`."""

    def __init__(self, services: Services, directory: str) -> None:
        self._services = services
        self._directory = directory
        self._watched: dict[str, Watched] = {}

    def files(self, certificates: tuple[str, ...]) -> tuple[str, ...]:
        """For `TlsSettings.ocsp_files`: where the response for each certificate is, or will be."""
        return tuple(f"DER {self._file(self._look(path))}" for path in certificates)

    def _file(self, watched: Watched) -> str:
        return f"{self._directory}/{watched.fingerprint or 'none'}.der"

    def _look(self, path: str) -> Watched:
        """The certificate; read again when the file has changed."""
        try:
            status = os.stat(path)
            stamp: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            stamp = ()
        known = self._watched.get(path)
        if known is None or known.stamp != stamp:
            known = self._watched[path] = _read(path, stamp)
        return known

    def refresh_due(self) -> int:
        """Fetch what is due; how many responses came."""
        return sum(self._refresh(watched) for watched in [self._look(path) for path in list(self._watched)] if watched.url)

    def _refresh(self, watched: Watched) -> int:
        services, now = self._services, self._services.clock.now()
        tries = self._claim(watched.fingerprint, now)
        if tries is None:
            return 0
        try:
            response = fetch(watched, services)
            following, tries = _renewal(response, now), 0
            self._store(watched, response)
        except (FetchError, OSError) as error:
            following = now + min(FIRST_PAUSE * 2 ** min(tries, 16), LONGEST_PAUSE)
            tries += 1
            services.log.write(f"OCSP: no response for {watched.path} from {watched.url}: {error}")
        services.hints.put(DATABASE, watched.fingerprint, {"next": following, "tries": tries, "path": watched.path})
        return int(not tries)

    def _claim(self, fingerprint: str, now: float) -> int | None:
        """Failures so far, if it is due and ours; else None."""
        mine: list[int] = []
        there = os.path.exists(f"{self._directory}/{fingerprint}.der")

        def change(known: dict[str, Any] | None) -> dict[str, Any]:
            known = known or {"next": 0.0, "tries": 0}
            lost = not there and not known["tries"] and not known.get("leased")
            if known["next"] > now and not lost:
                return known
            mine.append(known["tries"])
            return {**known, "next": now + LEASE, "leased": True}

        self._services.hints.update(DATABASE, fingerprint, change)
        return mine[0] if mine else None

    def _store(self, watched: Watched, response: bytes) -> None:
        """Whole or not at all: readers see the old one or the new one."""
        os.makedirs(self._directory, DIRECTORY_MODE, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=self._directory)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(response)
                os.fchmod(file.fileno(), FILE_MODE)
            os.replace(name, self._file(watched))
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def fetcher_of(services: Services) -> OcspFetcher:
    """The one of this process."""
    found = services.extra.get("ocsp_fetch")
    if found is None:
        spool = services.config.main.spool_directory or services.site.spool_directory
        found = services.extra["ocsp_fetch"] = OcspFetcher(services, f"{spool}/ocsp")
    return found


def _read(path: str, stamp: tuple[int, ...]) -> Watched:
    """Certificate, issuer and responder; without `url` where one of them is missing."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID as Access

    try:
        with open(path, "rb") as file:
            chain = x509.load_pem_x509_certificates(file.read())
        leaf = chain[0]
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (OSError, ValueError, IndexError, x509.ExtensionNotFound):
        return Watched(path, stamp)
    urls = [str(one.access_location.value) for one in access if one.access_method == Access.OCSP]
    issuer = next((one for one in chain[1:] if one.subject == leaf.issuer), None)
    url = next((one for one in urls if one.startswith(("http://", "https://"))), "") if issuer is not None else ""
    return Watched(path, stamp, hashlib.sha256(leaf.public_bytes(_der())).hexdigest(), leaf, issuer, url)


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def fetch(watched: Watched, services: Services) -> bytes:
    """Ask the responder (RFC 6960 A.1). Raises `FetchError`."""
    from cryptography.hazmat.primitives.hashes import SHA1  # only names the issuer; all responders know it
    from cryptography.x509 import ocsp as x509_ocsp

    assert watched.leaf is not None and watched.issuer is not None
    question = x509_ocsp.OCSPRequestBuilder().add_certificate(watched.leaf, watched.issuer, SHA1()).build()
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    request = http.Request(watched.url, FETCH_SECONDS, MAX_RESPONSE, question.public_bytes(_der()), headers)
    try:
        answer = http.fetch(request, services)
    except http.HttpError as error:
        raise FetchError(str(error)) from None
    if answer.status != 200:
        raise FetchError(f"HTTP status {answer.status}")
    now = datetime.fromtimestamp(services.clock.now(), UTC)
    outcome, why, note = ocsp.check(answer.body, (watched.leaf, watched.issuer), check_dates=True, now=now)
    if outcome != ocsp.VERIFIED:
        raise FetchError(note or why)
    return answer.body


def _renewal(response: bytes, now: float) -> float:
    """When to fetch the next one: half-way to its end."""
    from cryptography.x509 import ocsp as x509_ocsp

    found = x509_ocsp.load_der_ocsp_response(response)
    if found.next_update_utc is None:
        return now + NO_NEXT_UPDATE
    return max(now + SHORTEST_LIFE, (found.this_update_utc.timestamp() + found.next_update_utc.timestamp()) / 2)


def keep_fresh(services: Services) -> None:
    """For ever: look at what is due. Certificates that depend on the client are known when a client has asked for them."""
    from angaros.model.errors import AngarosError
    from angaros.model.scope import Scope
    from angaros.net.tls_config import server_settings

    while True:
        with suppress(AngarosError):  # who connects will see it
            server_settings(Scope(services))
        fetcher_of(services).refresh_due()
        services.waiter.sleep(CHECK_INTERVAL)
