"""Other people's clients against our server: swaks, smtplib, curl, msmtp, smtp-source, a desktop client, HAProxy.

Each sends a message of its own; the scenario ends when every one of them lies in the Maildir with its content and the log has
what an administrator would look for.
"""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path

from tests.peers import packages
from tests.peers.scenario_debian import SITE
from tests.peers.scenario_faults import Talk
from tests.peers.scenario_load import delivered, empty_queue
from tests.peers.servers import Angaros, certificate
from tests.peers.world import Node, messages, sh, wait_for, world

CONF = r"""
primary_hostname = angaros.test
@HOUSE@
log_selector = +all -pid
daemon_smtp_ports = 25 : 465 : 587 : 2525
tls_on_connect_ports = 465
tls_certificate = @CERT@
tls_privatekey = @KEY@
tls_advertise_hosts = *
hosts_proxy = ${if eq{$received_port}{2525}{192.0.2.1 : 192.0.2.10}{}}
hosts_xclient = 192.0.2.1
chunking_advertise_hosts = *
pipelining_connect_advertise_hosts = *
prdr_enable = true
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
accept_8bitmime = true
acl_smtp_rcpt = check_rcpt
acl_smtp_data_prdr = accept
begin acl
check_rcpt:
  deny message = only with a password
       condition = ${if eq{$received_port}{587}}
       ! authenticated = *
  accept
begin routers
here:
  driver = accept
  transport = maildir
begin transports
@MAILDIR@
  envelope_to_add
  return_path_add
  user = vmail
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{alice}}{eq{$auth3}{s3cret}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{alice}}{eq{$auth2}{s3cret}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{alice}{s3cret}fail}
  server_set_id = $auth1
"""

USER, PASSWORD = "alice", "s3cret"
SWAKS: tuple[tuple[str, ...], ...] = (
    (),
    ("--tls",),
    ("--tls-on-connect", "--port", "465"),
    ("--port", "587", "--tls", "--auth", "PLAIN"),
    ("--port", "587", "--auth", "LOGIN"),
    ("--port", "587", "--auth", "CRAM-MD5"),
    ("--pipeline",),
    ("--prdr",),
    ("--tls", "--pipeline", "--prdr"),
    ("--protocol", "SMTP"),
    ("--protocol", "ESMTPA", "--auth", "LOGIN"),
    ("--protocol", "ESMTPSA", "--auth", "PLAIN"),
    ("--attach", "-"),
    ("--to", "a@angaros.test,b@angaros.test"),
    ("--from", "<>"),
    ("--helo", "[192.0.2.10]"),
    ("--xclient", "NAME=outside.example ADDR=198.51.100.7", "--xclient-optional"),
    ("--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "198.51.100.9", "--proxy-source-port", "4444",
     "--proxy-dest", "198.51.100.10", "--proxy-dest-port", "25", "--port", "2525"),
    ("--proxy-version", "2", "--proxy-family", "AF_INET", "--proxy-protocol", "STREAM", "--proxy-command", "PROXY",
     "--proxy-source", "198.51.100.9", "--proxy-source-port", "4444",
     "--proxy-dest", "198.51.100.10", "--proxy-dest-port", "25", "--port", "2525"),
)  # fmt: skip


def swaks(server: Angaros) -> Iterable[str]:
    """Every option of swaks that makes sense here; yields the subjects that must have arrived."""
    for number, options in enumerate(SWAKS):
        subject = f"swaks {number}"
        login = ("--auth-user", USER, "--auth-password", PASSWORD) if "--auth" in options else ()
        where = ("--server", server.node.address, "--to", "x@angaros.test", "--from", "s@client.test", "--helo", "client.test")
        output = sh(
            "swaks",
            *where,
            "--header",
            f"Subject: {subject}",
            "--body",
            f"body of {subject}",
            *options,
            *login,
            stdin=subprocess.DEVNULL,
        )
        assert re.search(r"<[-~*] +250 OK id=", output) or "--prdr" in options, output
        yield subject
    refused = sh(
        "swaks", "--server", server.node.address, "--port", "587", "--auth", "PLAIN", "--auth-user", USER,
        "--auth-password", "wrong", "--to", "x@angaros.test", "--from", "s@client.test", check=False,
    )  # fmt: skip
    assert "535 Incorrect authentication data" in refused, refused
    assert "wrong" not in server.logs(), "a password in the logs"


def python(server: Angaros) -> Iterable[str]:
    """smtplib: STARTTLS, AUTH, 8BITMIME, SMTPUTF8."""
    context = ssl._create_unverified_context()
    with smtplib.SMTP(server.node.address, 587, local_hostname="py.test") as client:
        client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.sendmail("s@client.test", ["x@angaros.test", "y@angaros.test"], "Subject: smtplib plain\r\n\r\n.\r\n..dots\r\n")
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = "smtplib utf8", "søren@client.test", "jürgen@angaros.test"
        message.set_content("grüße")
        client.send_message(message)
    with smtplib.SMTP_SSL(server.node.address, 465, local_hostname="py.test", context=context) as client:
        client.sendmail("s@client.test", ["x@angaros.test"], "Subject: smtplib ssl\r\n\r\nx\r\n")
    yield from ("smtplib plain", "smtplib utf8", "smtplib ssl")


def curl(server: Angaros) -> Iterable[str]:
    """curl: smtp:// with and without TLS and AUTH, smtps://."""
    at = server.node.address
    login = ("--user", f"{USER}:{PASSWORD}")
    for number, options in enumerate((
        (f"smtp://{at}:25/client.test",),
        (f"smtp://{at}:587/client.test", "--ssl-reqd", "--insecure", *login),
        (f"smtps://{at}:465/client.test", "--insecure"),
        (f"smtp://{at}:587/client.test", *login, "--login-options", "AUTH=CRAM-MD5"),
    )):  # fmt: skip
        mail = Path(f"/tmp/world/curl-{number}")
        mail.write_bytes(f"Subject: curl {number}\r\n\r\nby curl\r\n".encode())
        sh("curl", "-sS", *options, "--mail-from", "s@client.test", "--mail-rcpt", "x@angaros.test", "--upload-file", str(mail))
        yield f"curl {number}"


def msmtp(server: Angaros) -> Iterable[str]:
    """msmtp with AUTH over STARTTLS, and over TLS from the start."""
    for number, (port, starttls) in enumerate(((587, "on"), (465, "off"))):
        command = ["msmtp", f"--host={server.node.address}", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}",
                   "--tls-certcheck=off", "--tls-trust-file=", "--auth=plain", f"--user={USER}",
                   f"--passwordeval=echo {PASSWORD}",
                   "--from=s@client.test", "--domain=client.test", "x@angaros.test"]  # fmt: skip
        sh(*command, input=f"Subject: msmtp {number}\n\nby msmtp\n")
        yield f"msmtp {number}"


def smtp_source(server: Angaros) -> Iterable[str]:
    """Postfix's load generator, several messages a connection."""
    source = packages.postfix() / "usr/sbin/smtp-source"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(packages.postfix() / "usr/lib/postfix")}
    sh(
        str(source),
        "-d",
        "-s",
        "2",
        "-m",
        "10",
        "-S",
        "smtp-source",
        "-t",
        "x@angaros.test",
        f"{server.node.address}:25",
        env=environment,
    )
    yield "smtp-source"


TRANSCRIPT = (
    ("EHLO [192.168.1.5]", "250"),
    ("AUTH PLAIN AGFsaWNlAHMzY3JldA==", "235"),
    ("MAIL FROM:<s@client.test> BODY=8BITMIME SIZE=412", "250"),
    ("RCPT TO:<x@angaros.test> NOTIFY=NEVER", "250"),
    ("DATA", "354"),
    ("Message-ID: <x@client.test>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"
     "User-Agent: Mozilla Thunderbird\r\n"
     "Content-Language: en-US\r\nTo: x@angaros.test\r\nFrom: Alice <s@client.test>\r\nSubject: desktop client\r\n"
     "Content-Type: text/plain; charset=UTF-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHello\r\n.", "250"),
    ("MAIL FROM:<s@client.test> BODY=8BITMIME SIZE=300", "250"),
    ("RSET", "250"),
    ("QUIT", "221"),
)  # fmt: skip


def desktop(server: Angaros) -> Iterable[str]:
    """What a desktop client says."""
    talk = Talk(server.node.address, 587)
    for line, expected in TRANSCRIPT:
        answer = talk.say(line)
        assert answer.startswith(expected), (line, answer)
    yield "desktop client"


HAPROXY = """
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend one
  bind {proxy}:2501
  default_backend v1
frontend two
  bind {proxy}:2502
  default_backend v2
backend v1
  server a {server}:2525 send-proxy
backend v2
  server a {server}:2525 send-proxy-v2
"""


def haproxy(server: Angaros, proxy: Node) -> None:
    """Both versions of the proxy protocol; the log must show the client behind it."""
    file = Path("/tmp/world/haproxy.cfg")
    file.write_text(HAPROXY.format(proxy=proxy.address, server=server.node.address))
    proxy.spawn("haproxy", "-db", "-f", str(file))
    for version in (1, 2):
        wait_for(lambda port=2500 + version: _greets(proxy.address, port), 10, "HAProxy")
        talk = Talk(proxy.address, 2500 + version)
        assert talk.send(f"through HAProxy v{version}").startswith("250"), server.logs()
        wait_for(lambda: "PRX=192.0.2.10" in server.logs(), 10, f"PRX= in the log {server.logs()}")
    rude = Talk.__new__(Talk)  # a host that must say who is behind it, and does not
    with socket.create_connection((server.node.address, 2525), 10) as rude.socket:
        rude.file = rude.socket.makefile("rb")
        rude.say("EHLO x")
        assert rude.say("MAIL FROM:<>").startswith("5"), "taken without the PROXY header"


def _greets(address: str, port: int) -> bool:
    try:
        return Talk(address, port, 2).greeting.startswith("220")
    except OSError:
        return False


def main() -> None:
    with world() as here:
        outside = here.add("outside", "client.test")
        node = here.add("angaros", "angaros.test")
        here.serve_dns()
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        cert, key = certificate(Path("/tmp/world"), "angaros.test")
        server = Angaros(node, CONF.replace("@CERT@", str(cert)).replace("@KEY@", str(key)))
        server.start()
        subjects: list[str] = []
        for scenario in (swaks, python, curl, msmtp, smtp_source, desktop):
            subjects += scenario(server)
        haproxy(server, outside)
        wait_for(lambda: empty_queue(server), 20, f"an empty queue {server.logs()}")
        found = "\n".join(messages(str(server.mail / "all")))
        missing = [s for s in subjects if f"Subject: {s}\n" not in found]
        assert not missing, (missing, server.logs())
        assert all(f"through HAProxy v{version}" in found for version in (1, 2))
        assert len(delivered(server)) >= len(subjects)
        server.stop()
    print("ok")


if __name__ == "__main__":
    main()
