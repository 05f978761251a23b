"""Each option of the local transports by what it does to a delivery. Exim spec 24 to 29, 61 (queuefile).

`test_each_option_has_a_row` proves that none is left out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from angaros.config import transport_options
from angaros.config.missing import MISSING, NO_EFFECT
from angaros.model.errors import AngarosError
from tests.delivery.world import ME, Sink, World

ROUTER = "r:\n  driver = accept\n  transport = t\n"
TEXT = "Subject: hello\nX-Old: 1\n\nFrom here\n.dot\nlast\n"


@dataclass
class Row:
    """`{dir}` is a directory of the test's own; `check` gets the directory and the log lines."""

    lines: str
    check: Callable[[Path, str], Any]
    text: str = TEXT
    recipients: tuple[str, ...] = ("x@dom",)
    routers: str = ROUTER
    more: str = ""
    """Other transports."""
    prepare: Callable[[Path], Any] = lambda directory: None


def box(directory: Path) -> str:
    return (directory / "box").read_text("latin-1")


def has(*texts: str) -> Callable[[Path, str], Any]:
    """The mailbox contains the texts (with `!`: does not)."""
    return lambda d, log: all((t[1:] not in box(d)) if t.startswith("!") else (t in box(d)) for t in texts)


def says(text: str) -> Callable[[Path, str], Any]:
    return lambda d, log: text in log


def mode_of(name: str) -> Callable[[Path], int]:
    return lambda d: stat.S_IMODE((d / name).stat().st_mode)


FILE = "driver = appendfile\n  file = {dir}/box"
DIR = "driver = appendfile\n  directory = {dir}/md\n  maildir_format"
REDIRECT = "r:\n  driver = redirect\n  domains = dom\n  data = a@h, b@h\nl:\n  driver = accept\n  transport = t\n"


def new_files(d: Path) -> list[str]:
    return sorted(one.name for one in (d / "md/new").iterdir())


GENERIC = {
    "body_only": Row(f"{FILE}\n  body_only", has("From here", "!Subject:")),
    "headers_only": Row(f"{FILE}\n  headers_only", has("Subject:", "!last")),
    "current_directory": Row("driver = pipe\n  current_directory = /usr\n  command = /bin/sh -c 'pwd > {dir}/box'", has("/usr")),
    "home_directory": Row(
        "driver = pipe\n  home_directory = /srv\n  command = /bin/sh -c 'cat >/dev/null; env > {dir}/box'", has("HOME=/srv")
    ),
    "debug_print": Row(f"{FILE}\n  debug_print = here", has("last")),
    "delivery_date_add": Row(f"{FILE}\n  delivery_date_add", has("Delivery-date: Sat, 21 Nov 2026")),
    "disable_logging": Row(f"{FILE}\n  disable_logging", lambda d, log: "=>" not in log),
    "envelope_to_add": Row(f"{FILE}\n  envelope_to_add", has("Envelope-to: x@dom")),
    "event_action": Row(f"{FILE}\n  event_action = ${{acl{{ev}}}}", lambda d, log: "msg:delivery" in log),
    "user": Row(f"{FILE}\n  user = ${{if eq{{1}}{{1}}{{no-such}}}}", says('Failed to find user "no-such"')),
    "group": Row(f"{FILE}\n  user = 0\n  group = ${{if eq{{1}}{{1}}{{no-such}}}}", says('Failed to find group "no-such"')),
    "initgroups": Row(f"{FILE}\n  initgroups", has("last")),
    "headers_add": Row(f"{FILE}\n  headers_add = X-New: $local_part", has("X-New: x")),
    "headers_remove": Row(f"{FILE}\n  headers_remove = x-old", has("!X-Old")),
    "headers_rewrite": Row(f"{FILE}\n  headers_rewrite = joe@author.example jim@q f", has("From: jim@q")),
    "max_parallel": Row(f"{FILE}\n  max_parallel = ${{bad}}", says("Failed to expand max_parallel")),
    "message_size_limit": Row(f"{FILE}\n  message_size_limit = 10", says("message is too big (transport limit = 10)")),
    "rcpt_include_affixes": Row(
        f"{FILE}\n  envelope_to_add\n  rcpt_include_affixes",
        has("last"),
        recipients=("pre-x@dom",),
        routers="r:\n  driver = accept\n  local_part_prefix = pre-\n  transport = t\n",
    ),
    "retry_use_local_part": Row(f"{FILE}\n  no_retry_use_local_part", has("last")),
    "return_path": Row(f"{FILE}\n  return_path = other@h\n  return_path_add", has("Return-path: <other@h>", "From other@h")),
    "return_path_add": Row(f"{FILE}\n  return_path_add", has("Return-path: <joe@author.example>")),
    "shadow_transport": Row(
        f"{FILE}\n  shadow_transport = two",
        lambda d, log: (d / "two").exists() and "ST=two" in log,
        more=f"two:\n  driver = appendfile\n  file = {{dir}}/two\n  {ME}\n",
    ),
    "shadow_condition": Row(
        f"{FILE}\n  shadow_transport = two\n  shadow_condition = no",
        lambda d, log: not (d / "two").exists(),
        more=f"two:\n  driver = appendfile\n  file = {{dir}}/two\n  {ME}\n",
    ),
    "transport_filter": Row(f"{FILE}\n  transport_filter = /bin/sed s/last/LAST/", has("LAST")),
    "transport_filter_timeout": Row(
        f"{FILE}\n  transport_filter = /bin/sh -c 'exec sleep 9'\n  transport_filter_timeout = 1s",
        says("transport filter timeout"),
    ),
}

APPENDFILE = {
    "allow_fifo": Row(FILE, says("defer"), prepare=lambda d: os.mkfifo(d / "box")),
    "allow_symlink": Row(
        f"{FILE}\n  allow_symlink",
        lambda d, log: "last" in (d / "real").read_text(),
        prepare=lambda d: ((d / "real").touch(0o600), (d / "box").symlink_to(d / "real")),
    ),
    "allow_symlink not": Row(FILE, says("is not a regular file"), prepare=lambda d: (d / "box").symlink_to(d / "real")),
    "batch_max": Row(f"{FILE}\n  batch_max = 9\n  envelope_to_add", says("-> b <x@dom>"), routers=REDIRECT),
    "batch_id": Row(
        f"{FILE}\n  batch_max = 9\n  batch_id = $local_part\n  envelope_to_add", says("=> b <x@dom>"), routers=REDIRECT
    ),
    "check_group": Row(f"{FILE}\n  check_group\n  group = {os.getegid()}", has("last")),
    "check_owner": Row(f"{FILE}\n  no_check_owner", has("last")),
    "check_string": Row(f'{FILE}\n  check_string = "last"\n  escape_string = "at last"', has("\nat last\n")),
    "escape_string": Row(f'{FILE}\n  check_string = "."\n  escape_string = ".."', has("..dot", "\nFrom here")),
    "create_directory": Row(
        "driver = appendfile\n  file = {dir}/new/box\n  no_create_directory", says("No such file or directory")
    ),
    "create_file": Row(
        "driver = appendfile\n  file = {dir}/../other-box\n  create_file = inhome\n  home_directory = {dir}",
        says("creation outside the home directory is not permitted"),
    ),
    "directory": Row(
        "driver = appendfile\n  directory = {dir}/new", lambda d, log: "last" in next((d / "new").iterdir()).read_text()
    ),
    "directory_file": Row(
        "driver = appendfile\n  directory = {dir}/new\n  directory_file = mail-$inode",
        lambda d, log: next((d / "new").iterdir()).name.startswith("mail-"),
    ),
    "directory_mode": Row(
        "driver = appendfile\n  directory = {dir}/new\n  directory_mode = 0750", lambda d, log: mode_of("new")(d) == 0o750
    ),
    "file": Row("driver = appendfile\n  file = {dir}/${lc:BOX}", has("last")),
    "file_format": Row(
        f'{FILE}\n  file_format = "From : t : \\1\\1 : other"\n  check_string =',
        says("T=other"),
        prepare=lambda d: ((d / "box").write_text("\x01\x01\n"), (d / "box").chmod(0o600)),
        more=f"other:\n  driver = appendfile\n  file = {{dir}}/box\n  {ME}\n",
    ),
    "file_must_exist": Row(f"{FILE}\n  file_must_exist", says("No such file or directory")),
    "lock_fcntl_timeout": Row(f"{FILE}\n  lock_fcntl_timeout = 1s", has("last")),
    "lock_flock_timeout": Row(f"{FILE}\n  use_flock_lock\n  lock_flock_timeout = 1s", has("last")),
    "lock_interval": Row(f"{FILE}\n  lock_interval = 1s", has("last")),
    "lock_retries": Row(
        f"{FILE}\n  lock_retries = 1\n  lock_interval = 1s", says("lock"), prepare=lambda d: (d / "box.lock").write_text("")
    ),
    "lockfile_mode": Row(f"{FILE}\n  lockfile_mode = 0640", has("last")),
    "lockfile_timeout": Row(
        f"{FILE}\n  lockfile_timeout = 1s\n  lock_interval = 1s",
        has("last"),
        prepare=lambda d: ((d / "box.lock").write_text(""), os.utime(d / "box.lock", (1, 1))),
    ),
    "mailbox_size": Row(f"{FILE}\n  mailbox_size = 1000\n  quota = 900", says("mailbox is full")),
    "mailbox_filecount": Row(
        f"{DIR}\n  mailbox_filecount = 5\n  mailbox_size = 1\n  quota = 9M\n  quota_filecount = 5", says("mailbox is full")
    ),
    "maildir_format": Row(DIR, lambda d, log: len(new_files(d)) == 1),
    "maildir_quota_directory_regex": Row(
        f"{DIR}\n  quota = 9M\n  maildir_use_size_file\n  maildir_quota_directory_regex = ^none", lambda d, log: new_files(d)
    ),
    "maildir_retries": Row(f"{DIR}\n  maildir_retries = 2", lambda d, log: new_files(d)),
    "maildir_tag": Row(f"{DIR}\n  maildir_tag = ,S=$message_size", lambda d, log: ",S=" in new_files(d)[0]),
    "maildir_use_size_file": Row(f"{DIR}\n  quota = 9M\n  maildir_use_size_file", lambda d, log: (d / "md/maildirsize").exists()),
    "maildirfolder_create_regex": Row(
        f"{DIR}\n  maildirfolder_create_regex = md$", lambda d, log: (d / "md/maildirfolder").exists()
    ),
    "mailstore_format": Row(
        "driver = appendfile\n  directory = {dir}/st\n  mailstore_format",
        lambda d, log: sorted(p.suffix for p in (d / "st").iterdir()) == [".env", ".msg"],
    ),
    "mailstore_prefix": Row(
        "driver = appendfile\n  directory = {dir}/st\n  mailstore_format\n  mailstore_prefix = before",
        lambda d, log: next((d / "st").glob("*.env")).read_text().startswith("before\n"),
    ),
    "mailstore_suffix": Row(
        "driver = appendfile\n  directory = {dir}/st\n  mailstore_format\n  mailstore_suffix = after",
        lambda d, log: next((d / "st").glob("*.env")).read_text().endswith("after\n"),
    ),
    "mbx_format": Row(f"{FILE}\n  mbx_format", has("*mbx*")),
    "message_prefix": Row(f'{FILE}\n  message_prefix = "<<$local_part>>\\n"', has("<<x>>")),
    "message_suffix": Row(f'{FILE}\n  message_suffix = "===\\n"', has("===")),
    "mode": Row(f"{FILE}\n  mode = 0640", lambda d, log: mode_of("box")(d) == 0o640),
    "mode_fail_narrower": Row(
        f"{FILE}\n  mode = 0640\n  no_mode_fail_narrower",
        has("last"),
        prepare=lambda d: ((d / "box").write_text(""), (d / "box").chmod(0o600)),
    ),
    "mode_fail_narrower on": Row(
        f"{FILE}\n  mode = 0640", says("wrong mode"), prepare=lambda d: ((d / "box").write_text(""), (d / "box").chmod(0o600))
    ),
    "notify_comsat": Row(f"{FILE}\n  notify_comsat", has("last")),
    "quota": Row(f"{FILE}\n  quota = 20", says("mailbox is full (MTA-imposed quota exceeded while writing to")),
    "quota_directory": Row(f"{DIR}\n  quota = 20\n  quota_directory = {{dir}}", says("mailbox is full")),
    "quota_filecount": Row(f"{DIR}\n  quota = 9M\n  quota_filecount = 0", lambda d, log: new_files(d)),
    "quota_is_inclusive": Row(f"{FILE}\n  quota = 20\n  no_quota_is_inclusive", has("last")),
    "quota_size_regex": Row(f"{DIR}\n  quota = 9M\n  quota_size_regex = S=(\\d+)", lambda d, log: new_files(d)),
    "quota_warn_threshold": Row(f"{FILE}\n  quota = 1M\n  quota_warn_threshold = 10", lambda d, log: "sent:" in log),
    "quota_warn_message": Row(
        f'{FILE}\n  quota = 1M\n  quota_warn_threshold = 10\n  quota_warn_message = "To: p@h\\nSubject: nearly full\\n\\nm\\n"',
        says("nearly full"),
    ),
    "use_bsmtp": Row(f"{FILE}\n  use_bsmtp", has("MAIL FROM:<joe@author.example>\nRCPT TO:<x@dom>\nDATA\n", "..dot", "\n.\n")),
    "use_crlf": Row(f"{FILE}\n  use_crlf", lambda d, log: b"last\r\n" in (d / "box").read_bytes()),
    "use_fcntl_lock": Row(f"{FILE}\n  no_use_fcntl_lock", has("last")),
    "use_flock_lock": Row(f"{FILE}\n  use_flock_lock", has("last")),
    "use_lockfile": Row(
        f"{FILE}\n  no_use_lockfile\n  lock_retries = 1", has("last"), prepare=lambda d: (d / "box.lock").write_text("")
    ),
    "use_mbx_lock": Row(f"{FILE}\n  mbx_format\n  use_mbx_lock", has("*mbx*")),
}

PIPE = "driver = pipe\n  command = "
SAVE = PIPE + "/bin/sh -c 'cat > {dir}/box'"
VIA = "r:\n  driver = redirect\n  data = |/bin/cat\n  pipe_transport = t\n"
PIPES = {
    "allow_commands": Row(
        "driver = pipe\n  allow_commands = /bin/true", says('"/bin/cat" command not permitted by t transport'), routers=VIA
    ),
    "batch_max": Row(f"{SAVE}\n  batch_max = 5\n  envelope_to_add", says("-> b <x@dom>"), routers=REDIRECT),
    "batch_id": Row(
        f"{PIPE}/bin/sh -c 'cat >> {{dir}}/box'\n  batch_max = 5\n  batch_id = $local_part\n  envelope_to_add",
        says("=> b <x@dom>"),
        routers=REDIRECT,
    ),
    "check_string": Row(f'{SAVE}\n  check_string = "From "\n  escape_string = ">From "', has("\n>From here")),
    "escape_string": Row(f'{SAVE}\n  check_string = "."\n  escape_string = "+."', has("+.dot")),
    "command": Row(PIPE + '/usr/bin/touch "{dir}/a b"', lambda d, log: (d / "a b").exists()),
    "environment": Row(f"{PIPE}/bin/sh -c 'env > {{dir}}/box'\n  environment = V=one:W=two", has("V=one", "LOCAL_PART=x")),
    "force_command": Row(f"{SAVE}\n  force_command", has("last"), routers=VIA),
    "freeze_exec_fail": Row(f"{PIPE}/no/such\n  freeze_exec_fail", says("Frozen")),
    "freeze_signal": Row(f"{PIPE}/bin/sh -c 'kill -15 \\$\\$'\n  freeze_signal", says("Frozen")),
    "ignore_status": Row(f"{PIPE}/bin/false\n  ignore_status", says("=> x")),
    "log_defer_output": Row(f"{PIPE}/bin/sh -c 'echo why; exit 75'\n  log_defer_output\n  temp_errors = 75", says("why")),
    "log_fail_output": Row(f"{PIPE}/bin/sh -c 'echo why; exit 3'\n  log_fail_output", says("why")),
    "log_output": Row(f"{PIPE}/bin/echo said\n  log_output", says("said")),
    "max_output": Row(
        f"{PIPE}/bin/sh -c 'yes | head -c 9000; exit 0'\n  max_output = 1k\n  log_output", says("t transport output: y")
    ),
    "message_prefix": Row(f'{SAVE}\n  message_prefix = "P\\n"', has("P\n")),
    "message_suffix": Row(f'{SAVE}\n  message_suffix = "S\\n"', has("S\n")),
    "path": Row("driver = pipe\n  command = true\n  path = /bin:/usr/bin", says("=> x")),
    "pipe_as_creator": Row(f"{SAVE}\n  pipe_as_creator", has("last")),
    "restrict_to_path": Row("driver = pipe\n  restrict_to_path", says('"/" found in "/bin/cat"'), routers=VIA),
    "return_fail_output": Row(f"{PIPE}/bin/sh -c 'expr 4710 + 1; exit 3'\n  return_fail_output", says("4711")),
    "return_output": Row(f"{PIPE}/bin/echo said\n  return_output", says("return message generated")),
    "temp_errors": Row(f"{PIPE}/bin/sh -c 'exit 9'\n  temp_errors = 9", says("== x@dom")),
    "timeout": Row(f"{PIPE}/bin/sleep 9\n  timeout = 1s", says("** x@dom")),
    "timeout_defer": Row(f"{PIPE}/bin/sleep 9\n  timeout = 1s\n  timeout_defer", says("== x@dom")),
    "umask": Row(f"{SAVE}\n  umask = 077", lambda d, log: mode_of("box")(d) == 0o600),
    "use_bsmtp": Row(f"{SAVE}\n  use_bsmtp", has("MAIL FROM:<joe@author.example>")),
    "use_classresources": Row(f"{SAVE}", has("last")),
    "use_crlf": Row(f"{SAVE}\n  use_crlf", lambda d, log: b"last\r\n" in (d / "box").read_bytes()),
    "use_shell": Row('driver = pipe\n  command = "cat | tr a-z A-Z > {dir}/box"\n  use_shell', has("LAST")),
}

REPLY = "driver = autoreply\n  to = $sender_address\n  subject = back\n  text = hi"
REPLIES = {
    "to": Row(REPLY, says("To: joe@author.example")),
    "bcc": Row(f"{REPLY}\n  bcc = z@h", says("'z@h'")),
    "cc": Row(f"{REPLY}\n  cc = z@h", says("Cc: z@h")),
    "file": Row(
        f"{REPLY}\n  file = {{dir}}/f", says("from file $tod_log"), prepare=lambda d: (d / "f").write_text("from file $tod_log\n")
    ),
    "file_expand": Row(
        f"{REPLY}\n  file = {{dir}}/f\n  file_expand", says("to x"), prepare=lambda d: (d / "f").write_text("to $local_part\n")
    ),
    "file_optional": Row(f"{REPLY}\n  file = {{dir}}/none\n  file_optional", says("hi")),
    "from": Row(f"{REPLY}\n  from = me@h", says("From: me@h")),
    "headers": Row(f"{REPLY}\n  headers = X-A: b", says("X-A: b")),
    "log": Row(f"{REPLY}\n  log = {{dir}}/box", has("To: joe@author.example")),
    "mode": Row(f"{REPLY}\n  log = {{dir}}/box\n  mode = 0640", lambda d, log: mode_of("box")(d) & 0o777 == 0o640),
    "never_mail": Row(f"{REPLY}\n  never_mail = joe@author.example", lambda d, log: "sent:" not in log),
    "once": Row(f"{REPLY}\n  once = {{dir}}/once", lambda d, log: any(one.name.startswith("once") for one in d.iterdir())),
    "once_file_size": Row(
        f"{REPLY}\n  once = {{dir}}/once\n  once_file_size = 1k",
        lambda d, log: any(one.name.startswith("once") for one in d.iterdir()),
    ),
    "once_repeat": Row(f"{REPLY}\n  once = {{dir}}/once\n  once_repeat = 1d", says("sent:")),
    "reply_to": Row(f"{REPLY}\n  reply_to = r@h", says("Reply-To: r@h")),
    "return_message": Row(f"{REPLY}\n  return_message", says("Subject: hello")),
    "subject": Row(REPLY, says("Subject: back")),
    "text": Row(REPLY, says("\nhi")),
}

QUEUEFILES = {
    "directory": Row(
        "driver = queuefile\n  directory = {dir}/q",
        lambda d, log: sorted(p.name[-2:] for p in (d / "q").iterdir()) == ["-D", "-H"],
        prepare=lambda d: (d / "q").mkdir(),
    )
}

TABLES = {"generic": GENERIC, "appendfile": APPENDFILE, "pipe": PIPES, "autoreply": REPLIES, "queuefile": QUEUEFILES}
ROWS = [pytest.param(row, id=f"{table}-{name}") for table, rows in TABLES.items() for name, row in rows.items()]


def played(row: Row, tmp_path: Path, name: str = "own") -> tuple[Any, str]:
    """Whether what should happen did, and the log."""
    directory = tmp_path / name
    directory.mkdir()
    row.prepare(directory)
    who = "" if "user = $" in row.lines or "group = $" in row.lines or "pipe_as_creator" in row.lines else ME
    if "group = " in row.lines:
        who = who.partition("\n")[0]
    transports = f"t:\n  {row.lines}\n  {who}\n{row.more}".replace("{dir}", str(directory))
    main = "begin acl\nev:\n  accept logwrite = $event_name\n" if "{ev}" in row.lines else ""
    world = World(tmp_path, row.routers, transports, main=main)
    log = "\n".join(world.deliver(*row.recipients, text=row.text)) + "".join(f"\nsent:{text}" for text in world.sent)
    return row.check(directory, f"{log}\n{world.sent_to}"), log


@pytest.mark.parametrize("row", ROWS)
def test_option(row: Row, tmp_path: Path) -> None:
    good, log = played(row, tmp_path)
    assert good, log


EFFECTS = "tests/transports/test_local_effects.py"
SEEN_ELSEWHERE = {
    name: f"{EFFECTS}::{test}"
    for test, names in {
        "test_what_the_performing_side_is_told": "allow_fifo check_group check_owner lock_fcntl_timeout lock_flock_timeout "
        "lock_interval "
        "lock_retries lockfile_mode maildir_quota_directory_regex maildir_retries max_output notify_comsat path quota_directory "
        "quota_filecount quota_size_regex use_fcntl_lock use_flock_lock use_mbx_lock",
        "test_initgroups": "initgroups",
        "test_pipe_as_creator": "pipe_as_creator",
        "test_debug_print_is_shown": "debug_print",
        "test_affixes_of_recipients": "rcpt_include_affixes",
        "test_retry_keys": "retry_use_local_part",
        "test_never_mail": "never_mail",
        "test_a_once_file_of_limited_size": "once_file_size",
        "test_a_second_answer_after_some_days": "once_repeat",
    }.items()
    for name in names.split()
}
NOTHING_TO_SEE = {"use_classresources"}
"""In NO_EFFECT."""
OPTIONS = sorted({(table, name.split()[0]) for table, rows in TABLES.items() for name in rows})


@pytest.mark.parametrize(("table", "option"), OPTIONS)
def test_without_the_option_another_thing_happens(table: str, option: str, tmp_path: Path) -> None:
    if option in SEEN_ELSEWHERE:
        file, test = SEEN_ELSEWHERE[option].split("::")
        assert f"def {test}(" in (Path(__file__).parents[2] / file).read_text()
        return
    for number, (name, row) in enumerate(TABLES[table].items()):
        lines = re.sub(rf"(?m)^ *(no_|not_)?{option}( *=.*)?$", "", row.lines)
        if name.split()[0] == option and lines != row.lines:
            try:
                if not played(replace(row, lines=lines), tmp_path, str(number))[0]:
                    return
            except (AngarosError, OSError, StopIteration):  # the configuration does not stand without it; no file came
                return
    assert option in NOTHING_TO_SEE, f"no row shows what {option} does"


LMTP = {
    "command": ("command = /bin/sh -c 'exit 1'", "", "=="),
    "socket": ("socket = {dir}/s", "RCPT TO:<x@dom>", "=> x"),
    "batch_max": ("socket = {dir}/s\n  batch_max = 9", "RCPT TO:<y@dom>", "=> x"),
    "batch_id": ("socket = {dir}/s\n  batch_max = 9\n  batch_id = $local_part", "RCPT TO:<y@dom>", "=> x"),
    "ignore_quota": ("socket = {dir}/s\n  ignore_quota", "RCPT TO:<x@dom> IGNOREQUOTA", "=> x"),
    "timeout": ("socket = {dir}/s\n  timeout = 5s", "RCPT TO:<x@dom>", "=> x"),
}


@pytest.mark.parametrize("name", LMTP)
def test_lmtp_option(name: str, tmp_path: Path) -> None:
    lines, command, logged = LMTP[name]
    with Sink(ehlo=("IGNOREQUOTA",), path=f"{tmp_path}/s") as sink:
        world = World(tmp_path, ROUTER, f"t:\n  driver = lmtp\n  {lines}\n  {ME}\n".replace("{dir}", str(tmp_path)))
        log = world.deliver("x@dom", "y@dom") if name.startswith("batch") else world.deliver("x@dom")
    assert any(line.startswith(logged) for line in log), log
    assert not command or command in sink.commands
    if name == "batch_max":
        assert sink.connections == 1
    if name == "batch_id":
        assert sink.connections == 2


def test_each_option_has_a_row() -> None:
    generic = set(transport_options.TransportOptions.OPTIONS) - {"driver"}
    assert generic <= {name.split()[0] for name in GENERIC}
    tables: dict[str, Any] = {**TABLES, "lmtp": LMTP}
    for driver, options in transport_options.TRANSPORTS.items():
        if driver == "smtp":
            continue  # test_smtp_options.py
        own = set(options.OPTIONS) - generic - {"driver"}
        built = {name for name in own if f"{driver}.{name}" not in MISSING and f"{driver}.{name}" not in NO_EFFECT}
        assert built <= {name.split()[0] for name in tables[driver]}, driver
