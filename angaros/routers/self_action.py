"""What happens when a router finds that the first host is this one (`self`), and changes of the domain. Exim spec 13.8, 15."""

from __future__ import annotations

from angaros.logs.peer import sender_fullhost
from angaros.model.delivery import Delivery, Host
from angaros.model.errors import ConfigError
from angaros.model.text import concat, like
from angaros.routers.address import child_of, split_at
from angaros.routers.outcome import Answer, Mode
from angaros.routers.router import Run

ACTIONS = frozenset({"freeze", "defer", "send", "pass", "fail"})


def parse_self(text: str, name: str) -> tuple[str, str, bool]:
    """(action, new domain, rewrite header lines) of the option. Raises ConfigError."""
    if text in ACTIONS:
        return text, "", False
    if text.startswith("reroute:"):
        rest = text[8:].strip()
        if rest.startswith("rewrite:"):
            return "reroute", rest[8:].strip(), True
        return "reroute", rest, False
    raise ConfigError(f"{name} router:\n  {text} is not valid for the self option")


def act_on_self(run: Run, host: Host) -> Answer:
    """Apply `self`; ACCEPT means: send it all the same."""
    action, domain, rewrite = parse_self(run.options.self, run.router.name)
    delivery = run.delivery
    text = "lowest numbered MX record points to local host" if host.mx >= 0 else "remote host address is the local host"
    if action == "send":
        return Answer.ACCEPT
    if action == "pass":
        delivery.message = text
        delivery.self_hostname = host.name
        return Answer.PASS
    if action == "reroute":
        return change_domain(run, domain, rewrite)
    delivery.message = text
    if action == "fail":
        delivery.extra["pass_message"] = True
        return Answer.FAIL
    if action == "freeze":
        _log_freeze(run, text)
        if run.mode is Mode.DELIVER:
            delivery.special_action = "freeze"
    return Answer.DEFER


def _log_freeze(run: Run, text: str) -> None:
    """What is wrong with the domain; outside a delivery also whose address it was (Exim spec 15, `self = freeze`)."""
    delivery, scope = run.delivery, run.scope
    message_id = scope.message.id if scope.message is not None else ""
    where = ""
    if not message_id:
        peer = sender_fullhost(scope.session) if scope.session is not None else ""
        where = f" (while verifying <{delivery.address}> from host {peer})" if peer else f" (while routing <{delivery.address}>)"
    scope.services.log.write(f"{text}: {delivery.domain}{where}", message_id=message_id)


def change_domain(run: Run, domain: str, rewrite: bool) -> Answer:
    """Route `local_part@domain` in place of the address; `rewrite`: in header lines, too."""
    delivery = run.delivery
    old_domain = delivery.domain
    local, _ = split_at(delivery.address)
    child = child_of(delivery, like(concat([local, "@", domain]), delivery.address))
    child.start_router = run.options.redirect_router or ""
    run.outcome.new.append(child)
    if rewrite and run.mode is Mode.DELIVER:
        _rewrite_headers(run, old_domain, domain)
    return Answer.REROUTED


def take_case(delivery: Delivery, domain: str) -> None:
    """The DNS writes the domain with capitals: so does what is sent."""
    local, _ = split_at(delivery.address)
    delivery.address = like(concat([local, "@", domain]), delivery.address)


def _rewrite_headers(run: Run, old: str, new: str) -> None:
    """Put the new domain where the old one stands in address header lines of the message."""
    from angaros.rewriting import rewrite_domain

    message = run.scope.message
    if message is None:
        return
    for index, header in enumerate(list(message.headers)):
        if header.kind not in "BCFRST":
            continue
        changed = rewrite_domain(header, old, new, run.scope)
        if changed is not None:
            message.headers[index] = changed
            run.delivery.extra["headers_changed"] = True
