"""Each row of Exim's inventory of utilities and of hints databases: a check of what it does, or the reason why there is none.

Utilities are called by the names that the package installs, on data made here; what they agree on with Debian's is in
`test_against_debian` and `tests/peers/test_tools.py`.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from angaros.config.config import Config
from angaros.config.main_options import MainOptions
from angaros.daemon import process_info
from angaros.delivery import parallel
from angaros.hints import early, wait
from angaros.hints.db import HintsDb
from angaros.lookups.dbm import read_all
from angaros.tools import exinext, exiwhat
from tests.expand.test_tables import INVENTORY
from tests.tools.running import Result, run
from tests.tools.test_queue_tools import NEW, OLD, put

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
LOG = (
    f"2026-11-20 09:00:00 {OLD} <= alice@one.example U=alice P=local S=300\n"
    f"2026-11-20 09:00:01 {OLD} => bob <bob@two.example> R=r T=t\n"
    f"2026-11-20 09:00:01 {OLD} Completed\n"
    f"2026-11-20 10:00:00 {NEW} <= carol@one.example H=mx [192.0.2.1] P=esmtp S=700\n"
)
LISTING = (
    f"25m   300 {OLD} <alice@one.example>\n          bob@two.example\n\n"
    f" 3h  2.9K {NEW} <> *** frozen ***\n          c@two.example\n\n"
)


class Bench:
    """A directory with a spool, a log, hints; calls programs."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path, self.patch = path, patch
        self.log = path / "mainlog"
        self.log.write_text(LOG)
        put(path / "input", OLD, "alice@one.example", ["bob@two.example"], False)
        put(path / "input", NEW, "", ["c@two.example"], True)
        (path / "db").mkdir()
        self.hints = HintsDb(str(path / "db"), now=lambda: 1_700_000_000.0)
        patch.setenv("TZ", "UTC")
        self.exim = path / "exim"
        self.exim.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
        self.exim.chmod(0o755)

    def call(self, name: str, *arguments: object, stdin: str = "") -> Result:
        """A program by the name that is installed."""
        module, _, function = PROGRAMS[name].partition(":")
        return run(getattr(importlib.import_module(module), function), *map(str, arguments), stdin=stdin)

    def dump(self, database: str) -> list[str]:
        return self.call("exim_dumpdb", "-z", self.path, database).out.splitlines()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


# --- Utilities ----------------------------------------------------------------------------------------------------------


def _exiwhat(bench: Bench) -> None:
    config = Config(main=MainOptions(spool_directory=str(bench.path)))
    before = signal.getsignal(signal.SIGUSR1)
    process_info.answer(config, lambda: ["handling incoming connection from [192.0.2.1]"])
    try:
        bench.patch.setattr(exiwhat, "processes", lambda: [os.getpid()])
        bench.patch.setattr(exiwhat, "settings", lambda *_: {"spool_directory": str(bench.path)})
        bench.patch.setattr(exiwhat, "WAIT", 0)
        assert bench.call("exiwhat").out == f"{os.getpid():5d} handling incoming connection from [192.0.2.1]\n"
    finally:
        signal.signal(signal.SIGUSR1, before)


def _exiqgrep(bench: Bench) -> None:
    assert bench.call("exiqgrep", "-E", bench.exim, "-i", "-f", "alice").out == f"{OLD}\n"
    assert bench.call("exiqgrep", "-E", bench.exim, "-c", "-z").out == "1 matches out of 2 messages\n"


def _exiqsumm(bench: Bench) -> None:
    out = bench.call("exiqsumm", stdin=LISTING).out
    assert "    2    3269      3h     25m  two.example\n" in out
    assert "TOTAL" in out


def _exigrep(bench: Bench) -> None:
    out = bench.call("exigrep", "bob@two", bench.log).out
    assert out.count(OLD) == 3
    assert NEW not in out


def _exipick(bench: Bench) -> None:
    assert bench.call("exipick", "--spool", bench.path, "-i", "$sender_address eq alice@one.example").out == f"{OLD}\n"


def _exicyclog(bench: Bench) -> None:
    assert bench.call("exicyclog", "-k", "3", "-l", f"{bench.path}/%slog").status == 0
    assert (bench.path / "mainlog.01").read_text() == LOG
    assert bench.log.read_text() == ""


def _eximstats(bench: Bench) -> None:
    lines = [line.split() for line in bench.call("eximstats", bench.log).out.splitlines()]
    assert ["Received", "1000", "2", "2", "0", "0.0%", "0", "0.0%"] in lines
    assert ["Delivered", "300", "1", "1", "1"] in lines


def _exim_checkaccess(bench: Bench) -> None:
    from angaros.tools import checkaccess

    session = "220 hi\\n250 hello\\n250 OK\\n550 not here\\n221 bye\\n"
    bench.exim.write_text(f"#!/bin/sh\ncat >/dev/null\nprintf '{session}'\n")
    bench.patch.setattr(checkaccess, "exim_path", lambda: str(bench.exim))
    result = bench.call("exim_checkaccess", "192.0.2.1", "bob@two.example")
    assert (result.status, result.out) == (1, "Rejected:\n550 not here\n")


def _exim_dbmbuild(bench: Bench) -> None:
    (bench.path / "aliases").write_text("postmaster: root\nnobody: /dev/null\n")
    assert bench.call("exim_dbmbuild", bench.path / "aliases", bench.path / "aliases.db").status == 0
    found = {key.rstrip("\0"): value.rstrip("\0") for key, value in read_all(str(bench.path / "aliases.db"))}
    assert found == {"postmaster": "root", "nobody": "/dev/null"}


RETRY = {"basic_errno": 111, "more_errno": 65, "text": "Connection refused", "first_failed": 0, "last_try": 60, "next_try": 120}


def _exinext(bench: Bench) -> None:
    bench.hints.put("retry", "T:mx.two.example:192.0.2.1", RETRY)
    bench.patch.setattr(exinext, "settings", lambda *_: {"spool_directory": str(bench.path)})
    route = "User@two.example\n  router = r, transport = t\n  host mx.two.example [192.0.2.1]\n"
    bench.patch.setattr(exinext, "call_exim", lambda *_: (0, route, ""))
    out = bench.call("exinext", "two.example").out
    assert out.startswith("Transport: mx.two.example [192.0.2.1] error 111: Connection refused\n  first failed: 01-Jan-1970 ")


def _exim_dumpdb(bench: Bench) -> None:
    bench.hints.put("retry", "T:mx:192.0.2.1", {**RETRY, "expired": True})
    first, second = bench.dump("retry")
    assert first == "  T:mx:192.0.2.1 111 65 Connection refused"
    assert second == "01-Jan-1970 00:00:00  01-Jan-1970 00:01:00  01-Jan-1970 00:02:00 *"
    assert bench.call("exim_dumpdb", bench.path, "callout").status == 1


def _exim_tidydb(bench: Bench) -> None:
    bench.hints.put("retry", "T:mx:192.0.2.1", RETRY)  # of 2023
    bench.hints.put("wait-smtp", "mx", {"ids": [OLD, "1vAzzz-000abc-Z1"]})
    assert "deleted T:mx:192.0.2.1 (too old)" in bench.call("exim_tidydb", bench.path, "retry").out
    assert bench.dump("retry") == []
    bench.call("exim_tidydb", "-t", "100000d", bench.path, "wait-smtp")
    assert bench.dump("wait-smtp") == [f"mx {OLD} "]


def _exim_fixdb(bench: Bench) -> None:
    bench.hints.put("retry", "T:mx:192.0.2.1", RETRY)
    bench.patch.setattr("sys.stdout", io.StringIO())
    bench.call("exim_fixdb", bench.path, "retry", stdin="T:mx:192.0.2.1\n0 110\n5 yes\nq\n")
    record = bench.hints.get("retry", "T:mx:192.0.2.1")
    assert record is not None
    assert (record["basic_errno"], record["expired"], record["text"]) == (110, True, "Connection refused")


def _exim_lock(bench: Bench) -> None:
    box, seen = bench.path / "box", bench.path / "seen"
    box.touch()
    assert bench.call("exim_lock", "-q", box, f"ls {bench.path} > {seen}").status == 0
    assert "box.lock" in seen.read_text().split()
    assert not (bench.path / "box.lock").exists()


def _exim_msgdate(bench: Bench) -> None:
    assert bench.call("exim_msgdate", "-u", "1vAaaa-00000000abd-0Zz9").out == "1760907916.138331\n"


def _exim_id_update(bench: Bench) -> None:
    assert bench.call("exim_id_update", "-d", bench.path / "input").status == 0
    assert all(len(path.name) == 18 for path in (bench.path / "input").glob("*-H"))


UTILITIES: dict[str, Callable[[Bench], None]] = {
    "exiwhat": _exiwhat, "exiqgrep": _exiqgrep, "exiqsumm": _exiqsumm, "exigrep": _exigrep, "exipick": _exipick,
    "exicyclog": _exicyclog, "eximstats": _eximstats, "exim_checkaccess": _exim_checkaccess, "exim_dbmbuild": _exim_dbmbuild,
    "exinext": _exinext, "exim_dumpdb": _exim_dumpdb, "exim_tidydb": _exim_tidydb, "exim_fixdb": _exim_fixdb,
    "exim_lock": _exim_lock, "exim_msgdate": _exim_msgdate, "exim_id_update": _exim_id_update,
}  # fmt: skip
OLD_CONFIGURATION = "not built: converts the configuration of Exim 2 and 3, which nobody has run for twenty years"
OTHER = "not built: a helper of Exim's source tree that no package installs; it needs nothing of the server that is not there"
NOT_BUILT = {
    "eximon": "not built: needs X11; `exiwhat`, `exiqgrep`, the log and the metrics tell what it shows",
    "convert4r3": OLD_CONFIGURATION,
    "convert4r4": OLD_CONFIGURATION,
    "transport-filter.pl": OTHER, "mailtest": OTHER, "cramtest.pl": OTHER, "mkcdb.pl": OTHER, "ocsp_fetch.pl": OTHER,
    "ratelimit.pl": OTHER, "logargs.sh": OTHER, "proxy_protocol_client.pl": OTHER, "unknownuser.sh": OTHER,
    "renew-opendmarc-tlds.sh": OTHER, "gen_pkcs3.c": OTHER, "chunking_fixqueue_finalnewlines.pl": OTHER,
}  # fmt: skip


@pytest.mark.parametrize("name", UTILITIES)
def test_utility(bench: Bench, name: str) -> None:
    UTILITIES[name](bench)


def test_what_is_not_built_is_not_installed() -> None:
    assert not set(NOT_BUILT) & set(PROGRAMS)


# --- Hints --------------------------------------------------------------------------------------------------------------


class Services:
    """As much of them as the writers of hints ask for."""

    def __init__(self, bench: Bench) -> None:
        self.hints = bench.hints
        self.clock: Any = self

    def now(self) -> float:
        return 1_700_000_000.0


WHEN = "14-Nov-2023 22:13:20"


def _retry(bench: Bench) -> None:
    for key in ("T:bob@two.example", f"T:mx:192.0.2.1:26:{OLD}", "R:two.example"):
        bench.hints.put("retry", key, RETRY)
    assert [line.split()[0] for line in bench.dump("retry")[::2]] == [
        "R:two.example",
        "T:bob@two.example",
        f"T:mx:192.0.2.1:26:{OLD}",
    ]


def _wait(bench: Bench) -> None:
    wait.note_waiting(bench.hints, "smtp", ["mx.one", "mx.two"], OLD)
    wait.note_waiting(bench.hints, "smtp", ["mx.two"], NEW)
    assert bench.dump("wait-smtp") == [f"mx.one {OLD} ", f"mx.two {OLD} {NEW} "]
    assert wait.next_waiting(bench.hints, "smtp", "mx.two", OLD, lambda one: True)[0] == NEW


def _callout(bench: Bench) -> None:
    bench.hints.put("callout", "bob@two.example", {"result": 2, "time_stamp": 1_700_000_000.0})
    assert bench.dump("callout") == [f"{WHEN} bob@two.example callout=reject"]


def _ratelimit(bench: Bench) -> None:
    bench.hints.put("ratelimit", "1h/per_mail/192.0.2.1", {"rate": 2.5, "time_stamp": 1_700_000_000.0})
    assert bench.dump("ratelimit") == [f"{WHEN}.000000 rate:      2.500 key: 1h/per_mail/192.0.2.1"]


def _seen(bench: Bench) -> None:
    bench.hints.put("seen", "192.0.2.1", {"time_stamp": 1_700_000_000.0})
    assert bench.dump("seen") == [f"192.0.2.1\t{WHEN}"]


def _tls(bench: Bench) -> None:
    bench.hints.put("tls", "aa11", {"session": "00", "ocsp": 0, "verified": False, "time_stamp": 1_700_000_000.0})
    assert bench.dump("tls") == [f"aa11\t{WHEN}"]


def _misc(bench: Bench) -> None:
    services = Services(bench)
    assert parallel.enter(services, "tpt-serialize-smtp", 1)
    assert not parallel.enter(services, "tpt-serialize-smtp", 1), "one at a time"
    assert bench.dump("misc") == [f"{WHEN} tpt-serialize-smtp"]
    parallel.leave(services, "tpt-serialize-smtp")
    assert bench.dump("misc") == []
    key = early.early_key("192.0.2.1", 25)
    bench.hints.put("misc", key, {"time_stamp": 1_700_000_000.0})
    assert bench.dump("misc")[0] == f"{WHEN} {key}"


HINTS: dict[str, Callable[[Bench], None]] = {
    "retry": _retry, "wait-<transport>": _wait, "callout": _callout, "ratelimit": _ratelimit, "seen": _seen, "tls": _tls,
    "misc": _misc,
}  # fmt: skip


@pytest.mark.parametrize("name", HINTS)
def test_hints_database(bench: Bench, name: str) -> None:
    HINTS[name](bench)


# --- The inventory ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
@pytest.mark.parametrize(("file", "known"), [("utilities", {**UTILITIES, **NOT_BUILT}), ("hints_databases", HINTS)])
def test_no_row_is_without_a_check(file: str, known: dict[str, object]) -> None:
    assert INVENTORY is not None
    assert {row["name"] for row in json.loads((INVENTORY / f"{file}.json").read_text())} == set(known)
