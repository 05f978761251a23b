"""The same message handed in locally: what Exim 4.96 and we put into the spool."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.peers import packages
from tests.peers.world import BIN, world

HERE = Path(__file__).parent / "answers" / "submissions"
CONFIGURATION = """
keep_environment =
add_environment = PATH=/bin
exim_path = PROGRAM
primary_hostname = mail.example
qualify_domain = example.com
spool_directory = /tmp/spool
log_file_path = /tmp/log/%slog
queue_only
trusted_users = root
untrusted_set_sender = *@set.example
log_selector = +received_recipients +subject +received_sender
message_logs = false
bounce_sender_authentication = auth@example.com
OPTIONS
begin routers
r:
  driver = accept
  transport = t
begin transports
t:
  driver = appendfile
  file = /dev/null
begin rewrite
*@rewritten.example $1@made.example
"""


def cases() -> list[tuple[str, str, bytes]]:
    """(name, arguments, message) of each file: its first line has the arguments; escapes stand for odd octets."""
    found = []
    for path in sorted(HERE.iterdir()):
        for number, part in enumerate(path.read_bytes().split(b"\n=====\n")):
            arguments, _, message = part.partition(b"\n")
            for escape, octet in ((b"\\0", b"\0"), (b"\\r", b"\r"), (b"\\e", b"\xe4"), (b"\\u", b"\xc3\xa4"), (b"\\!\n", b"")):
                message = message.replace(escape, octet)
            found.append((f"{path.name} {number}", arguments.decode(), message))
    return found


def hand_in(program: str, options: str, arguments: str, message: bytes) -> str:
    """What is said, logged and kept."""
    for directory in ("/tmp/spool", "/tmp/log"):
        shutil.rmtree(directory, ignore_errors=True)
        Path(directory).mkdir()
        Path(directory).chmod(0o777)
    configuration = Path("/tmp/exim.conf")
    configuration.write_text(CONFIGURATION.replace("OPTIONS", options.replace("|", "\n")).replace("PROGRAM", program))
    command = [program, "-C", "/tmp/exim.conf", *shlex.split(arguments)]
    if "as:alice" in command:
        command.remove("as:alice")
        command = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", *command]
    done = subprocess.run(command, input=message, capture_output=True, check=False, cwd="/", timeout=60)
    said = done.stdout.decode("latin-1") + f"status {done.returncode}\n" + done.stderr.decode("latin-1")
    kept = [
        f"{path.name[-1]}:\n{path.read_bytes().decode('latin-1')}" for path in sorted(Path("/tmp/spool/input").glob("*-[DH]"))
    ]
    logs = [path.read_text("latin-1") for path in sorted(Path("/tmp/log").iterdir())]
    return plain("".join([said, *kept, *logs]))


def plain(text: str) -> str:
    """Ids, times, lengths and versions made equal."""
    text = re.sub(r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})", "MESSAGE-ID", text)
    text = re.sub(r"\b\w\w\w, \d\d? \w\w\w \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "DATE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\bS=\d+", "S=SIZE", text)
    text = re.sub(r"^(?:LOG: MAIN PANIC\n  |TIME )exim user lost privilege for using -C option\n", "", text, flags=re.M)
    text = re.sub(r"^\d\d\d(. References: )", r"nnn\1", text, flags=re.M)
    text = re.sub(r"(?<=MESSAGE-ID )(?=rewrite: )", "qualify/", text)
    text = re.sub(r"250-LIMITS .*\n", "", re.sub(r"ESMTP Exim .*", "ESMTP Exim", text))
    text = text.replace("-tls_resumption A\n", "")
    text = re.sub(r"\(Exim [^)]*\)", "(Exim)", text)
    text = re.sub(r"^\d\d\d([P ]) Received:", r"nnn\1 Received:", text, flags=re.M)
    text = re.sub(r"^(-received_time_(?:usec|complete)|-frozen) .*", r"\1", text, flags=re.M)
    text = re.sub(r"^\d{10} 0$", "ARRIVAL 0", text, flags=re.M)
    text = re.sub(r"^\d\d\d(. (?:Message-Id|Date|Resent-Message-Id|Resent-Date): )", r"nnn\1", text, flags=re.M | re.I)
    return re.sub(r"pid=\d+", "pid=N", text)


def main() -> None:
    original = packages.exim() / "usr/sbin/exim4"
    theirs = "/tmp/exim4"
    ours = str(BIN / "exim")
    failures = 0
    with world():
        shutil.copy(original, theirs)
        Path(theirs).chmod(0o4755)
        for name, arguments, message in cases():
            options, _, rest = arguments.rpartition("||")
            wanted, got = (hand_in(program, options, rest, message) for program in (theirs, ours))
            if wanted != got:
                failures += 1
                print(f"{name}: {arguments}")
                print("".join(difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), "Exim", "Angaros")))
    print(f"{failures} submissions differ" if failures else "ok")


if __name__ == "__main__":
    main()
