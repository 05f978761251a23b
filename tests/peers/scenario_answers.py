"""The same configuration, the same question: what Exim 4.96 and we answer."""

from __future__ import annotations

import difflib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.peers import packages
from tests.peers.world import BIN, world

ANSWERS = Path(__file__).parent / "answers"
SITE = Path("/tmp/site")
FILES = {
    "localdomains": "example.com\nexample.net\n",
    "secondarymx": "relay.example\n",
    "userdomains": "example.com: user1\nexample.net: user2\n",
    "relayhosts": "10.0.0.0/8\n192.168.1.5\n",
    "senderblock": "spam@bad.example\n*@evil.example\n",
    "domainips": "example.com: 10.9.9.9\n",
    "manualmx": "route.example: smtp.route.example:587\n",
    "domainaliases/list": "alias.example: example.com\n",
    "virtual/example.com/aliases": 'bob: bob, carol@example.org\nsales: :fail: no sales here\nbh: :blackhole:\nvac: "|/usr/bin/vac -a"\n*: admin\n',
    "virtual/example.com/passwd": "bob:x:1000:1000::/home/bob:/bin/false\nadmin:x\n",
    "virtual/example.com/filter": "",
    "virtual/example.net/passwd": "",
    "virtual/example.net/filter": "",
    "valiases/example.com": 'bob@example.com: dave@example.org,eve@example.org\nfail@example.com: :fail: No Such User Here\nq@example.com: "|/bin/true"\n',
    "valiases/example.net": "*: :fail: no such address\n",
    "filter": "",
}
TABLES = """
create table domains(domain text, type text, enabled int, avscan int, maxmsgsize int);
insert into domains values('example.com','local',1,1,10), ('example.net','local',1,0,0), ('relay.example','relay',1,0,0),
  ('off.example','local',0,0,0);
create table users(localpart text, domain text, type text, smtp text, quota int, on_vacation int, vacation text, forward text, uid int,
  gid int, sa int, enabled int, crypt text);
insert into users values('bob','example.com','local','/home/vmail/example.com/bob',10,1,'away','',1000,1000,5,1,'x'),
  ('fwd','example.com','alias','dave@example.org,eve@example.org',0,0,'','',0,0,0,1,''),
  ('bl','example.com','fail','',0,0,'','',0,0,0,1,''), ('*','example.net','catch','bob@example.com',0,0,'','',0,0,0,1,''),
  ('off','example.com','local','/x',0,0,'','',1,1,1,0,''),
  ('pipe','example.com','piped','|/bin/prog arg ${local_part}',0,0,'','',0,0,0,1,'');
create table grey(host text, sender text, rcpt text, t int);
create table bl(domain text, blocktype text, blockhdr text, blockval text, color text);
insert into bl values('example.com','x','from','bad@example.org','black');
"""
ADDRESSES = (
    "bob@example.com", "bob+x@example.com", "bob-x@example.com", "admin@example.com", "sales@example.com", "bh@example.com",
    "vac@example.com", "nobody@example.com", "q@example.com", "fail@example.com", "any@example.net", "root@host.example.org",
    "root@mx.example.org", "root", "x@[1.2.3.4]", "x@1.2.3.4", "x@a-.ex", "x@relay.example", "foo@alias.example", "a@b.old.example",
    "<>", "a@", "@x", "a@b c", "postmaster", "fwd@example.com", "bl@example.com", "off@example.com", "pipe@example.com", "a@b.internal",
    "nobody+x@mx.example.org", "list-owner", "u@a.example", "u@c.example",
)  # fmt: skip
HOSTS = ("203.0.113.5", "10.1.1.1", "192.0.2.5", "198.51.100.7")


def make_site() -> None:
    for name, text in FILES.items():
        path = SITE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with sqlite3.connect(SITE / "mail.db") as database:
        database.executescript(TABLES)
    for path in (SITE, *SITE.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666 if path.suffix == ".db" else 0o644)


def ask(program: str, configuration: Path, *arguments: str, stdin: str = "") -> str:
    """Standard output and the exit status."""
    done = subprocess.run(
        [program, "-C", str(configuration), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return f"{done.stdout}status {done.returncode}\n"


def same_everywhere(text: str) -> str:
    """Without what differs by nature: version, time, ids; what 4.99 has and 4.96 has not."""
    text = re.sub(r"ESMTP Exim .*", "ESMTP Exim", text)
    text = re.sub(r"id=\S+", "id=ID", text)
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("250-LIMITS "))


def questions(session: str) -> list[tuple[list[str], str]]:
    about: list[tuple[list[str], str]] = [([mode, *ADDRESSES], "") for mode in ("-bt", "-bv", "-bvs")]
    about += [(["-brw", address], "") for address in ("root@x.internal", "a@alias.example", "u@c.example", "<>")]
    about += [(["-brt", address], "") for address in ("x@relay.example", "bob@example.com", "q@lists.example")]
    return about + [(["-bh", host], session) for host in HOSTS]


def main(name: str) -> None:
    theirs = str(packages.exim() / "usr/sbin/exim4")
    ours = str(BIN / "exim")
    session = (ANSWERS / "session.txt").read_text()
    failures = 0
    with world():
        make_site()
        for directory in ("/var/spool/exim4", "/var/log/exim4"):
            Path(directory).mkdir(parents=True)
            Path(directory).chmod(0o777)
        configuration = Path("/tmp/exim.conf")
        configuration.write_text(f"add_environment = PATH=/bin\n{(ANSWERS / name).read_text()}")
        for arguments, stdin in questions(session):
            wanted, got = (same_everywhere(ask(program, configuration, *arguments, stdin=stdin)) for program in (theirs, ours))
            if wanted != got:
                failures += 1
                print(" ".join(arguments))
                print("".join(difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), "Exim", "Angaros")))
    print(f"{failures} answers differ" if failures else "ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
