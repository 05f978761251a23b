"""Waiting, sockets, TLS, DNS, hosts: everything that touches the network.

Laws:
- The core is synchronous and waits only through a `Waiter`: `blocking.BlockingWaiter` (no asyncio) or `loop.LoopWaiter`.
- Parsers (`dns_wire`, `proxy`) and engines (`tls_engine`) are sans-I/O: octets in, values out.
- What comes from the network is tainted text; limits on its size are named constants.
"""
