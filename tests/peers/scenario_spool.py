"""One spool, two programs: what Debian's Exim 4.96 queued Angaros delivers, and the other way round.

`python -m tests.peers.scenario_spool`. Ids of the long form (4.97 and later) are invisible to 4.96; `short_message_ids` of ours
writes the old form for whoever wants the way back open.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.peers import packages
from tests.peers.scenario_debian import SITE
from tests.peers.servers import EXIM_UID, Angaros, DebianExim, EximLike, owned
from tests.peers.world import Node, messages, world

COMMON = """
primary_hostname = mail.test
exim_path = @EXIM@
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/shared
log_file_path = @LOG@/%slog
pid_file_path = @ROOT@/exim.pid
keep_environment =
host_lookup =
tls_advertise_hosts =
queue_only
acl_smtp_rcpt = acl_rcpt
begin acl
acl_rcpt:
  warn set acl_m_note = kept with the message
       set acl_c0 = connection value
  accept
begin routers
defer_once:
  driver = redirect
  condition = ${if exists{/var/spool/shared/defer}}
  data = :defer: not yet
here:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = @MAIL@/all
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
  headers_add = X-Note: $acl_m_note $acl_c0
  user = vmail
begin retry
* * F,2h,1s
"""


def bodies(server: EximLike) -> list[str]:
    return list(messages(str(server.mail / "all")))


def fill(server: EximLike, mark: str) -> int:
    """Queue messages of several kinds; the number of deliveries to expect."""
    server.exim("-odq", "-f", "boss@mail.test", "one@mail.test", "two@mail.test", input=f"Subject: {mark} local\n\nbody {mark}\n")
    server.exim("-odq", "-f", "<>", "bounce@mail.test", input=f"Subject: {mark} bounce\n\nbody {mark}\n")
    server.exim("-odq", "big@mail.test", input=f"Subject: {mark} big\nX-Long: {'long ' * 2000}\n\n" + f"line {mark}\n" * 20000)
    session = "EHLO client.test\r\nMAIL FROM:<s@mail.test> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<eight@mail.test>\r\nDATA\r\n"
    session += f"Subject: {mark} smtp\r\n\r\n.. dots and octets \xe9\xff\r\nbody {mark}\r\n.\r\nQUIT\r\n"
    path = Path("/tmp/world/session")
    path.write_text(session, "latin-1")
    with path.open("rb") as commands:
        server.node.run(server.program, "-C", str(server.conf), "-bs", "-oMa", "192.0.2.99.1234", stdin=commands)
    return 5


def check_listing(listing: str, count: int) -> list[str]:
    ids = re.findall(r"(?m)^\s*\d+[smhdw]\s+\S+\s+(\S+-\S+-\S+) ", listing)
    assert len(ids) == count, listing
    return ids


def hand_over(writer: EximLike, reader: EximLike, mark: str) -> None:
    """`writer` queues (with a first failed attempt in the journal of events), `reader` lists and delivers."""
    Path("/var/spool/shared/defer").touch()
    expected = fill(writer, mark)
    writer.exim("-qf")
    Path("/var/spool/shared/defer").unlink()
    frozen = check_listing(writer.exim("-bp"), 4)[0]
    writer.exim("-Mf", frozen)
    listing = reader.exim("-bp")
    check_listing(listing, 4)
    assert "*** frozen ***" in listing and "one@mail.test" in listing and "<>" in listing, listing
    tool = packages.exim() / "usr/sbin/exipick"
    if isinstance(reader, DebianExim):
        picked = reader.node.run("perl", str(tool), "-spool", "/var/spool/shared", "-i")
        assert len(picked.split()) == 4, picked
    reader.exim("-qff")
    found = [text for text in bodies(reader) if f"{mark}" in text]
    assert len(found) == expected, f"{len(found)} of {expected}\n{reader.logs()}"
    smtp = next(text for text in found if f"{mark} smtp" in text)
    assert "kept with the message connection value" in smtp, smtp
    assert ". dots and octets \xe9\xff\n" in smtp, smtp
    assert "from [192.0.2.99]" in smtp and "Return-path: <s@mail.test>" in smtp, smtp
    big = next(text for text in found if f"{mark} big" in text)
    assert big.count(f"line {mark}\n") == 20000
    assert not list(Path("/var/spool/shared/input").rglob("*-[HDJ]"))


EXTENDED = "EHLO client.test\r\nMAIL FROM:<s@mail.test> HOLDFOR=86400 BY=172800;R MT-PRIORITY=-2\r\nRCPT TO:<x@mail.test>\r\n"
EXTENDED += "DATA\r\nSubject: held\r\n\r\nbody held\r\n.\r\nQUIT\r\n"
OFFERS = "short_message_ids = true\n"
OFFERS += "".join(f"{name}_advertise_hosts = *\n" for name in ("futurerelease", "deliverby", "mt_priority"))


def extensions_survive_exim(ours: Angaros, exim: DebianExim) -> None:
    """Exim keeps what it does not know when it writes -H anew."""
    ours.write(OFFERS + COMMON)
    path = Path("/tmp/world/session")
    path.write_text(EXTENDED, "latin-1")
    with path.open("rb") as commands:
        ours.node.run(ours.program, "-C", str(ours.conf), "-bs", "-oMa", "192.0.2.99.1234", stdin=commands)
    [held] = check_listing(exim.exim("-bp"), 1)
    file = next(Path("/var/spool/shared/input").rglob(f"{held}-H"))
    before = re.search(r"-aclm _angaros_esmtp.*\n(hold=\d+ by=\d+;R priority=-2)\n", file.read_text("latin-1"))
    assert before is not None, file.read_text("latin-1")
    exim.exim("-Mf", held)
    exim.exim("-Mt", held)
    assert f"\n{before[1]}\n" in file.read_text("latin-1"), file.read_text("latin-1")
    assert "*** held until" in ours.exim("-bp")
    ours.exim("-qff")
    assert not any("body held" in text for text in bodies(ours))
    ours.exim("-M", held)
    assert any("body held" in text for text in bodies(ours)), ours.logs()


def main(node: Node) -> None:
    Path("/etc/angaros").mkdir()
    Path("/etc/angaros/site.conf").write_text(SITE)
    for path in ("", "/input", "/msglog", "/db"):
        owned(Path("/var/spool/shared" + path), EXIM_UID, 0o750)
    exim = DebianExim(node, COMMON)
    exim.conf = exim.conf.with_name("debian.conf")
    exim.write(COMMON)
    ours = Angaros(node, COMMON)
    ours.mail = owned(ours.root / "mail-ours", exim.mail.stat().st_uid)
    ours.write(COMMON)
    hand_over(exim, ours, "exim-to-angaros")
    ours.write("short_message_ids = true\n" + COMMON)
    hand_over(ours, exim, "angaros-to-exim")
    ours.write(COMMON)
    fill(ours, "long")
    assert not exim.exim("-bp").strip(), "4.96 does not see long ids: docs/migration.md says so"
    check_listing(ours.exim("-bp"), 4)
    ours.exim("-qff")
    extensions_survive_exim(ours, exim)


if __name__ == "__main__":
    with world() as made:
        node = made.add("ang", "mail.test")
        made.serve_dns()
        main(node)
    print("ok")
