"""The one variable in -H that keeps what ESMTP extensions ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angaros.model.extensions import Extensions, parse_extensions
from angaros.model.message import Message
from angaros.spool.codec import read_header, write_header

TIMES = st.integers(0, 2**33)
ANY = st.builds(
    Extensions,
    release=TIMES,
    by=TIMES,
    by_mode=st.sampled_from(["R", "N"]),
    by_trace=st.booleans(),
    by_told=st.booleans(),
    priority=st.none() | st.integers(-9, 9),
    requiretls=st.booleans(),
    others=st.lists(st.from_regex(r"\Ax[a-z0-9]{1,5}=[!-~]{0,5}\Z"), max_size=2).map(tuple),
)


@given(ANY)
def test_what_is_written_is_read(wanted: Extensions) -> None:
    message = Message(id="1xUeSj-000000003ZX-05CZ", extensions=wanted, acl_m={"m_other": "1", "m0": "a\nb"})
    read = read_header(write_header(message), message.id)
    assert read.extensions == wanted
    assert read.acl_m == message.acl_m


@pytest.mark.parametrize("text", ["by=5;X", "hold=soon", "priority="])
def test_a_variable_of_that_name_that_is_not_ours_stays_one(text: str) -> None:
    with pytest.raises(ValueError):
        parse_extensions(text)
    message = Message(id="1xUeSj-000000003ZX-05CZ", acl_m={"m_angaros_esmtp": text})
    read = read_header(write_header(message), message.id)
    assert (read.extensions, read.acl_m) == (None, message.acl_m)
