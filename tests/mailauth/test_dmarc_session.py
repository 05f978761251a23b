"""DMARC in the DATA ACL: variables, history file, failure reports, aggregate reports, Authentication-Results."""

from __future__ import annotations

import base64
import gzip
import re
from email import message_from_bytes
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from angaros.logs.lines import Arrival, arrival_lines
from angaros.mailauth.dmarc_aggregate import send_due
from angaros.mailauth.dmarc_session import decided
from angaros.model.mailauth import ArcResult, ArcSet, DkimResult
from angaros.model.outcome import Outcome
from tests.policy import NOW, PolicyWorld

ZONES: dict[str, list[Any]] = {
    "author.example": [{"SPF": "v=spf1 ip4:192.0.2.1 -all"}],
    "other.example": [{"SPF": "v=spf1 ip4:192.0.2.1 -all"}],
    "_dmarc.author.example": [{"TXT": "v=DMARC1; p=none; rua=mailto:agg@author.example!5m; ruf=mailto:ruf@author.example"}],
    "_dmarc.strict.example": [{"TXT": "v=DMARC1; p=reject; fo=1; ruf=mailto:ruf@third.example"}],
    "_dmarc.quiet.example": [
        {"TXT": "v=DMARC1; p=quarantine; rua=mailto:a@quiet.example,mailto:b@third.example,mailto:c@no.example"}
    ],
    "_dmarc.silent.example": ["TIMEOUT"],
    "strict.example._report._dmarc.third.example": [{"TXT": "v=DMARC1; ruf=mailto:elsewhere@third.example"}],
    "quiet.example._report._dmarc.third.example": [{"TXT": "v=DMARC1; rua=mailto:d@third.example"}],
    "third.example": [{"MX": [10, "mx.third.example"]}],
    "mx.third.example": [{"A": "198.51.100.7"}],
    "quiet.example": [{"A": "198.51.100.8"}],
    "7.100.51.198.bl.example": [{"A": "127.0.0.2"}],
}
ACLS = """
begin acl
data:
  warn spf = *
  accept dmarc_status = LIST
"""


def world(tmp_path: Path, main: str = "", words: str = "*", tlds: str = "tlds") -> PolicyWorld:
    (tmp_path / "tlds").write_text("example\n")
    option = f"dmarc_tld_file = {tmp_path}/{tlds}\n" if tlds else ""
    return PolicyWorld(tmp_path, f"LIST = {words}\n{option}{main}{ACLS}", ZONES)


CASES = [
    ("joe@author.example", "A <z@author.example>", "accept|Accept|author.example|none|yes|no", "pass header.from=author.example"),
    (
        "joe@sub.other.example",
        "z@author.example",
        "none|None, Accept|author.example|none|no|no",
        "none header.from=author.example",
    ),
    ("joe@other.example", "z@strict.example", "reject|Reject|strict.example|reject|no|no", "fail header.from=strict.example"),
    ("", "z@sub.strict.example", "reject|Reject|strict.example|reject|no|no", "fail header.from=sub.strict.example"),
    ("", "z@quiet.example", "quarantine|Quarantine|quiet.example|quarantine|no|no", "fail header.from=quiet.example"),
    ("", "z@nothing.example", "norecord|No DMARC record|nothing.example||no|no", "none header.from=nothing.example"),
    ("", "z@silent.example", "temperror|Temporary error|silent.example||no|no", "temperror header.from=silent.example"),
    ("", "undisclosed:;", "nofrom|No From: domain found|||no|no", "permerror"),
    ("", "z@author.example, y@strict.example", "reject|Reject|strict.example|reject|no|no", "fail header.from=strict.example"),
]
SHOWN = "$dmarc_status|$dmarc_status_text|$dmarc_used_domain|$dmarc_domain_policy|$dmarc_alignment_spf|$dmarc_alignment_dkim"


@pytest.mark.parametrize(("sender", "author", "wanted", "word"), CASES)
def test_variables(tmp_path: Path, sender: str, author: str, wanted: str, word: str) -> None:
    w = world(tmp_path)
    w.new_message(sender)
    w.receive(f"From: {author}\n")
    assert w.run("data").outcome is Outcome.ACCEPT
    assert w.shown(SHOWN) == wanted
    assert w.shown("${authresults{me}}").endswith(f";\n\tdmarc={word}")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("reject", True), ("accept : none", False), ("!accept", True), ("quarantine : reject", True), ("off", False)],
)
def test_lists(tmp_path: Path, words: str, wanted: bool) -> None:
    w = world(tmp_path, words=words)
    w.receive("From: z@strict.example\n")
    assert (w.run("data").outcome is Outcome.ACCEPT) == wanted


@pytest.mark.parametrize("reason", ["control", "authenticated", "local", "no list"])
def test_off(tmp_path: Path, reason: str) -> None:
    w = world(tmp_path, words="off", tlds="" if reason == "no list" else "tlds")
    if reason == "control":
        w.message.effects.dmarc_disable_verify = True
    elif reason == "authenticated":
        w.session.sender_host_authenticated = "plain"
    elif reason == "local":
        w.session.sender_host_address = ""
    w.receive("From: z@strict.example\n")
    assert w.run("data").outcome is Outcome.ACCEPT
    assert w.shown("$dmarc_status") == "off" and "dmarc" not in w.shown("${authresults{me}}")


def test_missing_list_is_reported(tmp_path: Path) -> None:
    w = world(tmp_path)
    (tmp_path / "tlds").unlink()
    w.receive("From: z@strict.example\n")
    w.run("data")
    assert w.shown("$dmarc_status") == "off" and w.log.panics[0].startswith("failure to load DMARC tld list: ")


def test_tree_walk_needs_no_list(tmp_path: Path) -> None:
    w = world(tmp_path, "dmarc_tree_walk\n")
    (tmp_path / "tlds").unlink()
    w.receive("From: z@a.b.strict.example\n")
    w.run("data")
    assert w.shown("$dmarc_status $dmarc_used_domain") == "reject strict.example"


def test_dkim_counts(tmp_path: Path) -> None:
    w = world(tmp_path)
    w.new_message("")
    w.receive("From: z@strict.example\n")
    w.message.effects.mailauth.dkim = [DkimResult("x.example", status="pass"), DkimResult("sub.strict.example", status="pass")]
    w.run("data")
    assert w.shown("$dmarc_status $dmarc_alignment_dkim") == "accept yes"


def test_guessed_spf_does_not_count(tmp_path: Path) -> None:
    w = world(tmp_path)
    w.new_message("a@strict.example")
    w.receive("From: z@strict.example\n")
    w.services.extra["spf"](w.scope, True)
    assert w.message.effects.mailauth.spf is not None
    w.message.effects.mailauth.spf.result = "pass"
    assert w.services.extra["dmarc"](w.scope) == "reject"


def test_history_file(tmp_path: Path) -> None:
    w = world(tmp_path, f"dmarc_history_file = {tmp_path}/history\n")
    w.receive("From: z@author.example\n")
    w.message.effects.mailauth.dkim = [
        DkimResult("other.example", "sel", status="pass", result="pass"),
        DkimResult("author.example", "bad", status="fail", result="fail"),
    ]
    w.message.effects.mailauth.arc = ArcResult(
        "pass", sets=[ArcSet(1, "a.example", "s", "192.0.2.9"), ArcSet(2, "b.example", "t")]
    )
    w.run("data")
    expected = (
        "job 10HmaX-000000005vi-0000\nreporter mx.example\n"
        f"received {int(NOW)}\nipaddr 192.0.2.1\nfrom author.example\nmfrom author.example\nspf 0\n"
        "dkim other.example sel 0\ndkim author.example bad 7\n"
        "pdomain author.example\npolicy 15\nrua mailto:agg@author.example!5m\npct 100\nadkim 114\naspf 114\np 110\nsp 0\n"
        'align_dkim 5\nalign_spf 4\naction 2\narc 0\narc_policy 0 json[ ("i":1, "d":"a.example", "s":"s", "ip":"192.0.2.9"), '
        '("i":2, "d":"b.example", "s":"t", "ip":"") ]\n'
    )
    assert (tmp_path / "history").read_text() == expected
    w.new_message("")
    w.receive("From: z@nothing.example\n")
    w.run("data")
    assert (tmp_path / "history").read_text() == expected, "messages without a DMARC record are not OpenDMARC's business"


def test_history_file_that_cannot_be_written(tmp_path: Path) -> None:
    w = world(tmp_path, "dmarc_history_file = /no/such/place\n")
    w.receive("From: z@author.example\n")
    assert w.run("data").outcome is Outcome.ACCEPT
    assert "No such file or directory" in w.log.panics[0]


def forensic(tmp_path: Path, author: str, main: str = "", *, enabled: bool = True) -> PolicyWorld:
    w = world(tmp_path, main)
    w.new_message("joe@other.example")
    w.message.effects.dmarc_enable_forensic = enabled
    w.receive(f"From: {author}\nSubject: hello\n", "secret body\n")
    w.run("data")
    return w


def test_failure_report(tmp_path: Path) -> None:
    w = forensic(tmp_path, "z@author.example", "dmarc_forensic_sender = Reports <dmarc@mx.example>\n")
    [(sender, recipients, text)] = w.submitter.sent
    assert (sender, recipients) == ("dmarc@mx.example", ["ruf@author.example"])
    mail = message_from_bytes(text)
    assert mail["From"] == "Reports <dmarc@mx.example>" and mail.get_content_type() == "multipart/report"
    human, machine, header = mail.get_payload()
    assert "Sender Domain: author.example" in human.get_payload()
    fields = machine.get_payload()[0]
    assert (
        fields["Feedback-Type"] == "auth-failure" and fields["Auth-Failure"] == "dmarc" and fields["Identity-Alignment"] == "none"
    )
    assert fields["Source-IP"] == "192.0.2.1" and fields["Original-Mail-From"] == "<joe@other.example>"
    assert header.get_content_type() == "text/rfc822-headers" and "Subject: hello" in header.get_payload()
    assert b"secret" not in text


def test_failure_report_only_when_asked_and_wanted(tmp_path: Path) -> None:
    assert not forensic(tmp_path, "z@author.example", enabled=False).submitter.sent
    assert not forensic(tmp_path, "z@quiet.example").submitter.sent, "no ruf"


def test_failure_report_elsewhere_needs_consent(tmp_path: Path) -> None:
    w = forensic(tmp_path, "z@strict.example")
    [(sender, recipients, _)] = w.submitter.sent
    assert (sender, recipients) == ("", ["ruf@third.example"])
    w.dns.table.pop("strict.example._report._dmarc.third.example")
    w.submitter.sent.clear()
    w.message.effects.mailauth.dmarc = None
    w.run("data")
    assert not w.submitter.sent


REPORTS = "dmarc_aggregate_reports\ndmarc_aggregate_org = The Org\ndmarc_aggregate_sender = Reports <agg@mx.example>\n"


def aggregate(tmp_path: Path, main: str = REPORTS) -> PolicyWorld:
    w = world(tmp_path, main)
    for sender, author in (
        ("joe@author.example", "author.example"),
        ("ann@author.example", "author.example"),
        ("joe@other.example", "sub.author.example"),
        ("joe@other.example", "quiet.example"),
        ("joe@other.example", "strict.example"),
    ):
        w.new_message(sender)
        w.receive(f"From: z@{author}\n")
        w.message.effects.mailauth.dkim = [DkimResult("d&d.example", "sel", status="pass", result="pass")]
        w.run("data")
        decided(w.scope, True)
    return w


def test_aggregate_reports(tmp_path: Path) -> None:
    w = aggregate(tmp_path)
    assert send_due(w.services) == 0 and not w.submitter.sent, "the day is not over"
    w.clock.time += 86400
    assert send_due(w.services) == 2
    assert send_due(w.services) == 0, "once a day"
    (sender, recipients, text), (_, others, _) = w.submitter.sent
    assert (sender, recipients) == ("agg@mx.example", ["agg@author.example"])
    assert others == ["a@quiet.example", "d@third.example"], "no.example has not agreed"
    mail = message_from_bytes(text)
    assert (
        mail["Subject"] == "Report Domain: author.example Submitter: mx.example Report-ID: <1795219200.author.example@mx.example>"
    )
    attachment = mail.get_payload()[1]
    assert attachment.get_filename() == "mx.example!author.example!1795219200!1795305599.xml.gz"
    tree = ElementTree.fromstring(gzip.decompress(base64.b64decode(attachment.get_payload())))
    assert tree.findtext("report_metadata/org_name") == "The Org"
    assert tree.findtext("report_metadata/date_range/end") == "1795305599"
    assert [tree.findtext(f"policy_published/{name}") for name in ("domain", "p", "sp", "pct")] == [
        "author.example",
        "none",
        "none",
        "100",
    ]
    rows = {row.findtext("identifiers/header_from"): row for row in tree.findall("record")}
    assert rows["author.example"].findtext("row/count") == "2"
    assert rows["author.example"].findtext("row/policy_evaluated/spf") == "pass"
    assert rows["author.example"].findtext("auth_results/dkim/domain") == "d&d.example"
    assert rows["sub.author.example"].findtext("row/policy_evaluated/spf") == "fail"
    assert rows["sub.author.example"].findtext("auth_results/spf/domain") == "other.example"
    assert list(w.services.hints.items("dmarc")) and all(key == "sent" for key, _, _ in w.services.hints.items("dmarc"))


def test_aggregate_reports_are_off_by_default(tmp_path: Path) -> None:
    w = aggregate(tmp_path, "")
    w.clock.time += 86400
    assert send_due(w.services) == 0 and not list(w.services.hints.items("dmarc"))


def test_aggregate_exclusions_and_block_lists(tmp_path: Path) -> None:
    w = aggregate(tmp_path, f"{REPORTS}dmarc_aggregate_exclude = author.example\ndmarc_aggregate_dnslists = bl.example\n")
    w.clock.time += 86400
    assert send_due(w.services) == 1
    assert [recipients for _, recipients, _ in w.submitter.sent] == [["a@quiet.example"]]
    assert "DMARC aggregate report for quiet.example not sent to d@third.example: 198.51.100.7 is on a block list" in w.log.lines


def test_aggregate_size_limit(tmp_path: Path) -> None:
    w = aggregate(tmp_path)
    w.dns.table["_dmarc.author.example"]["TXT"] = ["v=DMARC1; p=none; rua=mailto:agg@author.example!700"]
    w.new_message("joe@author.example")
    w.receive("From: z@author.example\n")
    w.run("data")
    decided(w.scope, True)
    w.clock.time += 86400
    send_due(w.services)
    assert any(
        re.match(r"DMARC aggregate report for author.example not sent: \d+ octets are too many", line) for line in w.log.lines
    )


def test_policy_that_was_not_obeyed(tmp_path: Path) -> None:
    w = world(tmp_path, REPORTS)
    w.dns.table["_dmarc.strict.example"]["TXT"] = ["v=DMARC1; p=reject; rua=mailto:a@strict.example"]
    for accepted in (True, False):
        w.new_message("")
        w.receive("From: z@strict.example\n")
        w.run("data")
        decided(w.scope, accepted)
    rows = [row for _, _, row in w.services.hints.items("dmarc")]
    assert sorted((row["disposition"], row["reason"]) for row in rows) == [("none", "local_policy"), ("reject", "")]


@pytest.mark.parametrize(
    ("on", "status", "field"),
    [({"dmarc"}, "accept", "DMARC"), ({"dmarc"}, "reject", ""), ({"dmarc_verbose"}, "none", "DMARC=none"), (set(), "accept", "")],
)
def test_log_field(tmp_path: Path, on: set[str], status: str, field: str) -> None:
    w = world(tmp_path)
    w.log.on = on
    line, _ = arrival_lines(w.message, Arrival(size=1, dmarc=status), w.log)
    assert re.findall(r"DMARC\S*", line) == ([field] if field else [])
