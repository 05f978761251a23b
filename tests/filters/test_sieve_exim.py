"""Scripts and what `exim -bf` of Debian says about them: errors with their words and lines, and Exim's own behaviours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.filters.conftest import Given

TABLE = Path(__file__).parent / "tables" / "sieve_exim.txt"
ROWS = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("# ")]

MESSAGE = "From: a@b.c\nTo: root@test.ex\nSubject: hello\nX-A: 1\n"


@pytest.mark.parametrize(("script", "said"), ROWS)
def test_as_in_exim(script: str, said: str, given: Given) -> None:
    given.header, given.body, given.sender = MESSAGE, "body\n", "root@test.ex"
    given.setting = {"testing": True}
    scope = given.scope()
    assert scope.delivery is not None
    scope.delivery.local_part = scope.delivery.cased_local_part = "root"
    scope.delivery.suffix, scope.delivery.address = "", "root@test.ex"
    given.setting["scope"] = scope
    outcome = given.sieve(script)
    if outcome.error:
        assert f"Sieve error: {outcome.error}" == said
    else:
        assert ("Implicit keep" if outcome.implicit_keep else "No implicit keep") == said
