"""-bf, -bF: try a filter on a message from standard input."""

from __future__ import annotations

from angaros.cli.context import Context, only_test
from angaros.cli.submission import submission_options


def test_filter(context: Context) -> int:
    """Both, in Exim's order: system filter first when both are given."""
    from angaros.daemon.privilege import become_caller
    from angaros.filters.probe import FilterTest, run

    call = context.call
    only_test(context.services)
    become_caller()
    return run(
        context.services,
        submission_options(context),
        FilterTest(
            user_filter=call.filter_file,
            system_filter=call.system_filter_file,
            domain=call.filter_domain,
            local_part=call.filter_local_part,
            prefix=call.filter_prefix,
            suffix=call.filter_suffix,
        ),
    )
