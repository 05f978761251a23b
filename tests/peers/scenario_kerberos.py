"""Kerberos with a real KDC (MIT's krb5-kdc), curl and GNU SASL's `gsasl` as clients; GNU SASL's other mechanisms by the way.

Each of the three drivers that have GSSAPI serves it; as a client we authenticate to ourselves. The client side of everything is
the host `outside`, on which the KDC runs too.
"""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64encode
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.scenario_faults import Talk
from tests.peers.servers import Angaros, certificate, owned
from tests.peers.world import USERS, Node, sh, wait_for, world

ROOT = Path("/tmp/world/kerberos")
CONF = r"""
primary_hostname = angaros.test
@HOUSE@
tls_certificate = @CERT@
tls_privatekey = @KEY@
tls_advertise_hosts = *
auth_advertise_hosts = *
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept authenticated = *
  deny message = only with a ticket
begin routers
out:
  driver = manualroute
  domains = client.test
  route_list = * angaros.test byname
  self = send
  transport = smtp
here:
  driver = accept
  transport = maildir
begin transports
smtp:
  driver = smtp
  hosts_require_auth = *
@MAILDIR@
  user = vmail
begin retry
* * F,1h,5m
begin authenticators
"""
GSSAPI = {
    "heimdal_gssapi": """kerberos:
  driver = heimdal_gssapi
  public_name = GSSAPI
  server_keytab = /tmp/world/kerberos/keytab
  server_set_id = $auth1/$auth2
""",
    "gsasl": """kerberos:
  driver = gsasl
  public_name = GSSAPI
  server_condition = ${if eq{$auth1}{alice@EXAMPLE.TEST}}
  server_set_id = $auth1/${if eq{$auth2}{}{$auth1}{$auth2}}
""",
    "cyrus_sasl": """kerberos:
  driver = cyrus_sasl
  public_name = GSSAPI
  server_set_id = $auth1/$auth1
""",
}
OTHERS = """gs2:
  driver = gsasl
  public_name = GS2-KRB5
  server_condition = ${if eq{$auth1}{alice@EXAMPLE.TEST}}
  server_set_id = $auth1
digest:
  driver = gsasl
  public_name = DIGEST-MD5
  server_realm = angaros.test
  server_hostname = angaros.test
  server_password = ${if eq{$auth1/$auth3}{alice/angaros.test}{s3cret}fail}
  server_set_id = $auth1
"""
PASSWORDS = "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"
PLAINS = "PLAIN", "LOGIN"
KRB5 = """[libdefaults]
 default_realm = EXAMPLE.TEST
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 EXAMPLE.TEST = {
  kdc = 192.0.2.10
 }
"""
KDC = """[realms]
 EXAMPLE.TEST = {
  database_name = /tmp/world/kerberos/db
  key_stash_file = /tmp/world/kerberos/stash
  acl_file = /tmp/world/kerberos/acl
 }
"""
ENVIRONMENT = {
    **os.environ,
    "KRB5_CONFIG": f"{ROOT}/krb5.conf",
    "KRB5_KDC_PROFILE": f"{ROOT}/kdc.conf",
    "KRB5CCNAME": f"FILE:{ROOT}/tickets",
    "KRB5_KTNAME": f"{ROOT}/keytab",
    "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
}


def simple() -> str:
    """GNU SASL's mechanisms with a password."""
    found = ""
    for name in PASSWORDS:
        found += f"a_{name.replace('-', '_')}:\n  driver = gsasl\n  public_name = {name}\n  server_set_id = $auth1\n"
        found += "  server_password = ${if eq{$auth1}{alice}{s3cret}fail}\n"
    for name in PLAINS:
        found += f"a_{name}:\n  driver = gsasl\n  public_name = {name}\n  server_set_id = $auth1\n"
        found += "  server_condition = ${if and{{eq{$auth1}{alice}}{eq{$auth3}{s3cret}}}}\n"
    return found


def distribution_center(node: Node) -> None:
    """The KDC; alice's ticket; the server's keytab."""
    owned(ROOT, 0)
    (ROOT / "krb5.conf").write_text(KRB5)
    (ROOT / "kdc.conf").write_text(KDC)
    node.run("kdb5_util", "create", "-s", "-P", "master", "-r", "EXAMPLE.TEST", env=ENVIRONMENT)
    for query in ("addprinc -pw s3cret alice", "addprinc -pw s3cret mallory", "addprinc -randkey smtp/angaros.test",
                  f"ktadd -k {ROOT}/keytab smtp/angaros.test"):  # fmt: skip
        node.run("kadmin.local", "-r", "EXAMPLE.TEST", "-q", query, env=ENVIRONMENT)
    os.chown(ROOT / "keytab", USERS["Debian-exim"], 0)
    node.spawn("krb5kdc", "-n", "-r", "EXAMPLE.TEST", env=ENVIRONMENT)
    wait_for(lambda: ticket(node, "alice"), 20, "the KDC")
    os.chown(ROOT / "tickets", USERS["Debian-exim"], 0)


def ticket(node: Node, user: str) -> bool:
    """Whether the KDC gave one."""
    said = node.run("sh", "-c", f"echo s3cret | kinit {user} 2>&1 && echo given", env=ENVIRONMENT, check=False)
    return "given" in said


def gsasl(node: Node, mechanism: str, *options: str) -> str:
    """GNU SASL's client."""
    return node.run(
        "timeout", "20", "gsasl", "--smtp", "--verbose", "--connect=angaros.test:25", f"--mechanism={mechanism}", *options,
        env=ENVIRONMENT, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def curl(node: Node, mechanism: str, user: str) -> str:
    """A message by curl."""
    mail = Path("/tmp/world/mail")
    mail.write_text("Subject: curl\r\n\r\nx\r\n")
    return node.run(
        "curl", "-sSv", "smtp://angaros.test/client.test", "--user", user, "--login-options", f"AUTH={mechanism}", "--mail-from",
        "s@client.test", "--mail-rcpt", "x@angaros.test", "--upload-file", str(mail), env=ENVIRONMENT, check=False,
    )  # fmt: skip


def kerberos(server: Angaros, node: Node, driver: str) -> None:
    """One driver's GSSAPI, with two clients; and with a message that we send ourselves."""
    said = curl(node, "GSSAPI", "alice@EXAMPLE.TEST:")
    assert "235 Authentication succeeded" in said and "250 OK id=" in said, (driver, said, server.logs())
    name = "alice@EXAMPLE.TEST"
    assert f"A=kerberos:{name}/" in last_line(server, " <= "), server.logs()
    said = gsasl(node, "GSSAPI", "--service=smtp", "--hostname=angaros.test", f"--authorization-id={name}")
    assert "235 Authentication succeeded" in said, (driver, said, server.logs())
    wrong = "not-for-cyrus" if driver == "cyrus_sasl" else ""
    if wrong:
        said = gsasl(node, "GSSAPI", "--service=smtp", "--hostname=angaros.test", f"--authorization-id={wrong}")
        assert "535 Incorrect authentication data" in said, (driver, said)
    for garbage, answer in (
        ("!", "501 Invalid base64 data"),
        (b64encode(b"\x60garbage").decode(), "535 Incorrect authentication data"),
    ):
        talk = Talk(server.node.address)
        talk.say("EHLO client.test")
        assert talk.say(f"AUTH GSSAPI {garbage}").startswith(answer), (driver, garbage, server.logs())
        assert talk.say("NOOP").startswith("250")


def last_line(server: Angaros, mark: str) -> str:
    lines = (server.log / "mainlog").read_text("latin-1").splitlines()
    return next((line for line in reversed(lines) if mark in line), "")


def other_mechanisms(server: Angaros, node: Node) -> None:
    """GS2-KRB5, DIGEST-MD5 and the password mechanisms, with right and wrong secrets."""
    said = gsasl(node, "GS2-KRB5", "--service=smtp", "--hostname=angaros.test", "--authorization-id=", "--no-cb")
    assert "235 Authentication succeeded" in said, (said, server.logs())
    for mechanism in ("DIGEST-MD5", *PASSWORDS, *PLAINS):
        for password in ("s3cret", "wrong"):
            options = ["--authentication-id=alice", "--authorization-id=", f"--password={password}", "--realm=angaros.test",
                       "--service=smtp", "--hostname=angaros.test", "--quality-of-protection=qop-auth"]  # fmt: skip
            options += ["--x509-ca-file="] if mechanism.endswith("-PLUS") else ["--no-starttls", "--no-cb"]
            said = gsasl(node, mechanism, *options)
            assert ("235 Authentication succeeded" in said) == (password == "s3cret"), (mechanism, password, said, server.logs())
    for password in ("s3cret", "wrong"):
        said = sh(
            "swaks", "--server", "192.0.2.20", "--auth", "DIGEST-MD5", "--auth-user", "alice", "--auth-password", password,
            "--auth-extra", "realm=angaros.test,dmd5-host=angaros.test", "--to", "x@angaros.test", "--from", "s@client.test",
            "--helo", "client.test", "--timeout", "20", check=False,
        )  # fmt: skip
        assert (re.search(r"<[-~] +235 ", said) is not None) == (password == "s3cret"), (password, said, server.logs())
    said = curl(node, "DIGEST-MD5", "alice:s3cret")
    assert "235 Authentication succeeded" in said, (said, server.logs())
    assert "wrong" not in server.logs()


def ourselves(server: Angaros) -> None:
    """Our client with alice's ticket, against our server."""
    text = server.conf.read_text()
    own = "  client_password = unused\n  client_username = unused\n"
    server.conf.write_text(text.replace("  public_name = GSSAPI\n", "  public_name = GSSAPI\n" + own))
    server.exim("-odf", "-f", "s@angaros.test", "x@client.test", input="Subject: ours\n\nx\n", env=ENVIRONMENT)
    assert " A=kerberos " in last_line(server, " => x@client.test"), server.logs()
    server.conf.write_text(text)


def no_key(server: Angaros, node: Node) -> None:
    """Without a key the client is put off, and the log says what is missing."""
    (ROOT / "keytab").rename(ROOT / "elsewhere")
    assert "435 Unable to authenticate at present" in curl(node, "GSSAPI", "alice@EXAMPLE.TEST:")
    assert "keytab' not found" in last_line(server, "kerberos authenticator failed"), server.logs()
    (ROOT / "elsewhere").rename(ROOT / "keytab")


def main() -> None:
    with world() as here:
        outside = here.add("outside", "client.test")
        node = here.add("angaros", "angaros.test")
        here.serve_dns()
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        cert, key = certificate(Path("/tmp/world"), "angaros.test")
        distribution_center(outside)
        os.environ.update({name: value for name, value in ENVIRONMENT.items() if name.startswith("KRB5")})
        for driver, text in GSSAPI.items():
            server = Angaros(node, (CONF + text + OTHERS + simple()).replace("@CERT@", str(cert)).replace("@KEY@", str(key)))
            kept = "keep_environment = KRB5_CONFIG : KRB5_KTNAME : KRB5CCNAME\n"
            server.conf.write_text(server.conf.read_text().replace("keep_environment =\n", kept))
            server.start()
            kerberos(server, outside, driver)
            if driver == "gsasl":
                ourselves(server)
                other_mechanisms(server, outside)
            no_key(server, outside)
            server.stop()
    print("ok")


if __name__ == "__main__":
    main()
