"""Message ids."""

from __future__ import annotations

from angaros.spool.ids import arrival_order


def test_ids_of_several_processes_sort_by_time() -> None:
    """Two workers within one second: what counts is when, not who."""
    early, late = "1xUmV1-0000000003Z-0001", "1xUmV1-0000000003A-0002"
    assert sorted([late, early], key=arrival_order) == [early, late]
    assert sorted(["1xUmV2-00003Z-00", "1xUmV1-00003Z-zz"], key=arrival_order)[0].startswith("1xUmV1")
