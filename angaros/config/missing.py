"""Options that are known and read but do nothing: a declared table, proved by tests/config/test_missing.py.

`MISSING` ones are not built yet: a configuration that sets one is told so when it is read. `NO_EFFECT` ones have nothing to act
on here, by design; setting them is right and changes nothing.
"""

from __future__ import annotations

_GSASL = "this part of the gsasl driver is not built yet"
_LATER = "it is not built yet"

MISSING: dict[str, str] = {
    "cyrus_sasl.server_realm": _LATER,
    "cyrus_sasl.server_service": _LATER,
    "gsasl.client_authz": _GSASL,
    "gsasl.client_channelbinding": _GSASL,
    "gsasl.client_spassword": _GSASL,
    "gsasl.server_channelbinding": _GSASL,
    "gsasl.server_realm": _GSASL,
    "gsasl.server_scram_iter": _GSASL,
    "gsasl.server_scram_salt": _GSASL,
    "gsasl.server_service": _GSASL,
    "gsasl.server_skey": _GSASL,
    "heimdal_gssapi.server_service": _LATER,
    "main.keep_malformed": _LATER,
    "main.local_scan_timeout": "local_scan is not built yet",
    "main.queue_fast_ramp": _LATER,
    "main.queue_run_max": _LATER,
    "pipe.use_classresources": _LATER,
    "smtp.host_name_extract": _LATER,
    "smtp.hosts_pipe_connect": "early pipelining to other servers is not built yet",
    "spa.client_domain": "the spa driver is not built yet",
}
"""`prefix.option` -> why; the prefix is `main`, `router`, `transport`, `authenticator` or a driver."""

_NO_C = "there is no C program to dump or to debug"
_NO_GNUTLS = "TLS is OpenSSL's"

NO_EFFECT: dict[str, str] = {
    "main.bounce_return_message": "old name of bounce_return_body",
    "main.daemon_modules_load": "nothing is loaded as a shared object",
    "main.debug_store": _NO_C,
    "main.deliver_drop_privilege": "deliveries never hold root's power",
    "main.disable_fsync": "a message is always safe on disk before it is accepted",
    "main.gnutls_allow_auto_pkcs11": _NO_GNUTLS,
    "main.gnutls_compat_mode": _NO_GNUTLS,
    "main.panic_coredump": _NO_C,
    "main.smtp_accept_keepalive": "connections have time-outs of their own",
    "main.smtp_backlog_monitor": "one event loop accepts all connections at once",
    "main.tcp_nodelay": "always on",
    "main.tls_early_banner_hosts": "the banner follows the handshake: half a round trip that is not saved",
    "pipe.permit_coredump": _NO_C,
    "router.fail_verify": "sets fail_verify_recipient and fail_verify_sender when it is read",
    "smtp.gnutls_compat_mode": _NO_GNUTLS,
    "smtp.hosts_noproxy_tls": "sessions are kept inside the process: there is no proxy for TLS",
    "smtp.hosts_try_fastopen": "an optimisation that is not used",
    "smtp.tls_dh_min_bits": "OpenSSL's security level decides",
}
"""As `MISSING`: why nothing needs to happen."""
