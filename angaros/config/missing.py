"""Options that are known and read but do nothing: a declared table, proved by tests/config/test_missing.py.

`MISSING` ones are not built yet: a configuration that sets one is told so when it is read. `NO_EFFECT` ones have nothing to act
on here, by design; setting them is right and changes nothing.
"""

from __future__ import annotations

MISSING: dict[str, str] = {}
"""`prefix.option` -> why; the prefix is `main`, `router`, `transport`, `authenticator` or a driver."""

_NO_C = "there is no C program to dump or to debug"
_NO_GNUTLS = "TLS is OpenSSL's"

NO_EFFECT: dict[str, str] = {
    "gsasl.client_channelbinding": "channel binding is used exactly by the mechanisms whose name ends in -PLUS",
    "gsasl.server_channelbinding": "channel binding is used exactly by the mechanisms whose name ends in -PLUS",
    "main.bounce_return_message": "old name of bounce_return_body",
    "main.daemon_modules_load": "nothing is loaded as a shared object",
    "main.debug_store": _NO_C,
    "main.deliver_drop_privilege": "deliveries never hold root's power",
    "main.disable_fsync": "a message is always safe on disk before it is accepted",
    "main.drop_cr": "a no-op in Exim too: line ends are as chapter 48 of the manual says",
    "main.gnutls_allow_auto_pkcs11": _NO_GNUTLS,
    "main.gnutls_compat_mode": _NO_GNUTLS,
    "main.panic_coredump": _NO_C,
    "main.smtp_accept_keepalive": "connections have time-outs of their own",
    "main.smtp_backlog_monitor": "one event loop accepts all connections at once",
    "main.tcp_nodelay": "always on",
    "main.queue_fast_ramp": "the second pass of a run delivers side by side: nothing is gained by beginning it in the first",
    "pipe.permit_coredump": _NO_C,
    "pipe.use_classresources": "login classes are a BSD matter",
    "router.fail_verify": "sets fail_verify_recipient and fail_verify_sender when it is read",
    "smtp.gnutls_compat_mode": _NO_GNUTLS,
    "smtp.hosts_noproxy_tls": "sessions are kept inside the process: there is no proxy for TLS",
    "smtp.tls_dh_min_bits": "only GnuTLS has it (Exim spec 30.4); OpenSSL's security level decides",
}
"""As `MISSING`: why nothing needs to happen."""
