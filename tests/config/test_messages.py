"""What Exim says to a configuration: `messages.txt` has 326 small ones with the answers that were observed with Exim 4.96."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from angaros.assembly.reader import Reading, read_config
from angaros.config.site import parse_site
from angaros.model.errors import ConfigError

SITE = parse_site("EXIM_USER = root\n")


def cases() -> Iterator[tuple[str, str]]:
    lines: list[str] = []
    answer: list[str] = []
    for line in [*Path(__file__).with_name("messages.txt").read_text("latin-1").splitlines(), ""]:
        if line.startswith("=> "):
            answer.append(line[3:])
        elif answer:
            yield "\n".join(lines), "\n".join(answer)
            lines, answer = [], []
        else:
            lines.append(line)


@pytest.mark.parametrize(("text", "answer"), list(cases()))
def test_messages(tmp_path: Path, text: str, answer: str) -> None:
    file = tmp_path / "exim.conf"
    file.write_text(text + "\n", "latin-1")
    try:
        read_config(Reading(SITE, files=str(file), any_caller=True, check_acls=False))
        said = "ok"
    except ConfigError as error:
        said = str(error).replace(str(file), "FILE")
    assert said == answer
