"""TLS reports: what is counted, what is sent, and when. RFC 8460"""

from __future__ import annotations

import base64
import gzip
import json
import ssl
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.net import http, tls_report
from angaros.net.tls_report import Applied, Failure
from angaros.net.tls_report_send import RETRY, SPREAD, _delay, send_due
from angaros.net.tls_report_text import destinations, mail_address
from tests.delivery.world import Sink, World
from tests.mailauth.zones import Zones
from tests.net.test_tls import Made
from tests.net.web import Web, server_context
from tests.policy import PolicyWorld
from tests.transports.test_sts_table import ROUTER, keep_policy, made, servers, transport
from tests.transports.test_sts_table import ZONES as STS_ZONES

_FIXTURES = (made, servers)
DAY = 86400
MANY = [f"mailto:r{number}@a.example" for number in range(20)]
MIDNIGHT = 1_795_305_600
"""The end of the day at which the worlds' clocks stand."""


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=TLSRPTv1; rua=mailto:r@a.example"], ["mailto:r@a.example"]),
        (["v=TLSRPTv1;rua=https://a.example/x?y=1 , mailto:r@a.example;"], ["https://a.example/x?y=1", "mailto:r@a.example"]),
        (["other", "v=TLSRPTv1; x=y; rua=mailto:r@a.example"], ["mailto:r@a.example"]),
        (["v=TLSRPTv1; rua=mailto:r@a.example"] * 2, []),
        (["v=TLSRPTv1; rua=ftp://a.example/,http://a.example/,mailto:nobody"], []),
        (["v=TLSRPTv1"], []),
        (["v=TLSRPTv1;"], []),
        (["v=TLSRPTv2; rua=mailto:r@a.example"], []),
        (
            ["v=TLSRPTv1; rua=" + ",".join(f"mailto:r{n}@a.example" for n in range(20))],
            [f"mailto:r{n}@a.example" for n in range(8)],
        ),
        ([], []),
    ],
)
def test_records(texts: list[str], found: list[str]) -> None:
    assert destinations(texts) == found


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mailto:r@a.example", "r@a.example"),
        ("mailto:a%21b@a.example", "a!b@a.example"),
        ("mailto:a%0aBcc:x@a.example", ""),
        ("mailto:a%2Cb@a.example", ""),
        ("https://a.example/", ""),
    ],
)
def test_addresses(uri: str, address: str) -> None:
    assert mail_address(uri) == address


@given(st.lists(st.text(max_size=80) | st.text(max_size=60).map("v=TLSRPTv1; rua=mailto:".__add__), max_size=2))
def test_any_texts_ask_for_reports_or_not(texts: list[str]) -> None:
    for uri in destinations(texts):
        address = mail_address(uri)
        assert uri.isprintable() and (not address or (address.count("@") == 1 and not set(address) & set(" ,<>\r\n")))


@pytest.mark.parametrize(
    ("problems", "kind"),
    [
        (['SSL verify error: certificate name mismatch: DN="x" H="y"'], "certificate-host-mismatch"),
        (["SSL verify error: depth=0 error=certificate has expired cert=x"], "certificate-expired"),
        (["SSL verify error: depth=0 error=certificate is not yet valid cert=x"], "certificate-expired"),
        (["SSL verify error: depth=0 error=unable to get local issuer certificate cert=x"], "certificate-not-trusted"),
        (["SSL verify error: depth=0 error=self-signed certificate cert=x"], "certificate-not-trusted"),
        ([], "validation-failure"),
    ],
)
def test_result_types(problems: list[str], kind: str) -> None:
    assert tls_report.classify(problems) == kind


# --- What is counted ---------------------------------------------------------------------------------------------------


def counted(world: World) -> dict[str, tuple[int, int, list[tuple[str, str]]]]:
    """policy -> good, bad, (result type, reason)."""
    found = {}
    for key, _, record in world.services.hints.items("tlsrpt"):
        kinds = [(kind["fields"]["result-type"], kind["fields"].get("failure-reason-code", "")) for kind in record["failures"]]
        found[key.partition(":")[2]] = (record["good"], record["bad"], kinds)
    return found


STS, FREE = "dom.example:sts:dom.example", "dom.example:no-policy-found:dom.example"
Counted = dict[str, tuple[int, int, list[tuple[str, str]]]]
COUNTS: list[tuple[str, str, bool, Counted]] = [
    ("enforce", "right", True, {STS: (1, 0, [])}),
    ("enforce", "other name", True, {STS: (0, 1, [("certificate-host-mismatch", "")])}),
    ("enforce", "expired", True, {STS: (0, 1, [("certificate-expired", "")])}),
    ("enforce", "unknown CA", True, {STS: (0, 1, [("certificate-not-trusted", "")])}),
    ("enforce", "no TLS", True, {STS: (0, 1, [("starttls-not-supported", "")])}),
    ("enforce", "right", False, {STS: (0, 1, [("validation-failure", "mx-mismatch")])}),
    ("testing", "right", True, {STS: (1, 0, [])}),
    ("testing", "other name", True, {STS: (0, 1, [("certificate-host-mismatch", "")])}),
    ("testing", "no TLS", True, {STS: (0, 1, [("starttls-not-supported", "")])}),
    ("testing", "right", False, {STS: (0, 1, [("validation-failure", "mx-mismatch")])}),
    ("none", "other name", True, {FREE: (1, 0, [])}),
    ("none", "no TLS", True, {FREE: (0, 1, [("starttls-not-supported", "")])}),
]


@pytest.mark.parametrize(("mode", "server", "match", "wanted"), COUNTS)
def test_sessions_are_counted(
    tmp_path: Path, made: Made, servers: dict[str, ssl.SSLContext | None], mode: str, server: str, match: bool, wanted: Counted
) -> None:
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), main="tls_reports", zones=STS_ZONES)
        keep_policy(world, mode, "mx.dom.example" if match else "mail.dom.example")
        world.deliver("x@dom.example", "y@dom.example")
    assert counted(world) == wanted


def test_a_policy_that_cannot_be_had_is_counted(
    tmp_path: Path, made: Made, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server_context(*made.issue(tmp_path, "other.example"))
    main = f"tls_reports\nmta_sts_verify_certificates = {made.cafile}"
    with Sink(tls=servers["right"]) as sink, Web({}, context) as web:
        monkeypatch.setitem(http.PORTS, "https", web.port)
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), main=main, zones=STS_ZONES)
        world.deliver("x@dom.example")
    assert counted(world) == {STS: (0, 1, [("sts-webpki-invalid", "")]), FREE: (1, 0, [])}


@pytest.mark.parametrize(("server", "good"), [("right", True), ("unknown CA", False)])
def test_callouts_are_counted(tmp_path: Path, made: Made, servers: Any, server: str, good: bool) -> None:
    from angaros.model.scope import Scope
    from angaros.model.session import Session
    from angaros.model.verify import CalloutOptions, VerifyOptions

    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), main="tls_reports", zones=STS_ZONES)
        keep_policy(world, "enforce")
        scope = Scope(world.services, Session(sender_host_address="192.0.2.1"))
        options = VerifyOptions(callout=CalloutOptions())
        found = world.services.verifier.verify_address("x@dom.example", scope, is_recipient=True, options=options)
    failures = [] if good else [("certificate-not-trusted", "")]
    assert counted(world) == {STS: (int(good), int(not good), failures)} and bool(sink.messages) is False, found


class SecureZones(Zones):
    def query(self, name: str, kind: str, **options: Any) -> Any:
        from dataclasses import replace

        return replace(super().query(name, kind, **options), authenticated=True)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ((3, 1, 1, b"x" * 32), (0, 1, [("validation-failure", "")])),
        ((1, 1, 1, b"x" * 32), (0, 1, [("tlsa-invalid", "")])),
    ],
)
def test_dane_is_counted(tmp_path: Path, made: Made, servers: Any, record: Any, wanted: Any) -> None:
    with Sink(tls=servers["right"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_dane = *"), main="tls_reports", zones=STS_ZONES)
        world.services.dns = SecureZones(STS_ZONES)
        world.services.dns.table[f"_{sink.port}._tcp.mx.dom.example"] = {"TLSA": [record]}
        world.deliver("x@dom.example")
    assert counted(world) == {"dom.example:tlsa:mx.dom.example": wanted}


def test_off_by_default(tmp_path: Path, made: Made, servers: Any) -> None:
    with Sink(tls=servers["right"]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, ""), zones=STS_ZONES)
        world.deliver("x@dom.example")
    assert not counted(world) and send_due(world.services) == 0


REPORT = "From: postmaster@mx.example\nTLS-Report-Domain: dom.example\nSubject: Report\n\nx\n"


@pytest.mark.parametrize("server", ["unknown CA", "no TLS"])
def test_no_report_about_a_report_and_nothing_stops_it(tmp_path: Path, made: Made, servers: Any, server: str) -> None:
    """RFC 8460 3."""
    with Sink(tls=servers[server]) as sink:
        world = World(tmp_path, ROUTER, transport(sink.port, made, "hosts_try_mta_sts = *"), main="tls_reports", zones=STS_ZONES)
        keep_policy(world, "enforce", "mail.dom.example")
        log = "\n".join(world.deliver("r@dom.example", sender="", text=REPORT))
        assert "=> r@dom.example" in log and sink.messages and not counted(world)


def test_a_header_alone_makes_no_report(tmp_path: Path, made: Made, servers: Any) -> None:
    """Mail of others with that header line is not let off."""
    from angaros.model.message import Header
    from angaros.model.message import Message as Mail
    from angaros.model.session import Session

    world = World(tmp_path, ROUTER, transport(25, made, ""))
    headers = [Header("TLS-Report-Domain: dom.example\n")]
    uid = world.config.exim_uid
    assert tls_report.is_report(Mail(headers=headers, session=Session(originator_uid=uid)), world.config)
    for session in (Session(sender_host_address="192.0.2.1", originator_uid=uid), Session(originator_uid=4711)):
        assert not tls_report.is_report(Mail(headers=headers, session=session), world.config)


def test_kinds_of_failure_are_limited(tmp_path: Path) -> None:
    w = reporting(tmp_path)
    for number in range(tls_report.MAX_KINDS + 50):
        tls_report.note(
            w.services, "dom.example", Applied("sts", "dom.example"), [Failure("x", detail=f"{number}" * 400)], good=False
        )
    [(_, _, record)] = [item for item in w.services.hints.items("tlsrpt") if ":sts:" in item[0]]
    assert record["bad"] == tls_report.MAX_KINDS + 50 and len(record["failures"]) == tls_report.MAX_KINDS
    assert all(len(kind["fields"]["additional-information"]) <= tls_report.MAX_TEXT for kind in record["failures"])


# --- What is sent ------------------------------------------------------------------------------------------------------

MAIN = "tls_reports\ntls_report_org = The Org\ntls_report_sender = Reports <tls@mx.example>\n"
ZONES: dict[str, list[Any]] = {
    "_smtp._tls.dom.example": [{"TXT": "v=TLSRPTv1; rua=mailto:r@reports.example"}],
    "_smtp._tls.web.example": [{"TXT": "v=TLSRPTv1; rua=https://web.example/tls?x=1"}],
    "_smtp._tls.slow.example": ["TIMEOUT"],
    "web.example": [{"A": "127.0.0.1"}],
}


def reporting(tmp_path: Path, main: str = MAIN, *domains: str) -> PolicyWorld:
    """A world in which sessions to domains have been counted, late enough for its report."""
    w = PolicyWorld(tmp_path, main, ZONES)
    for domain in domains:
        applied = Applied("sts", domain, ("version: STSv1", "mode: testing"), (f"*.{domain}",))
        for _ in range(3):
            tls_report.note(w.services, domain, applied, good=True)
        failure = Failure("certificate-expired", f"mx.{domain}", "192.0.2.7", "192.0.2.1", detail="old\n\xe9")
        tls_report.note(w.services, domain, applied, [failure], good=False)
        tls_report.note(w.services, domain, applied, [failure], good=False)
        tls_report.note(w.services, domain, Applied("no-policy-found", domain), good=True)
    return w


def after_midnight(w: PolicyWorld) -> None:
    w.clock.time = MIDNIGHT + _delay(w.services) + 1


def left_over(w: PolicyWorld) -> list[str]:
    return [key for name in ("tlsrpt", "tlsrpt_waiting") for key, _, _ in w.services.hints.items(name)]


def attachment(text: bytes) -> tuple[Message, Any]:
    mail = message_from_bytes(text)
    part = mail.get_payload()[1]  # type: ignore[index]
    return mail, json.loads(gzip.decompress(base64.b64decode(part.get_payload())))  # type: ignore[union-attr,arg-type]


def test_report_by_mail(tmp_path: Path) -> None:
    w = reporting(tmp_path, MAIN, "dom.example", "silent.example")
    assert send_due(w.services) == 0, "the day is not over"
    w.clock.time = MIDNIGHT + _delay(w.services) - 1
    assert send_due(w.services) == 0, "not all the world at midnight"
    after_midnight(w)
    assert send_due(w.services) == 1
    assert send_due(w.services) == 0, "once a day"
    [(sender, recipients, text)] = w.submitter.sent
    assert (sender, recipients) == ("tls@mx.example", ["r@reports.example"])
    mail, document = attachment(text)
    assert mail["From"] == "Reports <tls@mx.example>" and mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("dom.example", "mx.example")
    assert (
        mail["Subject"]
        == f"Report Domain: dom.example Submitter: mx.example Report-ID: <{MIDNIGHT - DAY}.dom.example@mx.example>"
    )
    part = mail.get_payload()[1]  # type: ignore[index]
    assert part.get_content_type() == "application/tlsrpt+gzip"  # type: ignore[union-attr]
    assert part.get_filename() == f"mx.example!dom.example!{MIDNIGHT - DAY}!{MIDNIGHT - 1}.json.gz"  # type: ignore[union-attr]
    assert document == {
        "organization-name": "The Org",
        "date-range": {"start-datetime": "2026-11-21T00:00:00Z", "end-datetime": "2026-11-21T23:59:59Z"},
        "contact-info": "Reports <tls@mx.example>",
        "report-id": f"{MIDNIGHT - DAY}.dom.example@mx.example",
        "policies": [
            {
                "policy": {"policy-type": "no-policy-found", "policy-domain": "dom.example"},
                "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
            },
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": ["version: STSv1", "mode: testing"],
                    "policy-domain": "dom.example",
                    "mx-host": ["*.dom.example"],
                },
                "summary": {"total-successful-session-count": 3, "total-failure-session-count": 2},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "192.0.2.1",
                        "receiving-ip": "192.0.2.7",
                        "receiving-mx-hostname": "mx.dom.example",
                        "failed-session-count": 2,
                        "additional-information": "old??",
                    }
                ],
            },
        ],
    }
    assert left_over(w) == ["sent"], "nothing is left over"


def test_delay() -> None:
    assert 0 < SPREAD <= 4 * 3600, "RFC 8460 4.1"


@pytest.mark.parametrize("exclude", ["dom.example", "reports.example", "*.other"])
def test_exclusions(tmp_path: Path, exclude: str) -> None:
    w = reporting(tmp_path, f"{MAIN}tls_report_exclude = {exclude}\n", "dom.example")
    after_midnight(w)
    assert send_due(w.services) == (1 if exclude == "*.other" else 0)


def test_defaults(tmp_path: Path) -> None:
    w = reporting(tmp_path, "tls_reports\n", "dom.example")
    after_midnight(w)
    send_due(w.services)
    [(sender, _, text)] = w.submitter.sent
    mail, document = attachment(text)
    assert sender == "" and mail["From"] == "postmaster@mx.example" and document["organization-name"] == "mx.example"


def test_report_too_long_for_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w = reporting(tmp_path, MAIN, "dom.example")
    monkeypatch.setattr("angaros.net.tls_report_send.MAX_REPORT", 100)
    after_midnight(w)
    assert send_due(w.services) == 0 and w.log.lines[-1].endswith("octets are too many")


@pytest.fixture
def web_tls(tmp_path: Path) -> tuple[Made, ssl.SSLContext]:
    ca = Made(tmp_path)
    return ca, server_context(*ca.issue(tmp_path, "web.example"))


def trusting(ca: Made, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """As if the CA were one of the system's."""
    monkeypatch.setitem(http.PORTS, "https", port)
    monkeypatch.setenv("SSL_CERT_FILE", ca.cafile)


def test_report_by_post(tmp_path: Path, web_tls: tuple[Made, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    ca, context = web_tls
    w = reporting(tmp_path, MAIN, "web.example")
    after_midnight(w)
    with Web({"/tls?x=1": (201, {}, b"thanks")}, context) as web:
        trusting(ca, monkeypatch, web.port)
        assert send_due(w.services) == 1
    [(method, path, headers, body)] = web.asked
    assert (method, path, headers["content-type"]) == ("POST", "/tls?x=1", "application/tlsrpt+gzip")
    assert json.loads(gzip.decompress(body))["report-id"].endswith(".web.example@mx.example")
    assert w.log.lines[-1] == "TLS report for web.example sent to https://web.example/tls?x=1" and not w.submitter.sent


def test_post_is_tried_again_for_a_day(
    tmp_path: Path, web_tls: tuple[Made, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8460 5.5"""
    ca, context = web_tls
    w = reporting(tmp_path, MAIN, "web.example")
    after_midnight(w)
    with Web({"/tls?x=1": (503, {}, b"")}, context) as web:
        trusting(ca, monkeypatch, web.port)
        assert send_due(w.services) == 0 and len(web.asked) == 1
        assert "TLS report for web.example not sent to https://web.example/tls?x=1: HTTP status 503" in w.log.lines
        assert send_due(w.services) == 0 and len(web.asked) == 1, "not at once"
        w.clock.time += RETRY
        assert send_due(w.services) == 0 and len(web.asked) == 2
        web.answers["/tls?x=1"] = (200, {}, b"")
        w.clock.time += RETRY
        assert send_due(w.services) == 1 and len(web.asked) == 3
        w.clock.time += RETRY
        assert send_due(w.services) == 0 and len(web.asked) == 3


def test_given_up_after_a_day(tmp_path: Path) -> None:
    w = reporting(tmp_path, MAIN, "slow.example")
    after_midnight(w)
    for _ in range(30):
        assert send_due(w.services) == 0
        w.clock.time += RETRY
    assert w.log.lines == ["TLS report for slow.example given up after a day"]
    assert left_over(w) == ["sent"]
