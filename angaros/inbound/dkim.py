"""DKIM for a message that comes in: the streaming watch, the DKIM ACL, variables and log lines. # Exim spec 58.3

Laws:
- A message without signature costs one look at each header line.
- Keys are asked for after the message is complete, through the resolver of this process.
- The results live with the message (`effects.caches["dkim"]`); the variables stay those of the last run of the ACL, as in Exim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angaros.lists.parse import split_list
from angaros.mailauth.dkim.tags import without_white
from angaros.model.errors import AngarosError
from angaros.model.mailauth import DkimResult
from angaros.model.outcome import Outcome, Verdict
from angaros.model.text import Tainted, concat

if TYPE_CHECKING:
    from angaros.mailauth.arc.chain import Chain
    from angaros.mailauth.dkim.signature import Signature
    from angaros.mailauth.dkim.verify import Limits, Verifier, Watcher
    from angaros.model.scope import Scope


def watch_message(scope: Scope) -> list[MailauthWatch]:
    """For `services.extra["watch_message"]`: a watch for the message that begins."""
    return [MailauthWatch(scope)]


class MailauthWatch:
    """Sees header lines and body pass by (`Reception.taps`)."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.verifier: Verifier | None = None
        self.chain: Chain | None = None
        self.watcher: Watcher | None = None
        self.failed = ""
        """The limit that was overrun."""
        self.statuses: list[str] | None = None
        """One for each run of the ACL."""
        self.digests: dict[tuple[str, str, int | None], tuple[bytes, bool]] = {}

    @property
    def signatures(self) -> list[Signature]:
        """Those that count."""
        return self.verifier.signatures if self.verifier is not None and not self.failed else []

    def header(self, lines: list[str], *, regular: bool) -> bool:
        """The header is complete; whether the body is of interest. A header with bare CR or LF is not what anybody signed and
        not what we pass on: nothing is verified. # RFC 6376 5.3"""
        message = self.scope.message
        assert message is not None
        message.effects.caches["dkim"] = self
        if not regular:
            return False
        dkim = not message.effects.dkim_disable_verify and any(line[:4].lower() == "dkim" for line in lines)
        arc = any(line[:4].lower() == "arc-" for line in lines)
        if not dkim and not arc:
            return False
        from angaros.mailauth.dkim.verify import TooMuch, Watcher

        self.watcher = Watcher()
        try:
            if dkim:
                self._watch_dkim(lines)
        except TooMuch as error:
            self._too_much(error)
        if arc:
            from angaros.mailauth.arc.chain import Chain

            self.chain = Chain(lines, self.watcher)
        return self.watcher.wanted

    def _watch_dkim(self, lines: list[str]) -> None:
        from angaros.mailauth.dkim.verify import Verifier

        assert self.watcher is not None
        self.verifier = Verifier(limits_of(self.scope), self.watcher)
        self.verifier.header(lines)

    def body(self, piece: bytes) -> None:
        """The next octets of the body, CRLF line ends."""
        if self.failed or self.watcher is None:
            return
        from angaros.mailauth.dkim.verify import TooMuch

        try:
            self.watcher.body(piece)
        except TooMuch as error:
            self._too_much(error)

    def _too_much(self, error: Exception) -> None:
        self.failed = str(error.args[0])
        self.scope.log(f"DKIM: validation error: {self.failed}")

    def finish(self, scope: Scope) -> Verdict | None:
        """The message is complete: verify, and run the ACL."""
        if self.failed:
            scope.log(f"DKIM: Error during validation, disabling signature verification: {self.failed}")
            return None
        if self.watcher is not None:
            self.digests = self.watcher.finish()
        if scope.message is None or scope.message.effects.dkim_disable_verify:
            return None
        if self.verifier is not None:
            self._verify(scope)
        verdict = _policy(self, scope)
        scope.message.effects.mailauth.dkim = [_outcome(one) for one in self.signatures]
        return verdict

    def _verify(self, scope: Scope) -> None:
        assert self.verifier is not None
        verifier = self.verifier

        def fetch(name: str) -> Sequence[str] | None:
            return key_texts(name, scope)

        minimal = scope.services.config.main.dkim_verify_minimal
        for number, one in enumerate(verifier.signatures, 1):
            verifier.judge(one, self.digests, fetch)
            if one.reason in ("key_syntax", "key_octets", "unavailable"):
                scope.log(f"DKIM: d={one.domain} s={one.selector} [failed key import]")
            if one.library:
                scope.log(f"DKIM: validation error: {one.library}")
            if minimal and one.status == "pass":
                del verifier.signatures[number:]
                break


def _outcome(one: Signature) -> DkimResult:
    """What others may know of a signature, after the ACL."""
    from angaros.mailauth.dkim.report import method_result, reason_variable

    status, reason = one.forced or (one.status, reason_variable(one))
    result, comment = method_result(one)
    return DkimResult(
        one.domain,
        one.selector,
        one.identity,
        one.algorithm,
        status,
        reason,
        result,
        comment,
        without_white(one.tags.get("b", "")),
    )


def limits_of(scope: Scope) -> Limits:
    """The dkim_verify_* main options. # Exim spec 14"""
    from angaros.mailauth.dkim.verify import Limits

    main = scope.services.config.main
    bits: dict[str, int] = {}
    for item in main.dkim_verify_min_keysizes.replace(":", " ").split():
        name, _, number = item.partition("=")
        if number.isdigit():
            bits[name] = int(number)
    return Limits(
        hashes=tuple(split_list(main.dkim_verify_hashes)),
        key_types=tuple(split_list(main.dkim_verify_keytypes)),
        min_bits=bits,
    )


def key_texts(name: str, scope: Scope) -> Sequence[str] | None:
    """The TXT records of a name; None when the DNS cannot say."""
    answer = scope.services.dns.query(name, "TXT", scope=scope)
    if answer.status == "ok":
        return [str(data) for _, data in answer.records]
    return [] if answer.status in ("nomatch", "nodata") else None


# --- The DKIM ACL ------------------------------------------------------------------------------------------------------


def _policy(watch: MailauthWatch, scope: Scope) -> Verdict | None:
    """Run acl_smtp_dkim for each signer that dkim_verify_signers names. # Exim spec 58.3"""
    main = scope.services.config.main
    signatures = watch.signatures
    state = scope.state
    if not signatures and (main.acl_smtp_dkim is None or main.dkim_verify_signers == "$dkim_signers"):
        return None
    state["dkim_signers"] = Tainted(":".join(_signers(signatures)))
    if main.acl_smtp_dkim is None:
        _log_all(watch, signatures, scope)
        return None
    try:
        text = scope.expand(main.dkim_verify_signers or "")
    except AngarosError as error:
        scope.log(f"expansion of dkim_verify_signers option failed: {error}", panic=True)
        return Verdict(Outcome.DEFER)
    items = list(dict.fromkeys(item for item in split_list(text) if item))
    if not items:
        _log_all(watch, signatures, scope)
        return None
    state["dkim_verify_signers"] = text
    return _run_all(watch, items, scope)


def _signers(signatures: list[Signature]) -> list[str]:
    """Domains and identities, signature by signature."""
    return [signer.replace(":", "::") for one in signatures for signer in (one.domain, one.identity) if signer]


def _log_all(watch: MailauthWatch, signatures: list[Signature], scope: Scope) -> None:
    for one in signatures:
        _log_one(one, scope)


def _log_one(one: Signature, scope: Scope) -> None:
    from angaros.mailauth.dkim.report import log_line

    scope.log(Tainted(log_line(one)), selector="dkim_verbose")
    message = scope.message
    assert message is not None
    if one.verdict == "pass":
        message.effects.caches.setdefault("dkim_log", one.domain)


def _run_all(watch: MailauthWatch, items: list[str], scope: Scope) -> Verdict | None:
    watch.statuses = []
    refused: Verdict | None = None
    for item in items:
        matching: list[Signature | None] = [
            one for one in watch.signatures if item == (one.identity if "@" in item else one.domain)
        ]
        for one in matching or [None]:
            verdict = _run_one(watch, item, one, scope)
            if one is not None:
                _log_one(one, scope)
            if verdict.outcome is not Outcome.ACCEPT:
                refused = verdict
                break
        if refused is not None:
            break
    scope.state["dkim_verify_status"] = ":".join(watch.statuses)
    return refused


def _matching(watch: MailauthWatch, signer: str) -> list[Signature | None]:
    """The signatures of a domain, or of an identity."""
    by_identity = "@" in signer
    return [one for one in watch.signatures if signer == (one.identity if by_identity else one.domain)]


def _run_one(watch: MailauthWatch, signer: str, one: Signature | None, scope: Scope) -> Verdict:
    """One run of the ACL."""
    from angaros.mailauth.dkim.report import reason_variable

    state = scope.state
    status, reason = (one.verdict, reason_variable(one)) if one is not None else ("none", "")
    state["dkim_cur_signer"] = signer
    state["dkim_verify_status"] = status
    state["dkim_verify_reason"] = reason
    for name in _OF_A_SIGNATURE:
        state.pop(name, None)
    if one is not None:
        state.update(_variables(one))
    scope.where = "dkim"
    try:
        verdict = scope.services.acl.run(scope.services.config.main.acl_smtp_dkim or "", "dkim", scope)
    finally:
        scope.where = ""
    if one is not None and (state["dkim_verify_status"], state["dkim_verify_reason"]) != (status, reason):
        one.forced = (state["dkim_verify_status"], state["dkim_verify_reason"])
    assert watch.statuses is not None
    watch.statuses.append(state["dkim_verify_status"])
    return verdict


_OF_A_SIGNATURE = (
    "dkim_domain", "dkim_selector", "dkim_identity", "dkim_algo", "dkim_canon_headers", "dkim_canon_body",
    "dkim_copiedheaders", "dkim_headernames", "dkim_bodylength", "dkim_created", "dkim_expires", "dkim_key_testing",
    "dkim_key_nosubdomains", "dkim_key_srvtype", "dkim_key_granularity", "dkim_key_notes",
)  # fmt: skip
"""Not `$dkim_key_length`: Exim shows that of the last key."""


def _variables(one: Signature) -> dict[str, str]:
    """# Exim spec 58.3"""
    record = one.record
    found = {
        "dkim_domain": Tainted(one.domain),
        "dkim_selector": Tainted(one.selector),
        "dkim_identity": Tainted(one.identity),
        "dkim_algo": Tainted(one.algorithm),
        "dkim_canon_headers": one.header_canon,
        "dkim_canon_body": one.body_canon,
        "dkim_copiedheaders": Tainted(one.tags.get("z", "")),
        "dkim_headernames": Tainted(":".join(one.headers)),
        "dkim_key_length": str(one.key.bits if one.key is not None else 0),
        "dkim_key_srvtype": Tainted(":".join(record.services)) if record is not None else "*",
        "dkim_key_granularity": Tainted(record.granularity) if record is not None else "*",
        "dkim_key_notes": Tainted(record.notes) if record is not None else "",
        "dkim_key_testing": str(int(record is not None and record.testing)),
        "dkim_key_nosubdomains": str(int(record is not None and record.no_subdomains)),
    }
    numbers = (("dkim_bodylength", one.length), ("dkim_created", one.created), ("dkim_expires", one.expires))
    found.update({name: str(value) for name, value in numbers if value is not None})
    return found


# --- For others --------------------------------------------------------------------------------------------------------


def watch_of(scope: Scope) -> MailauthWatch | None:
    """The watch of the message of this scope."""
    if scope.message is None:
        return None
    found = scope.message.effects.caches.get("dkim")
    return found if isinstance(found, MailauthWatch) else None


def dkim_results(scope: Scope) -> list[tuple[str, str]]:
    """For `services.extra["dkim_results"]`: signing domain and status of each signature, or what the ACL made of it."""
    watch = watch_of(scope)
    if watch is None:
        return []
    if watch.statuses is not None and len(watch.statuses) != len(watch.signatures):
        return [("", status) for status in watch.statuses]
    return [(one.domain, one.verdict) for one in watch.signatures]


def dkim_part(scope: Scope) -> str:
    """For `services.extra["authresults"]`."""
    watch = watch_of(scope)
    if watch is None or not watch.signatures:
        return ""
    from angaros.mailauth.dkim.report import result

    return concat([Tainted(result(one)) for one in watch.signatures])
