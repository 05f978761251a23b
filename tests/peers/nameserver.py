"""A tiny name server for test worlds: `python -m tests.peers.nameserver ADDRESS name=ip,name=ip`."""

from __future__ import annotations

import socket
import sys

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def answer(query: dns.message.Message, table: dict[str, str]) -> dns.message.Message:
    """A for each name, MX to itself, PTR back; everything else does not exist."""
    response = dns.message.make_response(query)
    response.flags |= 0x0080  # recursion available
    question = query.question[0]
    name = question.name.to_text().rstrip(".").lower()
    kind = dns.rdatatype.to_text(question.rdtype)
    reverse = {".".join(reversed(ip.split("."))) + ".in-addr.arpa": host for host, ip in table.items()}
    if name in table:
        data = {"A": table[name], "MX": f"10 {name}."}.get(kind)
    elif name in reverse:
        data = f"{reverse[name]}." if kind == "PTR" else None
    else:
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response
    if data:
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, data))
    return response


def main() -> None:
    address, pairs = sys.argv[1:3]
    table = dict(pair.split("=") for pair in pairs.split(","))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind((address, 53))
        while True:
            data, peer = channel.recvfrom(4096)
            channel.sendto(answer(dns.message.from_wire(data), table).to_wire(), peer)


if __name__ == "__main__":
    main()
