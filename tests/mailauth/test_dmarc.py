"""DMARC: records, discovery with the list and with the tree walk, alignment, verdicts. RFC 7489; DMARCbis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from angaros.mailauth.dmarc import Evidence, Finder, ListFinder, TreeFinder, judge
from angaros.mailauth.dmarc_record import DmarcRecord, is_dmarc, parse_record
from angaros.mailauth.public_suffixes import PublicSuffixes
from tests.mailauth.zones import Zones

LIST = "// comment\ncom\nuk\nco.uk\n*.ck\n!www.ck\nexample\n\xe9.example\n"
ZONES: dict[str, list[Any]] = {
    "_dmarc.strict.example": [{"TXT": "v=DMARC1; p=reject; adkim=s; aspf=s"}],
    "_dmarc.relaxed.example": [{"TXT": "v=DMARC1; p=quarantine; sp=reject"}],
    "_dmarc.none.example": [{"TXT": "v=DMARC1; p=none"}],
    "_dmarc.own.relaxed.example": [{"TXT": "v=DMARC1; p=none"}],
    "_dmarc.twice.example": [{"TXT": "v=DMARC1; p=none"}, {"TXT": "v=DMARC1; p=reject"}],
    "_dmarc.mixed.example": [{"TXT": "v=spf1 -all"}, {"TXT": "v=DMARC1; p=reject"}],
    "_dmarc.silent.example": ["TIMEOUT"],
    "_dmarc.half.example": [{"TXT": "v=DMARC1; p=reject; pct=50"}],
    "_dmarc.bad.example": [{"TXT": "v=DMARC1; p=perhaps"}],
    "_dmarc.report.example": [{"TXT": "v=DMARC1; p=perhaps; rua=mailto:x@report.example"}],
    "_dmarc.org.co.uk": [{"TXT": "v=DMARC1; p=reject"}],
}


@pytest.fixture
def finder(tmp_path: Path) -> ListFinder:
    path = tmp_path / "list"
    path.write_text(LIST, "utf-8")
    return ListFinder(PublicSuffixes(str(path)), Zones(ZONES))


RECORDS: list[tuple[str, DmarcRecord | None]] = [
    ("v=DMARC1; p=none", DmarcRecord("none")),
    ("v=DMARC1;p=REJECT;sp=quarantine;adkim=s;aspf=S;pct=20;fo=1:d:x;ri=3600", None),
    ("v=DMARC1; p=reject; rua=mailto:a@b.c!10m,mailto:d@e.f; ruf=mailto:g@h.i", None),
    ("v=DMARC1; p=none; adkim=x; pct=101; ri=-1; fo=z; what=ever; ;", DmarcRecord("none")),
    ("v=DMARC1; sp=reject", None),
    ("v=DMARC1; p=reject; psd=y; t=y; np=quarantine", DmarcRecord("reject", np="quarantine", psd="y", testing=True)),
]


def test_records() -> None:
    for text, wanted in (RECORDS[0], RECORDS[3], RECORDS[4], RECORDS[5]):
        assert parse_record(text) == wanted
    full = parse_record(RECORDS[1][0])
    assert full == DmarcRecord("reject", "quarantine", "", "s", "s", 20, ("1", "d"), 3600)
    reports = parse_record(RECORDS[2][0])
    assert reports is not None
    assert [(uri.address, uri.limit, uri.domain) for uri in reports.report_uris()] == [
        ("a@b.c", 10 << 20, "b.c"),
        ("d@e.f", 0, "e.f"),
    ]
    assert [uri.address for uri in reports.failure_uris()] == ["g@h.i"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("v=DMARC1", True),
        ("v=DMARC1; p=none", True),
        ("v = DMARC1 ;p=none", True),
        ("v=DMARC12", False),
        ("v=dmarc1; p=none", False),
        (" v=DMARC1", False),
        ("p=none; v=DMARC1", False),
    ],
)
def test_version(text: str, wanted: bool) -> None:
    assert is_dmarc(text) == wanted


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        ("a.b.org.com", "org.com"),
        ("org.co.uk", "org.co.uk"),
        ("x.org.co.uk", "org.co.uk"),
        ("co.uk", "co.uk"),
        ("a.b.c.ck", "b.c.ck"),
        ("a.www.ck", "www.ck"),
        ("a.b.unlisted", "b.unlisted"),
        ("x.y.xn--9ca.example", "y.xn--9ca.example"),
        ("com", "com"),
    ],
)
def test_organizational_domain(finder: ListFinder, domain: str, wanted: str) -> None:
    assert finder.organizational_domain(domain) == wanted


CASES = [
    # author, SPF domain, DKIM domains, status, SPF aligned, DKIM aligned
    ("strict.example", "strict.example", (), "accept", True, False),
    ("strict.example", "mail.strict.example", (), "reject", False, False),
    ("strict.example", "", ("sub.strict.example",), "reject", False, False),
    ("strict.example", "", ("STRICT.example.",), "accept", False, True),
    ("relaxed.example", "mail.relaxed.example", (), "accept", True, False),
    ("relaxed.example", "other.example", ("x.relaxed.example",), "accept", False, True),
    ("relaxed.example", "other.example", ("other.example",), "quarantine", False, False),
    ("sub.relaxed.example", "", (), "reject", False, False),
    ("own.relaxed.example", "", (), "none", False, False),
    ("none.example", "", (), "none", False, False),
    ("nothing.example", "nothing.example", (), "norecord", False, False),
    ("twice.example", "", (), "norecord", False, False),
    ("mixed.example", "", (), "reject", False, False),
    ("silent.example", "", (), "temperror", False, False),
    ("bad.example", "", (), "norecord", False, False),
    ("report.example", "", (), "none", False, False),
    ("a.b.org.co.uk", "co.uk", (), "reject", False, False),
    ("a.b.org.co.uk", "c.org.co.uk", (), "accept", True, False),
]


@pytest.mark.parametrize(("author", "spf", "dkim", "status", "spf_aligned", "dkim_aligned"), CASES)
def test_verdicts(
    finder: Finder, author: str, spf: str, dkim: tuple[str, ...], status: str, spf_aligned: bool, dkim_aligned: bool
) -> None:
    found = judge(author, Evidence(spf, dkim), finder, lambda: 0)
    assert (found.status, found.spf_aligned, found.dkim_aligned) == (status, spf_aligned, dkim_aligned)


@pytest.mark.parametrize(("number", "status"), [(0, "reject"), (49, "reject"), (50, "quarantine"), (99, "quarantine")])
def test_sampling(finder: Finder, number: int, status: str) -> None:
    assert judge("half.example", Evidence(), finder, lambda: number).status == status


TREE: dict[str, list[Any]] = {
    "_dmarc.example": [{"TXT": "v=DMARC1; p=reject; psd=y; np=reject; sp=none"}],
    "_dmarc.big.example": [{"TXT": "v=DMARC1; p=quarantine; sp=none; np=reject"}],
    "_dmarc.apart.big.example": [{"TXT": "v=DMARC1; p=none; psd=n"}],
    "_dmarc.test.org": [{"TXT": "v=DMARC1; p=reject; t=y"}],
    "real.big.example": [{"A": "192.0.2.1"}],
    "_dmarc.c.d.e.f.g.h.i.deep": [{"TXT": "v=DMARC1; p=reject"}],
}


@pytest.mark.parametrize(
    ("domain", "organization", "status"),
    [
        ("big.example", "big.example", "quarantine"),
        ("real.big.example", "big.example", "none"),
        ("gone.big.example", "big.example", "reject"),
        ("x.apart.big.example", "apart.big.example", "none"),
        ("other.example", "other.example", "reject"),
        ("test.org", "test.org", "quarantine"),
        ("nothing.net", "nothing.net", "norecord"),
        ("a.b.c.d.e.f.g.h.i.deep", "a.b.c.d.e.f.g.h.i.deep", "norecord"),
    ],
)
def test_tree_walk(domain: str, organization: str, status: str) -> None:
    finder = TreeFinder(Zones(TREE))
    assert finder.organizational_domain(domain) == organization
    assert judge(domain, Evidence(), finder, lambda: 0).status == status


def test_tree_walk_asks_little() -> None:
    zones = Zones(TREE)
    TreeFinder(zones).organizational_domain(".".join("abcdefghijklmnop"))
    assert len(zones.asked) == 8


def test_alignment_by_tree() -> None:
    finder = TreeFinder(Zones(TREE))
    assert judge("big.example", Evidence(spf="a.b.big.example"), finder, lambda: 0).status == "accept"
    assert judge("big.example", Evidence(spf="x.apart.big.example"), finder, lambda: 0).status == "quarantine"
