"""Options of the routers, generic and by driver: a declared table."""

from __future__ import annotations

from angaros.config.options import (
    BOOL_VERIFY,
    EXPAND_GID,
    EXPAND_UID,
    GID,
    GID_LIST,
    OCTAL,
    REP_CON,
    REP_STR,
    TIME,
    UID,
    UID_LIST,
    Options,
    boolean,
    expand_bool,
    integer,
    string,
)


class RouterOptions(Options):
    """Options of every router."""

    address_data: str | None = string(
        None, "String computed on match, kept with the address as $address_data", expanded=True, since="4.00"
    )
    address_test: bool = boolean(True, "Skip this router during -bt when false", precondition=True, since="4.14")
    bmi_deliver_alternate: bool = boolean(
        False, "Brightmail: run only for recipients whose mail goes to the alternate location", precondition=True, since="angaros"
    )
    bmi_deliver_default: bool = boolean(
        False, "Brightmail: run only for recipients that the verdict lets have the message", precondition=True, since="angaros"
    )
    bmi_dont_deliver: bool = boolean(
        False, "Brightmail: run only for recipients that shall not get the message", precondition=True, since="angaros"
    )
    bmi_rule: str | None = string(
        None, "Brightmail: run only if one of these rules has fired", precondition=True, since="angaros"
    )
    cannot_route_message: str | None = string(
        None, "Error text used when this was the last router tried", expanded=True, since="4.11"
    )
    caseful_local_part: bool = boolean(False, "Preserve local-part case while this router runs", since="4.00")
    check_local_user: bool = boolean(False, "Match only login names; sets $home and default uid", precondition=True, since="4.00")
    condition: str | None = string(
        None, "Run only if this expands to a true value; repeatable", kind=REP_CON, expanded=True, precondition=True, since="4.00"
    )
    debug_print: str | None = string(None, "Text shown in routing debug output", expanded=True)
    disable_logging: bool = boolean(False, "Suppress delivery logging for addresses handled here", since="4.11")
    dnssec_request_domains: str = string("*", "Domains whose lookups ask for DNSSEC", items="domain", expanded=True)
    dnssec_require_domains: str | None = string(
        None, "Domains whose lookups must be DNSSEC-validated", items="domain", expanded=True
    )
    domains: str | None = string(
        None, "Run only for these domains", items="domain", expanded=True, precondition=True, since="4.00"
    )
    driver: str | None = string(None, "Selects the router type")
    dsn_lasthop: bool = boolean(False, "Treat onward hop as not DSN-capable; emit relayed DSN")
    errors_to: str | None = string(None, "Envelope sender for bounces of addresses handled here", expanded=True, since="4.00")
    expn: bool = boolean(True, "Take part in EXPN processing", precondition=True)
    fail_verify: bool = boolean(False, "Shorthand: fail both verification kinds", kind=BOOL_VERIFY, hidden=True)
    fail_verify_recipient: bool = boolean(False, "Matching here fails recipient verification", since="4.00")
    fail_verify_sender: bool = boolean(False, "Matching here fails sender verification", since="4.00")
    fallback_hosts: str | None = string(
        None,
        "Hosts the transport tries after its own hosts fail",
        items="string",
        expanded=True,
        since="4.00 (expanded from 4.99)",
    )
    group: str | None = string(None, "Group for the local delivery", kind=EXPAND_GID, expanded=True, since="4.00")
    headers_add: str | None = string(
        None, "Header lines added to copies for these addresses", kind=REP_STR, items="list", expanded=True, since="4.00"
    )
    headers_remove: str | None = string(
        None,
        "Header names (or patterns) removed for these addresses",
        kind=REP_STR,
        items="list",
        expanded=True,
        joiner=":",
        since="4.00",
    )
    ignore_target_hosts: str | None = string(
        None, "IP addresses to act as if they did not exist", items="host", expanded=True, since="4.00"
    )
    initgroups: bool = boolean(False, "Call initgroups() for local deliveries")
    local_part_prefix: str | None = string(
        None,
        "Prefixes required on (and cut from) the local part",
        items="string",
        precondition=True,
        since="4.00 replaces prefix",
    )
    local_part_prefix_optional: bool = boolean(False, "Makes the prefix non-mandatory", since="4.00 replaces prefix_optional")
    local_part_suffix: str | None = string(
        None,
        "Suffixes required on (and cut from) the local part",
        items="string",
        precondition=True,
        since="4.00 replaces suffix",
    )
    local_part_suffix_optional: bool = boolean(False, "Makes the suffix non-mandatory", since="4.00 replaces suffix_optional")
    local_parts: str | None = string(
        None, "Run only for these local parts", items="local part", expanded=True, precondition=True, since="4.00"
    )
    log_as_local: bool = boolean(False, "Use the short local style in delivery log lines", since="4.00")
    more: bool | str = expand_bool(True, "When declined, whether later routers are tried", since="4.00")
    pass_on_timeout: bool = boolean(False, "Timeouts pass to the next router, not defer", since="4.00")
    pass_router: str | None = string(None, "Which later router receives passed addresses", since="4.00")
    redirect_router: str | None = string(None, "Which router starts on addresses generated here", since="4.00")
    require_files: str | None = string(
        None,
        "Run only if these paths exist (with optional uid check)",
        items="string",
        expanded=True,
        precondition=True,
        since="4.00",
    )
    retry_use_local_part: bool = boolean(False, "Whether retry keys carry the local part", since="4.00")
    router_home_directory: str | None = string(None, "Sets $home while this router runs", expanded=True, since="4.11")
    self: str = string("freeze", "What happens when the first host is this machine", since="4.00")
    senders: str | None = string(
        None, "Run only for these envelope senders", items="address", expanded=True, precondition=True, since="4.00"
    )
    set: str | None = string(
        None, "Define $r_ variables carried with the address", kind=REP_STR, items="string", joiner=";", since="4.93"
    )
    translate_ip_address: str | None = string(
        None, "Rewrite target IP addresses after routing", expanded=True, hidden=True, macro=False, since="4.00"
    )
    transport: str | None = string(None, "Transport assigned to accepted addresses", expanded=True, since="4.00")
    transport_current_directory: str | None = string(None, "Working directory for the transport", expanded=True, since="4.00")
    transport_home_directory: str | None = string(None, "Home directory for the transport", expanded=True, since="4.00")
    unseen: bool | str = expand_bool(False, "Copy the address onward as well as handling it", since="4.00")
    user: str | None = string(None, "User for the local delivery", kind=EXPAND_UID, expanded=True, since="4.00")
    verify: bool = boolean(True, "Take part in any verification", kind=BOOL_VERIFY, precondition=True, hidden=True, since="4.00")
    verify_only: bool = boolean(False, "Run during verification only", precondition=True, since="4.00")
    verify_recipient: bool = boolean(True, "Take part in recipient verification", precondition=True, since="4.00")
    verify_sender: bool = boolean(True, "Take part in sender verification", precondition=True, since="4.00")


class AcceptOptions(RouterOptions):
    """Driver `accept`: Accept every address; hand to a transport."""

    DRIVER = "accept"


class DnslookupOptions(RouterOptions):
    """Driver `dnslookup`: Route by MX, A or SRV records."""

    DRIVER = "dnslookup"

    check_secondary_mx: bool = boolean(False, "Decline unless this host is a backup MX", since="4.00")
    check_srv: str | None = string(None, "Service name: query SRV before MX", items="string", expanded=True, since="4.31")
    fail_defer_domains: str | None = string(
        None, "Domains where MX/SRV temporary errors count as failures", items="domain", expanded=True
    )
    ipv4_only: str | None = string(None, "Use only IPv4 addresses when expansion is true", expanded=True)
    ipv4_prefer: str | None = string(None, "Order IPv4 addresses first when expansion is true", expanded=True)
    mx_domains: str | None = string(
        None, "Domains that must have MX (or SRV) records", items="domain", expanded=True, since="4.00"
    )
    mx_fail_domains: str | None = string(
        None, "Domains where MX lookup errors mean no MX", items="domain", expanded=True, since="4.43"
    )
    qualify_single: bool = boolean(True, "Let the resolver add the default domain to single-label names", since="4.00")
    rewrite_headers: bool = boolean(True, "Rewrite headers when DNS widened the domain", since="4.00")
    same_domain_copy_routing: bool = boolean(False, "Reuse one result for all recipients in that domain", since="4.00")
    search_parents: bool = boolean(False, "Let the resolver try parent domains", since="4.00")
    srv_fail_domains: str | None = string(
        None, "Domains where SRV lookup errors mean no SRV", items="domain", expanded=True, since="4.43"
    )
    widen_domains: str | None = string(None, "Suffixes tried when a name is not found", items="string", since="4.00")


class IpliteralOptions(RouterOptions):
    """Driver `ipliteral`: Route bracketed IP literals."""

    DRIVER = "ipliteral"


class IplookupOptions(RouterOptions):
    """Driver `iplookup`: Ask a host over TCP/UDP for a replacement address."""

    DRIVER = "iplookup"

    hosts: str | None = string(None, "Servers to query", since="4.00")
    optional: bool = boolean(False, "Pass on when no server answers", since="4.00")
    port: int = integer(0, "Server port", since="4.00")
    protocol: str = string("udp", "udp or tcp", since="4.00")
    query: str | None = string(None, "Text sent to the server", expanded=True, since="4.00")
    reroute: str | None = string(None, "New address built from the reply", expanded=True, since="4.00")
    response_pattern: str | None = string(None, "Regex a valid reply must match", since="4.00")
    timeout: int = integer(5, "Wait for a reply", kind=TIME)


class ManualrouteOptions(RouterOptions):
    """Driver `manualroute`: Route from configured host lists."""

    DRIVER = "manualroute"

    host_all_ignored: str = string("defer", "Action when every host was ignored", since="4.67")
    host_find_failed: str = string("freeze", "Action when a listed host has no address", since="4.00")
    hosts_randomize: bool | str = expand_bool(False, "Shuffle the host list", since="4.00 (expanded from 4.99)")
    route_data: str | None = string(None, "Single expanded rule giving hosts and options", expanded=True, since="4.00")
    route_list: str | None = string(None, "Domain-keyed routing rules", items="string", since="4.00")
    same_domain_copy_routing: bool = boolean(False, "Reuse one result for all recipients in that domain")


class QueryprogramOptions(RouterOptions):
    """Driver `queryprogram`: Route as an external program says."""

    DRIVER = "queryprogram"

    command: str | None = string(None, "External program whose reply steers routing", expanded=True)
    command_group: str | None = string(None, "Group for the program", kind=GID, since="4.00")
    command_user: str | None = string(None, "User for the program", kind=UID, since="4.00")
    current_directory: str = string("/", "Working directory for the program")
    timeout: int = integer(3600, "Time limit for the program", kind=TIME)


class RedirectOptions(RouterOptions):
    """Driver `redirect`: Aliases, forwards, filters, Sieve."""

    DRIVER = "redirect"

    allow_defer: bool = boolean(False, "Permit :defer: items", since="4.00")
    allow_fail: bool = boolean(False, "Permit :fail: items", since="4.00")
    allow_filter: bool = boolean(False, "Permit Exim or Sieve filters", since="4.00")
    allow_freeze: bool = boolean(False, "Permit the filter freeze command", since="4.00")
    check_ancestor: bool = boolean(False, "If a child equals any ancestor, substitute the current address", since="4.00")
    check_group: bool = boolean(False, "Insist on the file's group")
    check_owner: bool = boolean(False, "Insist on the file's owner")
    data: str | None = string(None, "Redirection list or filter text, inline", expanded=True, since="4.00")
    directory_transport: str | None = string(None, "Transport for generated directory names", expanded=True, since="4.00")
    file: str | None = string(None, "File holding the redirection list or filter", expanded=True)
    file_transport: str | None = string(None, "Transport for generated file names", expanded=True, since="4.00")
    filter_prepend_home: bool = boolean(True, "Prefix $home to relative save paths", since="4.63")
    forbid_blackhole: bool = boolean(False, "Disallow :blackhole:", since="4.00")
    forbid_exim_filter: bool = boolean(False, "Disallow Exim filters", since="4.44")
    forbid_file: bool = boolean(False, "Disallow file and directory destinations", since="4.00")
    forbid_filter_dlfunc: bool = boolean(False, "Disallow ${dlfunc in filters")
    forbid_filter_existstest: bool = boolean(False, "Disallow exists/stat checks in filters", since="4.00")
    forbid_filter_logwrite: bool = boolean(False, "Disallow logwrite in filters", since="4.00")
    forbid_filter_lookup: bool = boolean(False, "Disallow ${lookup in filters", since="4.00")
    forbid_filter_perl: bool = boolean(False, "Disallow ${perl in filters", since="4.00")
    forbid_filter_readfile: bool = boolean(False, "Disallow ${readfile in filters", since="4.00")
    forbid_filter_readsocket: bool = boolean(False, "Disallow ${readsocket in filters", since="4.11")
    forbid_filter_reply: bool = boolean(False, "Disallow reply/vacation in filters", since="4.00")
    forbid_filter_run: bool = boolean(False, "Disallow ${run in filters", since="4.00")
    forbid_include: bool = boolean(False, "Disallow :include:", since="4.00")
    forbid_pipe: bool = boolean(False, "Disallow pipe destinations", since="4.00")
    forbid_sieve_filter: bool = boolean(False, "Disallow Sieve filters", since="4.44")
    forbid_smtp_code: bool = boolean(False, "Ignore SMTP codes inside :defer:/:fail: text", since="4.63")
    hide_child_in_errmsg: bool = boolean(False, "Conceal generated addresses in bounces")
    ignore_eacces: bool = boolean(False, "Decline rather than defer on EACCES", since="4.00")
    ignore_enotdir: bool = boolean(False, "Decline rather than defer on ENOTDIR", since="4.00")
    include_directory: str | None = string(None, "Confine :include: files to this directory", since="4.00")
    modemask: int = integer(0o22, "Permission bits the file must not carry", kind=OCTAL, since="4.00")
    one_time: bool = boolean(False, "Expand once; store generated recipients in the spool", since="4.00")
    owners: str | None = string(None, "Extra acceptable file owners", kind=UID_LIST, since="4.00")
    owngroups: str | None = string(None, "Extra acceptable file groups", kind=GID_LIST, since="4.00")
    pipe_transport: str | None = string(None, "Transport for generated pipe commands", expanded=True, since="4.00")
    qualify_domain: str | None = string(None, "Domain added to bare generated addresses", expanded=True)
    qualify_preserve_domain: bool = boolean(False, "Add the parent's domain to bare generated addresses", since="4.00")
    repeat_use: bool = boolean(True, "Run even if an ancestor was handled by this router", since="4.00")
    reply_transport: str | None = string(None, "Transport for filter-generated replies", expanded=True, since="4.00")
    rewrite: bool = boolean(True, "Apply rewriting rules to generated addresses", since="4.00")
    sieve_enotify_mailto_owner: str | None = string(None, "Owner address expected for Sieve mailto notifications", expanded=True)
    sieve_inbox: str = string("inbox", "Mailbox name Sieve keep delivers to", expanded=True, since="4.99")
    sieve_subaddress: str | None = string(None, "Value of the Sieve :subaddress part", expanded=True)
    sieve_useraddress: str | None = string(None, "Value of the Sieve :user part", expanded=True)
    sieve_vacation_directory: str | None = string(None, "Directory for Sieve vacation state", expanded=True)
    skip_syntax_errors: bool = boolean(False, "Ignore bad items, deliver to the good ones", since="4.00")
    syntax_errors_text: str | None = string(None, "Extra text in syntax-error notices", expanded=True, since="4.00")
    syntax_errors_to: str | None = string(None, "Address told about syntax errors", since="4.00")


ROUTERS: dict[str, type[RouterOptions]] = {
    "accept": AcceptOptions,
    "dnslookup": DnslookupOptions,
    "ipliteral": IpliteralOptions,
    "iplookup": IplookupOptions,
    "manualroute": ManualrouteOptions,
    "queryprogram": QueryprogramOptions,
    "redirect": RedirectOptions,
}
"""By driver name."""
