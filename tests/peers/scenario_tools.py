"""The same day's mail through Angaros and through Debian's Exim; then Debian's utilities and ours on the logs, the queues and the
hints of both: they must say the same. `python -m tests.peers.scenario_tools`
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.peers import packages
from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros, DebianExim, EximLike
from tests.peers.world import BIN, wait_for, world

CONF = """
primary_hostname = @NAME@.test
@HOUSE@
@EXTRA@
tls_advertise_hosts =
log_selector = +subject +smtp_confirmation +received_recipients
domainlist local_domains = @NAME@.test
acl_smtp_rcpt = check_rcpt
queue_run_in_order
begin acl
check_rcpt:
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
put_off:
  driver = redirect
  domains = defer.test
  data = :defer: not today
away:
  driver = manualroute
  domains = ! +local_domains
  route_list = away.test @AWAY@ ; dead.test 192.0.2.1 ; * 192.0.2.1
  transport = smtp
  no_more
many:
  driver = redirect
  local_parts = team
  data = alice, bob
here:
  driver = accept
  local_parts = alice : bob : carol
  transport = maildir
begin transports
smtp:
  driver = smtp
@MAILDIR@
  user = vmail
begin retry
* * F,2h,5m
"""
STATISTICS = (
    "", "-h4 -bydomain -byemail -byedomain", "-h0 -q0 -t3 -nvr", "-q1,60 -ne -nr -h0", "-pattern A /away/ -t0", "-nt/smtp/",
    "-byhost",
)  # fmt: skip
HISTORIES = (
    ["alice"], ["-l", "[192.0.2."], ["away"], ["-I", "Unrouteable"], ["-t", "0", "alice"], ["dead|defer"], ["-v", "alice"],
    ["relay not"], ["-M", "unknown"],
)  # fmt: skip
PICKS = (
    "", "-i", "-bpu", "-bpa", "-bpc", "-c|-z", "-i|-z", "-i|-x", "-i|-f|carol", "-i|-r|dead", "-b", "--flatq", "--size",
    "-i|$sender_address eq carol@@NAME@.test", "-i|$recipients_count > 1", "-i|$message_size > 1K", "-i|!$deliver_freeze",
    "-i|--or|-z|-r|defer", "-i|$h_subject: =~ /second/", "-i|--not|-r|dead", "-i|-r|dead|--reverse", "-i|--sort|sender_address",
    "-i|--show-vars|sender_address,body_linecount,received_protocol", "-i|$message_body =~ /line 7/",
)  # fmt: skip
"""Arguments of exipick, with a bar between them."""
CHOICES = ("-i -f carol", "-i -r dead", "-z", "-x -b", "-c -f .", "-i -R -z", "-a -r .", "-i -y 3600", "-i -o 1", "-l -f carol")


def tree() -> Path:
    return packages.exim() / "usr/sbin"


def run(*command: str, stdin: str = "") -> str:
    """Standard output of a utility; PERL_HASH_SEED makes Debian's repeatable."""
    environment = {**os.environ, "PERL_HASH_SEED": "0", "PERL5LIB": "/usr/share/perl5"}
    done = subprocess.run(command, input=stdin.encode("latin-1"), capture_output=True, env=environment, check=False)
    return done.stdout.decode("latin-1")


def ours(tool: str, *arguments: str, stdin: str = "") -> str:
    return run(str(BIN / tool), *arguments, stdin=stdin)


def theirs(tool: str, *arguments: str, stdin: str = "") -> str:
    return run("perl", str(tree() / tool), *arguments, stdin=stdin)


# --- The day's mail -----------------------------------------------------------------------------------------------------


def mail(server: EximLike, sender: str, *to: str, subject: str, lines: int = 3) -> None:
    text = f"From: {sender}\nTo: {to[0]}\nSubject: {subject}\n\n" + "".join(f"This is line {n}\n" for n in range(lines))
    server.exim("-odf", "-oi", "-f", sender, *to, input=text)


def day(server: EximLike) -> None:
    """Local, remote, refused, put off, bounced, rejected, frozen."""
    name = server.node.hostname
    mail(server, f"alice@{name}", f"bob@{name}", subject="first")
    mail(server, f"carol@{name}", f"team@{name}", "alice@away.test", subject="second", lines=200)
    mail(server, f"alice@{name}", f"unknown@{name}", subject="to nobody")
    for number in range(4):
        mail(
            server, f"{'carol' if number % 2 else 'bob'}@{name}", f"u{number}@dead.test", "v@dead.test", subject=f"dead {number}"
        )
    mail(server, f"carol@{name}", "w@defer.test", f"bob@{name}", subject="second, put off", lines=100)
    mail(server, "", "x@dead.test", subject="a bounce")
    with smtplib.SMTP(server.node.address, timeout=30) as client:
        client.sendmail("s@outside.test", [f"alice@{name}"], "Subject: by SMTP\r\n\r\nhello\r\n")
        try:
            client.sendmail("s@outside.test", ["far@elsewhere.test"], "Subject: no\r\n\r\nhello\r\n")
        except smtplib.SMTPRecipientsRefused:
            pass
    wait_for(lambda: "by SMTP" in (server.log / "mainlog").read_text("latin-1"), 20, server.logs)
    wait_for(lambda: server.queue_count() == 6, 20, lambda: server.exim("-bp") + server.logs())
    frozen = sorted(path.name[:-2] for path in (server.spool / "input").glob("*-H"))[0]
    server.exim("-Mf", frozen)


# --- Comparing ----------------------------------------------------------------------------------------------------------


class Differences:
    """What the two did not agree on."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.count = 0

    def compare(self, what: str, one: str, other: str, clean: Callable[[str], object] = str.splitlines) -> None:
        self.count += 1
        if clean(one) != clean(other):
            self.found.append(f"=== {what}\n--- ours\n{one[:3000]}\n--- Debian's\n{other[:3000]}\n")
        if not one.strip() and not other.strip():
            self.found.append(f"=== {what}: neither says anything")


def blocks(text: str) -> list[str]:
    """Histories without the order of unfinished messages, which is that of a hash in Debian's."""
    return sorted(text.split("\n\n"))


def ageless(text: str) -> list[str]:
    """A minute may pass between two listings."""
    return [re.sub(r"^( *\d+)m ", "  m ", line) for line in text.splitlines()]


def program_for(server: EximLike, program: str) -> str:
    """A configuration for another program on this server's spool."""
    path = server.root / f"{Path(program).name}-{'ours' if str(BIN) in program else 'debian'}.conf"
    text = server.conf.read_text()
    if str(BIN) not in program:
        text = text.replace("short_message_ids\n", "")
    path.write_text(text.replace(f"exim_path = {server.program}", f"exim_path = {program}"))
    with open("/etc/exim4/trusted_configs", "a") as trusted:
        trusted.write(f"{path}\n")
    return str(path)


def compare_logs(server: EximLike, found: Differences) -> None:
    log = str(server.log / "mainlog")
    for options in STATISTICS:
        found.compare(
            f"{server.node.name}: eximstats {options}", *(one("eximstats", *options.split(), log) for one in (ours, theirs))
        )
    for arguments in HISTORIES:
        texts = (one("exigrep", *arguments, log) for one in (ours, theirs))
        found.compare(f"{server.node.name}: exigrep {arguments}", *texts, clean=blocks)


def compare_queues(server: EximLike, found: Differences) -> None:
    programs = str(BIN / "exim"), str(tree() / "exim4")
    configs = [program_for(server, program) for program in programs]
    for form in ("-bp", "-bpc", "-bpa", "-bpu", "-bpru"):
        texts = [run(program, "-C", conf, form) for program, conf in zip(programs, configs, strict=True)]
        clean = sorted_lines if "r" in form else ageless
        found.compare(f"{server.node.name}: exim {form}", *texts, clean=clean)
    for options in CHOICES:
        arguments = ["-E", programs[1], "-C", configs[1], *options.split()]
        texts = [one("exiqgrep", *arguments) for one in (ours, theirs)]
        found.compare(f"{server.node.name}: exiqgrep {options}", *texts, clean=sorted_lines)
    listing = run(programs[1], "-C", configs[1], "-bp")
    for options in ("", "-a", "-b", "-f", "-s"):
        texts = [one("exiqsumm", *options.split(), stdin=listing) for one in (ours, theirs)]
        found.compare(f"{server.node.name}: exiqsumm {options}", *texts, clean=sorted_lines)
    for criteria in PICKS:
        arguments = ["--spool", str(server.spool), *filter(None, criteria.replace("@NAME@", server.node.name).split("|"))]
        texts = [one("exipick", *arguments) for one in (ours, theirs)]
        clean = sorted_words if "--sort" in criteria or not criteria.startswith("-i") else str.splitlines
        found.compare(f"{server.node.name}: exipick {criteria}", *texts, clean=clean)


def sorted_lines(text: str) -> list[str]:
    """What Debian's takes from a hash has no order."""
    return sorted(ageless(text))


def sorted_words(text: str) -> list[list[str]]:
    """Recipients too."""
    return sorted(sorted(re.split(r"[\s;]+", line)) for line in ageless(text))


def timeless(text: str) -> list[str]:
    """Records of two servers: without times, ids and where they are. 4.99 has brackets round an address in place of a name."""
    text = re.sub(r"\d\d-\w\w\w-\d{4} \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"(Transport: )\[([\d.]+)\] \2", r"\1\2 [\2]", text)  # 4.99 writes a host named by its address so
    text = re.sub(r"\b\w{6}-\w{6,11}-\w{2,4}\b", "ID", text)
    return sorted(re.sub(r"T:\[([\d.]+)\]", r"T:\1", text).replace("server-ang", "server-deb").splitlines())


def compare_hints(angaros: EximLike, debian: EximLike, found: Differences) -> None:
    """Each program's own: the formats on disk are different ones."""
    for database in ("retry", "wait-smtp"):
        one = ours("exim_dumpdb", str(angaros.spool), database)
        other = run(str(tree() / "exim_dumpdb"), str(debian.spool), database)
        found.compare(f"exim_dumpdb {database}", one, other, clean=timeless)
    script, text = debian.root / "exinext", (tree() / "exinext").read_text("latin-1")
    script.write_text(text.replace("/usr/sbin/exim_dumpdb", str(tree() / "exim_dumpdb")), "latin-1")
    shutil.copy(debian.conf, "/etc/exim4/exim4.conf")  # it takes no other
    for argument in ("dead.test", "u1@dead.test", "nothing.test", "192.0.2.1"):
        one = angaros.node.run(str(BIN / "exinext"), "-C", str(angaros.conf), argument, check=False)
        other = debian.node.run("sh", str(script), argument, check=False)
        found.compare(f"exinext {argument}", one, other, clean=timeless)
    for database in ("retry", "wait-smtp"):
        one = ours("exim_tidydb", str(angaros.spool), database)
        other = run(str(tree() / "exim_tidydb"), str(debian.spool), database)
        found.compare(f"exim_tidydb {database}", one, other, clean=timeless)


def servers() -> Iterator[tuple[type[EximLike], str, str, str]]:
    yield Angaros, "ang", "192.0.2.20", "short_message_ids\n"
    yield DebianExim, "deb", "192.0.2.10", ""


def main() -> None:
    with world() as made:
        nodes = [made.add(name, f"{name}.test") for name in ("ang", "deb")]
        made.serve_dns()
        Path("/etc/angaros").mkdir()
        Path("/etc/angaros/site.conf").write_text(SITE)
        started = []
        for node, (kind, name, away, extra) in zip(nodes, servers(), strict=True):
            conf = CONF.replace("@NAME@", name).replace("@AWAY@", away).replace("@EXTRA@\n", extra)
            server = kind(node, conf)
            server.start("-q1h")
            started.append(server)
        for server in started:
            day(server)
        for server in started:
            server.stop()
        found = Differences()
        for server in started:
            compare_logs(server, found)
            compare_queues(server, found)
        compare_hints(started[0], started[1], found)
        print(f"{found.count} comparisons")
        assert not found.found, "\n".join(found.found)
    print("ok")


if __name__ == "__main__":
    main()
