"""Real mail servers from Debian's packages, unpacked and not installed (two MTAs cannot be installed side by side)."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("ANGAROS_TEST_CACHE", "/var/cache/angaros-tests"))

LIBRARIES = (
    "libdb5.3", "libgnutls-dane0", "libidn12", "libldap-2.5-0", "libmariadb3", "libpcre2-8-0", "libperl5.36", "libpq5",
    "libsasl2-2", "libspf2-2", "libsqlite3-0", "libnsl2", "libpam0g", "libopendmarc2", "libicu72", "libssl3", "libevent-2.1-7",
)  # fmt: skip
"""Shared libraries (no MTA) that the unpacked servers need."""


class Missing(Exception):
    """`str()` names the package that is missing: the reason of a skip."""


def unpacked(*packages: str) -> Path:
    """Directory with the packages' files. Raises Missing when Debian's archive cannot be reached."""
    target = CACHE / "-".join(packages)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs may share the cache
        if not (target / ".complete").exists():
            _unpack(target, packages)
    return target


def _unpack(target: Path, packages: tuple[str, ...]) -> None:
    if shutil.which("apt-get") is None:
        raise Missing(f"Debian packages {' '.join(packages)}: no apt-get here")
    shutil.rmtree(target, ignore_errors=True)
    debs = target / ".debs"
    debs.mkdir(parents=True)
    fetched = subprocess.run(["apt-get", "download", "-qq", *packages], cwd=debs, capture_output=True, text=True, check=False)
    if fetched.returncode:
        raise Missing(f"Debian packages {' '.join(packages)}: {fetched.stderr.strip()[-200:]}")
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(deb), str(target)], check=True)
    (target / ".complete").touch()


def exim() -> Path:
    """Debian's exim4-daemon-heavy, exim4-base, exim4-config."""
    root = unpacked("exim4-daemon-heavy", "exim4-base", "exim4-config")
    _need_libraries(root / "usr/sbin/exim4")
    return root


def postfix() -> Path:
    """Debian's postfix."""
    root = unpacked("postfix")
    _need_libraries(root / "usr/lib/postfix/sbin/smtpd", str(root / "usr/lib/postfix"))
    return root


def opensmtpd() -> Path:
    """Debian's opensmtpd."""
    root = unpacked("opensmtpd")
    _need_libraries(root / "usr/sbin/smtpd")
    return root


def fetch() -> str:
    """Unpack everything that the peer tests use, while there is a network; what is missing, or nothing."""
    try:
        exim()
        postfix()
        opensmtpd()
    except Missing as missing:
        return str(missing)
    return ""


def _need_libraries(program: Path, path: str = "") -> None:
    listed = subprocess.run(
        ["ldd", str(program)], capture_output=True, text=True, check=False, env={**os.environ, "LD_LIBRARY_PATH": path}
    )
    missing = [line.split()[0] for line in listed.stdout.splitlines() if "not found" in line]
    if missing:
        raise Missing(f"shared libraries of Debian's {program.name}: {' '.join(missing)} (packages: {' '.join(LIBRARIES)})")


if __name__ == "__main__":  # .ci/run: fetch everything before the tests
    raise SystemExit(fetch())
