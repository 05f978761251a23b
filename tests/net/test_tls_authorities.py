"""`tls_verify_certificates` as a file, a directory, and what is neither; for the server and for the smtp transport.

Observed with Exim 4.96: a path that does not exist makes TLS unavailable, an empty or unreadable directory trusts nobody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from angaros.net import tls
from angaros.net.tls import ContextCache, TlsError, TlsHooks, TlsSettings
from tests.net.test_tls import Made, shake

NAME = "server1.example.com"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """As a user who may not read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def place(directory: Path, kind: str, made: Made) -> str:
    """What `tls_verify_certificates` names."""
    path = directory / kind.replace(" ", "-")
    if "directory" in kind:
        path.mkdir()
        if kind == "hashed directory":
            shutil.copy(made.cafile, path / "ca.pem")
            subprocess.run(["openssl", "rehash", str(path)], check=True, stderr=subprocess.DEVNULL)
        elif kind == "directory without hashes":
            shutil.copy(made.cafile, path / "ca.pem")
    elif kind != "missing":
        path.write_bytes({"file": Path(made.cafile).read_bytes(), "rubbish": b"hello\n"}.get(kind, b""))
    if kind == "unreadable file":
        path.write_bytes(b"x")
    if "unreadable" in kind:
        path.chmod(0)
    return str(path)


TRUSTS = [
    ("file", True),
    ("hashed directory", True),
    ("directory without hashes", False),
    ("empty directory", False),
    ("unreadable directory", False),
    ("empty file", False),
]


@pytest.mark.parametrize("verify", ["require", "try"])
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(("kind", "trusted"), TRUSTS)
def test_who_is_trusted(tmp_path: Path, made: Made, kind: str, trusted: bool, side: str, verify: str) -> None:
    if "hashed" in kind and shutil.which("openssl") is None:
        pytest.skip("Debian package openssl is missing")
    judge = TlsSettings(side == "server", verify=verify, authorities=place(tmp_path, kind, made))
    if side == "server":
        server = TlsSettings(True, (made.chain,), (made.keyfile,), verify=verify, authorities=judge.authorities)
        client = TlsSettings(False, (made.chain,), (made.keyfile,), options=("+no_tlsv1_3",))
    else:
        server, client = made.server, judge
    hooks = TlsHooks(check_names=(NAME,)) if side == "client" else None
    if trusted or verify == "try":
        ends = shake(server, client, hooks)
        assert ends[side == "client"].facts().certificate_verified == trusted
        return
    with pytest.raises(TlsError, match="certificate verify failed") as caught:
        shake(server, client, hooks)
    assert caught.value.problems[0].startswith("SSL verify error: depth=")


WRONG = [
    ("missing", "(tls_verify_certificates): failed to stat {path} for certificates: No such file or directory"),
    ("unreadable file", "(SSL_CTX_load_verify_locations): error:8000000D:system library::Permission denied"),
    ("rubbish", "(SSL_CTX_load_verify_locations): error:05800088:x509 certificate routines::no certificate or crl found"),
]


@pytest.mark.parametrize("verify", ["require", "try"])
@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize(("kind", "text"), WRONG)
def test_what_cannot_be_used(
    tmp_path: Path, made: Made, kind: str, text: str, server: bool, verify: str, request: pytest.FixtureRequest
) -> None:
    path = place(tmp_path, kind, made)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    if kind == "unreadable file":
        request.getfixturevalue("unprivileged")
    with pytest.raises(TlsError) as caught:
        ContextCache().context(TlsSettings(server, verify=verify, authorities=path), time.time())
    assert str(caught.value) == text.format(path=path)


def test_a_path_under_a_directory_that_may_not_be_searched(tmp_path: Path, made: Made, unprivileged: None) -> None:
    os.seteuid(os.getuid())
    path = Path(place(tmp_path, "unreadable directory", made))
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    if os.getuid() == 0:
        os.seteuid(65534)
    with pytest.raises(TlsError, match=r"failed to stat .* for certificates: Permission denied"):
        ContextCache().context(TlsSettings(False, verify="try", authorities=f"{path}/ca.pem"), time.time())


def test_what_is_not_asked_for_is_not_looked_at() -> None:
    ContextCache().context(TlsSettings(False, authorities="/no/such/path"), time.time())


# --- Files that change under a running server ----------------------------------------------------------------------------


def touch(path: Path) -> None:
    """A later time stamp, whatever the clock's grain."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


@pytest.mark.parametrize("what", ["certificate", "key", "authorities", "directory", "crl", "dhparam", "system"])
def test_a_changed_file_makes_a_new_context(tmp_path: Path, made: Made, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, names = ContextCache(), {"certificate": made.chain, "key": made.keyfile, "authorities": made.cafile}
    files = {name: tmp_path / name for name in (*names, "dhparam", "system")}
    for name, path in files.items():
        path.write_bytes(Path(names[name]).read_bytes() if name in names else b"")
    (tmp_path / "directory").mkdir()
    (tmp_path / "crl").mkdir()
    monkeypatch.setattr(tls, "SYSTEM", (str(files["system"]),))
    trusted = str(tmp_path / "directory") if what == "directory" else str(files["authorities"])
    settings = TlsSettings(
        True, (str(files["certificate"]),), (str(files["key"]),), verify="try", authorities=trusted, crl=str(tmp_path / "crl")
    )
    monkeypatch.setattr("angaros.net.tls_context._set_key_exchange", lambda *_: None)
    settings = TlsSettings(**{**{f: getattr(settings, f) for f in settings.__slots__}, "dhparam": str(files["dhparam"])})
    first = cache.context(settings, time.time())
    assert cache.context(settings, time.time()) is first
    touch(tmp_path / what)
    second = cache.context(settings, time.time())
    assert second is not first and cache.context(settings, time.time()) is second


def test_a_server_goes_on_with_its_new_certificate(tmp_path: Path, made: Made) -> None:
    """As certbot and the like do it: a new file in the place of the old one."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    directory = tmp_path / "new"
    directory.mkdir()
    new = Made(directory)
    for target, one in ((chain, made.chain), (key, made.keyfile)):
        shutil.copy(one, target)
    server = TlsSettings(True, (str(chain),), (str(key),))
    client = TlsSettings(False, verify="require", authorities=new.cafile)
    with pytest.raises(TlsError):
        shake(server, client)
    for target, one in ((chain, new.chain), (key, new.keyfile)):
        os.replace(shutil.copy(one, f"{target}.new"), target)
    assert shake(server, client)[1].facts().certificate_verified


def test_a_directory_that_gets_and_loses_an_authority(tmp_path: Path, made: Made) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("Debian package openssl is missing")
    path = Path(place(tmp_path, "empty directory", made))
    client = TlsSettings(False, verify="try", authorities=str(path))
    assert not shake(made.server, client)[1].facts().certificate_verified
    shutil.copy(made.cafile, path / "ca.pem")
    subprocess.run(["openssl", "rehash", str(path)], check=True)
    touch(path)
    assert shake(made.server, client)[1].facts().certificate_verified
    for entry in path.iterdir():
        entry.unlink()
    touch(path)
    assert not shake(made.server, client)[1].facts().certificate_verified
