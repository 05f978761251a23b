"""-bf and -bF: try a filter on a message from standard input. Exim spec 5.3."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from angaros.filters.exim.run import FilterSetting, run_exim_filter
from angaros.filters.forward_list import ListError, ListReader
from angaros.filters.kind import filter_kind
from angaros.filters.outcome import FilterError, FilterOutcome
from angaros.mime.addresses import AddressRules
from angaros.mime.headers import split_headers
from angaros.model.delivery import Delivery
from angaros.model.interfaces import Services
from angaros.model.message import Message, Recipient
from angaros.model.scope import Scope
from angaros.model.session import Session
from angaros.model.text import taint, text

MAX_MESSAGE = 50 << 20
"""Octets of a test message."""


@dataclass(frozen=True, slots=True)
class FilterTest:
    """What the command line asks for."""

    user_filter: str | None = None
    """-bf."""
    system_filter: str | None = None
    """-bF."""
    domain: str | None = None
    """-bfd."""
    local_part: str | None = None
    """-bfl."""
    prefix: str | None = None
    """-bfp."""
    suffix: str | None = None
    """-bfs."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A file to try."""

    path: str
    """As given."""
    system: bool
    text: str
    directory: str
    """Where it lies."""


def run(services: Services, submission: Any, test: FilterTest) -> int:
    """Read the message, run the filters; the exit status."""
    out = sys.stdout
    tests = [(path, system) for path, system in ((test.system_filter, True), (test.user_filter, False)) if path]
    sources = []
    for path, system in tests:
        try:
            with open(path, "rb") as file:
                sources.append(_Source(path, system, text(file.read()), os.path.dirname(os.path.abspath(path))))
        except OSError as error:
            print(f"exim: failed to open {path}: {error.strerror}", file=sys.stderr)
            return 1
    os.chdir("/")  # where commands of a filter run
    data = sys.stdin.buffer.read(MAX_MESSAGE)
    with tempfile.NamedTemporaryFile(prefix="angaros-filter-") as body:
        scope = _scope(services, submission, test, data, body, out)
        status = 0
        for source in sources:
            status = max(status, _one(scope, source, out))
    return status


def _scope(services: Services, submission: Any, test: FilterTest, data: bytes, body: Any, out: Any) -> Scope:
    """The message and the address under test, announced."""
    main = services.config.main
    login = submission.caller.login
    sender = submission.sender
    raw = text(data)
    if raw.startswith("From "):
        line, _, raw = raw.partition("\n")
        if sender is None:
            sender = line.split(" ")[1]
            print('Sender taken from "From " line', file=out)
    message = _message(services, login, sender, raw, body)
    delivery = _recipient(main, login, test)
    message.recipients = [Recipient(taint(delivery.address))]
    scope = Scope(services, message.session, message, delivery)
    scope.local["home"] = submission.home if hasattr(submission, "home") else _home(submission.caller.uid)
    _announce(scope, message, delivery, test, out)
    return scope


def _message(services: Services, login: str, sender: str | None, raw: str, body: Any) -> Message:
    main = services.config.main
    if sender == "<>":
        sender = ""
    if sender is None:
        sender = f"{login}@{main.qualify_domain}"
    if sender and "@" not in sender:
        sender = f"{sender}@{main.qualify_domain}"
    head, _, rest = raw.partition("\n\n") if not raw.startswith("\n") else ("", "", raw[1:])
    message = Message(id="", sender_address=taint(sender), session=Session(originator_login=login))
    message.id = services.store.new_id() if services.store is not None else "000000-000000000-000"
    message.received_time = services.clock.now()
    message.headers = split_headers(taint(head.rstrip("\n") + "\n")) if head.strip() else []
    message.effects.caches["had_headers"] = bool(message.headers)
    _complete_headers(services, message)
    octets_ = rest.encode("latin-1")
    body.write(octets_)
    body.flush()
    message.body_path, message.body_size = body.name, len(octets_)
    message.body_linecount = octets_.count(b"\n")
    message.body_zerocount = octets_.count(b"\0")
    message.message_size = len(raw.encode("latin-1"))
    message.deliver_firsttime = message.first_delivery = True
    return message


def _complete_headers(services: Services, message: Message) -> None:
    """What reception adds to a local message: Message-Id, From, Date."""
    import time

    main = services.config.main
    present = {header.name.lower() for header in message.headers}
    added = []
    if "message-id" not in present:
        added.append(f"Message-Id: <E{message.id}@{main.primary_hostname}>\n")
    if "from" not in present:
        added.append(f"From: {message.sender_address}\n")
    if "date" not in present:
        moment = time.localtime(message.received_time)
        added.append(time.strftime("Date: %a, %d %b %Y %H:%M:%S %z\n", moment))
    message.headers += split_headers("".join(added))


def _recipient(main: Any, login: str, test: FilterTest) -> Delivery:
    local_part = test.local_part if test.local_part is not None else login
    domain = test.domain if test.domain is not None else main.qualify_domain
    prefix, suffix = test.prefix or "", test.suffix or ""
    delivery = Delivery(taint(f"{prefix}{local_part}{suffix}@{domain}"))
    delivery.local_part = delivery.lowered_local_part = delivery.cased_local_part = taint(local_part)
    delivery.domain = taint(domain)
    delivery.prefix, delivery.suffix = prefix, suffix
    return delivery


def _home(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return os.environ.get("HOME", "/")


def _announce(scope: Scope, message: Message, delivery: Delivery, test: FilterTest, out: Any) -> None:
    if not message.effects.caches["had_headers"]:
        print("Warning: no message headers read", file=out)
    paths = message.headers_named("return-path")
    if paths:
        path = paths[0].value.strip().strip("<>")
        print('Return-path taken from "Return-path:" header line', file=out)
        print(f"Return-path = {path}", file=out)
        scope.local["return_path"] = path
        paths[0].kind = "*"
    else:
        print("Return-path copied from sender", file=out)
        scope.local["return_path"] = message.sender_address
    print(f"Sender      = {message.sender_address or '<>'}", file=out)
    print(f"Recipient   = {delivery.address}", file=out)
    if delivery.prefix:
        print(f"Prefix    = {delivery.prefix}", file=out)
    if delivery.suffix:
        print(f"Suffix    = {delivery.suffix}", file=out)


def _one(scope: Scope, source: _Source, out: Any) -> int:
    kind = filter_kind(source.text) or ("exim" if source.system else "")
    if not kind:
        return _forward_file(scope, source.path, source.text, out)
    print(f'Testing {kind.capitalize()} filter file "{source.path}"\n', file=out)
    if kind == "sieve" and not source.system:
        return _sieve(scope, source, out)
    try:
        outcome = _run(scope, source.system, source.text)
    except FilterError as error:
        _tell(error.transcript, out)
        print(f"Filter error: {error}", file=out)
        return 1
    _tell(outcome.transcript, out)
    _conclude(outcome, out)
    return 0


def _tell(transcript: Sequence[str], out: Any) -> None:
    for line in transcript:
        print(line.encode("latin-1").decode("utf-8", "surrogateescape"), file=out)


def _sieve(scope: Scope, source: _Source, out: Any) -> int:
    """Nothing but whether the message is kept. Exim spec 5.3, -bf."""
    from angaros.filters.sieve.run import SieveSetting, run_sieve

    directories = {"personal": source.directory}
    setting = SieveSetting(scope.child(), own_addresses=_own(scope), script_directories=directories, testing=True)
    outcome = run_sieve(source.text, setting)
    if outcome.error:
        print(f"Sieve error: {outcome.error}", file=out)
    else:
        print("Implicit keep" if outcome.implicit_keep else "No implicit keep", file=out)
    return 0


def _own(scope: Scope) -> tuple[str, str]:
    delivery = scope.delivery
    assert delivery is not None
    own = f"{delivery.local_part}@{delivery.domain}".lower()
    return own, f"{delivery.prefix}{delivery.local_part}{delivery.suffix}@{delivery.domain}".lower()


def _run(scope: Scope, system: bool, source: str) -> FilterOutcome:
    setting = FilterSetting(scope.child(), system=system, testing=True, own_addresses=() if system else _own(scope))
    if system:
        setting.scope.local["system_filter"] = "1"
        setting.allowed = frozenset({"fail", "freeze", "defer"})
    outcome = run_exim_filter(source, setting)
    if system:
        for number in range(10):
            scope.local[f"sn{number}"] = setting.scope.local[f"n{number}"]
    return outcome


def _conclude(outcome: FilterOutcome, out: Any) -> None:
    if outcome.action:
        print(f'Filtering ended by "{outcome.action}".', file=out)
    elif outcome.delivered:
        print("Filtering set up at least one significant delivery or other action.", file=out)
        print("No other deliveries will occur.", file=out)
    else:
        print("Filtering did not set up a significant delivery.", file=out)
        print("Normal delivery will occur.", file=out)


class _ForwardFile:
    """What a list may have here."""

    forbid_blackhole = forbid_include = skip_syntax_errors = allow_defer = allow_fail = False
    include_directory = None


def _forward_file(scope: Scope, path: str, source: str, out: Any) -> int:
    """A list in place of a filter: what it generates."""
    main = scope.services.config.main

    assert scope.delivery is not None
    incoming = scope.delivery.domain

    def qualify(address: str, backslashed: bool) -> str:
        domain = incoming if backslashed else main.qualify_recipient
        return address if "@" in address else f"{address}@{domain}"

    def read(name: str, limit: int) -> bytes:
        try:
            with open(name, "rb") as file:
                return file.read(limit)
        except (FileNotFoundError, NotADirectoryError):
            return b""

    reader = ListReader(_ForwardFile, AddressRules.of(main), incoming, qualify, read, text)
    print(f'Testing forward file file "{path}"\n', file=out)
    try:
        found = reader.read(source)
    except ListError as error:
        print(f"exim: error in forward file: {error}", file=out)
        return 1
    if found.action:
        print(f'exim: forwardfile contains ":{found.action}:"', file=out)
    print("exim: forward file generated:" if found.items else "exim: no addresses generated from forward file", file=out)
    for _, item in reversed(found.items):
        print(f"  {item}", file=out)
    return 0
