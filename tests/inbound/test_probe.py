"""Scopes of -be and its like: what a local caller's message would have. Compared with a real Exim's `-be`."""

from __future__ import annotations

from pathlib import Path

import pytest

from angaros.inbound.options import Claims, LocalCaller, Submission
from angaros.inbound.probe import probe_scope
from tests.expand.conftest import build_services

TEXT = "[$authenticated_id] [$authenticated_sender] [$sender_ident] [$sender_address]"


@pytest.mark.parametrize(
    ("sender", "claims", "shown"),
    [
        (None, Claims(), "[joe] [joe@myhost.test.ex] [joe] [joe@myhost.test.ex]"),
        (None, Claims(authenticated_id="x"), "[x] [joe@myhost.test.ex] [joe] [joe@myhost.test.ex]"),
        (None, Claims(authenticated_sender="q@r"), "[joe] [q@r] [joe] [joe@myhost.test.ex]"),
        (None, Claims(ident="y"), "[joe] [joe@myhost.test.ex] [y] [joe@myhost.test.ex]"),
        ("a@b", Claims(), "[] [] [joe] [a@b]"),
        ("<>", Claims(), "[] [] [joe] []"),
    ],
)
def test_local_caller(sender: str | None, claims: Claims, shown: str, tmp_path: Path) -> None:
    options = Submission(caller=LocalCaller(login="joe", trusted=True), claims=claims, sender=sender)
    assert probe_scope(build_services(tmp_path), options).expand(TEXT) == shown
