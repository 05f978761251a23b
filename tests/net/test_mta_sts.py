"""MTA-STS: records, policies, and the cache over a real web server. RFC 8461."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.hints.db import HintsDb
from angaros.model.scope import Scope
from angaros.net import http, mta_sts_cache
from angaros.net.blocking import BlockingWaiter
from angaros.net.mta_sts import MAX_AGE, BadPolicy, Policy, allows, parse_policy, record_id
from angaros.net.mta_sts_cache import FETCH_ERROR, INVALID, REFRESH, RETRY, WEBPKI, Finding, find, refresh_due
from tests.net.fakes import FakeResolver, fake_scope
from tests.net.test_tls import Made
from tests.net.web import Answer, Web, server_context

NOW = 1_795_242_037.0


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1 ; x=y; id=abc ;"], "abc"),
        (["other", "v=STSv1; id=7"], "7"),
        (["v=STSv1; id=1; id=2"], "1"),
        (["v=STSv1; id=1", "v=STSv1; id=2"], None),
        (["v=STSv1; id=1", "v=STSv1; id=1"], None),
        (["v=STSv1; id=a-b"], None),
        (["v=STSv1; id=" + "1" * 33], None),
        (["v=STSv1;"], None),
        (["v=STSv2; id=1"], None),
        ([" v=STSv1; id=1"], None),
        ([], None),
    ],
)
def test_record(texts: list[str], found: str | None) -> None:
    assert record_id(texts) == found


GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmx: *.b.example\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, Policy("enforce", ("mx.a.example", "*.b.example"), 604800)),
        (GOOD.replace("\r", ""), Policy("enforce", ("mx.a.example", "*.b.example"), 604800)),
        ("mode: testing\nversion:STSv1\nmax_age:1\nmx:  MX.example. \n", Policy("testing", ("mx.example",), 1)),
        ("version: STSv1\nmode: none\nmax_age: 86400", Policy("none", (), 86400)),
        (GOOD + "future: thing\n\n", Policy("enforce", ("mx.a.example", "*.b.example"), 604800)),
        (GOOD + "mode: none\nmax_age: 0\n", Policy("enforce", ("mx.a.example", "*.b.example"), 604800)),
        (GOOD.replace("604800", "9999999999"), Policy("enforce", ("mx.a.example", "*.b.example"), MAX_AGE)),
        (GOOD.replace("604800", "99999999999"), "no max_age"),
        (GOOD.replace("604800", "-1"), "no max_age"),
        (GOOD.replace("STSv1", "STSv2"), "not version STSv1"),
        (GOOD.replace("enforce", "Enforce"), "no known mode"),
        ("version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"),
        (GOOD + "mx: a.*.example\n", "a wrong mx pattern"),
        (GOOD + "mx: *\n", "a wrong mx pattern"),
        (GOOD + "mx: a b\n", "a wrong mx pattern"),
        ("<html>no such page</html>", "a line without a colon"),
        ("", "not version STSv1"),
    ],
)
def test_policy(text: str, found: Policy | str) -> None:
    if isinstance(found, Policy):
        assert parse_policy(text.encode()) == found
        return
    with pytest.raises(BadPolicy, match=found):
        parse_policy(text.encode())


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("mx.a.example", True),
        ("MX.A.example.", True),
        ("x.b.example", True),
        ("b.example", False),
        ("x.y.b.example", False),
        ("mx.a.example.evil.example", False),
        ("a.example", False),
        ("", False),
    ],
)
def test_hosts(host: str, good: bool) -> None:
    assert allows(parse_policy(GOOD.encode()), host) == good


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode) | st.sampled_from([GOOD.encode()]).map(lambda t: t[5:]))
def test_any_octets_are_a_policy_or_not(body: bytes) -> None:
    try:
        policy = parse_policy(body)
    except BadPolicy:
        return
    assert policy.mode in ("none", "testing", "enforce") and 0 <= policy.max_age <= MAX_AGE


@given(st.lists(st.text(max_size=60) | st.text(max_size=40).map("v=STSv1; id=".__add__), max_size=3))
def test_any_texts_are_a_record_or_not(texts: list[str]) -> None:
    found = record_id(texts)
    assert found is None or (found.isalnum() and found.isascii() and len(found) <= 32)


# --- Over a real web server --------------------------------------------------------------------------------------------

PATH = "/.well-known/mta-sts.txt"
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


def policy_text(mode: str = "enforce", age: int = 604800) -> bytes:
    return f"version: STSv1\nmode: {mode}\nmx: mx.dom.example\nmax_age: {age}\n".encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("sts"))


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Case:
    """A domain, its DNS and its web server."""

    def __init__(self, made: Made, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.monkeypatch, self.made = directory, monkeypatch, made
        self.table: dict[tuple[str, str], Any] = {
            ("_mta-sts.dom.example", "TXT"): ["v=STSv1; id=1;"],
            ("mta-sts.dom.example", "A"): ["127.0.0.1"],
        }
        self.scope: Scope = fake_scope(self.table, mta_sts_verify_certificates=made.cafile)
        services = self.scope.services
        self.clock = Clock()
        services.clock = self.clock
        services.hints = HintsDb(str(directory / "db"), now=self.clock.now)
        services.waiter = BlockingWaiter()  # type: ignore[assignment]
        self.web: Web | None = None

    def serve(
        self, answer: Answer, names: tuple[str, ...] = ("mta-sts.dom.example",), *, days: int = 5, raw: bytes | None = None
    ) -> Web:
        self.stop()
        context = server_context(*self.made.issue(self.directory, *names, days=days))
        self.web = Web({PATH: answer}, context, raw).__enter__()
        self.monkeypatch.setitem(http.PORTS, "https", self.web.port)
        return self.web

    def stop(self) -> None:
        if self.web is not None:
            self.web.__exit__()
            self.web = None

    def publish(self, number: str | None) -> None:
        self.table["_mta-sts.dom.example", "TXT"] = [f"v=STSv1; id={number};"] if number is not None else []

    def find(self) -> Finding:
        return find("Dom.Example", self.scope)

    @property
    def log(self) -> list[str]:
        return self.scope.services.log.lines  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def case(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    found = Case(made, tmp_path, monkeypatch)
    yield found
    found.stop()


def test_a_policy_is_fetched_once_and_kept(case: Case) -> None:
    web = case.serve((200, PLAIN, policy_text()))
    for _ in range(3):
        found = case.find()
        assert found.mode == "enforce" and found.id == "1" and found.policy == Policy("enforce", ("mx.dom.example",), 604800)
        case.clock.time += 60
    [(method, path, headers, body)] = web.asked
    assert (method, path, body, headers["host"]) == ("GET", PATH, b"", "mta-sts.dom.example")
    assert web.names == ["mta-sts.dom.example"], "RFC 8461 3.3: SNI"


def test_a_new_id_brings_a_new_policy(case: Case) -> None:
    web = case.serve((200, PLAIN, policy_text()))
    case.find()
    web.answers[PATH] = (200, PLAIN, policy_text("testing"))
    assert case.find().mode == "enforce", "the id is the same"
    case.publish("2")
    assert (case.find().mode, case.find().id, len(web.asked)) == ("testing", "2", 2)


CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n" + policy_text()
BROKEN: list[tuple[str, Answer, dict[str, Any], str]] = [
    ("missing", (404, PLAIN, b""), {}, FETCH_ERROR),
    ("redirected", (301, {"Location": "https://mta-sts.dom.example/x"}, b""), {}, FETCH_ERROR),
    ("server error", (500, PLAIN, policy_text()), {}, FETCH_ERROR),
    ("too long", (200, PLAIN, policy_text() + b"x: y\n" * 20000), {}, FETCH_ERROR),
    ("cut off", (200, PLAIN, b""), {"raw": CUT_OFF}, FETCH_ERROR),
    ("no HTTP", (200, PLAIN, b""), {"raw": b"220 smtp here\r\n"}, FETCH_ERROR),
    ("html", (200, {"Content-Type": "text/html"}, policy_text()), {}, INVALID),
    ("rubbish", (200, PLAIN, b"hello"), {}, INVALID),
    ("other name", (200, PLAIN, policy_text()), {"names": ("other.example",)}, WEBPKI),
    ("expired", (200, PLAIN, policy_text()), {"days": -1}, WEBPKI),
]


@pytest.mark.parametrize(("what", "answer", "how", "problem"), BROKEN, ids=[row[0] for row in BROKEN])
@pytest.mark.parametrize("kept", ["", "valid", "expired"])
def test_a_policy_that_cannot_be_had(case: Case, what: str, answer: Answer, how: dict[str, Any], problem: str, kept: str) -> None:
    if kept:
        case.serve((200, PLAIN, policy_text()))
        assert case.find().mode == "enforce"
        case.clock.time += 700000 if kept == "expired" else 4000
    web = case.serve(answer, **how)
    case.publish("2")
    found = case.find()
    assert found.problem == problem
    assert (found.mode, found.id) == (("enforce", "1") if kept == "valid" else ("none", ""))
    assert case.log[-1].startswith(f"MTA-STS: policy of dom.example not fetched ({problem}): ")
    asked = len(web.names)
    assert case.find() == found and len(web.names) == asked, "not again at once"
    case.clock.time += RETRY + 1
    case.serve((200, PLAIN, policy_text("testing")))
    found = case.find()
    assert (found.mode, found.id, found.problem) == ("testing", "2", "")


def test_another_ca(case: Case, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    case.made = Made(other)
    case.serve((200, PLAIN, policy_text()))
    assert case.find().problem == WEBPKI


@pytest.mark.parametrize("what", ["no address", "nobody listens", "no answer"])
def test_unreachable(case: Case, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case.serve((200, PLAIN, policy_text()))
    if what == "no address":
        del case.table["mta-sts.dom.example", "A"]
    elif what == "nobody listens":
        case.stop()
    else:
        monkeypatch.setattr(case.clock, "monotonic", iter([0.0, 1.0, 2.0, 61.0]).__next__)
    found = case.find()
    assert found.problem == FETCH_ERROR and found.policy is None


@pytest.mark.parametrize("txt", [None, "again", "two"])
def test_the_dns_cannot_switch_a_policy_off(case: Case, txt: str | None) -> None:
    """RFC 8461 5.1: what is kept holds until it ends."""
    case.serve((200, PLAIN, policy_text(age=1000)))
    case.find()
    case.stop()
    case.table["_mta-sts.dom.example", "TXT"] = {None: [], "again": "again", "two": ["v=STSv1; id=3", "v=STSv1; id=4"]}[txt]
    case.clock.time += 999
    assert case.find().mode == "enforce"
    case.clock.time += 2
    assert case.find().mode == "none"


def test_no_record_no_question(case: Case) -> None:
    case.publish(None)
    assert case.find() == Finding("dom.example")
    assert isinstance(case.scope.services.dns, FakeResolver)
    assert [kind for _, kind in case.scope.services.dns.asked] == ["TXT"]


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "192.0.2.1", "a..b", "x/../y", "a@b", "", "-a.example", "x y"])
def test_what_is_no_domain(case: Case, domain: str) -> None:
    assert find(domain, case.scope).policy is None and not case.scope.services.dns.asked  # type: ignore[attr-defined]


def test_queue_runs_renew_what_is_used(case: Case) -> None:
    web = case.serve((200, PLAIN, policy_text(age=10 * int(REFRESH))))
    services = case.scope.services
    case.find()
    assert refresh_due(services) == 0
    case.clock.time += REFRESH
    assert refresh_due(services) == 1 and len(web.asked) == 2
    case.clock.time += REFRESH
    assert refresh_due(services) == 0, "nobody has wanted it since"
    case.find()
    case.stop()
    assert refresh_due(services) == 1 and case.find().mode == "enforce", "a failure leaves the old one"
    case.clock.time += RETRY - 1
    assert refresh_due(services) == 0
    case.clock.time += 10 * REFRESH
    refresh_due(services)
    assert not list(services.hints.items("mta_sts")), "what has ended goes"


def test_short_policies_are_renewed_at_half_their_life(case: Case) -> None:
    web = case.serve((200, PLAIN, policy_text(age=3600)))
    case.find()
    case.clock.time += 1800
    assert refresh_due(case.scope.services) == 1 and len(web.asked) == 2
    case.clock.time += 3599
    assert case.find().mode == "enforce"


@pytest.mark.parametrize("age", [0, 10])
def test_a_policy_without_life_holds_for_a_while(case: Case, age: int) -> None:
    """Not one fetch for each message, and no moment without the policy."""
    web = case.serve((200, PLAIN, policy_text(age=age)))
    for moment in (0, 1, 200, 299, 301, 500):
        case.clock.time = NOW + moment
        assert case.find().mode == "enforce"
    assert len(web.asked) == 2


def test_limits_are_as_the_rfc_suggests() -> None:
    assert (mta_sts_cache.MAX_POLICY, mta_sts_cache.FETCH_SECONDS, mta_sts_cache.RETRY) == (65536, 60.0, 300.0)
