"""Zones that are really signed, and really broken, behind a validating resolver (ldns-signzone, unbound)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.peers.world import NETWORK, World, sh, wait_for

DIRECTORY = Path("/tmp/world/zones")
HEAD = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {network}.1\n"
UNBOUND = """
server:
  interface: {network}.1
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  module-config: "validator iterator"
  trust-anchor-file: "{directory}/anchor"
  local-zone: "test." nodefault
  val-log-level: 2
remote-control:
  control-enable: no
"""
AUTH_ZONE = """auth-zone:
  name: "{name}."
  zonefile: "{directory}/{name}.signed"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""


class Zones:
    """The zone `test.` and what is delegated from it."""

    def __init__(self) -> None:
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        self.names: list[str] = []
        self.delegations: list[str] = []

    def add(self, name: str, records: str, *, trusted: bool = True, signing: tuple[str, ...] = ()) -> None:
        """A signed zone below `test.`; `trusted`: its parent says that it is signed."""
        self._sign(name, HEAD.format(network=NETWORK) + records, *signing)
        self.delegations.append(f"{name}. NS ns.test.\n")
        if trusted:
            self.delegations.append(next(DIRECTORY.glob(f"K{name}.*.ds")).read_text())

    def add_unsigned(self, name: str, records: str) -> None:
        """A zone without signatures: an insecure delegation."""
        (DIRECTORY / f"{name}.signed").write_text(HEAD.format(network=NETWORK) + records)
        self.names.append(name)
        self.delegations.append(f"{name}. NS ns.test.\n")

    def falsify(self, name: str, old: str, new: str) -> None:
        """Change a record after it was signed."""
        path = DIRECTORY / f"{name}.signed"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def _sign(self, name: str, text: str, *options: str) -> None:
        (DIRECTORY / name).write_text(f"$ORIGIN {name}.\n{text}")
        key = sh("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "-r", "/dev/urandom", name, cwd=DIRECTORY).strip().splitlines()[-1]
        sh("ldns-signzone", *options, "-f", f"{name}.signed", name, key, cwd=DIRECTORY)
        self.names.append(name)

    def serve(self, world: World) -> subprocess.Popen[bytes]:
        """Sign `test.` (NSEC3 with opt-out) and start the resolver for all hosts."""
        self._sign("test", HEAD.format(network=NETWORK) + "".join(self.delegations), "-n", "-p", "-s", "abcd")
        (DIRECTORY / "anchor").write_text(next(DIRECTORY.glob("Ktest.*.key")).read_text())
        conf = UNBOUND.format(network=NETWORK, directory=DIRECTORY)
        conf += "".join(AUTH_ZONE.format(name=name, directory=DIRECTORY) for name in self.names)
        (DIRECTORY / "unbound.conf").write_text(conf)
        with open("/tmp/world/unbound.log", "wb") as log:
            daemon = subprocess.Popen(["unbound", "-d", "-c", str(DIRECTORY / "unbound.conf")], stdout=log, stderr=log)
        wait_for(lambda: self._answers(), 10, "unbound: " + Path("/tmp/world/unbound.log").read_text())
        Path("/etc/resolv.conf").write_text(f"nameserver {NETWORK}.1\noptions timeout:2 attempts:2 trust-ad\n")
        return daemon

    @staticmethod
    def _answers() -> bool:
        import dns.message
        import dns.query

        try:
            dns.query.udp(dns.message.make_query("test.", "SOA"), f"{NETWORK}.1", timeout=0.3)
        except Exception:
            return False
        return True
