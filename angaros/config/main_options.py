"""The main section's options: a declared table."""

from __future__ import annotations

from angaros.config.options import (
    FIXED,
    GID,
    GID_LIST,
    KINT,
    MKINT,
    TIME,
    TIME_LIST,
    UID,
    UID_LIST,
    UNSET_FIXED,
    Options,
    boolean,
    integer,
    string,
)


class MainOptions(Options):
    """Global options (Exim spec 14)."""

    accept_8bitmime: bool = boolean(
        True, "Advertise 8BITMIME; Exim itself never converts 8-bit bodies", since="1.60 changed to true in 4.80"
    )
    acl_not_smtp: str | None = string(None, "ACL run for locally submitted (non-SMTP) messages", expanded=True, since="4.11")
    acl_not_smtp_mime: str | None = string(
        None, "MIME-part ACL for non-SMTP messages", expanded=True, since="4.51 with content scan"
    )
    acl_not_smtp_start: str | None = string(None, "ACL at the start of non-SMTP reception", expanded=True)
    acl_smtp_atrn: str | None = string(None, "ACL gating the ATRN (on-demand relay) command", expanded=True, since="4.99+")
    acl_smtp_auth: str | None = string(None, "ACL gating the AUTH command", expanded=True, since="4.00")
    acl_smtp_connect: str | None = string(None, "ACL run when a client connects", expanded=True, since="4.11")
    acl_smtp_data: str | None = string(None, "ACL run after the message body arrives", expanded=True, since="4.00")
    acl_smtp_data_prdr: str = string(
        "accept",
        "Per-recipient ACL after DATA when PRDR is negotiated",
        expanded=True,
        since="4.82 with experimental_prdr, 4.83 unless disable_prdr",
    )
    acl_smtp_dkim: str | None = string(
        None, "ACL run once per DKIM signer to judge each signature", expanded=True, since="4.70 unless disable_dkim"
    )
    acl_smtp_etrn: str | None = string(None, "ACL gating ETRN", expanded=True, since="4.00")
    acl_smtp_expn: str | None = string(None, "ACL gating EXPN", expanded=True, since="4.00")
    acl_smtp_helo: str | None = string(None, "ACL for HELO/EHLO", expanded=True, since="4.20")
    acl_smtp_mail: str | None = string(None, "ACL for MAIL FROM", expanded=True, since="4.11")
    acl_smtp_mailauth: str | None = string(None, "ACL deciding whether AUTH= on MAIL is trusted", expanded=True, since="4.21")
    acl_smtp_mime: str | None = string(None, "ACL run for every MIME part", expanded=True, since="4.50 with content scan")
    acl_smtp_notquit: str | None = string(None, "ACL run when a session ends without QUIT", expanded=True)
    acl_smtp_predata: str | None = string(None, "ACL at the DATA command, before content", expanded=True, since="4.43")
    acl_smtp_quit: str | None = string(None, "ACL run on QUIT", expanded=True, since="4.43")
    acl_smtp_rcpt: str | None = string(None, "ACL for each RCPT TO", expanded=True, since="4.00")
    acl_smtp_starttls: str | None = string(None, "ACL gating STARTTLS", expanded=True, since="4.11")
    acl_smtp_vrfy: str | None = string(None, "ACL gating VRFY", expanded=True, since="4.00")
    acl_smtp_wellknown: str | None = string(None, "ACL serving the XWELLKNOWN file-fetch extension", expanded=True, since="4.98")
    add_environment: str | None = string(None, "Environment variables to set at startup", items="string")
    admin_groups: str | None = string(
        None, "Groups whose members count as Exim administrators", kind=GID_LIST, expanded=True, since="3.02"
    )
    allow_domain_literals: bool = boolean(
        False, "Accept user@[1.2.3.4] style addresses", since="4.00 replacing forbid_domain_literals"
    )
    allow_mx_to_ip: bool = boolean(False, "Tolerate MX records holding an IP address", since="3.14")
    allow_utf8_domains: bool = boolean(False, "Let raw UTF-8 domain names through checks and lookups", since="4.14")
    auth_advertise_hosts: str = string("*", "Clients who are offered AUTH", items="host", expanded=True, since="4.00")
    auto_thaw: int = integer(0, "Age after which a frozen message is retried", kind=TIME)
    av_scanner: str = string("sophie:/var/run/sophie", "Which virus scanner to talk to, and how", since="4.50 with content scan")
    bi_command: str | None = string(None, "Program executed for sendmail-style -bi (newaliases)")
    bmi_config_file: str | None = string(None, "Brightmail: the configuration that its library is given", since="angaros")
    bmi_library: str | None = string(None, "Brightmail: shared library with our interface to its SDK", since="angaros")
    bounce_message_file: str | None = string(
        None, "Template file customising bounce texts", expanded=True, since="4.00 expanded from 4.94"
    )
    bounce_message_text: str | None = string(None, "Extra text inserted in bounces", since="4.00")
    bounce_return_body: bool = boolean(True, "Include the original body in bounces", since="4.23")
    bounce_return_linesize_limit: int = integer(998, "Long-line ceiling beyond which bounces drop the body")
    bounce_return_message: bool = boolean(True, "Include the original message in bounces at all", since="4.00")
    bounce_return_size_limit: int = integer(
        102400, "Cap on original content quoted in a bounce", kind=MKINT, since="4.23 better name for return_size_limit"
    )
    bounce_sender_authentication: str | None = string(None, "AUTH= identity for outgoing bounces", since="4.00")
    callout_domain_negative_expire: int = integer(10800, "Cache life of a failed domain-level callout", kind=TIME, since="4.11")
    callout_domain_positive_expire: int = integer(604800, "Cache life of a good domain-level callout", kind=TIME, since="4.11")
    callout_negative_expire: int = integer(7200, "Cache life of a rejected-address callout", kind=TIME, since="4.11")
    callout_positive_expire: int = integer(86400, "Cache life of an accepted-address callout", kind=TIME, since="4.11")
    callout_random_local_part: str = string(
        "$primary_hostname-$tod_epoch-testing",
        "Fake local part used for catch-all detection in callouts",
        expanded=True,
        since="4.11",
    )
    check_log_inodes: int = integer(100, "Free inodes required on the log filesystem")
    check_log_space: int = integer(10485760, "Free space required on the log filesystem", kind=KINT)
    check_rfc2047_length: bool = boolean(True, "Enforce the 76-octet encoded-word limit when decoding", since="4.60")
    check_spool_inodes: int = integer(100, "Free inodes required on the spool filesystem")
    check_spool_space: int = integer(10485760, "Free space required on the spool filesystem", kind=KINT)
    chunking_advertise_hosts: str = string("*", "Clients offered CHUNKING (BDAT)", items="host", expanded=True)
    commandline_checks_require_admin: bool = boolean(False, "Restrict config-revealing test options to admins", since="4.90")
    daemon_modules_load: str | None = string(None, "Dynamic modules the daemon should preload", items="string", since="4.100")
    daemon_smtp_port: str | None = string(
        None, "Hidden old synonym of daemon_smtp_ports", hidden=True, obsolete="daemon_smtp_ports"
    )
    daemon_smtp_ports: str = string("smtp", "Ports the daemon listens on", since="1.75  pluralised in 4.21")
    daemon_startup_retries: int = integer(9, "How often to retry binding a busy listen socket", since="4.52")
    daemon_startup_sleep: int = integer(30, "Pause between bind retries", kind=TIME, since="4.52")
    daemon_workers: int = integer(0, "Worker processes of the daemon; 0 is one per processor", since="angaros")
    dcc_direct_add_header: bool = boolean(False, "DCC: add the X-DCC header automatically")
    dccifd_address: str = string("/usr/local/dcc/var/dccifd", "DCC daemon socket")
    dccifd_options: str = string("header", "DCC daemon query options")
    debug_store: bool = boolean(False, "Turn on extra internal allocator checks", since="4.90")
    delay_warning: str = string("24h", "Ages at which senders get delay warnings", kind=TIME_LIST, items="time")
    delay_warning_condition: str = string(
        "${if or {{ !eq{$h_list-id:$h_list-post:$h_list-subscribe:}{} }{ match{$h_precedence:}{(?i)bulk|list|junk} }"
        "{ match{$h_auto-submitted:}{(?i)auto-generated|auto-replied} }} "
        "{no}{yes}}",
        "Expression deciding whether a delay warning is sent",
        expanded=True,
        since="1.73",
    )
    deliver_drop_privilege: bool = boolean(False, "Deliver without root (no per-user setuid)", since="4.00")
    deliver_queue_load_max: int = integer(UNSET_FIXED, "Load average above which queued delivery stops", kind=FIXED, since="1.70")
    deliverby_advertise_hosts: str | None = string(
        None, "Clients offered DELIVERBY (RFC 2852)", items="host", expanded=True, since="angaros"
    )
    deliverby_min: int = integer(60, "Shortest time accepted with BY=...;R", kind=TIME, since="angaros")
    delivery_date_remove: bool = boolean(True, "Strip incoming Delivery-date headers")
    disable_fsync: bool = boolean(False, "Skip fsync calls (risky speed-up; compile-time gated)")
    disable_ipv6: bool = boolean(False, "Ignore IPv6 entirely at run time", since="4.61")
    dkim_verify_hashes: str = string("sha256:sha512", "Hash algorithms acceptable in DKIM signatures", items="string")
    dkim_verify_keytypes: str = string("ed25519:rsa", "Key types acceptable in DKIM signatures", items="string", since="4.93")
    dkim_verify_min_keysizes: str = string(
        "rsa=1024 ed25519=250", "Smallest key sizes accepted per DKIM key type", items="string", since="4.94"
    )
    dkim_verify_minimal: bool = boolean(False, "Stop verifying once one signature passes", since="4.93")
    dkim_verify_signers: str = string("$dkim_signers", "Which signers get an acl_smtp_dkim run", items="domain", expanded=True)
    dmarc_aggregate_dnslists: str | None = string(
        None, "DNS block lists whose hosts get no DMARC aggregate reports", expanded=True, since="angaros"
    )
    dmarc_aggregate_exclude: str | None = string(
        None, "Domains about which and to which no DMARC aggregate reports go", expanded=True, since="angaros"
    )
    dmarc_aggregate_org: str | None = string(None, "Our name in DMARC aggregate reports", expanded=True, since="angaros")
    dmarc_aggregate_reports: bool = boolean(False, "Collect DMARC results and send daily reports", since="angaros")
    dmarc_aggregate_sender: str | None = string(None, "From address of DMARC aggregate reports", expanded=True, since="angaros")
    dmarc_forensic_sender: str | None = string(
        None, "From address for DMARC failure reports", expanded=True, since="4.82 if experimental_dmarc, 4.93 mainline"
    )
    dmarc_history_file: str | None = string(
        None,
        "Path recording results for OpenDMARC's report importer",
        expanded=True,
        since="4.82 if experimental_dmarc, 4.93 mainline",
    )
    dmarc_history_json: bool = boolean(False, "ARC results in dmarc_history_file as opendmarc-import reads them", since="angaros")
    dmarc_tld_file: str | None = string(
        None, "Public Suffix List path for DMARC", expanded=True, since="4.82 if experimental_dmarc, 4.93 mainline"
    )
    dmarc_tree_walk: bool = boolean(False, "Find DMARC policies by DMARCbis' tree walk, without dmarc_tld_file", since="angaros")
    dns_again_means_nonexist: str | None = string(
        None, "Domains where temporary DNS failure counts as non-existence", items="domain", expanded=True, since="1.89"
    )
    dns_check_names_pattern: str = string(
        "(?i)^(?>(?(1)\\.|())[^\\W](?>[a-z0-9/_-]*[^\\W])?)+(\\.?)$",
        "Regex a name must match before DNS is queried",
        since="2.11",
    )
    dns_cname_loops: int = integer(1, "CNAME chain hops Exim follows itself", since="4.92 Set to 9 for older behaviour")
    dns_csa_search_limit: int = integer(5, "Parent-domain steps allowed in a CSA search", since="4.60")
    dns_csa_use_reverse: bool = boolean(True, "Try reverse-IP names for CSA with literals", since="4.60")
    dns_dnssec_ok: int = integer(-1, "Force the DO bit off/on/default in queries", since="4.82")
    dns_ipv4_lookup: str | None = string(
        None, "Domains for which AAAA queries are skipped", items="domain", expanded=True, since="3.20"
    )
    dns_retrans: int = integer(0, "Resolver initial query timeout", kind=TIME, since="1.60")
    dns_retry: int = integer(0, "Resolver retry count", since="1.60")
    dns_trust_aa: str | None = string(None, "Zones whose AA answers count as DNSSEC-secure", items="domain", expanded=True)
    dns_use_edns0: int = integer(-1, "Force EDNS0 off/on/default", since="4.76")
    drop_cr: bool = boolean(False, "Obsolete since 4.20, gone after 4.99", hidden=True)
    dsn_advertise_hosts: str | None = string(None, "Clients offered the DSN extension", items="host", expanded=True)
    dsn_from: str = string(
        "Mail Delivery System <Mailer-Daemon@$qualify_domain>",
        "From header of bounces and other generated mail",
        expanded=True,
        since="4.67",
    )
    enhancedstatuscodes_advertise_hosts: str | None = string(
        None, "Clients offered ENHANCEDSTATUSCODES: every reply has one", items="host", expanded=True, since="angaros"
    )
    envelope_to_remove: bool = boolean(True, "Strip incoming Envelope-to headers")
    errors_copy: str | None = string(None, "Send blind copies of bounces per address pattern", items="string", expanded=True)
    errors_reply_to: str | None = string(None, "Reply-To header for bounces")
    event_action: str | None = string(None, "Expansion evaluated on named events (DB init, failures, etc.)", expanded=True)
    exim_group: str = string("", "Group used once root is dropped", kind=GID)
    exim_path: str = string("", "Where the binary lives, for re-exec")
    exim_user: str = string("", "User used once root is dropped", kind=UID)
    exim_version: str = string("4.99-Angaros", "Override the reported version string", since="4.93")
    extra_local_interfaces: str | None = string(None, "Additional addresses regarded as this host", items="string", since="4.21")
    extract_addresses_remove_arguments: bool = boolean(
        True, "With -t, argument addresses are removed rather than added", since="1.92"
    )
    finduser_retries: int = integer(0, "Retries for flaky passwd lookups")
    freeze_tell: str | None = string(
        None, "Addresses notified when something freezes", items="comma", since="4.00 replaces freeze_tell_mailmaster"
    )
    futurerelease_advertise_hosts: str | None = string(
        None, "Clients offered FUTURERELEASE (RFC 4865)", items="host", expanded=True, since="angaros"
    )
    futurerelease_max: int = integer(604800, "Longest time that a client may have a message held", kind=TIME, since="angaros")
    gecos_name: str | None = string(None, "Replacement text producing a name from the gecos field", expanded=True)
    gecos_pattern: str | None = string(None, "Regex parsing the gecos field")
    gnutls_allow_auto_pkcs11: bool = boolean(False, "Permit GnuTLS automatic PKCS11 module loading", since="4.82")
    gnutls_compat_mode: bool = boolean(False, "Relax GnuTLS for broken peers", since="4.70")
    header_line_maxsize: int = integer(0, "Maximum length of one unfolded header", since="4.14")
    header_maxsize: int = integer(1048576, "Maximum total header section size", since="4.14")
    headers_charset: str = string("UTF-8", "Charset headers are decoded into", since="4.21")
    helo_accept_junk_hosts: str | None = string(
        None, "Clients allowed syntactically bad HELO names", items="host", expanded=True, since="3.00"
    )
    helo_allow_chars: str | None = string(None, "Extra characters tolerated in HELO names", since="4.02")
    helo_lookup_domains: str = string(
        "@ : @[]", "HELO names that trigger a reverse host lookup", items="domain", expanded=True, since="4.00"
    )
    helo_try_verify_hosts: str | None = string(
        None, "Clients whose HELO is verified but not enforced (old)", items="host", expanded=True, obsolete="-", since="4.00"
    )
    helo_verify_hosts: str | None = string(
        None, "Clients whose HELO must verify (old; use an ACL)", items="host", expanded=True, obsolete="-", since="1.73"
    )
    hold_domains: str | None = string(
        None, "Domains never delivered until removed from this list", items="domain", expanded=True, since="1.70"
    )
    host_lookup: str | None = string(None, "Clients that get a reverse DNS lookup", items="host", expanded=True, since="3.00")
    host_lookup_order: str = string("bydns:byaddr", "Whether DNS or hosts file is tried first", items="string", since="4.30")
    host_reject_connection: str | None = string(
        None, "Clients refused on connect (old; use an ACL)", items="host", expanded=True, obsolete="-", since="4.00"
    )
    hosts_connection_nolog: str | None = string(
        None, "Clients whose connections go unlogged", items="host", expanded=True, since="4.43"
    )
    hosts_proxy: str | None = string(None, "Peers speaking the HAProxy PROXY protocol to us", items="host", expanded=True)
    hosts_require_alpn: str | None = string(
        None, "Clients that must offer an acceptable ALPN", items="host", expanded=True, since="4.95"
    )
    hosts_require_helo: str = string(
        "*", "Clients that must send HELO/EHLO before MAIL", items="host", expanded=True, since="4.95"
    )
    hosts_treat_as_local: str | None = string(
        None, "Names regarded as this host during MX processing", items="domain", expanded=True, since="1.95"
    )
    hosts_xclient: str | None = string(None, "Peers allowed to use the XCLIENT command", items="host", expanded=True)
    ignore_bounce_errors_after: int = integer(
        6048000, "Age at which undeliverable bounces are discarded", kind=TIME, since="4.00"
    )
    ignore_fromline_hosts: str | None = string(
        None, "SMTP clients whose bogus From_ line is skipped", items="host", expanded=True
    )
    ignore_fromline_local: bool = boolean(False, "Skip bogus From_ lines from local SMTP", since="2.05")
    keep_environment: str | None = string(None, "Inherited environment variables to keep", items="string")
    keep_malformed: int = integer(345600, "How long unreadable spool files are retained", kind=TIME)
    ldap_ca_cert_dir: str | None = string(None, "CA directory for LDAP TLS")
    ldap_ca_cert_file: str | None = string(None, "CA file for LDAP TLS")
    ldap_cert_file: str | None = string(None, "Client certificate for LDAP TLS")
    ldap_cert_key: str | None = string(None, "Client private key for LDAP TLS")
    ldap_cipher_suite: str | None = string(None, "Cipher preference for LDAP TLS")
    ldap_default_servers: str | None = string(None, "LDAP servers tried when a query names none", items="string", since="3.02")
    ldap_require_cert: str | None = string(None, "Strictness of LDAP server certificate checks")
    ldap_start_tls: bool = boolean(False, "Upgrade LDAP sessions with StartTLS")
    ldap_version: int = integer(-1, "LDAP protocol version to force", since="4.14")
    limits_advertise_hosts: str = string("*", "Clients offered the LIMITS extension", items="host", expanded=True, since="4.98")
    local_from_check: bool = boolean(True, "Police From/Sender headers of untrusted local users", since="3.14")
    local_from_prefix: str | None = string(None, "Permitted prefixes when comparing From with login", since="3.14")
    local_from_suffix: str | None = string(None, "Permitted suffixes when comparing From with login", since="3.14")
    local_interfaces: str = string("<; ::0 ; 0.0.0.0", "Addresses (and ports) to listen on", items="string", since="1.60")
    local_scan_python: str | None = string(
        None, "Python function that has the last word on a message, module:function or /file.py:function", since="angaros"
    )
    local_scan_timeout: int = integer(300, "Time limit for local_scan()", kind=TIME, since="4.03")
    local_sender_retain: bool = boolean(False, "Keep Sender headers supplied by untrusted users", since="4.00")
    localhost_number: str | None = string(None, "Host number folded into message ids", expanded=True)
    log_file_path: str = string("", "Where logs go: file pattern and/or syslog", items="string", expanded=True)
    log_json_file_path: str | None = string(None, "File that gets a JSON object for each log line", since="angaros")
    log_ports: str = string("*", "Local ports appearing in logged port fields", items="integer", since="4.99")
    log_selector: str | None = string(None, "Adds or drops optional log items", since="4.00")
    log_timezone: bool = boolean(False, "Append the zone offset to log timestamps", since="4.11")
    lookup_open_max: int = integer(25, "Maximum simultaneously open lookup files", since="2.05")
    max_username_length: int = integer(0, "Login names longer than this are treated as unknown")
    message_body_newlines: bool = boolean(False, "Keep newlines in $message_body instead of spaces", since="4.68")
    message_body_visible: int = integer(500, "Octets of body exposed in $message_body")
    message_id_header_domain: str | None = string(None, "Right-hand side of generated Message-ID", expanded=True, since="4.11")
    message_id_header_text: str | None = string(None, "Additional text inside generated Message-ID", expanded=True)
    message_logs: bool = boolean(True, "Write per-message log files in the spool", since="4.10")
    message_size_limit: str = string("50M", "Largest acceptable message", expanded=True)
    metrics_address: str | None = string(
        None, "Where the daemon shows its counts as Prometheus text: a path or [address]:port", since="angaros"
    )
    move_frozen_messages: bool = boolean(False, "Shift frozen messages to separate spool directories", since="3.09")
    mt_priority_advertise_hosts: str | None = string(
        None, "Clients offered MT-PRIORITY (RFC 6710)", items="host", expanded=True, since="angaros"
    )
    mt_priority_header_hosts: str | None = string(
        None,
        "Clients whose MT-Priority headers count (all others are cut)",
        items="host",
        expanded=True,
        since="angaros",
    )
    mt_priority_max: str = string(
        "${if def:sender_host_authenticated {9}{0}}", "Highest priority that MAIL may ask for", expanded=True, since="angaros"
    )
    mta_sts_verify_certificates: str = string(
        "system", "CA bundle for the web servers that MTA-STS policies come from", expanded=True, since="angaros"
    )
    mua_wrapper: bool = boolean(False, "Act as a synchronous non-queueing submission client")
    mysql_servers: str | None = string(None, "Connection details for MySQL lookups", items="string", since="3.03")
    never_users: str | None = string(None, "Accounts under which no delivery may run", kind=UID_LIST, expanded=True)
    notifier_socket: str = string("$spool_directory/exim_daemon_notify", "Unix datagram socket for daemon requests")
    openssl_options: str = string(
        "+no_sslv2 +no_sslv3 +single_dh_use +no_ticket +no_renegotiation",
        "OpenSSL SSL_OP flags to set or clear",
        items="string",
        since="4.73 default changed in 4.80",
    )
    oracle_servers: str | None = string(None, "Connection details for Oracle lookups", items="string", since="4.00")
    panic_coredump: bool = boolean(False, "Dump core when Exim panics", since="4.96")
    percent_hack_domains: str | None = string(None, "Domains accepting the user%other@here form", items="domain", expanded=True)
    perl_at_start: bool = boolean(False, "Start the Perl interpreter immediately", since="2.10")
    perl_startup: str | None = string(None, "Perl code executed to initialise the interpreter", since="2.10")
    perl_taintmode: bool = boolean(False, "Run embedded Perl with -T")
    pgsql_servers: str | None = string(None, "Connection details for PostgreSQL lookups", items="string", since="3.14")
    pid_file_path: str = string("", "Daemon pid file", expanded=True)
    pipelining_advertise_hosts: str = string("*", "Clients offered PIPELINING", items="host", expanded=True, since="4.14")
    pipelining_connect_advertise_hosts: str = string(
        "*", "Clients offered early pipelining (X_PIPE_CONNECT)", items="host", expanded=True
    )
    prdr_enable: bool = boolean(False, "Offer per-recipient data responses", since="4.82 if experimental_prdr")
    preserve_message_logs: bool = boolean(False, "Keep message logs after completion")
    primary_hostname: str = string("", "This machine's canonical name")
    print_topbitchars: bool = boolean(False, "Treat 8-bit characters as printable in logs", since="1.89")
    process_log_path: str = string("", "File exiwhat output is gathered in", since="4.21")
    prod_requires_admin: bool = boolean(True, "Only admins may start queue runs", since="1.70")
    proxy_protocol_timeout: int = integer(3, "Wait allowed for a PROXY header", kind=TIME)
    python_startup: str | None = string(None, "File of Python functions for ${python{...}}", since="angaros")
    qualify_domain: str = string("", "Domain appended to bare senders (and recipients)")
    qualify_recipient: str = string("", "Domain appended to bare recipients")
    queue_domains: str | None = string(
        None, "Domains only delivered by queue runners", items="domain", expanded=True, since="4.00"
    )
    queue_fast_ramp: bool = boolean(True, "Start first-stage -qq deliveries early", since="4.95")
    queue_list_requires_admin: bool = boolean(True, "Only admins may list the queue", since="1.95")
    queue_only: bool = boolean(False, "Queue everything; no immediate delivery")
    queue_only_file: str | None = string(None, "Existence of this file turns on queue-only", items="string", since="2.05")
    queue_only_load: int = integer(UNSET_FIXED, "Load average that switches to queue-only", kind=FIXED)
    queue_only_load_latch: bool = boolean(True, "Keep queueing for rest of session once overloaded", since="4.68")
    queue_only_override: bool = boolean(True, "Let -od options override queue_only", since="4.21")
    queue_run_in_order: bool = boolean(False, "Process queue oldest first instead of randomly", since="1.70")
    queue_run_max: str = string("5", "Concurrent queue-runner limit", expanded=True)
    queue_smtp_domains: str | None = string(
        None, "Domains routed now but SMTP-delivered by queue runs", items="domain", expanded=True
    )
    receive_timeout: int = integer(0, "Time limit for non-SMTP input", kind=TIME, since="4.00 replacing accept_timeout")
    received_header_text: str = string(
        "Received: ${if def:sender_rcvhost {from $sender_rcvhost\n\t}{"
        "${if def:sender_ident {from ${quote_local_part:$sender_ident} }}"
        "${if def:sender_helo_name {(helo=$sender_helo_name)\n\t}}}}"
        "by $primary_hostname ${if def:received_protocol {with $received_protocol }}"
        "${if def:tls_in_ver        { ($tls_in_ver)}}${if def:tls_in_cipher_std { tls $tls_in_cipher_std\n\t}}"
        "(Exim $version_number)\n\t${if def:sender_address {(envelope-from <$sender_address>)\n\t}}id $message_exim_id"
        "${if def:received_for {\n\tfor $received_for}}",
        "Template of the Received header",
        expanded=True,
    )
    received_headers_max: int = integer(30, "Hop count that signals a mail loop")
    recipient_unqualified_hosts: str | None = string(
        None,
        "Clients allowed bare recipient addresses",
        items="host",
        expanded=True,
        since="4.00 replacing receiver_unqualified_hosts",
    )
    recipients_max: str = string(
        "50000", "Recipients allowed per message", expanded=True, since="1.60 default changed in 4.95 (was 0)"
    )
    recipients_max_reject: bool = boolean(False, "Reject everything when the recipient limit is passed", since="1.70")
    redis_servers: str | None = string(None, "Connection details for Redis lookups", items="string")
    remote_max_parallel: int = integer(6, "Simultaneous remote deliveries for one message")
    remote_sort_domains: str | None = string(
        None, "Domain order of remote delivery", items="domain", expanded=True, since="4.00 replacing remote_sort"
    )
    requiretls_advertise_hosts: str | None = string(
        None, "Clients offered REQUIRETLS (RFC 8689) in sessions with TLS", items="host", expanded=True, since="angaros"
    )
    retry_data_expire: int = integer(604800, "Age at which retry hints lapse", kind=TIME, since="3.03")
    retry_interval_max: int = integer(86400, "Longest gap between retries", kind=TIME)
    return_path_remove: bool = boolean(True, "Strip incoming Return-path headers")
    return_size_limit: int = integer(
        102400,
        "Old name of bounce_return_size_limit",
        kind=MKINT,
        hidden=True,
        obsolete="bounce_return_size_limit",
        since="renamed bounce_return_size_limit in 4.23",
    )
    rfc1413_hosts: str = string("@[]", "Clients asked for ident", items="host", expanded=True)
    rfc1413_port: int = integer(0, "Hidden test-harness ident port", hidden=True, obsolete="-")
    rfc1413_query_timeout: int = integer(0, "Ident wait (zero disables)", kind=TIME)
    sender_unqualified_hosts: str | None = string(None, "Clients allowed bare sender addresses", items="host", expanded=True)
    short_message_ids: bool = boolean(False, "Message ids and spool files in the form of Exim 4.96 and before", since="angaros")
    sieve_global_directory: str | None = string(
        None, "Directory of scripts for Sieve's include :global", expanded=True, since="angaros"
    )
    slow_lookup_log: int = integer(0, "Log DNS lookups slower than this many milliseconds")
    smtp_accept_keepalive: bool = boolean(True, "TCP keepalive on inbound sockets")
    smtp_accept_max: int = integer(20, "Concurrent inbound connections")
    smtp_accept_max_nonmail: int = integer(10, "Non-mail commands tolerated per session", since="4.11")
    smtp_accept_max_nonmail_hosts: str = string(
        "*", "Clients subject to the non-mail command limit", items="host", expanded=True, since="4.14"
    )
    smtp_accept_max_per_connection: str = string("1000", "Messages accepted in one session", expanded=True, since="4.00")
    smtp_accept_max_per_host: str | None = string(None, "Concurrent sessions per client address", expanded=True, since="2.05")
    smtp_accept_queue: int = integer(0, "Session count beyond which mail is only queued")
    smtp_accept_queue_per_connection: int = integer(10, "Messages delivered at once per session before queueing", since="2.03")
    smtp_accept_reserve: int = integer(0, "Session slots kept for smtp_reserve_hosts")
    smtp_active_hostname: str | None = string(None, "Server name used in SMTP responses", expanded=True, since="4.33")
    smtp_backlog_monitor: int = integer(0, "Log when the listen backlog exceeds this", since="4.95")
    smtp_banner: str = string("$smtp_active_hostname ESMTP Exim $version_number $tod_full", "Greeting text", expanded=True)
    smtp_check_spool_space: bool = boolean(True, "Compare SIZE= with free spool space", since="2.10")
    smtp_connect_backlog: int = integer(20, "listen() queue length")
    smtp_enforce_sync: bool = boolean(True, "Punish clients that talk out of turn", since="4.00")
    smtp_etrn_command: str | None = string(None, "Command executed for ETRN instead of -R", expanded=True, since="1.92")
    smtp_etrn_serialize: bool = boolean(True, "One ETRN run at a time per argument", since="1.89")
    smtp_load_reserve: int = integer(UNSET_FIXED, "Load at which only reserve hosts are served", kind=FIXED)
    smtp_max_synprot_errors: int = integer(3, "Syntax/protocol errors before disconnect", since="4.30")
    smtp_max_unknown_commands: int = integer(3, "Unknown commands before disconnect", since="4.14")
    smtp_ratelimit_hosts: str | None = string(
        None, "Clients slowed by the built-in command pacing", items="host", expanded=True, since="4.00"
    )
    smtp_ratelimit_mail: str | None = string(None, "Pacing parameters for MAIL", since="4.00")
    smtp_ratelimit_rcpt: str | None = string(None, "Pacing parameters for RCPT", since="4.00")
    smtp_receive_timeout: str = string("5m", "Idle limit for inbound SMTP", expanded=True)
    smtp_reserve_hosts: str | None = string(None, "Clients entitled to reserved slots", items="host", expanded=True)
    smtp_return_error_details: bool = boolean(False, "Expose detailed verification errors to clients", since="4.11")
    smtputf8_advertise_hosts: str = string("*", "Clients offered SMTPUTF8", items="host", expanded=True)
    spamd_address: str = string("127.0.0.1 783", "SpamAssassin or Rspamd endpoints", since="4.50 with content scan")
    spf_guess: str = string("v=spf1 a/24 mx/24 ptr ?all", "SPF record for best-guess evaluation")
    spf_smtp_comment_template: str = string(
        "Please%_see%_http://www.open-spf.org/Why", "Template of the SPF explanation URL", expanded=True
    )
    split_spool_directory: bool = boolean(False, "Spread the spool over 62 subdirectories", since="1.70")
    spool_directory: str = string("", "Spool root", expanded=True)
    spool_wireformat: bool = boolean(False, "Keep bodies received by CHUNKING in CRLF wire form", since="4.90")
    sqlite_dbfile: str | None = string(None, "Default SQLite lookup file")
    sqlite_lock_timeout: int = integer(5, "SQLite busy wait", since="4.53")
    strict_acl_vars: bool = boolean(False, "Referencing an unset ACL variable is an error", since="4.64")
    strip_excess_angle_brackets: bool = boolean(False, "Tolerate doubled angle brackets in addresses")
    strip_trailing_dot: bool = boolean(False, "Remove the final dot of a domain")
    syslog_duplication: bool = boolean(True, "Send reject/panic lines to every relevant syslog level", since="4.21")
    syslog_facility: str | None = string(None, "Syslog facility", since="4.20")
    syslog_pid: bool = boolean(True, "Put pids in syslog entries")
    syslog_processname: str = string("exim", "Syslog ident", since="4.20")
    syslog_timestamp: bool = boolean(True, "Put timestamps in syslog entries", since="4.00")
    system_filter: str | None = string(
        None, "Path of the system-wide filter", expanded=True, since="4.00 replacing message_filter"
    )
    system_filter_directory_transport: str | None = string(
        None, "Transport for directories named by the system filter", expanded=True, since="4.00 replacing message_filter"
    )
    system_filter_file_transport: str | None = string(
        None, "Transport for files named by the system filter", expanded=True, since="4.00 replacing message_filter"
    )
    system_filter_group: str | None = string(
        None, "Group for running the system filter", kind=GID, since="4.00 replacing message_filter"
    )
    system_filter_pipe_transport: str | None = string(
        None, "Transport for pipes named by the system filter", expanded=True, since="4.00 replacing message_filter"
    )
    system_filter_reply_transport: str | None = string(
        None, "Transport for replies made by the system filter", expanded=True, since="4.00 replacing message_filter"
    )
    system_filter_user: str | None = string(
        None, "User for running the system filter", kind=UID, since="4.00 replacing message_filter"
    )
    tcp_nodelay: bool = boolean(True, "Disable Nagle on daemon sockets", since="4.23")
    timeout_frozen_after: int = integer(0, "Age at which frozen messages are cancelled", kind=TIME, since="3.20")
    timezone: str | None = string(None, "TZ value for timestamps", since="3.15")
    tls_advertise_hosts: str = string("*", "Clients offered STARTTLS", items="host", expanded=True, since="3.20")
    tls_alpn: str = string("smtp:esmtp", "Acceptable inbound ALPN names", items="string", expanded=True, since="4.95")
    tls_certificate: str | None = string(None, "Server certificate file(s)", items="string", expanded=True, since="3.20")
    tls_crl: str | None = string(None, "Revocation list for client certificates", expanded=True)
    tls_dh_max_bits: int = integer(2236, "Cap on Diffie-Hellman size suggested by the TLS library", since="4.80")
    tls_dhparam: str | None = string(None, "DH parameter file or named group", expanded=True, since="3.20")
    tls_early_banner_hosts: str | None = string(
        None, "Tls-on-connect clients sent the banner before handshake completes", items="host", expanded=True, since="4.99"
    )
    tls_eccurve: str = string("auto", "EC groups for server key exchange", items="string", expanded=True, since="4.86")
    tls_ocsp_fetch: bool = boolean(False, "Get OCSP responses to staple from the CA's responder", since="angaros")
    tls_ocsp_file: str | None = string(None, "Stapled OCSP response file(s)", expanded=True, since="4.80 if experimental_ocsp")
    tls_on_connect_ports: str | None = string(None, "Ports with implicit TLS", items="string", since="4.43")
    tls_privatekey: str | None = string(None, "Server key file(s)", items="string", expanded=True, since="3.20")
    tls_remember_esmtp: bool = boolean(False, "Remember EHLO across STARTTLS (broken clients)")
    tls_report_exclude: str | None = string(
        None, "Domains about which and to which no TLS reports go", items="domain", expanded=True, since="angaros"
    )
    tls_report_org: str | None = string(None, "Our name in TLS reports", expanded=True, since="angaros")
    tls_report_sender: str | None = string(None, "From address of TLS reports", expanded=True, since="angaros")
    tls_reports: bool = boolean(False, "Collect results of outgoing TLS and send daily reports", since="angaros")
    tls_require_ciphers: str | None = string(None, "Permitted inbound cipher suites", expanded=True)
    tls_required_header: bool = boolean(
        False,
        'Obey "TLS-Required: No" (RFC 8689): no DANE nor default verification for such a message',
        since="angaros",
    )
    tls_resumption_hosts: str | None = string(
        None, "Clients allowed TLS session resumption", items="host", expanded=True, since="4.95"
    )
    tls_try_verify_hosts: str | None = string(
        None, "Clients asked for a certificate, failure tolerated", items="host", expanded=True, since="4.00"
    )
    tls_verify_certificates: str = string("system", "CA bundle for checking client certificates", expanded=True, since="3.20")
    tls_verify_hosts: str | None = string(
        None, "Clients that must present a valid certificate", items="host", expanded=True, since="3.20"
    )
    trusted_groups: str | None = string(None, "Groups whose members may forge local senders", kind=GID_LIST, expanded=True)
    trusted_users: str | None = string(None, "Users who may forge local senders", kind=UID_LIST, expanded=True)
    unknown_login: str | None = string(None, "Substitute login when a uid is unknown", expanded=True)
    unknown_username: str | None = string(None, "Substitute real name when a uid is unknown")
    untrusted_set_sender: str | None = string(
        None, "Senders untrusted users may set with -f", items="address", expanded=True, since="3.20"
    )
    uucp_from_pattern: str = string(
        "^From\\s+(\\S+)\\s+(?:[a-zA-Z]{3},?\\s+)?(?:[a-zA-Z]{3}\\s+\\d?\\d|\\d?\\d\\s+[a-zA-Z]{3}\\s+\\d\\d(?:\\d\\d)?)\\s+\\d\\d?:\\d\\d?",
        "Regex recognising UUCP From_ lines",
        since="1.75",
    )
    uucp_from_sender: str = string("$1", "Sender derived from a matched From_ line", expanded=True, since="1.75")
    warn_message_file: str | None = string(
        None, "Template file customising delay warnings", expanded=True, since="4.00 expanded from 4.94"
    )
    wellknown_advertise_hosts: str | None = string(None, "Clients offered XWELLKNOWN", items="host", expanded=True, since="4.98")
    write_rejectlog: bool = boolean(True, "Maintain the reject log", since="4.31")
