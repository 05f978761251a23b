"""Selectors, paths, the writer, lines."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from angaros.logs.debug import Debug
from angaros.logs.lines import Arrival, Attempt, address_text, arrival_lines, defer_line, delivery_line, failure_line
from angaros.logs.paths import parse_log_file_path, undated
from angaros.logs.peer import sender_fullhost, sender_rcvhost
from angaros.logs.selectors import DEFAULT_SELECTORS, SELECTORS, parse_log_selector
from angaros.logs.sinks import LogFile, split_for_syslog
from angaros.logs.text import printing, quoted
from angaros.logs.times import duration, duration_precise, tod_log
from angaros.logs.writer import LogModes, LogSettings, LogWriter, bounded
from angaros.model.delivery import Delivery, DeliveryResult, Host
from angaros.model.errors import ConfigError
from angaros.model.message import Header, Message, Recipient
from angaros.model.session import Session


class Clock:
    def now(self) -> float:
        return 1_700_000_000.5

    def monotonic(self) -> float:
        return 0.0


def writer(tmp_path: Path, selectors: str = "", **settings: Any) -> LogWriter:
    path = parse_log_file_path(settings.pop("path", f"{tmp_path}/log/%slog"), "", str(tmp_path))
    chosen = parse_log_selector(selectors)
    return LogWriter(LogSettings(path, selectors=chosen, **settings), Clock(), modes=LogModes(stderr=False))


def lines(path: Path) -> list[str]:
    return [line[20:] for line in path.read_text("latin-1").splitlines()]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("+foo", "unknown log_selector setting: +foo"),
        ("+all -foo", "unknown log_selector setting: -foo"),
        ("subject", 'malformed log_selector setting: + or - expected but found "subject"'),
        ("+subject:-pid", 'malformed log_selector setting: + or - expected but found ":-pid"'),
        ("+ subject", "unknown log_selector setting: +"),
        ("=2 3", "malformed numeric log_selector setting: =2 3"),
    ],
)
def test_wrong_selectors(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_log_selector(text)
    assert str(caught.value) == error


def test_selectors() -> None:
    assert len(SELECTORS) == 62
    assert parse_log_selector("") == DEFAULT_SELECTORS
    assert parse_log_selector("-all+pid") == {"pid"}
    assert parse_log_selector("+all") == set(SELECTORS)
    assert "subject" in parse_log_selector(" +subject  -etrn ")


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("/var/spool/exim/log/%slog-%D", "/var/spool/exim/log/%slog"),
        ("/var/log/exim-%s-%D.log", "/var/log/exim-%s.log"),
        ("/var/spool/exim/log/%D-%slog", "/var/spool/exim/log/%slog"),
        ("/var/log/exim/%s.%M", "/var/log/exim/%s"),
    ],
)
def test_panic_log_has_no_date(template: str, result: str) -> None:
    assert undated(template) == result


@pytest.mark.parametrize(
    ("run_time", "built_in", "template", "syslog"),
    [
        (None, "", "/s/log/%slog", False),
        (None, "syslog", "", True),
        (None, ":syslog", "/s/log/%slog", True),
        (None, "syslog : /usr/log/exim_%s", "/usr/log/exim_%s", True),
        ("", "/usr/log/exim_%s", "/usr/log/exim_%s", False),
        (":syslog", "syslog:/usr/%s", "/usr/%s", True),
        ("/x/%s", "/usr/%s", "/x/%s", False),
    ],
)
def test_log_file_path(run_time: str | None, built_in: str, template: str, syslog: bool) -> None:
    path = parse_log_file_path(run_time, built_in, "/s")
    assert (path.template, path.syslog) == (template, syslog)


def test_dated_file_name() -> None:
    path = parse_log_file_path("/l/%slog-%D", "", "/s")
    assert path.file("main", 1_700_000_000.0) == "/l/mainlog-20231114"
    assert path.file("panic", 1_700_000_000.0) == "/l/paniclog"


def test_writer_and_rotation(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write("first", message_id="ID")
    os.rename(tmp_path / "log/mainlog", tmp_path / "log/old")
    log.write("second")
    log.write("no", selector="subject")
    log.write("both", panic=True)
    assert lines(tmp_path / "log/old") == ["ID first"]
    assert lines(tmp_path / "log/mainlog") == ["second", "both"]
    assert lines(tmp_path / "log/paniclog") == ["both"]


def test_reject_log(tmp_path: Path) -> None:
    log = writer(tmp_path, "+pid")
    message = Message(sender_address="x@y", recipients=[Recipient("a@b"), Recipient("c@d")])
    log.write("rejected", reject=True, headers=[Header("From: x@y\n", "F"), Header("X: y\n\tz\n")], envelope=message)
    assert (tmp_path / "log/rejectlog").read_text()[20:] == (
        f"[{os.getpid()}] rejected\nEnvelope-from: <x@y>\nEnvelope-to: <a@b>\n    <c@d>\nF From: x@y\n  X: y\n\tz\n"
    )
    assert lines(tmp_path / "log/mainlog") == [f"[{os.getpid()}] rejected"]


def test_unwritable_log_ends_the_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    log = writer(tmp_path, path=f"{tmp_path}/file/%s")
    log.modes.stderr = True
    log._syslog._to_stderr = True
    with pytest.raises(SystemExit):
        log.write("Start queue run")
    text = capsys.readouterr().err
    last = "exim: could not open panic log - aborting: see message(s) above"
    assert f"SYSLOG: '{last}'\n{last}\n" in text
    assert text.count("Cannot open main log file") == 3
    assert text.count("Start queue run") == 2


def test_syslog_split() -> None:
    assert split_for_syslog("short\n") == ["short"]
    assert split_for_syslog("x" * 1000 + "\nnext\n") == ["[1/3] " + "x" * 870, "[2\\3] " + "x" * 130, "[3/3] next"]


def test_durations() -> None:
    assert duration(0) == "0s"
    assert duration(694861) == "1w1d1h1m1s"
    assert duration_precise(0.3041, millisec=True) == "0.304s"
    assert duration_precise(65.2, millisec=True) == "1m5s"
    assert len(tod_log(1.25, with_zone=True, millisec=True)) == 29


def test_reject_details_are_bounded() -> None:
    assert bounded("line\n", "details\n") == "details\n"
    cut = bounded("line\n", "T To: x\n" * 2000)
    assert cut.endswith("\n*** truncated ***\n") and len(cut) < 8192


def test_printing() -> None:
    assert printing("a\n\x1b\xe9\tz") == "a\\n\\033\\351\tz"
    assert printing("\xe9", top_bit=True) == "\xe9"
    assert quoted('a"\\') == '"a\\"\\\\"'


@pytest.mark.parametrize(
    ("name", "helo", "full", "received"),
    [
        ("", "", "[1.2.3.4]", "[1.2.3.4]"),
        ("", "h", "(h) [1.2.3.4]", "[1.2.3.4] (helo=h)"),
        ("", "[1.2.3.4]", "([1.2.3.4]) [1.2.3.4]", "[1.2.3.4]"),
        ("", "[IPv4:1.2.3.4]", "([IPv4:1.2.3.4]) [1.2.3.4]", "[1.2.3.4]"),
        ("n", "[1.2.3.4]", "n [1.2.3.4]", "n ([1.2.3.4])"),
        ("", "[1.2.3.5]", "([1.2.3.5]) [1.2.3.4]", "[1.2.3.4] (helo=[1.2.3.5])"),
        ("n", "N", "n [1.2.3.4]", "n ([1.2.3.4])"),
        ("n", "h", "n (h) [1.2.3.4]", "n ([1.2.3.4] helo=h)"),
    ],
)
def test_peer(name: str, helo: str, full: str, received: str) -> None:
    session = Session(sender_host_address="1.2.3.4", sender_host_name=name, sender_helo_name=helo)
    assert sender_fullhost(session) == full
    assert sender_rcvhost(session) == received


def test_arrival(tmp_path: Path) -> None:
    session = Session(sender_host_address="1.2.3.4", sender_host_port=5, sender_helo_name="h", sender_ident="u", protocol="esmtp")
    message = Message(sender_address="s@t", session=session)
    facts = Arrival(186, message_id_header="a@b", subject='say "x"', recipients=["r@s"], chunking=True)
    line, received = arrival_lines(message, facts, writer(tmp_path))
    assert line == "<= s@t H=(h) [1.2.3.4] U=u P=esmtp K S=186 id=a@b"
    assert received == "Received from s@t H=(h) [1.2.3.4] U=u P=esmtp K S=186 id=a@b"
    line, _ = arrival_lines(message, facts, writer(tmp_path, "+incoming_port+subject+received_recipients+received_sender"))
    assert line == '<= s@t H=(h) [1.2.3.4]:5 U=u P=esmtp K S=186 id=a@b T="say \\"x\\"" from <s@t> for r@s'


def test_deliveries(tmp_path: Path) -> None:
    log = writer(tmp_path, "+outgoing_port")
    message = Message(sender_address="s@t")
    top = Delivery("a@b")
    local = Delivery("m@b", local_part="m", domain="b", parent=top, router="r", transport="t", extra={"log_local": True})
    assert delivery_line("=>", local, DeliveryResult("ok"), message, log) == "=> m <a@b> R=r T=t"
    pipe = Delivery("|cmd", parent=local, is_pipe=True, router="r", transport="t")
    assert address_text(pipe, log, success=True) == "|cmd (m@b) <a@b>"
    remote = Delivery("c@d", router="r", transport="t")
    result = DeliveryResult("ok", host=Host("h", "1.2.3.4", 25), smtp_response="250-a\n250 b")
    assert delivery_line("=>", remote, result, message, log, Attempt(sequence=2)) == (
        '=> c@d R=r T=t H=h [1.2.3.4]:25* C="250-a\\\\n250 b"'
    )
    failed = DeliveryResult("fail", host=Host("h", "1.2.3.4", 25), message="no")
    assert failure_line(remote, failed, message, log) == "** c@d R=r T=t H=h [1.2.3.4]:25 : no"
    later = DeliveryResult("defer", basic_errno=111)
    assert defer_line(remote, later, message, log) == "== c@d R=r T=t defer (111): Connection refused"


def test_a_name_found_while_helo_was_verified_is_not_shown_until_the_next_helo() -> None:
    session = Session(sender_host_address="10.1.1.1", sender_host_name="host.ex", sender_helo_name="x.ex", sender_ident="joe")
    assert (sender_fullhost(session), sender_rcvhost(session)) == (
        "host.ex (x.ex) [10.1.1.1]",
        "host.ex ([10.1.1.1] helo=x.ex ident=joe)",
    )
    session.host_name_unshown = True
    assert (sender_fullhost(session), sender_rcvhost(session)) == ("(x.ex) [10.1.1.1]", "[10.1.1.1] (helo=x.ex ident=joe)")


def test_a_debugging_line_is_cut_where_exims_is() -> None:
    out = io.StringIO()
    debug = Debug(frozenset({"v"}), host_checking=True, stream=out)
    debug.show("short\n" + "d" * 3000)
    first, second, mark = out.getvalue().splitlines()
    assert first == ">>> short" and second == ">>> " + "d" * 1997
    assert mark == "**** debug string too long - truncated ****"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the log is made as another user")
def test_a_log_that_cannot_be_made_names_who_tried(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = LogFile(f"{tmp_path}/sub/mainlog", mode=0o640, owner=(12345, 12346))
    with pytest.raises(PermissionError):
        file.append(b"x\n")
    assert file.tried_as == (12345, 12346) and os.geteuid() == 0
