"""What `exim -brw` of Debian says: a row for each rewriting flag and each kind of pattern. Exim spec 31."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from angaros.config.config import NamedList
from angaros.config.rules import parse_rewrite_rule
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.rewriting import rewrite_test
from tests.expand.conftest import build_services

ROWS = [
    [json.loads(column) for column in line.split("\t")]
    for line in (Path(__file__).parent / "tables_rewriting.txt").read_text().splitlines()[1:]
]


@pytest.mark.parametrize(("rules", "address", "said", "logged"), ROWS)
def test_as_in_exim(rules: list[str], address: str, said: list[str], logged: list[str], tmp_path: Path) -> None:
    services: Any = build_services(tmp_path)
    services.config.main.qualify_domain = services.config.main.qualify_recipient = "test.ex"
    services.config.main.primary_hostname = "mail.test.ex"
    services.config.main.headers_charset = "UTF-8"
    services.config.named_lists["domain"]["dl"] = NamedList("dl", "one.c : two.c")
    services.config.rewrite_rules = tuple(parse_rewrite_rule(rule) for rule in rules)
    assert rewrite_test(address, Scope(services, Session())) == said
    assert [line for line in services.log.lines if "rewritten as" not in line] == logged
