"""VRFY, EXPN, WELLKNOWN. # RFC 5321 4.1.1.6, 4.1.1.7; Exim spec 44.15"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.inbound.rcpt import qualify_recipient
from angaros.inbound.rejection import refuse, user_message
from angaros.logs.peer import host_and_ident
from angaros.mime.addresses import AddressRules, extract_address
from angaros.model.outcome import Outcome
from angaros.model.text import concat
from angaros.routers.address import new_delivery
from angaros.routers.chain import route
from angaros.routers.outcome import Mode
from angaros.smtp.grammar import encode_xtext

if TYPE_CHECKING:
    from angaros.inbound.conversation import Conversation
    from angaros.smtp.server import Command


def do_vrfy(c: Conversation, command: Command) -> None:
    """Whether an address is deliverable, as far as policy wants to tell."""
    found = extract_address(command.argument, AddressRules.of(c.main))
    if found.error:
        c.say(f"501 {found.error}")
        return
    address = found.address
    if not found.domain:
        qualified = qualify_recipient(c, str(command.argument), address)
        if qualified is None:
            return
        address = qualified
    scope = c.scope.child(delivery=new_delivery(address))
    verdict = c.run_acl("vrfy", scope)
    if verdict.outcome is not Outcome.ACCEPT:
        refuse(c, "vrfy", verdict, f"VRFY {command.argument}")
        return
    result = c.services.verifier.verify_address(address, scope, is_recipient=True)
    if result.outcome is Outcome.ACCEPT:
        c.say(f"250 <{address}> is deliverable")
        return
    text = result.user_message
    if result.outcome is Outcome.DEFER:
        c.say(f"451 <{address}> {text}" if text else f"451 Cannot resolve <{address}> at this time")
        return
    c.say(f"550 <{address}> {text or 'is not deliverable'}")
    c.log.write(f"VRFY failed for {address} {host_and_ident(c.session, c.log)}")


def do_expn(c: Conversation, command: Command) -> None:
    """What an address expands to; `exim -bv` text goes to the client as it is."""
    verdict = c.run_acl("expn")
    if verdict.outcome is not Outcome.ACCEPT:
        refuse(c, "expn", verdict, f"EXPN {command.argument}")
        return
    found = extract_address(command.argument, AddressRules.of(c.main))
    if found.error:
        c.say(f"501 {found.error}")
        return
    address = found.address if found.domain else concat([found.address, "@", c.main.qualify_recipient or ""])
    if c.services.config.rewrite_rules:
        from angaros.rewriting import rewrite_address

        address = rewrite_address(address, c.scope, "T", quiet=True)
    _expand(c, address)


def _expand(c: Conversation, address: str) -> None:
    """One step: what the address is an alias for. Exim spec 44.15"""
    outcome = route(new_delivery(address), c.scope.child(), Mode.EXPN)
    if outcome.status == "fail":
        c.say(f"553 {address} is undeliverable")
    elif outcome.status == "defer":
        c.say(f"451 {address} cannot be resolved at this time")
    else:
        names = [child.address for child in outcome.new] or [address]
        for name in names[:-1]:
            c.say(f"250-<{name}>")
        c.say(f"250 <{names[-1]}>")


def do_wellknown(c: Conversation, command: Command) -> None:
    """A file that the administrator publishes, xtext-encoded line by line. Exim spec 14, wellknown_advertise_hosts"""
    if not c.advertised.wellknown:
        c.protocol_error("protocol", 503, "", "WELLKNOWN command used when not advertised")
        return
    effects = c.session.effects
    effects.wellknown_response = None
    verdict = c.run_acl("wellknown")
    if verdict.outcome is not Outcome.ACCEPT or effects.wellknown_response is None:
        if verdict.outcome is Outcome.ACCEPT:
            user_message(c, "wellknown", verdict.user_message, "OK")
            return
        refuse(c, "wellknown", verdict, f"WELLKNOWN {command.argument}")
        return
    content = effects.wellknown_response
    lines = [encode_xtext(line) for line in content.splitlines(keepends=True)]
    c.respond("250", "\n".join([f"SIZE={len(content)}", *lines]))
