"""What one call of the program was asked to do: the parsed command line."""

from __future__ import annotations

from angaros.inbound.options import Claims
from angaros.model.queue_run import QueueRun
from angaros.model.record import dataclass, field


@dataclass(slots=True)
class Invocation:
    """The parsed command line. `mode` names what to do; "" is the default: accept a message on standard input."""

    argv: list[str] = field(default_factory=list)
    program: str = "exim"
    mode: str = ""
    """`daemon`, `bm`, `bs`, `bS`, `bt`, `bv`, `bvs`, `be`, `bem`, `bh`, `bP`, `bp`, `bV`, `M`, `Mvh`, `q`, ..."""
    arguments: list[str] = field(default_factory=list)
    """Recipients, addresses, option names, strings: what is left after the options."""
    config_files: str | None = None
    macros: dict[str, str] = field(default_factory=dict)
    debug: str | None = None
    debug_daemon_only: bool = False
    debug_early: bool = False
    """-dS: from before the configuration is read."""
    debug_buffer: int = 0
    """-dp: octets of debugging output that wait for the trigger."""
    debug_trigger: str = ""
    """-dt: `now` or `paniclog`."""

    # The daemon.
    foreground: bool = False
    listen: bool = False
    queue_runs: list[QueueRun] = field(default_factory=list)
    listen_override: str | None = None
    pid_file: str | None = None
    no_notifier: bool = False
    atrn_host: str = ""
    atrn_domains: str = ""
    inetd_wait: bool = False
    inetd_wait_timeout: int | None = None
    tls_on_connect: bool = False

    # Submission.
    extract_recipients: bool = False
    dot_ends: bool = True
    sender: str | None = None
    sender_name: str | None = None
    suppress_local_fixups: bool = False
    error_handling: str = "mail"
    """`mail` (-oem), `mail-zero` (-oee), `stderr` (-oep)."""
    delivery: str = ""
    """`background` (-odb), `foreground` (-odf, -odi), `queue` (-odq), `queue-smtp` (-odqs), "" default."""
    receive_timeout: int | None = None
    smtp_receive_timeout: int | None = None
    unqualified: bool = False
    """-bnq."""
    claims: Claims = field(default_factory=Claims)
    syslog_tag: str | None = None
    internal_error_message: bool = False

    # Probes and operations.
    host_checking: str | None = None
    host_checking_callout: bool = False
    message_file: str | None = None
    filter_file: str | None = None
    system_filter_file: str | None = None
    filter_domain: str | None = None
    filter_local_part: str | None = None
    filter_prefix: str | None = None
    filter_suffix: str | None = None
    queue_list: str = ""
    """Letters after -bp: `a`, `r`, `u`, `i`, `c` in any documented mix."""
    message_action: str = ""
    """`deliver` (-M, -Mc), `freeze`, ..., for mode `M`; ids in `arguments`."""
    retry_timing: bool = False
    """-Mc: honour retry times."""
    set_message: str | None = None
    """-Mset: id of the message whose variables -be sees."""
    queue_name: str = ""
    """-MCG, -G names: the queue that message operations look in."""
    info: str = ""
    """-bI: what."""
    log_text: str | None = None
    verbose: bool = False
    dont_deliver: bool = False
    max_messages: int | None = None
    perl_start: bool | None = None
    bi_argument: str | None = None
    queue_times: str | None = None
    """-Tqt: ages for the test mode."""
    no_headers: bool = False
    """-n: with -bP, values only."""
