"""DANE with Postfix (`dane-only`) both ways, over zones that are really signed, bogus, expired and insecure."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.peers.scenario_debian import SITE
from tests.peers.servers import Angaros, Postfix, certificate
from tests.peers.signed_zones import Zones
from tests.peers.world import messages, sh, wait_for, world

CONF = r"""
primary_hostname = angaros.good.test
@HOUSE@
log_selector = +tls_certificate_verified +tls_sni +tls_peerdn
tls_certificate = @CERT@
tls_privatekey = @KEY@
tls_advertise_hosts = *
acl_smtp_rcpt = accept
begin routers
here:
  driver = accept
  domains = angaros.good.test
  transport = maildir
out:
  driver = dnslookup
  dnssec_request_domains = *
  transport = smtp
  no_more
begin transports
smtp:
  driver = smtp
  hosts_try_dane = *
  hosts_require_dane = ${if eq{$domain}{must.insecure.test}{*}{}}
  tls_verify_certificates = system
  tls_try_verify_hosts = *
@MAILDIR@
  user = vmail
begin retry
* * F,1h,5m
"""


def spki(cert: Path) -> str:
    """SHA-256 of the public key, for TLSA 3 1 1."""
    der = sh("sh", "-c", f"openssl x509 -in {cert} -noout -pubkey | openssl pkey -pubin -outform DER | xxd -p", check=True)
    return hashlib.sha256(bytes.fromhex(der.replace("\n", ""))).hexdigest()


def zones(angaros: Path, postfix: Path) -> Zones:
    made = Zones()
    tlsa = f"TLSA 3 1 1 {spki(postfix)}\n"
    host = "@ MX 10 mx\nmx A 192.0.2.20\n_25._tcp.mx " + tlsa
    made.add(
        "good.test",
        "angaros A 192.0.2.10\nangaros MX 10 angaros\n"
        f"_25._tcp.angaros TLSA 3 1 1 {spki(angaros)}\n"
        "postfix A 192.0.2.20\npostfix MX 10 postfix\n_25._tcp.postfix " + tlsa + "wrong A 192.0.2.20\nwrong MX 10 wrong\n"
        f"_25._tcp.wrong TLSA 3 1 1 {'00' * 32}\n"
        "alias MX 10 other\nother CNAME postfix\nnone A 192.0.2.20\nnone MX 10 none\n",
    )
    made.add("bogus.test", host.replace("192.0.2.20", "192.0.2.99"))
    made.falsify("bogus.test", "192.0.2.99", "192.0.2.20")
    made.add("expired.test", host, signing=("-i", "20200101", "-e", "20200201"))
    made.add("island.test", host.replace(spki(postfix), "11" * 32), trusted=False)
    made.add_unsigned("insecure.test", "$ORIGIN insecure.test.\n" + host.replace(spki(postfix), "22" * 32) + "must MX 10 mx\n")
    return made


def main() -> None:
    with world() as here:
        ours, theirs = here.add("angaros", "angaros.good.test"), here.add("postfix", "postfix.good.test")
        Path("/etc/angaros").mkdir(exist_ok=True)
        Path("/etc/angaros/site.conf").write_text(SITE)
        cert, key = certificate(Path("/tmp/world"), "angaros.good.test")
        names = "$myhostname wrong.good.test alias.good.test none.good.test"
        names += " bogus.test expired.test island.test insecure.test must.insecure.test"
        postfix = Postfix(
            theirs, here, mydestination=names, smtp_dns_support_level="dnssec", smtp_tls_security_level="dane-only",
            luser_relay="alice", local_recipient_maps="",
        )  # fmt: skip
        resolver = zones(cert, postfix.root / "tls" / "postfix.good.test.crt").serve(here)
        try:
            converse(Angaros(ours, CONF.replace("@CERT@", str(cert)).replace("@KEY@", str(key))), postfix)
        finally:
            resolver.terminate()
    print("ok")


DELIVERED = {"postfix.good.test": "CV=dane", "alias.good.test": "CV=dane", "none.good.test": "CV=", "island.test": "CV=",
             "insecure.test": "CV="}  # fmt: skip
"""Domain -> what the log line says."""
PUT_OFF = {
    "wrong.good.test": "DANE attempt failed; TLS connection to wrong.good.test [192.0.2.20]: (SSL_connect): error",
    "bogus.test": "host lookup did not complete",
    "expired.test": "host lookup did not complete",
    "must.insecure.test": "DANE error: mx.insecure.test lookup not DNSSEC",
}


def converse(angaros: Angaros, postfix: Postfix) -> None:
    """All messages, each way."""
    angaros.start()
    postfix.start()
    for domain in (*DELIVERED, *PUT_OFF):
        angaros.exim("-odf", "-f", "s@angaros.good.test", f"alice@{domain}", input=f"Subject: to {domain}\n\nx\n")
    logs = (angaros.log / "mainlog").read_text("latin-1")
    for domain, mark in DELIVERED.items():
        line = next((one for one in logs.splitlines() if f"=> alice@{domain} " in one), "")
        assert " X=TLS" in line and mark in line, (domain, logs)
        assert ("CV=dane" in line) == (mark == "CV=dane"), (domain, logs)
    for domain, text in PUT_OFF.items():
        assert f"=> alice@{domain} " not in logs and text in logs, (domain, logs)
    wait_for(lambda: len(messages("/home/alice/Maildir")) >= len(DELIVERED), 20, f"mail at Postfix {postfix.logs()}")
    found = "\n".join(messages("/home/alice/Maildir"))
    assert all(f"Subject: to {domain}\n" in found for domain in DELIVERED)
    assert not any(f"Subject: to {domain}\n" in found for domain in PUT_OFF)
    postfix.sendmail("Subject: by Postfix\n\nx\n", "-f", "alice@postfix.good.test", "bob@angaros.good.test")
    wait_for(lambda: "by Postfix" in "".join(messages(str(angaros.mail / "all"))), 20, f"{postfix.logs()} {angaros.logs()}")
    assert "Verified TLS connection established to angaros.good.test" in postfix.logs(), postfix.logs()
    angaros.stop()


if __name__ == "__main__":
    main()
