"""The command line, option by option."""

from __future__ import annotations

import pytest

from angaros.cli.invocation import Invocation
from angaros.cli.parse import EXACT, PREFIXED, UsageError, parse


def call(*arguments: str) -> Invocation:
    return parse("exim", list(arguments))


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (("-bd",), "mode", "daemon"),
        (("-bdf",), "foreground", True),
        (("-bd", "-oX", "25:26"), "listen_override", "25:26"),
        (("-bV",), "mode", "bV"),
        (("--version",), "mode", "bV"),
        (("-bP", "routers"), "arguments", ["routers"]),
        (("-bpru",), "queue_list", "ru"),
        (("-bp",), "queue_list", "-"),
        (("-be", "-x"), "mode", "be"),
        (("-bh", "1.2.3.4"), "host_checking", "1.2.3.4"),
        (("-bhc", "1.2.3.4"), "host_checking_callout", True),
        (("-bI:help",), "info", "help"),
        (("-C", "/a:/b", "-bV"), "config_files", "/a:/b"),
        (("-C/a", "-bV"), "config_files", "/a"),
        (("-d+all", "-bV"), "debug", "+all"),
        (("-f", "<>", "x@y"), "sender", "<>"),
        (("-fa@b", "x@y"), "sender", "a@b"),
        (("-r", "a@b", "x@y"), "sender", "a@b"),
        (("-F", "Full Name", "x@y"), "sender_name", "Full Name"),
        (("-MCG", "other", "x@y"), "queue_name", "other"),
        (("-t",), "extract_recipients", True),
        (("-ti",), "dot_ends", False),
        (("-oi", "x@y"), "dot_ends", False),
        (("-odi", "x"), "delivery", "foreground"),
        (("-odf", "x"), "delivery", "foreground"),
        (("-odqs", "x"), "delivery", "queue-smtp"),
        (("-oep", "x"), "error_handling", "stderr"),
        (("-ee", "x"), "error_handling", "mail-zero"),
        (("-or", "5m", "x"), "receive_timeout", 300),
        (("-os2h", "x"), "smtp_receive_timeout", 7200),
        (("-N", "x"), "dont_deliver", True),
        (("-z", "some text"), "log_text", "some text"),
        (("-bfl", "me", "-bf", "/f"), "filter_local_part", "me"),
        (("-bem", "/m", "$h_subject:"), "message_file", "/m"),
        (("-oP", "/pid", "-bd"), "pid_file", "/pid"),
        (("-Tqt", "1m/2m", "-q"), "queue_times", "1m/2m"),
        (("--", "-not-an-option"), "arguments", ["-not-an-option"]),
        (("a", "-b"), "arguments", ["a", "-b"]),
        (("--help",), "mode", "help"),
        (("-atrn", "provider.test", "a.test,b.test"), "atrn_domains", "a.test,b.test"),
        (("-Ac", "x"), "mode", ""),
        (("-Am", "x"), "mode", ""),
        (("-bF", "/f"), "system_filter_file", "/f"),
        (("-bfd", "d", "-bf", "/f"), "filter_domain", "d"),
        (("-bfp", "p-", "-bf", "/f"), "filter_prefix", "p-"),
        (("-bfs", "-s", "-bf", "/f"), "filter_suffix", "-s"),
        (("-bi",), "mode", "bi"),
        (("-bm", "x"), "mode", "bm"),
        (("-bmalware", "/m"), "message_file", "/m"),
        (("-bnq", "x"), "unqualified", True),
        (("-brt", "x"), "mode", "brt"),
        (("-brw", "x"), "mode", "brw"),
        (("-bS",), "mode", "bS"),
        (("-bs",), "mode", "bs"),
        (("-bt", "x"), "mode", "bt"),
        (("-bv", "x"), "mode", "bv"),
        (("-bvs", "x"), "mode", "bvs"),
        (("-bw",), "inetd_wait", True),
        (("-bw5m",), "inetd_wait_timeout", 300),
        (("-dropcr", "x"), "mode", ""),
        (("-E", "x"), "internal_error_message", True),
        (("-G", "x"), "suppress_local_fixups", True),
        (("-i", "x"), "dot_ends", False),
        (("-m", "x"), "mode", ""),
        (("-n", "x"), "no_headers", True),
        (("-pd", "x"), "perl_start", False),
        (("-ps", "x"), "perl_start", True),
        (("-tls-on-connect", "-bs"), "tls_on_connect", True),
        (("-U", "x"), "mode", ""),
        (("-v", "x"), "verbose", True),
        (("-x", "x"), "mode", ""),
        (("-X", "/log", "x"), "arguments", ["x"]),
        (("-B8BITMIME", "x"), "arguments", ["x"]),
        (("-h", "3", "x"), "arguments", ["x"]),
        (("-L", "tag", "x"), "syslog_tag", "tag"),
        (("-O", "option=value", "x"), "arguments", ["x"]),
        (("-oA", "/file", "x"), "bi_argument", "/file"),
        (("-oB", "7", "x"), "max_messages", 7),
        (("-oB", "x"), "max_messages", 1),
        (("-odb", "x"), "delivery", "background"),
        (("-odq", "x"), "delivery", "queue"),
        (("-oee", "x"), "error_handling", "mail-zero"),
        (("-oem", "x"), "error_handling", "mail"),
        (("-oeq", "x"), "error_handling", "stderr"),
        (("-oew", "x"), "error_handling", "mail"),
        (("-oitrue", "x"), "dot_ends", False),
        (("-om", "x"), "arguments", ["x"]),
        (("-oo", "x"), "arguments", ["x"]),
        (("-ov", "x"), "verbose", True),
        (("-oY", "x"), "no_notifier", True),
        (("-p", "esmtp:host", "x"), "arguments", ["x"]),
    ],
)
def test_option_sets(arguments: tuple[str, ...], field: str, value: object) -> None:
    assert getattr(call(*arguments), field) == value


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("-q",), {}),
        (("-q30m",), {"interval": 1800}),
        (("-q", "1h"), {"interval": 3600}),
        (("-qf",), {"force": True}),
        (("-qqff",), {"two_stage": True, "force": True, "force_frozen": True}),
        (("-qiff",), {"first_only": True, "force": True, "force_frozen": True}),
        (("-ql",), {"local_only": True}),
        (("-qGspecial",), {"queue_name": "special"}),
        (("-qGspecial/5m",), {"queue_name": "special", "interval": 300}),
        (("-q", "10HmaX-0005vi-00"), {"start_id": "10HmaX-0005vi-00"}),
        (("-R", "dom"), {"select_recipient": "dom"}),
        (("-Rff", "dom"), {"select_recipient": "dom", "force": True, "force_frozen": True}),
        (("-Sr", "^a"), {"select_sender": "^a", "select_sender_regex": True}),
        (("-qRf", "dom"), {"select_recipient": "dom", "force": True}),
    ],
)
def test_queue_run(arguments: tuple[str, ...], fields: dict[str, object]) -> None:
    parsed = call(*arguments)
    assert parsed.mode == "q"
    (run,) = parsed.queue_runs
    changed = {k: v for k, v in run.as_dict().items() if v not in (None, False, "")}
    assert changed == fields


def test_daemon_with_queue_runs() -> None:
    parsed = call("-bd", "-q30m", "-qGlow/1h")
    assert parsed.mode == "daemon"
    assert [(r.interval, r.queue_name) for r in parsed.queue_runs] == [(1800, ""), (3600, "low")]


@pytest.mark.parametrize(
    ("option", "action"),
    [("-M", "deliver"), ("-Mf", "freeze"), ("-Mt", "thaw"), ("-Mrm", "remove"), ("-Mg", "give_up"), ("-Mvl", "view_log")],
)
def test_message_actions(option: str, action: str) -> None:
    parsed = call(option, "10HmaX-000000005vi-0000")
    assert (parsed.mode, parsed.message_action, parsed.arguments) == ("M", action, ["10HmaX-000000005vi-0000"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-bx",), "exim abandoned: unknown, malformed, or incomplete option -bx"),
        (("-C",), "exim abandoned: unknown, malformed, or incomplete option -C"),
        (("-Mf",), "exim: no message ids given after -Mf option"),
        (("-Mf", "nonsense"), "exim: malformed message id nonsense after -Mf option"),
        (("-or", "soon", "x"), "exim: bad time value soon: abandoned"),
        (("-Dlower=1",), "exim: macro name set by -D must start with an upper case letter"),
        (("-DA=1", "-DA=2"), "exim: duplicated -D in command line for macro 'A'"),
    ],
)
def test_errors_are_exims(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert str(caught.value) == text


def test_claims_and_macros() -> None:
    parsed = call("-oMa", "1.2.3.4.25", "-oMr", "esmtp", "-DX=a b", "-DY", "x@y")
    assert (parsed.claims.host_address, parsed.claims.protocol) == ("1.2.3.4.25", "esmtp")
    assert parsed.macros == {"X": "a b", "Y": ""}


CLAIMS = {
    "a": "host_address", "aa": "host_authenticated", "ai": "authenticated_id", "as": "authenticated_sender", "i": "interface",
    "m": "message_reference", "r": "protocol", "s": "host_name", "t": "ident",
}  # fmt: skip


@pytest.mark.parametrize("letters", sorted(CLAIMS))
def test_claim(letters: str) -> None:
    assert getattr(call(f"-oM{letters}", "value", "x").claims, CLAIMS[letters]) == "value"


def test_every_option_of_the_table_has_a_test() -> None:
    """The arguments of the tests above name each exact spelling and each prefix."""
    import tests.cli.test_parse as here

    used = set()
    for function in vars(here).values():
        for mark in getattr(function, "pytestmark", ()):
            for case in mark.args[1]:
                words = case[0] if isinstance(case, tuple) else (case,)
                used |= {word for word in ([words] if isinstance(words, str) else words) if str(word).startswith("-")}
    used |= {"-oX", "-oP"} | {f"-oM{letters}" for letters in CLAIMS} | {"-DX"}
    missing = [option for option in EXACT if option not in used]
    missing += [prefix for prefix, _ in PREFIXED if not any(word.startswith(prefix) for word in used)]
    assert missing == []


@pytest.mark.parametrize("name", ["a/b", "..", "../input"])
def test_a_queue_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="bad queue name"):
        call("-MCG", name, "x@y")
