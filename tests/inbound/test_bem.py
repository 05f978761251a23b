"""-bem: a message in a file, for trying out expansions. # Exim spec 5.3"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from angaros.inbound.options import LocalCaller, Submission
from angaros.inbound.probe import load_test_message, probe_scope
from tests.inbound.smtp_world import World


def test_as_a_local_submission_would_be(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world()
    file = tmp_path / "message"
    file.write_text("From: a@b.test\nTo: x@here.test, Y <y@here.test>\nBcc: z@here.test\nSubject: s\n\none\ntwo\n")
    caller = LocalCaller(1234, 1234, "joe", "Joe", trusted=False, admin=False)
    options = Submission(caller=caller, extract_recipients=True)
    scope = probe_scope(world.services, options)
    reception = load_test_message(scope, str(file), options)
    assert scope.expand("$h_subject: $body_linecount $message_body") == "s 2 one two "
    assert scope.expand("${if def:message_exim_id} ${if def:h_message-id:} $h_bcc:") == "true true "
    assert [recipient.address for recipient in reception.message.recipients] == ["x@here.test", "y@here.test", "z@here.test"]
    body = Path(reception.message.body_path)
    assert body.exists()
    reception.abandon()
    assert not body.exists()
    assert world.files() == []
