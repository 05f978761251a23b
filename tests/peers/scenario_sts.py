"""MTA-STS, TLS reports and fetched staples with Postfix, a web server, `openssl ocsp` and `openssl s_client`.

Reports go out some time in the first four hours of the day, which depends on our name: for relay4800 it is the first second.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from pathlib import Path

from angaros.hints.db import HintsDb
from tests.net.test_ocsp_fetch import PEM, Case
from tests.peers.scenario_debian import SITE
from tests.peers.servers import EXIM_UID, Angaros, Postfix, certificate, owned
from tests.peers.signed_zones import Zones
from tests.peers.world import REPOSITORY, messages, wait_for, world

CONF = r"""
primary_hostname = relay4800.sts.test
@HOUSE@
log_selector = +tls_certificate_verified +tls_peerdn
tls_certificate = @CERT@
tls_privatekey = @KEY@
tls_advertise_hosts = *
tls_ocsp_fetch
tls_reports
tls_report_org = Angaros Test
acl_smtp_rcpt = accept
begin routers
out:
  driver = dnslookup
  transport = smtp
  no_more
begin transports
smtp:
  driver = smtp
  hosts_try_mta_sts = *
  dkim_domain = angaros.sts.test
  dkim_selector = s
  dkim_private_key = @KEY@
@MAILDIR@
  user = vmail
begin retry
* * F,1h,5m
"""
POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n"
DOMAINS = {
    "good.test": ("enforce", "postfix.sts.test", True),
    "other.test": ("enforce", "mx.elsewhere.test", False),
    "alias.test": ("enforce", "alias.sts.test", False),
    "trial.test": ("testing", "mx.elsewhere.test", True),
    "broken.test": ("enforce", "mx.elsewhere.test", True),
}
"""Domain -> mode and mx of its policy, and whether mail goes there. The web server of broken.test has the wrong certificate."""


def serve_web(address: str, directory: str) -> None:
    """The web servers of all domains: `python -m tests.peers.scenario_sts web ADDRESS DIRECTORY`."""
    import ssl
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    contexts = {}
    for domain in ("good.test", "other.test", "alias.test", "trial.test", "reports.test"):
        name = f"mta-sts.{domain}" if domain != "reports.test" else domain
        contexts[name] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{directory}/{name}.crt", f"{directory}/{name}.key")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mode, mx, _ = DOMAINS[self.headers["Host"].removeprefix("mta-sts.")]
            body = POLICY.format(mode=mode, mx=mx).encode()
            self.send_response(200 if self.path == "/.well-known/mta-sts.txt" else 404)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            Path(directory, "posted").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.end_headers()

    def choose(connection: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts.get(name or "", contexts["reports.test"])

    first = contexts["reports.test"]
    first.sni_callback = choose  # type: ignore[assignment]
    server = ThreadingHTTPServer((address, 443), Handler)
    server.socket = first.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def zones() -> Zones:
    made = Zones()
    made.add_unsigned(
        "sts.test", "$ORIGIN sts.test.\nangaros A 192.0.2.10\npostfix A 192.0.2.20\nalias A 192.0.2.20\npostfix MX 10 postfix\n"
    )
    for domain in DOMAINS:
        mx = "alias.sts.test." if domain == "alias.test" else "postfix.sts.test."
        text = f'$ORIGIN {domain}.\n@ MX 10 {mx}\nmta-sts A 192.0.2.30\n_mta-sts TXT "v=STSv1; id=1;"\n'
        rua = "mailto:alice@postfix.sts.test,https://reports.test/tls"
        made.add_unsigned(domain, text + (f'_smtp._tls TXT "v=TLSRPTv1; rua={rua}"\n' if domain == "good.test" else ""))
    made.add_unsigned("reports.test", "$ORIGIN reports.test.\n@ A 192.0.2.30\n")
    return made


def main() -> None:
    if sys.argv[1:2] == ["web"]:
        serve_web(*sys.argv[2:4])
        return
    with world() as here:
        ours, theirs, web = (here.add(name, f"{name}.sts.test") for name in ("angaros", "postfix", "web"))
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        tls = Path("/tmp/world/tls")
        for name in [*(f"mta-sts.{domain}" for domain in DOMAINS), "reports.test"]:
            certificate(tls, name)
        case = ocsp_case(owned(Path("/tmp/world/case"), EXIM_UID))
        names = f"$myhostname {' '.join(DOMAINS)}"
        postfix = Postfix(theirs, here, mydestination=names, luser_relay="alice", local_recipient_maps="")
        resolver = zones().serve(here)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        web.spawn(sys.executable, "-m", "tests.peers.scenario_sts", "web", web.address, str(tls), cwd=REPOSITORY, env=environment)
        wait_for(lambda: _listens(web.address), 10, "the web servers")
        try:
            angaros = Angaros(ours, CONF.replace("@CERT@", case.chain).replace("@KEY@", str(case.directory / "server.key")))
            converse(angaros, postfix, case, tls)
        finally:
            resolver.terminate()
    print("ok")


def _listens(address: str) -> bool:
    import socket

    try:
        socket.create_connection((address, 443), 1).close()
        return True
    except OSError:
        return False


def ocsp_case(directory: Path) -> Case:
    """A CA, a certificate that names a responder, the files that the responder wants."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    case = Case(directory, 8888)
    case.made.key = rsa.generate_private_key(65537, 2048)
    case.leaf = case.certify(8888)
    for name, key in (("ca.key", case.made.ca_key), ("server.key", case.made.key)):
        (directory / name).write_bytes(key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
        os.chmod(directory / name, 0o644)
    (directory / "index.txt").write_text(f"V\t301231000000Z\t\t{case.leaf.serial_number:040X}\tunknown\t/CN=named.example\n")
    return case


def converse(angaros: Angaros, postfix: Postfix, case: Case, tls: Path) -> None:
    """All messages, the report, the staple."""
    files = ("-index", "index.txt", "-rsigner", case.made.cafile, "-rkey", "ca.key", "-CA", case.made.cafile)
    out = Path("/tmp/world/ocsp.out")
    angaros.node.spawn("openssl", "ocsp", "-port", "8888", *files, "-ndays", "4", cwd=case.directory, log=str(out))
    wait_for(lambda: "ocsp: waiting" in out.read_text().lower() or "ACCEPT" in out.read_text(), 10, "the responder")
    angaros.start()
    postfix.start()
    for domain in DOMAINS:
        angaros.exim("-odf", "-f", "s@angaros.sts.test", f"alice@{domain}", input=f"Subject: to {domain}\n\nx\n")
    logs = (angaros.log / "mainlog").read_text("latin-1")
    for domain, (_, _, goes) in DOMAINS.items():
        assert (f"=> alice@{domain} " in logs) == goes and (f"== alice@{domain} " in logs) != goes, (domain, logs)
    good = next(line for line in logs.splitlines() if "=> alice@good.test " in line)
    assert "CV=sts" in good and " X=TLS" in good
    assert "MTA-STS error: postfix.sts.test is not in the policy of other.test (enforce)" in logs
    assert "MTA-STS policy of alias.test not met; TLS connection to alias.sts.test [192.0.2.20]: (SSL_connect): error" in logs
    assert "MTA-STS: policy of broken.test not fetched (sts-webpki-invalid): " in logs
    assert "STS=enforce" in angaros.exim("-bt", "alice@good.test")
    assert "STS=refused" in angaros.exim("-bt", "alice@other.test", check=False)
    report(angaros, tls)
    staple(angaros, case)
    angaros.stop()


def report(angaros: Angaros, tls: Path) -> None:
    """What was counted becomes a report of yesterday."""
    hints = HintsDb(str(angaros.spool / "db"), uid=EXIM_UID, gid=EXIM_UID)
    for key, _, record in list(hints.items("tlsrpt")):
        day, _, rest = key.partition(":")
        if not rest:
            continue
        hints.delete("tlsrpt", key)
        hints.put("tlsrpt", f"{int(day) - 2}:{rest}", record)
    hints.put("tlsrpt", "sent", {"day": int(time.time() // 86400) - 1})
    hints.close()
    angaros.exim("-q")
    wait_for(lambda: "tlsrpt" in "".join(messages("/home/alice/Maildir")), 20, angaros.logs())
    mail = next(text for text in messages("/home/alice/Maildir") if "tlsrpt" in text)
    assert "DKIM-Signature: " in mail and "\nTLS-Report-Domain: good.test\n" in mail
    document = json.loads(gzip.decompress((tls / "posted").read_bytes()))
    assert document["organization-name"] == "Angaros Test"
    [policy] = document["policies"]
    assert policy["policy"]["policy-type"] == "sts" and policy["summary"]["total-successful-session-count"] == 1, document


def staple(angaros: Angaros, case: Case) -> None:
    """The daemon has asked the responder; a client sees the answer."""
    client = ("openssl", "s_client", "-connect", f"{angaros.node.address}:25", "-starttls", "smtp", "-status", "-CAfile")

    def stapled() -> bool:
        return "OCSP Response Status: successful" in angaros.node.run(*client, case.made.cafile, check=False, input="QUIT\n")

    wait_for(stapled, 130, f"a staple\n{angaros.logs()}")


if __name__ == "__main__":
    main()
