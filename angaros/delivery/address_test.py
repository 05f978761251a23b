"""`-bt`, `-bv`, `-bvs`: what routing makes of an address, for people. Exim spec 5.3, 44.51.

With full information (`-bt`, and `-bv` with `-v` or `-d`) every generated address is routed and shown; otherwise one line tells
whether the address verifies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from angaros.mime.addresses import AddressRules, extract_address, split_addresses
from angaros.model.delivery import Delivery, Host
from angaros.model.outcome import Outcome
from angaros.model.text import taint
from angaros.rewriting import rewrite_address
from angaros.routers.address import new_delivery
from angaros.routers.chain import UNROUTEABLE, route
from angaros.routers.outcome import Mode

if TYPE_CHECKING:
    from angaros.model.scope import Scope

OK, DEFERRED, FAILED = 0, 1, 2
"""Exit status of `exim -bt` and `exim -bv`; the worst of all addresses counts."""

_UNKNOWN_WIDTH = len("unknown")


class AddressTester:
    """Tests addresses one after the other; remembers what was shown, to mark duplicates."""

    def __init__(self, scope: Scope, write: Callable[[str], object], *, mode: Mode, full: bool, admin: bool = True) -> None:
        self.scope = scope
        self.write = write
        self.mode = mode
        self.full = full
        self.admin = admin
        """Reasons are shown to administrators only."""
        self._seen: set[str] = set()

    def test(self, text: str) -> int:
        """Test one address as it was typed; OK, DEFERRED or FAILED."""
        scope = self.scope
        found = extract_address(text, AddressRules.of(scope.services.config.main), allow_null=False)
        if found.error:
            self.write(f"syntax error: {found.error}\n")
            return FAILED
        main = scope.services.config.main
        address = found.address
        if "@" not in address:
            recipient = self.mode is not Mode.VERIFY_SENDER
            address += f"@{(main.qualify_recipient if recipient else '') or main.qualify_domain}"
        new = self._rewritten(address) if scope.services.config.rewrite_rules else address
        return self._full(new, typed=address) if self.full else self._short(new)

    def _rewritten(self, address: str) -> str:
        new = rewrite_address(address, self.scope, "F" if self.mode is Mode.VERIFY_SENDER else "T")
        if new != address:
            self.write(f"Address rewritten as: {new}\n")
        return new

    # --- One line ----------------------------------------------------------------------------------------------------

    def _short(self, address: str) -> int:
        result = self.scope.services.verifier.verify_address(
            address, self.scope, is_recipient=self.mode is not Mode.VERIFY_SENDER
        )
        why = f": {result.log_message}" if result.log_message and self.admin else ""
        if result.outcome is Outcome.ACCEPT:
            self.write(f"{address} verified\n")
            return OK
        if result.outcome is Outcome.DENY:
            self.write(f"{address} failed to verify{why}\n")
            return FAILED
        self.write(f"{address} cannot be resolved at this time{why}\n")
        return DEFERRED

    # --- All of it ---------------------------------------------------------------------------------------------------

    def _full(self, address: str, typed: str) -> int:
        waiting = [new_delivery(address)]
        waiting[0].unique = typed  # not its rewritten form tells duplicates apart
        routed: list[Delivery] = []
        worst, silent = OK, True
        while waiting:
            delivery = waiting.pop(0)
            if delivery.is_pipe or delivery.is_file or delivery.is_autoreply:
                self._show_special(delivery)
                silent = False
                continue
            outcome = route(delivery, self.scope, self.mode)
            if outcome.status == "fail":
                verb = "is undeliverable" if self.mode is Mode.ADDRESS_TEST else "failed to verify"
                self._show_problem(delivery, verb, UNROUTEABLE)
                worst = FAILED
                waiting[:0] = outcome.new
                continue
            if outcome.status == "defer":
                self._show_problem(delivery, "cannot be resolved at this time", "")
                worst = max(worst, DEFERRED)
                continue
            routed.extend(outcome.routed)
            waiting[:0] = outcome.new
        self._show_routed(routed)
        if silent and worst == OK and not routed:
            self.write(f"mail to {address} is discarded\n")
        return worst

    def _show_problem(self, delivery: Delivery, verb: str, default: str) -> None:
        text = f"{delivery.address} {verb}"
        if self.admin:
            if delivery.basic_errno > 0:
                text += f": {os.strerror(delivery.basic_errno)}"
            if delivery.message or default:
                text += f": {delivery.message or default}"
        self.write(f"{text}\n")
        self._show_parents(delivery)

    def _show_parents(self, delivery: Delivery) -> None:
        parent = delivery.parent
        while parent is not None:
            self.write(f"    <-- {parent.address}\n")
            parent = parent.parent

    def _show_special(self, delivery: Delivery) -> None:
        """A pipe, file or automatic reply that a redirection made."""
        parent = delivery.parent
        shown = f">{delivery.address}" if delivery.is_autoreply and not delivery.address.startswith(">") else delivery.address
        self.write(f"{parent.address if parent is not None else ''} -> {shown}\n")
        problem = delivery.message or delivery.extra.get("forbidden")
        if problem:
            self.write(f"*** Error in setting up pipe, file, or autoreply:\n{problem}\n")
        else:
            self.write(f"  transport = {delivery.transport or 'unset'}\n")

    def _show_routed(self, routed: list[Delivery]) -> None:
        """Local deliveries, then remote ones, each the last routed first."""
        for remote in (False, True):
            for delivery in reversed(routed):
                if self._is_remote(delivery) is remote:
                    self._show_delivery(delivery)

    def _show_delivery(self, delivery: Delivery) -> None:
        text = delivery.address
        if delivery.extra.get("srs_sender"):
            text += f"    [srs = {delivery.extra['srs_sender']}]"
        key = f"{delivery.unique or delivery.address}\0{delivery.router}"
        if key in self._seen:
            text += "   [duplicate, would not be delivered]"
        self._seen.add(key)
        self.write(f"{text}\n")
        self._show_parents(delivery)
        self.write(f"  router = {delivery.router}, transport = {delivery.transport or 'unset'}\n")
        remote = self._is_remote(delivery)
        hosts = delivery.hosts if delivery.transport else []
        policies = [self._policy(delivery, host) for host in hosts] if remote else []
        for line in host_lines(hosts, local=not remote, test_mode=self._shows_dnssec(), policies=policies):
            self.write(f"{line}\n")

    def _policy(self, delivery: Delivery, host: Host) -> str:
        """The MTA-STS policy for a host, where the transport wants to know it."""
        instance: Any = self.scope.services.config.transports[delivery.transport]
        if not instance.options.hosts_try_mta_sts and not instance.options.hosts_require_mta_sts:
            return ""
        from angaros.transports.smtp_sts import shown

        return shown(instance, host, self.scope.child(delivery))

    def _is_remote(self, delivery: Delivery) -> bool:
        instance = self.scope.services.config.transports.get(delivery.transport)
        return instance is not None and instance.driver == "smtp"

    def _shows_dnssec(self) -> bool:
        return self.scope.services.harness is not None


def host_lines(hosts: list[Host], *, local: bool = False, test_mode: bool = False, policies: Sequence[str] = ()) -> list[str]:
    """`  host a.b.c   [1.2.3.4]  MX=5`, in columns. `policies`: what else is said of each host."""
    if not hosts:
        return []
    name_width = max(len(host.name) for host in hosts)
    address_width = max(len(host.address) if host.address else _UNKNOWN_WIDTH for host in hosts)
    lines = []
    for number, host in enumerate(hosts):
        line = f"  host {host.name:<{name_width}} "
        if host.address or not local:
            line += f"[{host.address or 'unknown'}]".ljust(address_width + 2)
        else:
            line += " " * (address_width + 2)
        if host.mx >= 0:
            line += f" MX={host.mx}"
        if host.port:
            line += f" port={host.port}"
        if test_mode and host.dnssec:
            line += " AD"
        if policies and policies[number]:
            line += f" {policies[number]}"
        if host.status == "unusable":
            line += " ** unusable **"
        lines.append(line)
    return lines


MODES = {"bt": Mode.ADDRESS_TEST, "bv": Mode.VERIFY_RECIPIENT, "bvs": Mode.VERIFY_SENDER}


def run(
    scope: Scope,
    arguments: list[str],
    mode: str,
    *,
    verbose: bool = False,
    admin: bool = True,
    write: Callable[[str], object] | None = None,
) -> int:
    """`exim -bt`, `-bv`, `-bvs`: addresses from the arguments (each may be a list), or one a line from standard input."""
    out = write if write is not None else _write
    tester = AddressTester(scope, out, mode=MODES[mode], full=verbose or mode == "bt", admin=admin)
    worst = OK
    if arguments:
        for argument in arguments:
            for address in split_addresses(taint(argument)):
                worst = max(worst, tester.test(address))
        return worst
    while True:
        out("> ")
        line = sys.stdin.buffer.readline()
        if not line:
            out("\n")
            return worst
        worst = max(worst, tester.test(taint(line.decode("latin-1").strip())))


def _write(text: str) -> None:
    """Octets as they are, in order with what goes to standard error."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("latin-1", "replace"))
    sys.stdout.buffer.flush()
