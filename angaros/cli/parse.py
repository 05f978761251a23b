"""The command line parsed (spec 5.3). One row an option; `-d`, `-o*`, `-M*`, `-q*` have parsers of their own."""

from __future__ import annotations

from collections.abc import Callable

from angaros.cli.invocation import Invocation
from angaros.model.queue_run import QueueRun


class UsageError(Exception):
    """`str()` is the text for standard error; the exit status is 1."""


Arguments = list[str]
"""The arguments still to be read; parsers take from the front."""

Parser = Callable[[Invocation, str, Arguments], None]

QUEUE_TIME_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_time(text: str) -> int | None:
    """An Exim time (`1h30m`, plain seconds) in seconds; None when it is not one (spec 6.16)."""
    total, number = 0, ""
    if not text:
        return None
    for char in text:
        if char.isdigit():
            number += char
        elif char in QUEUE_TIME_UNITS and number:
            total += int(number) * QUEUE_TIME_UNITS[char]
            number = ""
        else:
            return None
    return total + (int(number) if number else 0)


def unknown(argument: str) -> UsageError:
    return UsageError(f"exim abandoned: unknown, malformed, or incomplete option {argument}")


def _value(attached: str, rest: Arguments, what: str) -> str:
    if attached:
        return attached
    if not rest:
        raise unknown(what)
    return rest.pop(0)


# --- Rows: exact spellings ------------------------------------------------------------------------------------------------


def _mode(name: str) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        call.mode = name

    return parse


def _set(field: str, value: object) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        setattr(call, field, value)

    return parse


def _dont_deliver(call: Invocation, argument: str, rest: Arguments) -> None:
    """-N: nothing is transported; what would be is shown. Exim spec 5.3"""
    call.dont_deliver = call.verbose = True


def _take(field: str) -> Parser:
    """An option whose value is the next argument."""

    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        setattr(call, field, _value("", rest, argument))

    return parse


def _ignore(call: Invocation, argument: str, rest: Arguments) -> None:
    """Sendmail options without a meaning here."""


def _ignore_with_value(call: Invocation, argument: str, rest: Arguments) -> None:
    _value("", rest, argument)


def _daemon(foreground: bool) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        call.mode, call.listen, call.foreground = "daemon", True, foreground or call.foreground

    return parse


def _file_mode(mode: str, field: str) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        if mode:
            call.mode = mode
        setattr(call, field, _value("", rest, argument))

    return parse


def _host_check(callout: bool) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        call.mode, call.host_checking_callout = "bh", callout
        call.host_checking = _value("", rest, argument)
        call.claims.host_address = None  # a later -oMa wins

    return parse


def _bi(call: Invocation, argument: str, rest: Arguments) -> None:
    call.mode = "bi"


def _inetd_wait(call: Invocation, argument: str, rest: Arguments) -> None:
    call.mode, call.inetd_wait, call.listen = "daemon", True, True
    if len(argument) > 3:
        call.inetd_wait_timeout = _time(argument[3:], argument)
    elif rest and rest[0][:1].isdigit() and parse_time(rest[0]) is not None:
        call.inetd_wait_timeout = parse_time(rest.pop(0))


def _time(text: str, argument: str) -> int:
    seconds = parse_time(text)
    if seconds is None:
        raise UsageError(f"exim: bad time value {text}: abandoned")
    return seconds


def _two_strings(call: Invocation, argument: str, rest: Arguments) -> None:
    raise unknown(argument)


def _extract(dot_ends: bool) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        call.extract_recipients = True
        if not dot_ends:
            call.dot_ends = False

    return parse


def _oB(call: Invocation, argument: str, rest: Arguments) -> None:
    attached = argument[3:]
    if attached:
        if not attached.isdigit():
            raise unknown(argument)
        call.max_messages = int(attached)
    elif rest and rest[0].isdigit():
        call.max_messages = int(rest.pop(0))
    else:
        call.max_messages = 1


def _atrn(call: Invocation, argument: str, rest: Arguments) -> None:
    call.mode = "atrn"
    call.atrn_host = _value("", rest, argument)
    call.atrn_domains = _value("", rest, argument)


EXACT: dict[str, Parser] = {
    "--help": _mode("help"),
    "--version": _mode("bV"),
    "-Ac": _ignore,
    "-Am": _ignore,
    "-atrn": _atrn,
    "-bd": _daemon(False),
    "-bdf": _daemon(True),
    "-be": _mode("be"),
    "-bem": _file_mode("be", "message_file"),
    "-bF": _file_mode("bF", "system_filter_file"),
    "-bf": _file_mode("bf", "filter_file"),
    "-bfd": _take("filter_domain"),
    "-bfl": _take("filter_local_part"),
    "-bfp": _take("filter_prefix"),
    "-bfs": _take("filter_suffix"),
    "-bh": _host_check(False),
    "-bhc": _host_check(True),
    "-bi": _bi,
    "-bm": _mode("bm"),
    "-bmalware": _file_mode("bmalware", "message_file"),
    "-bnq": _set("unqualified", True),
    "-bP": _mode("bP"),
    "-brt": _mode("brt"),
    "-brw": _mode("brw"),
    "-bS": _mode("bS"),
    "-bs": _mode("bs"),
    "-bt": _mode("bt"),
    "-bV": _mode("bV"),
    "-bv": _mode("bv"),
    "-bvs": _mode("bvs"),
    "-dropcr": _ignore,
    "-E": _set("internal_error_message", True),
    "-G": _set("suppress_local_fixups", True),
    "-i": _set("dot_ends", False),
    "-m": _ignore,
    "-N": _dont_deliver,
    "-n": _set("no_headers", True),
    "-pd": _set("perl_start", False),
    "-ps": _set("perl_start", True),
    "-t": _extract(True),
    "-ti": _extract(False),
    "-tls-on-connect": _set("tls_on_connect", True),
    "-U": _ignore,
    "-v": _set("verbose", True),
    "-x": _ignore,
    "-X": _ignore_with_value,
}

ERROR_MODES = {"e": "mail-zero", "m": "mail", "p": "stderr", "q": "stderr", "w": "mail"}
DELIVERY_MODES = {"b": "background", "f": "foreground", "i": "foreground", "q": "queue", "qs": "queue-smtp", "d": ""}


def _error_mode(call: Invocation, letter: str, argument: str) -> None:
    if letter not in ERROR_MODES:
        raise unknown(argument)
    call.error_handling = ERROR_MODES[letter]


CLAIMS = {
    "a": "host_address",
    "aa": "host_authenticated",
    "ai": "authenticated_id",
    "as": "authenticated_sender",
    "i": "interface",
    "m": "message_reference",
    "r": "protocol",
    "s": "host_name",
    "t": "ident",
}


def _parse_o(call: Invocation, argument: str, rest: Arguments) -> None:
    """-o...: delivery and error modes, claims, and what Sendmail had."""
    tail = argument[2:]
    if tail in ("i", "itrue"):
        call.dot_ends = False
    elif tail[:1] == "e":
        _error_mode(call, tail[1:], argument)
    elif tail[:1] == "d" and tail[1:] in DELIVERY_MODES:
        call.delivery = DELIVERY_MODES[tail[1:]]
    elif tail[:1] == "M" and tail[1:] in CLAIMS:
        setattr(call.claims, CLAIMS[tail[1:]], _value("", rest, argument))
    elif tail[:1] == "A":
        call.bi_argument = _value(tail[1:], rest, argument)
    elif tail[:1] == "B":
        _oB(call, argument, rest)
    elif tail in ("m", "o"):
        pass
    elif tail in ("P", "X"):
        setattr(call, {"P": "pid_file", "X": "listen_override"}[tail], _value("", rest, argument))
    elif tail == "Y":
        call.no_notifier = True
    elif tail[:1] in ("r", "s"):
        field = "receive_timeout" if tail[0] == "r" else "smtp_receive_timeout"
        setattr(call, field, _time(_value(tail[1:], rest, argument), argument))
    elif tail == "v":
        call.verbose = True
    else:
        raise unknown(argument)


# --- -q, -R, -S -----------------------------------------------------------------------------------------------------------


def _queue_flags(run: QueueRun, text: str) -> str:
    """Take `q`, `i`, `f`, `ff`, `l` from the front; the rest is returned."""
    if text.startswith("q"):
        run.two_stage, text = True, text[1:]
    if text.startswith("i"):
        run.first_only, text = True, text[1:]
    if text.startswith("f"):
        run.force, text = True, text[1:]
        if text.startswith("f"):
            run.force_frozen, text = True, text[1:]
    if text.startswith("l"):
        run.local_only, text = True, text[1:]
    return text


def _parse_q(call: Invocation, argument: str, rest: Arguments) -> None:
    run = QueueRun()
    text = _queue_flags(run, argument[2:])
    if text.startswith(("R", "S")):
        call.queue_runs.append(run)
        return _parse_select(call, "-" + text, rest)
    if text.startswith("G"):
        name, slash, text = text[1:].partition("/")
        run.queue_name = name
        if slash and not text:
            raise unknown(argument)
    if text:
        run.interval = _time(text, argument)
    elif rest and parse_time(rest[0]) is not None and not _is_message_id(rest[0]):
        run.interval = _time(rest.pop(0), argument)
    else:
        for field in ("start_id", "stop_id"):
            if rest and _is_message_id(rest[0]):
                setattr(run, field, rest.pop(0))
    call.queue_runs.append(run)
    if not call.mode:
        call.mode = "q"
    return None


def _is_message_id(text: str) -> bool:
    """Six, eleven (or six), four (or two) base-62 digits (spec 3.4)."""
    parts = text.split("-")
    return (
        len(parts) == 3
        and (len(parts[0]), len(parts[1]), len(parts[2])) in ((6, 6, 2), (6, 11, 4))
        and all(c.isascii() and c.isalnum() for part in parts for c in part)
    )


def _parse_select(call: Invocation, argument: str, rest: Arguments) -> None:
    """-R and -S: [r][f[f]] and a string."""
    kind, flags = argument[1], argument[2:]
    run = call.queue_runs[-1] if call.queue_runs else QueueRun()
    regex = False
    attached = ""
    if flags in ("f", "ff", "r", "rf", "rff"):
        regex = flags.startswith("r")
        run.force = run.force or "f" in flags
        run.force_frozen = run.force_frozen or "ff" in flags
    else:
        attached = flags
    text = _value(attached, rest, argument)
    if kind == "R":
        run.select_recipient, run.select_recipient_regex = text, regex
    else:
        run.select_sender, run.select_sender_regex = text, regex
    if not call.queue_runs:
        call.queue_runs.append(run)
    if not call.mode:
        call.mode = "q"


# --- -M -------------------------------------------------------------------------------------------------------------------

MESSAGE_ACTIONS = {
    "": "deliver",
    "c": "deliver",
    "ar": "add_recipients",
    "es": "edit_sender",
    "f": "freeze",
    "g": "give_up",
    "G": "set_queue",
    "mad": "mark_all_delivered",
    "md": "mark_delivered",
    "rm": "remove",
    "t": "thaw",
    "vb": "view_body",
    "vc": "view_copy",
    "vh": "view_header",
    "vl": "view_log",
}

ONE_MESSAGE = frozenset({"add_recipients", "edit_sender", "mark_delivered", "view_body", "view_copy", "view_header", "view_log"})
"""Actions whose further arguments are not message ids."""


def _parse_M(call: Invocation, argument: str, rest: Arguments) -> None:
    name = argument[2:]
    if name == "CG":
        call.queue_name = _value("", rest, argument)
        if "/" in call.queue_name or call.queue_name in (".", ".."):
            raise UsageError(f"exim: bad queue name {call.queue_name} after -MCG option")
        return
    if name == "set":
        call.mode = call.mode or "be"
        call.set_message = _value("", rest, argument)
        if not _is_message_id(call.set_message):
            raise UsageError(f"exim: malformed message id {call.set_message} after -Mset option")
        return
    if name not in MESSAGE_ACTIONS:
        raise unknown(argument)
    call.mode, call.message_action = "M", MESSAGE_ACTIONS[name]
    call.retry_timing = name == "c"
    if call.message_action == "set_queue":
        call.queue_name = _value("", rest, argument)
    if not rest:
        raise UsageError(f"exim: no message ids given after {argument} option")
    call.arguments, rest[:] = list(rest), []
    ids = call.arguments[:1] if call.message_action in ONE_MESSAGE else call.arguments
    for message_id in ids:
        if not _is_message_id(message_id):
            raise UsageError(f"exim: malformed message id {message_id} after {argument} option")


# --- The rest -------------------------------------------------------------------------------------------------------------


def _parse_D(call: Invocation, argument: str, rest: Arguments) -> None:
    text = argument[2:]
    name, equals, value = text.partition("=")
    name = name.strip()
    if not name or not name[0].isupper() or not all(c.isalnum() or c == "_" for c in name):
        raise UsageError("exim: macro name set by -D must start with an upper case letter" if text else unknown(argument).args[0])
    if name in call.macros:
        raise UsageError(f"exim: duplicated -D in command line for macro '{name}'")
    call.macros[name] = value.lstrip() if equals else ""


def _parse_d(call: Invocation, argument: str, rest: Arguments) -> None:
    text = argument[2:]
    if text[:1] in ("p", "t") and (text[1:2] in ("", "=") or text[1:].isdigit()):
        value = (text[1:] or _value("", rest, argument)).removeprefix("=")
        if text[0] == "p" and value.isdigit():
            call.debug_buffer = int(value)
        elif text[0] == "t" and value in ("now", "paniclog"):
            call.debug_trigger = value
        else:
            raise unknown(argument)
        return
    if text.startswith("d"):
        call.debug_daemon_only, text = True, text[1:]
    elif text.startswith("S"):
        call.debug_early, text = True, text[1:]
    call.debug = text
    call.verbose = True


def _parse_bp(call: Invocation, argument: str, rest: Arguments) -> None:
    letters = argument[3:]
    if letters not in ("", "a", "c", "i", "r", "u", "ra", "ri", "ru"):
        raise unknown(argument)
    call.mode, call.queue_list = "bp", letters or "-"


def _parse_bI(call: Invocation, argument: str, rest: Arguments) -> None:
    call.mode, call.info = "bI", argument[4:]


def _parse_p(call: Invocation, argument: str, rest: Arguments) -> None:
    """-p rval:sval."""
    protocol, colon, host = _value(argument[2:], rest, argument).partition(":")
    call.claims.protocol = protocol
    if colon:
        call.claims.host_name = host


def _attached(field: str) -> Parser:
    def parse(call: Invocation, argument: str, rest: Arguments) -> None:
        setattr(call, field, _value(argument[2:], rest, argument))

    return parse


def _parse_f(call: Invocation, argument: str, rest: Arguments) -> None:
    if argument[2:]:
        call.sender = argument[2:]
    elif rest:
        call.sender = rest.pop(0)
    else:
        raise unknown(argument)


PREFIXED: tuple[tuple[str, Parser], ...] = (
    ("-bp", _parse_bp),
    ("-bI:", _parse_bI),
    ("-bw", _inetd_wait),
    ("-B", lambda call, argument, rest: None if argument[2:] else _ignore_with_value(call, argument, rest)),
    ("-C", _attached("config_files")),
    ("-D", _parse_D),
    ("-d", _parse_d),
    ("-e", lambda call, argument, rest: _error_mode(call, argument[2:], argument)),
    ("-F", _attached("sender_name")),
    ("-f", _parse_f),
    ("-h", lambda call, argument, rest: None if argument[2:] else _ignore_with_value(call, argument, rest)),
    ("-L", _attached("syslog_tag")),
    ("-M", _parse_M),
    ("-O", lambda call, argument, rest: None if argument[2:] else _ignore_with_value(call, argument, rest)),
    ("-o", _parse_o),
    ("-p", _parse_p),
    ("-q", _parse_q),
    ("-R", _parse_select),
    ("-r", _parse_f),
    ("-S", _parse_select),
    ("-Tqt", lambda call, argument, rest: setattr(call, "queue_times", _value("", rest, argument))),
    ("-z", _attached("log_text")),
)

MODES_TAKING_STRINGS = frozenset({"be"})


def parse(program: str, arguments: list[str]) -> Invocation:
    """Parse; raises UsageError. Options end at `--` or at the first argument that does not begin with `-`."""
    call = Invocation(argv=[program, *arguments], program=program)
    rest = list(arguments)
    while rest:
        argument = rest[0]
        if argument == "--":
            rest.pop(0)
            break
        if not argument.startswith("-") or argument == "-":
            break
        rest.pop(0)
        _parse_one(call, argument, rest)
    call.arguments = call.arguments or rest
    if call.log_text is not None and not call.mode:
        call.mode = "z"
    if _incompatible(call):
        raise UsageError("exim: incompatible command-line options or arguments")
    return call


def _incompatible(call: Invocation) -> bool:
    """A daemon, a queue run or a local SMTP session beside a message on standard input, as observed with Exim."""
    smtp = call.mode in ("bs", "bS")
    if call.listen:
        return smtp or call.extract_recipients or call.sender is not None or bool(call.arguments)
    if smtp:
        return call.extract_recipients
    return call.mode in ("q", "bi") and bool(call.arguments)


def _parse_one(call: Invocation, argument: str, rest: Arguments) -> None:
    if argument in EXACT:
        EXACT[argument](call, argument, rest)
        return
    for prefix, parser in PREFIXED:
        if argument.startswith(prefix):
            parser(call, argument, rest)
            return
    raise unknown(argument)
