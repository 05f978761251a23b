"""Where the rows of lists, lookups, rewriting, filters, macros, debugging, the spool and the drivers are proved.

`file::function` is a test, `~ text` behind it a case of its table (a text that stands in the file); `file ~ text` a line of a
table file.
"""

from __future__ import annotations

_OWN = "tests/rows/test_language.py::"
_LISTS = "tests/lists/test_lists.py::"
_FILES = "tests/lookups/test_files.py::"
_PEERS = "tests/peers/lookups/"
_REWRITE = "tests/tables_rewriting.txt ~ "
_USER = "tests/filters/tables/exim_user.txt ~ "
_SYSTEM = "tests/filters/tables/exim_system.txt ~ "
_CORE = "tests/filters/test_sieve_core.py::test_script ~ "
_MORE = "tests/filters/test_sieve_extensions.py::test_script ~ "
_SIEVE = "tests/filters/tables/sieve_exim.txt ~ "
_ROUTE = "tests/routers/test_router_effects.py::"
_LOCAL = "tests/transports/test_local_options.py::"
_PERFORM = "tests/transports/test_performing.py::"
_AUTH = "tests/auths/"

LIST_TYPES = {
    "string list": f"{_LISTS}test_split",
    "domain list": f"{_LISTS}test_domains",
    "host list": f"{_LISTS}test_hosts_by_address",
    "address list": f"{_LISTS}test_addresses",
    "local part list": f"{_LISTS}test_local_parts",
    "named lists": f'{_LISTS}test_addresses ~ ("a@a.b", "*@+d1", True)',
    "separator": f'{_LISTS}test_split ~ ("<; 127.0.0.1 ; ::1", ["127.0.0.1", "::1"])',
    "negation": f'{_LISTS}test_hosts_by_address ~ (PEER, "!10.0.0.0/8", True)',
    "file item": f"{_LISTS}test_files",
    "+caseful": f'{_LISTS}test_addresses ~ ("A@B.C", "+caseful:a@b.c", False)',
    "+ignore_unknown": f'{_LISTS}test_hosts_by_address ~ (PEER, "+ignore_unknown : 1.2.3/24 : *", True)',
    "+include_unknown": f'{_LISTS}test_hosts_by_address ~ (PEER, "+include_unknown : 1.2.3/24", True)',
    **{name: f"{_OWN}test_deferred_host[{name}]" for name in ("+ignore_defer", "+include_defer")},
}

LOOKUPS = {
    "cdb": f"{_FILES}test_cdb",
    **dict.fromkeys(("dbm", "dbmnz", "dbmjz"), f"{_FILES}test_dbm_written_by_us"),
    "dsearch": f"{_FILES}test_dsearch",
    "iplsearch": f"{_FILES}test_iplsearch",
    "json": f"{_FILES}test_json",
    "lmdb": f"{_FILES}test_lmdb",
    "lsearch": f"{_FILES}test_lsearch",
    **{name: f"{_OWN}test_nis[{name}]" for name in ("nis", "nis0")},
    **dict.fromkeys(("wildlsearch", "nwildlsearch"), f"{_FILES}test_wildlsearch"),
    **dict.fromkeys(("psl", "regdom"), f"{_FILES}test_psl"),
    "spf": "tests/mailauth/test_spf_session.py::test_lookup",
    **{name: f"{_OWN}test_lookup_that_is_not_there[{name}]" for name in ("nmh", "nisplus")},
    "dnsdb": "tests/lookups/test_dnsdb.py::test_queries",
    **dict.fromkeys(("ldap", "ldapm", "ldapdn"), f"{_PEERS}test_ldap_server.py::test_formats"),
    "mysql": f"{_PEERS}test_sql_servers.py::test_mysql",
    "oracle": f"{_OWN}test_oracle",
    "passwd": f"{_FILES}test_passwd",
    "pgsql": f"{_PEERS}test_sql_servers.py::test_pgsql",
    "redis": f"{_PEERS}test_sql_servers.py::test_redis",
    "sqlite": "tests/lookups/test_databases.py::test_sqlite",
    "readsock": "tests/expand/test_outside.py::test_readsocket",  # the item; Exim documents no lookup of that name
    "testdb": f"{_FILES}test_testdb_and_quoting",
    "whoson": f"{_OWN}test_whoson",
}

REWRITE_FLAGS = {
    **{flag: f'{_REWRITE}["*@a.b  $local_part@x.y  {flag}"]' for flag in "EFTbcfhrst"},
    "S": _REWRITE + '"$1@$2\\" S"]',
    "Q": _REWRITE + '["*@a.b unq Q"]',
    "q": _REWRITE + '["*@a.b $local_part@x.y q", "*@a.b z@z.z"]',
    "R": _REWRITE + '["*@a.b  $local_part.x@a.b R"]',
    "w": _REWRITE + '["*@a.b \\"Name <n@x.y>\\" fw"]',
}

_MAIL = _USER + '"mail to a@b.c cc b@b.c bcc d@e.f from '
_IF = _USER + '"if $h_subject: '
FILTER_COMMANDS = {
    "add": _USER + '"add 1 to n1 testprint $n1"',
    "deliver": _USER + '"deliver a@b.c errors_to root@test.ex"',
    "save": _USER + '"save /tmp/x 0644"',
    "pipe": _USER + '"pipe \\"/bin/cat -u\\""',
    "mail": _USER + '"mail"\t0',
    "vacation": _USER + '"vacation"\t0',
    "logfile": _USER + '"logfile /tmp/log"\t0',
    "logwrite": "tests/filters/test_exim_run.py::test_logwrite",
    "finish": _USER + '"finish deliver a@b.c"\t0',
    "testprint": _USER + '"testprint \\"a $h_subject:\\""\t0',
    "fail": _SYSTEM + '"fail \\"x\\""\t0',
    "freeze": _SYSTEM + '"freeze \\"y\\""\t0',
    "defer": _SYSTEM + '"defer \\"z\\""\t0',
    "headers add": _SYSTEM + '"headers add \\"X-New: 1\\" testprint $h_x-new:"\t0',
    "headers remove": _SYSTEM + '"headers remove \\"Subject\\" testprint',
    "headers charset": f"{_OWN}test_filter_headers_charset",
    "if": _IF + 'is \\"hello\\" then testprint y else testprint n endif"\t0',
    "elif": _USER + '"if a is b then testprint y elif c is c then testprint z else testprint n endif"\t0',
    "else": _USER + '"if 3 is not above 2 then testprint y else testprint n endif"\t0',
    "endif": _USER + '"if $h_subject: is hello then deliver a@b.c endif if not delivered then save /x endif"\t0',
    "seen": _USER + '"seen finish"\t0',
    "unseen": _USER + '"unseen deliver a@b.c"\t0',
    "noerror": _USER + '"noerror deliver a@b.c"\t0',
    **dict.fromkeys(("to", "cc", "bcc", "from", "reply_to", "subject", "text"), _MAIL),
    "extra_headers": _USER + '"mail extra_headers \\"X-A: b\\""\t0',
    "file": _USER + '"mail expand file /tmp/x"\t0',
    "return message": _USER + '"mail return message"\t0',
    **dict.fromkeys(("log", "once", "once_repeat"), _USER + '"mail log /tmp/log once /tmp/once once_repeat 3d"\t0'),
    **{name: f"{_OWN}test_filter_condition[{name}]" for name in ("and", "or", "foranyaddress")},
    "manually_thawed": f"{_OWN}test_filter_manually_thawed",
    "not": _USER + '"if not error_message then testprint y else testprint n endif"\t0',
    "begins / BEGINS": _IF + "BEGINS Hel then",
    "ends / ENDS": _IF + "ENDS LO then",
    "is / IS": _IF + 'IS \\"HELLO\\" then',
    "contains / CONTAINS": _IF + "CONTAINS ELL then",
    "matches / MATCHES": _IF + 'MATCHES \\"^H\\" then',
    "above": _USER + '"if 3 is above 2 then',
    "below": _USER + '"if -1 is below 2 then',
    "delivered": _USER + '"deliver a@b.c if delivered then testprint y else testprint n endif"\t0',
    "error_message": _USER + '"if error_message then testprint y else testprint n endif"\t0',
    "personal": _SYSTEM + '"if personal alias foo@bar alias root@test.ex then',
    "first_delivery": _SYSTEM + '"if first_delivery then',
}

SIEVE_EXTENSIONS = {
    "core (require, if, stop, keep, redirect, discard)": _CORE + '("if false { discard; } elsif true { redirect',
    "comparator-i;octet": _CORE + '(\'if header :comparator "i;octet" "subject" "HELLO world"',
    "comparator-i;ascii-casemap": _CORE + '(\'if header "subject" "HELLO world" { discard; }\', "nothing")',
    "comparator-en;ascii-casemap": _SIEVE + 'require "comparator-en;ascii-casemap"; if header',
    "comparator-i;ascii-numeric": _CORE + '(\'if header :comparator "i;ascii-numeric" "x-a" "01"',
    "copy": _CORE + '(\'require ["fileinto","copy"]; fileinto :copy',
    "encoded-character": _CORE + "x${hex: 41 42}y${unicode:20AC}",
    "enotify": "tests/filters/test_sieve_replies.py::test_notification",
    "envelope": _CORE + '(\'require "envelope"; if envelope "from"',
    "envelope-auth": "tests/filters/test_sieve_extensions.py::test_who_has_authenticated",
    "fileinto": _CORE + '(\'require "fileinto"; fileinto "f";\', "in f")',
    "subaddress": _CORE + '(\'require "subaddress"; if address :user',
    "vacation": "tests/filters/test_sieve_replies.py::test_arguments_of_vacation",
    "ereject/reject": _MORE + '(\'require "ereject"; ereject',
    "variables": _MORE + "set :quotewildcard",
    "imap4flags": _MORE + '(\'require "imap4flags"; addflag',
    "include": "tests/filters/test_sieve_extensions.py::test_included_scripts",
    "editheader": "tests/filters/test_sieve_extensions.py::test_editheader",
    "mailbox": _MORE + 'mailboxexists ["there","gone"]',
    "date/index": _MORE + "header :index 1 :last",
    "regex": _MORE + '(\'require ["regex"]; if header :regex',
    "relational": _MORE + '(\'require "relational"; if header :count',
    "body": _MORE + '(\'require "body"; if body :raw',
    "duplicate": "tests/filters/test_sieve_extensions.py::test_duplicate",
    "spamtest/virustest": f"{_OWN}test_sieve_refuses[spamtest]",
    "environment": _MORE + '(\'require "environment"; if environment',
    "ihave": _MORE + '(\'require "ihave"; if ihave',
    "vacation-seconds": "tests/filters/test_sieve_replies.py::test_arguments_of_vacation ~ :seconds 90",
    "ManageSieve": "tests/rows/commands.txt ~ $ -bI:sieve",
}

DRIVERS = {
    "accept": f"{_ROUTE}test_what_goes_with_the_address",
    "dnslookup": 'tests/routers/test_router_options.py::test_option ~ router("dnslookup", "ignore_target_hosts',
    "ipliteral": f"{_OWN}test_ipliteral",
    "iplookup": f"{_ROUTE}test_iplookup",
    "manualroute": f"{_ROUTE}test_fallback_hosts_go_along",
    "queryprogram": f"{_ROUTE}test_queryprogram_runs_as_the_command_user",
    "redirect": f"{_ROUTE}test_one_time_and_hidden_children",
    "appendfile": f"{_LOCAL}test_option ~ APPENDFILE = {{",
    "autoreply": f"{_LOCAL}test_option ~ REPLIES = {{",
    "lmtp": f"{_LOCAL}test_lmtp_option",
    "pipe": f"{_PERFORM}test_pipe",
    "smtp": "tests/transports/test_smtp_options.py::test_option",
    "queuefile": f"{_PERFORM}test_queuefile",
    "plaintext": f"{_AUTH}test_mechanisms.py::test_plaintext_server",
    "cram_md5": f"{_AUTH}test_mechanisms.py::test_cram_md5_both_sides",
    "cyrus_sasl": f"{_AUTH}test_gsasl.py::test_cyrus_sasl_asks_saslauthd",
    "dovecot": f'{_AUTH}test_rows.py::test_option ~ "dovecot.server_socket": dovecot_server_socket',
    "gsasl": f"{_AUTH}test_gsasl.py::test_client_meets_server",
    "heimdal_gssapi": f"{_AUTH}test_kerberos.py::test_the_road_to_success",
    "spa": f"{_AUTH}test_gsasl.py::test_spa",
    "external": f"{_AUTH}test_mechanisms.py::test_external_takes_identity_and_parameters",
    "tls": f"{_AUTH}test_mechanisms.py::test_tls_driver_checks_parameters",
}

ELSEWHERE: dict[str, dict[str, str]] = {
    "list_types": LIST_TYPES,
    "lookups": LOOKUPS,
    "rewrite_flags": REWRITE_FLAGS,
    "filter_commands": FILTER_COMMANDS,
    "sieve_extensions": SIEVE_EXTENSIONS,
    "drivers": DRIVERS,
}
"""Inventory file -> row -> its test. The rows of macros, debugging and the spool are cases of tables in `test_language`."""
