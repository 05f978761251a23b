"""TLS and SASL with other people's programs: openssl s_client, gnutls-cli, curl, swaks, and Dovecot behind AUTH."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros, certificate, owned
from tests.peers.world import USERS, Node, World, sh, wait_for, world

CA = Path("/tmp/world/ca")
CONF = r"""
primary_hostname = angaros.test
@HOUSE@
log_selector = +tls_certificate_verified +tls_peerdn +tls_resumption
daemon_smtp_ports = 25 : 465
tls_on_connect_ports = 465
tls_certificate = /tmp/world/ca/rsa.pem : /tmp/world/ca/ecdsa.pem
tls_privatekey = /tmp/world/ca/rsa.key : /tmp/world/ca/ecdsa.key
tls_ocsp_file = /tmp/world/ca/rsa.ocsp : /tmp/world/ca/ecdsa.ocsp
tls_verify_certificates = /tmp/world/ca/hashed
tls_try_verify_hosts = *
tls_advertise_hosts = *
tls_resumption_hosts = *
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept authenticated = *
  deny message = only with a password
begin routers
out:
  driver = manualroute
  domains = out.test
  route_list = * 192.0.2.10
  transport = out
here:
  driver = accept
  transport = maildir
begin transports
out:
  driver = smtp
  port = 4465
  protocol = smtps
  hosts_require_tls = *
  hosts_require_ocsp = *
  tls_certificate = /tmp/world/ca/client.pem
  tls_privatekey = /tmp/world/ca/client.key
  tls_verify_certificates = /tmp/world/ca/ca.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames =
  tls_sni = angaros.test
  tls_resumption_hosts = *
@MAILDIR@
  user = vmail
begin retry
* * F,1h,5m
begin authenticators
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${certextract{subject,CN}{$tls_in_peercert}}
  server_condition = ${if eq{$auth2}{client.test}}
  server_set_id = $auth2
spa:
  driver = spa
  public_name = NTLM
  server_password = ${if eq{$auth1}{alice}{s3cret}fail}
  server_set_id = $auth1
xoauth2:
  driver = gsasl
  public_name = XOAUTH2
  server_condition = ${if and{{eq{$auth1}{alice}}{eq{$auth3}{tok3n}}}}
  server_set_id = $auth1
oauthbearer:
  driver = gsasl
  public_name = OAUTHBEARER
  server_advertise_condition = ${if eq{$received_port}{465}}
  server_condition = ${if and{{eq{$auth1}{alice}}{eq{$auth3}{tok3n}}}}
  server_set_id = $auth1
dovecot_plain:
  driver = dovecot
  public_name = PLAIN
  server_socket = @DOVECOT@
  server_set_id = $auth1
dovecot_login:
  driver = dovecot
  public_name = LOGIN
  server_socket = @DOVECOT@
  server_set_id = $auth1
dovecot_cram:
  driver = dovecot
  public_name = CRAM-MD5
  server_socket = @DOVECOT@
  server_set_id = $auth1
"""
DOVECOT = """
protocols =
base_dir = {root}/run
log_path = {root}/log
auth_mechanisms = plain login cram-md5 scram-sha-256
disable_plaintext_auth = no
default_internal_user = vmail
default_login_user = vmail
default_internal_group = vmail
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
service auth {{
  unix_listener {root}/socket {{
    mode = 0666
  }}
}}
"""


def authority() -> None:
    """A CA with a server certificate of each kind, a client certificate, and OCSP responses."""
    CA.mkdir()
    run = "cd /tmp/world/ca && "
    new = (
        "openssl req -newkey {kind} -nodes -keyout {name}.key -out {name}.csr -subj /CN={cn} -addext subjectAltName=DNS:{cn} && "
    )
    sign = "openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out {name}.pem && "
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem && "
    sh("sh", "-c", run + make + "touch index && echo unique_subject = no > index.attr")
    for name, kind, cn in (
        ("rsa", "rsa:2048", "angaros.test"),
        ("ecdsa", "ec -pkeyopt ec_paramgen_curve:prime256v1", "angaros.test"),
        ("client", "rsa:2048", "client.test"),
    ):
        sh("sh", "-c", run + (new + sign).format(name=name, kind=kind, cn=cn) + "true")
        serial = sh("openssl", "x509", "-in", str(CA / f"{name}.pem"), "-noout", "-serial").strip().partition("=")[2]
        with open(CA / "index", "a") as index:
            index.write(f"V\t301231235959Z\t\t{serial}\tunknown\t/CN={cn}\n")
        ocsp = f"openssl ocsp -issuer ca.pem -cert {name}.pem -reqout {name}.req -no_nonce && "
        ocsp += (
            f"openssl ocsp -index index -rsigner ca.pem -rkey ca.key -CA ca.pem -reqin {name}.req -respout {name}.ocsp -ndays 1"
        )
        sh("sh", "-c", run + ocsp)
    sh("sh", "-c", run + "mkdir hashed && cp ca.pem hashed && openssl rehash hashed && chmod 644 *.key")


def s_client(*options: str, port: str = "25", say: str = "QUIT\\n") -> str:
    starttls = () if port == "465" else ("-starttls", "smtp")
    command = (
        "openssl",
        "s_client",
        "-connect",
        f"192.0.2.20:{port}",
        *starttls,
        "-CAfile",
        str(CA / "ca.pem"),
        "-crlf",
        *options,
    )
    return sh("sh", "-c", f"(sleep 0.5; printf '{say}'; sleep 0.7) | {' '.join(command)}", check=False)


def openssl(server: Angaros) -> None:
    """Verification, both kinds of certificates, stapling, client certificates, resumption, DANE, TLS from the start."""
    for version in ("-tls1_2", "-tls1_3"):
        for kind, algorithms in (("RSA", "rsa_pss_rsae_sha256"), ("ECDSA", "ecdsa_secp256r1_sha256")):
            said = s_client(version, "-status", "-sigalgs", algorithms, "-verify_return_error", "-servername", "angaros.test")
            assert "Verify return code: 0 (ok)" in said and "OCSP Response Status: successful" in said, said
            assert "Cert Status: good" in said and kind in re.search(r"Peer signature type: (\S+)", said)[1], said  # type: ignore[index]
        file = f"/tmp/world/session{version}"
        assert "Reused" not in s_client(version, "-sess_out", file)
        assert "Reused, TLSv1" in s_client(version, "-sess_in", file), "not resumed"
    assert "Verify return code: 0 (ok)" in s_client(port="465")
    digest = sh(
        "sh", "-c", f"openssl x509 -in {CA}/rsa.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
    ).split()[0]  # fmt: skip
    records = ("-dane_tlsa_domain", "angaros.test", "-dane_tlsa_rrdata", f"'3 1 1 {digest}'", "-sigalgs", "rsa_pss_rsae_sha256")
    assert "DANE TLSA 3 1 1" in (said := s_client(*records)) and "Verification: OK" in said, said
    client = ("-cert", f"{CA}/client.pem", "-key", f"{CA}/client.key")
    said = s_client(*client, say="EHLO c\\nAUTH EXTERNAL =\\nQUIT\\n")
    assert "235 Authentication succeeded" in said, said + server.logs()
    assert "235 " not in s_client(say="EHLO c\\nAUTH EXTERNAL =\\nQUIT\\n"), "EXTERNAL without a certificate"


REPLIES = b"220 s\r\n250 hello\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n221 bye\r\n"
"""All that a server says to a client that neither pipelines nor asks for more."""


def s_server(server: Angaros, outside: Node) -> None:
    """Our client: a server that wants a certificate, staples, and resumes; one without a staple; one with another's staple."""
    certificate(Path("/tmp/world"), "other.test")
    sends = lambda: server.exim("-odf", "-f", "s@angaros.test", "x@out.test", input="Subject: to s_server\n\nx\n")  # noqa: E731
    staple, demand = ("-status_file", f"{CA}/rsa.ocsp"), ("-Verify", "1", "-CAfile", f"{CA}/ca.pem", "-verify_return_error")
    another = ("-cert", "/tmp/world/other.test.crt", "-key", "/tmp/world/other.test.key")
    for options, result in (
        (("-tls1_2", *staple, *demand), ["=> CV=yes", "=>* CV=yes"]),
        (("-tls1_3", *staple, *demand), ["=> CV=yes", "=>* CV=yes"]),
        (("-tls1_3", *demand), ["Required TLS certificate status not received"]),
        (("-tls1_2", *staple, *another), ["Received TLS status response is not for this certificate"]),
    ):  # fmt: skip
        own = () if "-cert" in options else ("-cert", f"{CA}/rsa.pem", "-key", f"{CA}/rsa.key")
        command = ["openssl", "s_server", "-accept", "4465", "-quiet", *own, *options]
        process = subprocess.Popen(
            outside.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdin is not None and process.stdout is not None
        wait_for(lambda: ":1171 " in outside.run("cat", "/proc/net/tcp", "/proc/net/tcp6"), 10, "s_server on port 4465")
        for expected in result:
            process.stdin.write(REPLIES)
            process.stdin.flush()
            sends()
            log = (server.log / "mainlog").read_text("latin-1").strip().splitlines()
            line = next(one for one in reversed(log) if "x@out.test" in one and " <= " not in one)
            if expected.startswith("=>"):
                resumed = "*" in expected
                assert "=> x@out.test" in line and expected.partition(" ")[2] in line, (options, log[-6:])
                assert ("* CV=" in line) == resumed, (options, expected, line)
            else:
                assert "== x@out.test" in line and expected in "\n".join(log[-4:]), (options, expected, log[-6:])
        process.kill()
        said = process.communicate()[0].decode("latin-1")
        assert said.count("Subject: to s_server") == (len(result) if result[0].startswith("=>") else 0), said
        shutil.rmtree(server.spool / "db", ignore_errors=True)
        for message in (server.spool / "input").rglob("*-[DH]"):
            message.unlink()


def gnutls(server: Angaros) -> None:
    """GnuTLS's client verifies and wants a staple."""
    said = sh(
        "sh", "-c",
        f"(sleep 1; printf 'QUIT\\n'; sleep 0.5) | gnutls-cli --starttls-proto=smtp --x509cafile={CA}/ca.pem --ocsp "
        "--sni-hostname=angaros.test --verify-hostname=angaros.test -p 25 192.0.2.20", check=False,
    )  # fmt: skip
    assert "The certificate is trusted" in said and "Handshake was completed" in said, said


def clients(server: Angaros) -> None:
    """curl with bearer tokens, swaks with everything else; right and wrong secrets."""
    mail = Path("/tmp/world/mail")
    mail.write_text("Subject: curl\r\n\r\nx\r\n")
    for mechanism, url in (("XOAUTH2", "smtp://192.0.2.20/client.test"), ("OAUTHBEARER", "smtps://192.0.2.20/client.test")):
        for token in ("tok3n", "wrong"):
            said = sh(
                "curl", "-sSv", url, "--ssl-reqd", "--insecure", "--user", "alice:",
                "--oauth2-bearer", token, "--mail-from", "s@client.test",
                "--mail-rcpt", "x@angaros.test", "--upload-file", str(mail), check=False,
            )  # fmt: skip
            assert ("235 Authentication succeeded" in said) == (token == "tok3n"), (mechanism, said, server.logs())
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "NTLM"):
        for password in ("s3cret", "wrong"):
            said = sh(
                "swaks", "--server", "192.0.2.20", "--tls", "--auth", mechanism, "--auth-user", "alice",
                "--auth-password", password,
                "--to", "x@angaros.test", "--from", "s@client.test", "--helo", "client.test", "--timeout", "20", check=False,
            )  # fmt: skip
            good = re.search(r"<~ +235 ", said) is not None
            assert good == (password == "s3cret"), (mechanism, password, said, server.logs())
    logs = (server.log / "mainlog").read_text("latin-1")
    for name in ("xoauth2", "oauthbearer", "dovecot_plain", "dovecot_login", "dovecot_cram", "spa"):
        assert f"A={name}:alice" in logs and f"{name} authenticator failed for " in logs, (name, logs[-3000:])
    assert "535 Incorrect authentication data (set_id=alice)" in logs and "wrong" not in logs


MISBEHAVIOURS = {
    b"": "socket error: authentication socket read error or premature eof",
    b"VERSION\t2\t0\n": "authentication socket protocol version mismatch",
    b"VERSION\t1\t2\nMECH\tLOGIN\nDONE\n": "mechanism not advertised by the authentication server",
    b"VERSION\t1\t2\nMECH\tPLAIN\n" + b"x" * 9000 + b"\n": "authentication socket read error or premature eof",
    b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\n": "authentication socket read error or premature eof",
    b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\nCONT\t1\t!!\n": "challenge is no base64",
    b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\nSURPRISE\t1\n": "unexpected SURPRISE",
    b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\nFAIL\t1\tuser=alice\ttemp\n": "",
}
"""What a false Dovecot says before it hangs up -> what the log says. All of it puts the client off."""


def misbehaving(server: Angaros, path: Path) -> None:
    """A scripted authentication server; then none at all."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        os.chmod(path, 0o666)
        door.listen(5)

        def serve() -> None:
            for said in MISBEHAVIOURS:
                peer, _ = door.accept()
                with peer:
                    peer.sendall(said)
                    peer.shutdown(socket.SHUT_WR)
                    time.sleep(0.2)

        threading.Thread(target=serve, daemon=True).start()
        for said, text in MISBEHAVIOURS.items():
            answer = s_client(say="EHLO c\\nAUTH PLAIN AGFsaWNlAHMzY3JldA==\\nQUIT\\n")
            assert "435 Unable to authenticate at present" in answer, (said, answer)
            last = (server.log / "mainlog").read_text("latin-1").strip().splitlines()[-1]
            assert "dovecot_plain authenticator failed" in last and text in last, (said, last)
    path.unlink()
    assert "435 Unable to authenticate at present" in s_client(say="EHLO c\\nAUTH PLAIN AGFsaWNlAHMzY3JldA==\\nQUIT\\n")
    assert "connection error: No such file or directory" in server.logs()


def dovecot(here: World) -> Path:
    """Dovecot's authentication server; its socket."""
    root = owned(Path("/tmp/world/dovecot"), USERS["vmail"])
    owned(root / "run", 0)
    (root / "users").write_text("alice:{PLAIN}s3cret\n")
    (root / "dovecot.conf").write_text(DOVECOT.format(root=root))
    here.nodes["angaros"].spawn("dovecot", "-F", "-c", str(root / "dovecot.conf"))
    wait_for(lambda: (root / "socket").exists(), 20, "Dovecot")
    return root / "socket"


def main() -> None:
    with world() as here:
        outside = here.add("outside", "client.test")
        node = here.add("angaros", "angaros.test")
        here.serve_dns()
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        authority()
        socket_path = dovecot(here)
        server = Angaros(node, CONF.replace("@DOVECOT@", str(socket_path)))
        server.start()
        for scenario in (openssl, gnutls, clients):
            scenario(server)
        s_server(server, outside)
        false = Path("/tmp/world/false")
        server.conf.write_text(server.conf.read_text().replace(str(socket_path), str(false)))
        server.stop()
        server.start()
        misbehaving(server, false)
        server.stop()
    print("ok")


if __name__ == "__main__":
    main()
