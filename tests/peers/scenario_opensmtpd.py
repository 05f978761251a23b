"""OpenSMTPD as the other side, both ways: contents, several recipients, refusals that become bounces.

`python -m tests.peers.scenario_opensmtpd`
"""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros, OpenSMTPD
from tests.peers.world import messages, wait_for, world

CONF = """
primary_hostname = angaros.test
@HOUSE@
log_selector = +all -pid
tls_advertise_hosts =
domainlist local_domains = angaros.test
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  deny message = nobody here
       local_parts = stranger
  accept
begin routers
away:
  driver = dnslookup
  domains = ! +local_domains
  transport = smtp
  no_more
here:
  driver = accept
  transport = maildir
begin transports
smtp:
  driver = smtp
@MAILDIR@
  envelope_to_add
  return_path_add
  user = vmail
begin retry
* * F,2h,5m
"""
LINES = ["", "From the start", ".", "..two dots", "  blanks behind  ", "sp\xc3\xa4t, in octets", "x" * 990, "", "last"]
BODY = "\n".join(LINES) + "\n"


def text(subject: str, sender: str) -> str:
    return f"From: {sender}\nTo: somebody@example.test\nSubject: {subject}\nMIME-Version: 1.0\nX-Odd:  two  blanks\n\n{BODY}"


def content(message: str) -> str:
    return message.replace("\r\n", "\n").partition("\n\n")[2]


def find(directory: Path, subject: str) -> list[str]:
    """The messages with a subject."""
    return [one for one in messages(str(directory)) if f"\nSubject: {subject}\n" in one.replace("\r\n", "\n")]


def to_opensmtpd(ours: Angaros, theirs: OpenSMTPD) -> None:
    """Our mail comes whole into its Maildirs; its refusal becomes our bounce."""
    ours.exim(
        "-odf",
        "-oi",
        "-f",
        "a@angaros.test",
        "alice@osmtpd.test",
        "bob@osmtpd.test",
        input=text("out", "a@angaros.test"),
        encoding="latin-1",
    )
    wait_for(lambda: all(find(theirs.maildir(user), "out") for user in ("alice", "bob")), 30, lambda: theirs.logs() + ours.logs())
    for user in ("alice", "bob"):
        [message] = find(theirs.maildir(user), "out")
        assert content(message) == BODY, message
        assert "X-Odd:  two  blanks" in message
        assert "Return-Path: a@angaros.test" in message.replace("<", "").replace(">", ""), message
    main = ours.main_log()
    assert re.search(r"=> alice@osmtpd\.test .*R=away T=smtp .*H=osmtpd\.test \[192\.0\.2\.20\]", main), main
    assert main.count("Completed") == 1
    ours.exim(
        "-odf", "-oi", "-f", "a@angaros.test", "stranger@osmtpd.test", input=text("refused", "a@angaros.test"), encoding="latin-1"
    )
    wait_for(lambda: find(ours.mail / "all", "Mail delivery failed: returning message to sender"), 30, ours.logs)
    [bounce] = find(ours.mail / "all", "Mail delivery failed: returning message to sender")
    assert "stranger@osmtpd.test" in bounce
    assert re.search(r"550 .*(Invalid recipient|unknown|No such)", bounce), bounce
    ours.exim(
        "-odf", "-f", "a@angaros.test", *(f"alice+{n}@osmtpd.test" for n in range(150)), input=text("many", "a@angaros.test")
    )
    wait_for(lambda: len(find(theirs.maildir("alice"), "many")) == 150, 60, lambda: theirs.logs() + ours.logs())


def from_opensmtpd(ours: Angaros, theirs: OpenSMTPD) -> None:
    """Its mail comes whole to us; our refusal becomes its bounce."""
    with smtplib.SMTP(theirs.node.address, timeout=30) as client:
        for to in (["x@angaros.test", "y@angaros.test"], ["stranger@angaros.test"]):
            subject = "in" if len(to) == 2 else "refused in"
            client.sendmail(
                "alice@osmtpd.test",
                to,
                text(subject, "alice@osmtpd.test").replace("\n", "\r\n").encode("latin-1"),
                ["BODY=8BITMIME"],
            )
    wait_for(lambda: len(find(ours.mail / "all", "in")) == 2, 60, lambda: theirs.logs() + ours.logs())
    for message in find(ours.mail / "all", "in"):
        assert content(message) == BODY, message
        assert "Return-path: <alice@osmtpd.test>" in message
        assert re.search(
            r"Received: from \[192\.0\.2\.20\] \(port=\d+ helo=osmtpd\.test\)\n\tby angaros\.test with esmtp", message
        )
    wait_for(lambda: any("nobody here" in one for one in messages(str(theirs.maildir("alice")))), 60, theirs.logs)
    assert "rejected RCPT <stranger@angaros.test>: nobody here" in ours.main_log()


def main() -> None:
    with world() as made:
        our_node, their_node = made.add("ang", "angaros.test"), made.add("osm", "osmtpd.test")
        made.serve_dns()
        Path("/etc/angaros").mkdir()
        Path("/etc/angaros/site.conf").write_text(SITE)
        theirs = OpenSMTPD(their_node)
        theirs.start()
        ours = Angaros(our_node, CONF)
        ours.start("-q5s")
        to_opensmtpd(ours, theirs)
        from_opensmtpd(ours, theirs)
        assert ours.queue_count() == 0
        ours.stop()
    print("ok")


if __name__ == "__main__":
    main()
