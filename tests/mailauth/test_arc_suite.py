"""ValiMail's ARC test suite (arc-tests.json: its YAML as JSON, from Debian's source of libmail-dkim-perl; arc-tests.LICENSE)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from angaros.mailauth.arc.chain import Chain
from angaros.mailauth.arc.verify import Judgement, judge
from angaros.mailauth.dkim.verify import Limits, Watcher

SUITE = json.loads(Path(__file__).with_name("arc-tests.json").read_text())
VALIDATION, SIGNING = (
    [(f"{section['description']}: {name}", section, case) for section in SUITE[kind] for name, case in section["tests"].items()]
    for kind in ("validation", "sign")
)
EXPLAINED = {
    "ams_fields_h_empty": ("fail", "RFC 6376 3.5 (RFC 8617 4.1.2): h= has at least one name; the suite follows a draft of 2017"),
}
"""Where we differ from the suite, and why."""
LIMITS = Limits(hashes=("sha256",), key_types=("rsa",))


def judged(message: str, records: dict[str, str]) -> Judgement:
    head, _, body = message.replace("\r\n", "\n").partition("\n\n")
    lines = [f"{line}\r\n" for line in re.split(r"\n(?![ \t])", head) if line]
    lines = [line.replace("\r\n", "\n").replace("\n", "\r\n") for line in lines]
    watcher = Watcher()
    chain = Chain(lines, watcher)
    watcher.body(body.replace("\n", "\r\n").encode())

    def fetch(name: str) -> Sequence[str]:
        record = records.get(name)
        return ["".join(record.split("\n"))] if record is not None else []

    return judge(chain, watcher.finish(), LIMITS, fetch)


def records(section: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = section["txt-records"] or {}
    return found


def test_all_are_here() -> None:
    assert (len(VALIDATION), len(SIGNING)) == (170, 17)


@pytest.mark.parametrize(("name", "section", "case"), VALIDATION, ids=[case[0] for case in VALIDATION])
def test_validation(name: str, section: dict[str, Any], case: dict[str, Any]) -> None:
    found = judged(case["message"], records(section))
    wanted = case["cv"].lower() or "fail"
    wanted, _ = EXPLAINED.get(name.partition(": ")[2], (wanted, ""))
    assert found.state == wanted, (found.reason, case["description"])


@pytest.mark.parametrize(("name", "section", "case"), SIGNING, ids=[case[0] for case in SIGNING])
def test_what_others_have_sealed(name: str, section: dict[str, Any], case: dict[str, Any]) -> None:
    """The message signatures that a signer has to make hold here. Its seals cannot be checked: the suite gives their values up to
    white space, and a seal is over that of the set's other lines. # RFC 8617 5.1.1"""
    names = {"AS": "ARC-Seal", "AMS": "ARC-Message-Signature", "AAR": "ARC-Authentication-Results"}
    made = "".join(f"{name}: {folded(case[kind])}\n" for kind, name in names.items() if case[kind].strip())
    found = judged(made + case["message"], records(section))
    if made and "cv=fail" not in made:
        assert (found.state, found.reason) in (("pass", ""), ("fail", "AS sig nonverify"))
    else:
        assert found.state == "fail"


def folded(text: str) -> str:
    return "\n  ".join(text.strip().split("\n"))
