"""Making and splitting the addresses that are routed.

Laws: `Delivery.address` keeps the case it came with; `domain` is lower case; `local_part` is unquoted and, unless a router says
otherwise, lower case (ASCII only: other octets are nobody's business). Everything stays as tainted as the address was.
"""

from __future__ import annotations

from dataclasses import replace

from angaros.model.delivery import Delivery, Properties
from angaros.model.errors import ListDefer
from angaros.model.scope import Scope
from angaros.model.text import like

_LOWER = {upper: upper + 32 for upper in range(65, 91)}


def ascii_lower(value: str) -> str:
    """Lower case, octets above 127 untouched; the taint stays."""
    if value.isascii():
        return value.lower()
    return like(value.translate(_LOWER), value)


def split_at(address: str) -> tuple[str, str]:
    """Local part as written and domain as written."""
    local, _, domain = address.rpartition("@")
    return local, domain


def same_address(one: str, other: str) -> bool:
    """The same local part, the same domain in any case."""
    if one == other:
        return True
    (local, domain), (local_, domain_) = split_at(one), split_at(other)
    return local == local_ and domain.lower() == domain_.lower()


def unquote_local(local_part: str) -> str:
    """The local part without quotes and backslashes. RFC 5321 4.1.2."""
    if '"' not in local_part and "\\" not in local_part:
        return local_part
    out: list[str] = []
    pending = iter(str(local_part))
    for char in pending:
        if char == '"':
            continue
        out.append(next(pending, "") if char == "\\" else char)
    return like("".join(out), local_part)


def new_delivery(address: str) -> Delivery:
    """A delivery for a fully qualified address; split."""
    delivery = Delivery(address)
    resplit(delivery)
    return delivery


def resplit(delivery: Delivery) -> None:
    """Fill domain and local parts from the address."""
    local, domain = split_at(delivery.address)
    cased = unquote_local(local)
    delivery.domain = ascii_lower(domain)
    delivery.cased_local_part = cased
    delivery.lowered_local_part = delivery.local_part = ascii_lower(cased)
    if not delivery.unique:
        delivery.unique = like(f"{local}@{delivery.domain}", delivery.address)


def copy_properties(props: Properties) -> Properties:
    """A copy whose lists can be changed."""
    return replace(
        props, headers_add=props.headers_add.copy(), variables=props.variables.copy() if props.variables else props.variables
    )


def child_of(parent: Delivery, address: str) -> Delivery:
    """A child of `parent` with its inherited properties (Exim spec 15: address_data, errors_to, headers, DSN)."""
    child = new_delivery(address)
    inherit(child, parent)
    return child


def inherit(child: Delivery, parent: Delivery) -> None:
    """Make `child` a child of `parent`."""
    child.parent = parent
    child.props = copy_properties(parent.props)
    child.dsn_flags = parent.dsn_flags
    child.orcpt = parent.orcpt
    child.recipient_number = parent.recipient_number
    child.onetime_parent = parent.onetime_parent
    child.host_data = parent.host_data
    child.self_hostname = parent.self_hostname
    parent.children += 1


def apply_percent_hack(delivery: Delivery, scope: Scope) -> bool:
    """`percent_hack_domains` (Exim spec 14): user%domain@here becomes user@domain. False: the list could not be looked up."""
    domains = scope.services.config.main.percent_hack_domains
    hacked = False
    while domains:
        try:
            listed = scope.services.lists.match_domain(
                delivery.domain, domains, scope.child(delivery), option="percent_hack_domains"
            )
            if not listed or "%" not in delivery.local_part:
                return True
        except ListDefer as error:
            delivery.message = str(error) or "percent_hack_domains lookup defer"
            return False
        local, _, domain = split_at(delivery.address)[0].rpartition("%")
        if not local or not domain:
            return True
        if not hacked:
            delivery.parent = replace(delivery, children=1)
            hacked = True
        delivery.address = like(f"{local}@{domain}", delivery.address)
        delivery.unique = ""
        resplit(delivery)
    return True


def ancestors(delivery: Delivery) -> list[Delivery]:
    """Parents, nearest first."""
    found = []
    node = delivery.parent
    while node is not None:
        found.append(node)
        node = node.parent
    return found
