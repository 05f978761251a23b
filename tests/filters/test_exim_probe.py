"""What `exim -bf` and `-bF` of Debian say about filters: each command, condition and error, in Exim's words."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from angaros.filters.probe import _one, _Source
from tests.filters.conftest import Given

TABLES = Path(__file__).parent / "tables"
MESSAGE = "From: a@b.c\nTo: root@test.ex\nSubject: hello\nX-A: 1\n"


def rows(name: str) -> list[tuple[str, int, list[str]]]:
    lines = (TABLES / f"{name}.txt").read_text().splitlines()[1:]
    return [(json.loads(text), int(status), json.loads(said)) for text, status, said in (line.split("\t") for line in lines)]


def probe(given: Given, text: str, *, system: bool) -> tuple[int, list[str]]:
    """Status and output of a test run, without the line that names the file."""
    given.header, given.body, given.sender = MESSAGE, "body\n", "root@test.ex"
    scope = given.scope()
    main = scope.services.config.main
    main.qualify_domain = main.qualify_recipient = "test.ex"
    assert scope.delivery is not None and scope.message is not None
    scope.delivery.local_part = "root"
    scope.delivery.suffix, scope.delivery.address = "", "root@test.ex"
    scope.message.message_size, scope.message.first_delivery = 57, True
    scope.message.recipients = given.recipients("root@test.ex")
    scope.local.update(home="/root", return_path="root@test.ex")
    out = io.StringIO()
    status = _one(scope, _Source("f", system, f"# Exim filter\n{text}\n", "/"), out)
    return status, [line for line in out.getvalue().splitlines()[1:] if line]


@pytest.mark.parametrize(("text", "status", "said"), rows("exim_user"))
def test_user_filter(text: str, status: int, said: list[str], given: Given) -> None:
    assert probe(given, text, system=False) == (status, said)


@pytest.mark.parametrize(("text", "status", "said"), rows("exim_system"))
def test_system_filter(text: str, status: int, said: list[str], given: Given) -> None:
    assert probe(given, text, system=True) == (status, said)
