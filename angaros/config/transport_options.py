"""Options of the transports, generic and by driver: a declared table."""

from __future__ import annotations

from angaros.config.options import (
    EXPAND_GID,
    EXPAND_UID,
    MKINT,
    OCTAL,
    REP_STR,
    REWRITE,
    TIME,
    Options,
    boolean,
    expand_bool,
    integer,
    string,
)


class TransportOptions(Options):
    """Options of every transport."""

    body_only: bool = boolean(False, "Deliver just the body", since="2.05")
    current_directory: str | None = string(None, "Working directory during delivery", expanded=True, since="4.00")
    debug_print: str | None = string(None, "Text shown in debug output", expanded=True)
    delivery_date_add: bool = boolean(False, "Add a Delivery-date header")
    disable_logging: bool = boolean(False, "Suppress delivery logging for this transport")
    driver: str | None = string(None, "Selects the transport type")
    envelope_to_add: bool = boolean(False, "Add an Envelope-to header")
    event_action: str | None = string(None, "Expansion evaluated on delivery events", expanded=True)
    group: str | None = string(None, "Group for the delivery process", kind=EXPAND_GID, expanded=True)
    headers_add: str | None = string(None, "Header lines to add", kind=REP_STR, items="list", expanded=True)
    headers_only: bool = boolean(False, "Deliver just the headers", since="2.05")
    headers_remove: str | None = string(
        None, "Header names (or patterns) to drop", kind=REP_STR, items="list", expanded=True, joiner=":"
    )
    headers_rewrite: str | None = string(None, "Rewriting rules applied to outgoing headers", kind=REWRITE, since="3.20")
    home_directory: str | None = string(
        None, "Home directory during delivery", expanded=True, since="4.00 replaces individual options"
    )
    initgroups: bool = boolean(False, "Call initgroups() before delivering")
    max_parallel: str | None = string(None, "Concurrent deliveries allowed through this transport", expanded=True)
    message_size_limit: str | None = string(None, "Largest message this transport handles", expanded=True)
    rcpt_include_affixes: bool = boolean(False, "Keep prefix and suffix in outgoing recipients", since="4.21")
    retry_use_local_part: bool = boolean(False, "Whether retry keys carry the local part")
    return_path: str | None = string(None, "Replacement envelope sender", expanded=True, since="2.05")
    return_path_add: bool = boolean(False, "Add a Return-path header")
    shadow_condition: str | None = string(None, "When to run the shadow transport", expanded=True)
    shadow_transport: str | None = string(None, "Local transport that also gets a copy")
    transport_filter: str | None = string(None, "Program that filters the outgoing message", expanded=True)
    transport_filter_timeout: int = integer(300, "Time limit for reading from the filter", kind=TIME, since="4.30")
    user: str | None = string(None, "User for the delivery process", kind=EXPAND_UID, expanded=True)


class AppendfileOptions(TransportOptions):
    """Driver `appendfile`: Write mbox, MBX, Maildir, mailstore or files."""

    DRIVER = "appendfile"

    allow_fifo: bool = boolean(False, "Permit writing to a FIFO", since="3.13")
    allow_symlink: bool = boolean(False, "Permit a symlinked mailbox")
    batch_id: str | None = string(None, "Grouping key for batched recipients", expanded=True, since="4.00")
    batch_max: int = integer(1, "Recipients per batch")
    check_group: bool = boolean(False, "Verify mailbox group")
    check_owner: bool = boolean(True, "Verify mailbox owner", since="3.14")
    check_string: str | None = string(None, "Line start needing escape", since="3.03")
    create_directory: bool = boolean(True, "Make missing parent directories")
    create_file: str = string("anywhere", "Where new files may be created")
    directory: str | None = string(None, "Deliver into new files under this directory", expanded=True)
    directory_file: str = string("q${base62:$tod_epoch}-$inode", "File name pattern for plain directory delivery", expanded=True)
    directory_mode: int = integer(0o700, "Mode of created directories", kind=OCTAL)
    escape_string: str | None = string(None, "Replacement for check_string", since="3.03")
    file: str | None = string(None, "Mailbox file to append to", expanded=True)
    file_format: str | None = string(None, "Choose a transport by existing file's first bytes", since="3.03")
    file_must_exist: bool = boolean(False, "Defer if the mailbox is absent")
    lock_fcntl_timeout: int = integer(0, "Blocking wait for fcntl locks", kind=TIME, since="3.14")
    lock_flock_timeout: int = integer(0, "Blocking wait for flock locks", kind=TIME, since="4.11")
    lock_interval: int = integer(3, "Sleep between lock attempts", kind=TIME)
    lock_retries: int = integer(10, "Lock attempts")
    lockfile_mode: int = integer(0o600, "Mode of lock files", kind=OCTAL)
    lockfile_timeout: int = integer(1800, "Age at which lock files are stale", kind=TIME)
    mailbox_filecount: str | None = string(None, "External value for mailbox file count", expanded=True, since="4.43")
    mailbox_size: str | None = string(None, "External value for mailbox size", expanded=True, since="4.43")
    maildir_format: bool = boolean(False, "Deliver as Maildir", since="1.70")
    maildir_quota_directory_regex: str = string("^(?:cur|new|\\..*)$", "Folders counted towards Maildir++ quota")
    maildir_retries: int = integer(10, "Attempts at finding a unique Maildir name", since="1.70")
    maildir_tag: str | None = string(None, "Suffix added to Maildir file names", expanded=True, since="1.92")
    maildir_use_size_file: bool | str = expand_bool(False, "Maintain a Maildir++ maildirsize file", since="4.30 expanded in 4.77")
    maildirfolder_create_regex: str | None = string(None, "Paths that get a maildirfolder marker", since="4.62")
    mailstore_format: bool = boolean(False, "Deliver as a pair of .env and .msg files", since="2.00")
    mailstore_prefix: str | None = string(None, "Leading envelope-file text", expanded=True, since="2.00")
    mailstore_suffix: str | None = string(None, "Trailing envelope-file text", expanded=True, since="2.00")
    mbx_format: bool = boolean(False, "Write the c-client MBX format", since="2.10")
    message_prefix: str | None = string(None, "Text before each message", expanded=True, since="4.00 replaces prefix")
    message_suffix: str | None = string(None, "Text after each message", expanded=True, since="4.00 replaces suffix")
    mode: int = integer(0o600, "Mailbox file mode", kind=OCTAL)
    mode_fail_narrower: bool = boolean(True, "Defer when the mailbox mode is too narrow", since="1.70")
    notify_comsat: bool = boolean(False, "Tell comsat (biff) about new mail")
    quota: str | None = string(None, "Mailbox size ceiling", expanded=True, since="1.60")
    quota_directory: str | None = string(None, "Directory used for quota totals", expanded=True, since="4.11")
    quota_filecount: str | None = string(None, "Ceiling on number of message files", expanded=True, since="2.05")
    quota_is_inclusive: bool = boolean(True, "Whether the new message counts towards quota", since="3.20")
    quota_size_regex: str | None = string(None, "Take sizes from file names", since="3.14")
    quota_warn_message: str | None = string(None, "Text of the quota warning message", expanded=True)
    quota_warn_threshold: str | None = string(None, "Warning level, absolute or percent", expanded=True, since="2.10")
    use_bsmtp: bool = boolean(False, "Write in batch-SMTP form", since="4.00")
    use_crlf: bool = boolean(False, "End lines with CRLF", since="1.89")
    use_fcntl_lock: bool = boolean(True, "Lock with fcntl", since="1.70")
    use_flock_lock: bool = boolean(False, "Lock with flock", since="4.11")
    use_lockfile: bool = boolean(True, "Lock with a .lock file")
    use_mbx_lock: bool = boolean(False, "Use MBX locking conventions", since="2.10")


class AutoreplyOptions(TransportOptions):
    """Driver `autoreply`: Generate a new message."""

    DRIVER = "autoreply"

    bcc: str | None = string(None, "Bcc of the reply", expanded=True)
    cc: str | None = string(None, "Cc of the reply", expanded=True)
    file: str | None = string(None, "File supplying body text", expanded=True)
    file_expand: bool = boolean(False, "Expand each line of the file")
    file_optional: bool = boolean(False, "Missing file is not an error")
    from_: str | None = string(None, "From of the reply", expanded=True)
    headers: str | None = string(None, "Extra headers", expanded=True)
    log: str | None = string(None, "File recording each reply", expanded=True)
    mode: int = integer(0o600, "Mode of a newly made log file", kind=OCTAL)
    never_mail: str | None = string(None, "Addresses that never get replies", items="address", expanded=True)
    once: str | None = string(None, "Database of people already answered", expanded=True)
    once_file_size: int = integer(0, "Fixed-size circular once-file instead of DBM", since="3.20")
    once_repeat: str | None = string(None, "Send again to the same address after this time", expanded=True)
    reply_to: str | None = string(None, "Reply-To of the reply", expanded=True, since="2.05")
    return_message: bool = boolean(False, "Quote the original message")
    subject: str | None = string(None, "Subject of the reply", expanded=True)
    text: str | None = string(None, "Body text", expanded=True)
    to: str | None = string(None, "Recipient of the reply", expanded=True)


class LmtpOptions(TransportOptions):
    """Driver `lmtp`: LMTP to a pipe or Unix socket."""

    DRIVER = "lmtp"

    batch_id: str | None = string(None, "Grouping key for batched recipients", expanded=True)
    batch_max: int = integer(1, "Recipients per batch")
    command: str | None = string(None, "Program speaking LMTP on stdin/stdout", expanded=True, since="3.20")
    ignore_quota: bool = boolean(False, "Send IGNOREQUOTA when advertised")
    socket: str | None = string(None, "Unix socket of an LMTP server", expanded=True, since="4.11")
    timeout: int = integer(300, "Reply wait", kind=TIME, since="3.20")


class PipeOptions(TransportOptions):
    """Driver `pipe`: Feed a command."""

    DRIVER = "pipe"

    allow_commands: str | None = string(None, "Whitelist of runnable commands", items="string", expanded=True, since="1.89")
    batch_id: str | None = string(None, "Grouping key for batched recipients", expanded=True)
    batch_max: int = integer(1, "Recipients per batch")
    check_string: str | None = string(None, "Line start needing escape")
    command: str | None = string(None, "Command to run", expanded=True)
    environment: str | None = string(None, "Extra environment variables", items="string", expanded=True, since="2.95")
    escape_string: str | None = string(None, "Replacement for check_string")
    force_command: bool = boolean(False, "Use own command even for redirected pipes", since="4.82")
    freeze_exec_fail: bool = boolean(False, "Freeze when exec fails", since="1.89")
    freeze_signal: bool = boolean(False, "Freeze when the command dies by signal", since="4.75")
    ignore_status: bool = boolean(False, "Disregard the exit code")
    log_defer_output: bool = boolean(False, "Log first output line on deferral", since="1.89")
    log_fail_output: bool = boolean(False, "Log first output line on failure", since="1.60")
    log_output: bool = boolean(False, "Always log first output line", since="1.60")
    max_output: int = integer(20480, "Output ceiling before the command is killed", kind=MKINT)
    message_prefix: str | None = string(None, "Text before the message", expanded=True)
    message_suffix: str | None = string(None, "Text after the message", expanded=True)
    path: str = string("/bin:/usr/bin", "PATH for the command", expanded=True)
    permit_coredump: bool = boolean(False, "Lift the core-size limit", since="4.73")
    pipe_as_creator: bool = boolean(False, "Run under the uid that originally submitted the message")
    restrict_to_path: bool = boolean(False, "Forbid slashes; only PATH commands")
    return_fail_output: bool = boolean(False, "Bounce with output on failure", since="1.60")
    return_output: bool = boolean(False, "Any output means failure and is returned")
    temp_errors: str = string("75:73", "Exit codes treated as temporary", items="string", since="1.95")
    timeout: int = integer(3600, "Command time limit", kind=TIME)
    timeout_defer: bool = boolean(False, "Timeout defers instead of fails", since="4.51")
    umask: int = integer(0o22, "umask for the command", kind=OCTAL)
    use_bsmtp: bool = boolean(False, "Feed batch-SMTP form")
    use_classresources: bool = boolean(False, "Apply BSD login-class limits")
    use_crlf: bool = boolean(False, "End lines with CRLF")
    use_shell: bool = boolean(False, "Run through /bin/sh", since="1.70")


class QueuefileOptions(TransportOptions):
    """Driver `queuefile`: Copy raw spool files to a directory."""

    DRIVER = "queuefile"

    directory: str | None = string(None, "Directory receiving copies of spool files", expanded=True)


class SmtpOptions(TransportOptions):
    """Driver `smtp`: SMTP or LMTP over TCP."""

    DRIVER = "smtp"

    address_retry_include_sender: bool = boolean(True, "Sender part of keys for recipient 4xx retries", since="4.64")
    allow_localhost: bool = boolean(False, "Permit connecting to this machine", since="1.73")
    arc_sign: str | None = string(None, "ARC-sign: domain, selector, key, options", expanded=True)
    authenticated_sender: str | None = string(None, "Value of AUTH= on MAIL", expanded=True, since="4.14")
    authenticated_sender_force: bool = boolean(False, "Send AUTH= even unauthenticated", since="4.61")
    command_timeout: int = integer(300, "Reply wait for ordinary commands", kind=TIME)
    connect_timeout: int = integer(300, "TCP connect time limit", kind=TIME, since="1.60")
    connection_max_messages: int = integer(500, "Messages per connection", since="4.00 replaces batch_max")
    dane_require_tls_ciphers: str | None = string(None, "Cipher list used under DANE", expanded=True, since="4.91")
    data_timeout: int = integer(300, "Per-block send time limit", kind=TIME)
    delay_after_cutoff: bool = boolean(True, "Past cutoff, fail at once or await retry time")
    dkim_canon: str | None = string(None, "DKIM canonicalisation", expanded=True, since="4.70")
    dkim_domain: str | None = string(None, "DKIM signing domain(s)", items="string", expanded=True, since="4.72")
    dkim_hash: str = string("sha256", "DKIM digest", expanded=True)
    dkim_identity: str | None = string(None, "DKIM i= tag", expanded=True)
    dkim_private_key: str | None = string(None, "DKIM key text or file", expanded=True, since="4.70")
    dkim_selector: str | None = string(None, "DKIM selector(s)", expanded=True, since="4.70")
    dkim_sign_headers: str | None = string(None, "Headers covered by DKIM", expanded=True, since="4.70")
    dkim_strict: str | None = string(None, "Defer if signing fails", expanded=True, since="4.70")
    dkim_timestamps: str | None = string(None, "DKIM t= and x= tags", expanded=True, since="4.92")
    dns_qualify_single: bool = boolean(True, "Resolver appends default domain to single-label hosts")
    dns_search_parents: bool = boolean(False, "Resolver searches parent domains")
    dnssec_request_domains: str = string("*", "Ask for DNSSEC on host lookups", items="domain", expanded=True)
    dnssec_require_domains: str | None = string(None, "Insist on DNSSEC on host lookups", items="domain", expanded=True)
    dscp: str | None = string(None, "DSCP mark on sockets", expanded=True, since="4.82")
    fallback_hosts: str | None = string(None, "Hosts tried when the primaries fail", items="string", expanded=True)
    final_timeout: int = integer(600, "Reply wait after the final dot", kind=TIME)
    gethostbyname: bool = boolean(False, "Resolve via the system, not DNS")
    gnutls_compat_mode: bool = boolean(
        False, "Relax GnuTLS for broken peers (documented but absent from source)", hidden=True, macro=False
    )
    helo_data: str = string("$primary_hostname", "EHLO/LHLO argument", expanded=True)
    host_name_extract: str = string(
        "${if and {{match{$host}{.outlook.com\\$}} {match{$item}{\\N^250-([\\w.]+)\\s\\N}}} {$1}}",
        "Find real server name in EHLO reply for session caching",
        items="string",
        expanded=True,
    )
    hosts: str | None = string(None, "Host list when the router gave none", items="string", expanded=True)
    hosts_avoid_esmtp: str | None = string(None, "Peers greeted with HELO", items="host", expanded=True, since="4.21")
    hosts_avoid_pipelining: str | None = string(None, "Peers not pipelined", items="host", expanded=True, since="4.67")
    hosts_avoid_tls: str | None = string(None, "Peers never upgraded with STARTTLS", items="host", expanded=True, since="3.20")
    hosts_max_try: int = integer(5, "Usual ceiling on addresses tried", since="3.20")
    hosts_max_try_hardlimit: int = integer(50, "Absolute ceiling on addresses tried", since="4.50")
    hosts_nopass_tls: str | None = string(
        None, "Do not hand on TLS sessions to a new process", items="host", expanded=True, since="4.00"
    )
    hosts_noproxy_tls: str | None = string(
        None, "Do not keep a TLS proxy process for reuse", items="host", expanded=True, since="4.90"
    )
    hosts_override: bool = boolean(False, "Prefer own host list over router's", since="2.11")
    hosts_pipe_connect: str | None = string(
        None, "Peers for early pipelining before banner", items="host", expanded=True, since="4.93 if experimental_pipe_connect"
    )
    hosts_randomize: bool | str = expand_bool(False, "Shuffle the host list")
    hosts_request_ocsp: str = string("*", "Peers asked for a stapled OCSP response", items="host", expanded=True)
    hosts_require_alpn: str | None = string(None, "Peers that must negotiate ALPN", items="host", expanded=True)
    hosts_require_auth: str | None = string(
        None, "Peers where authentication must succeed", items="host", expanded=True, since="4.00"
    )
    hosts_require_dane: str | None = string(
        None, "Peers where DANE must succeed", items="host", expanded=True, since="4.91 (4.85 experimental)"
    )
    hosts_require_mta_sts: str | None = string(
        None, "Peers that get mail only under an MTA-STS policy or DANE", items="host", expanded=True, since="angaros"
    )
    hosts_require_ocsp: str | None = string(
        None, "Peers that must staple valid OCSP", items="host", expanded=True, since="4.82 if experimental_ocsp"
    )
    hosts_require_tls: str | None = string(None, "Peers where TLS is mandatory", items="host", expanded=True, since="3.20")
    hosts_try_auth: str | None = string(
        None, "Peers where authentication is attempted", items="host", expanded=True, since="4.00"
    )
    hosts_try_chunking: str = string("*", "Peers sent BDAT when offered", items="host", expanded=True)
    hosts_try_dane: str = string(
        "*", "Peers checked for TLSA records", items="host", expanded=True, since="4.91 (4.85 experimental)"
    )
    hosts_try_fastopen: str = string("*", "Peers tried with TCP Fast Open", items="host", expanded=True, since="4.88")
    hosts_try_mta_sts: str | None = string(
        None, "Peers for which MTA-STS policies are looked for", items="host", expanded=True, since="angaros"
    )
    hosts_try_prdr: str = string(
        "*", "Peers where PRDR is used when offered", items="host", expanded=True, since="4.82 if experimental_prdr"
    )
    hosts_verify_avoid_tls: str | None = string(None, "Peers whose callouts skip TLS", items="host", expanded=True)
    interface: str | None = string(None, "Source address(es)", items="string", expanded=True, since="1.70")
    keepalive: bool = boolean(True, "TCP keepalive", since="2.05")
    lmtp_ignore_quota: bool = boolean(False, "Send IGNOREQUOTA in LMTP mode")
    max_rcpt: str = string("100", "Recipients per message copy", expanded=True, since="1.60")
    message_linelength_limit: int = integer(998, "Refuse messages with longer lines", since="4.94")
    multi_domain: bool | str = expand_bool(True, "Mix domains in one transaction")
    port: str | None = string(None, "Destination port", expanded=True)
    protocol: str | None = string(None, "One of smtp (the default), lmtp, smtps, submissions", since="4.00")
    retry_include_ip_address: bool | str = expand_bool(True, "Include address in host retry keys", since="1.92")
    serialize_hosts: str | None = string(
        None, "Peers limited to one connection at a time", items="host", expanded=True, since="1.60"
    )
    size_addition: int = integer(1024, "Slack added to SIZE=", since="1.91")
    socks_proxy: str | None = string(None, "SOCKS5 proxy list", expanded=True)
    tls_alpn: str | None = string(None, "ALPN to offer", expanded=True)
    tls_certificate: str | None = string(None, "Client certificate", expanded=True)
    tls_crl: str | None = string(None, "Revocation list for servers", expanded=True)
    tls_dh_min_bits: int = integer(1024, "Smallest acceptable DH group", since="4.82")
    tls_privatekey: str | None = string(None, "Client key", expanded=True)
    tls_require_ciphers: str | None = string(
        None, "Permitted outbound suites", expanded=True, since="4.00 replaces tls_verify_ciphers"
    )
    tls_resumption_hosts: str | None = string(None, "Peers where session resumption is tried", items="host", expanded=True)
    tls_sni: str | None = string(None, "SNI to send", expanded=True)
    tls_tempfail_tryclear: bool = boolean(True, "Fall back to plaintext when STARTTLS tempfails", since="4.05")
    tls_try_verify_hosts: str = string("*", "Peers verified without enforcement", items="host", expanded=True)
    tls_verify_cert_hostnames: str = string("*", "Peers whose certificate name is checked", items="host", expanded=True)
    tls_verify_certificates: str = string("system", "CA bundle for servers", expanded=True)
    tls_verify_hosts: str | None = string(None, "Peers whose certificate must verify", items="host", expanded=True)
    utf8_downconvert: str = string(
        "-1", "Convert SMTPUTF8 addresses to A-labels when needed", expanded=True, since="4.92 if SUPPORT_I18N"
    )


TRANSPORTS: dict[str, type[TransportOptions]] = {
    "appendfile": AppendfileOptions,
    "autoreply": AutoreplyOptions,
    "lmtp": LmtpOptions,
    "pipe": PipeOptions,
    "queuefile": QueuefileOptions,
    "smtp": SmtpOptions,
}
"""By driver name."""
