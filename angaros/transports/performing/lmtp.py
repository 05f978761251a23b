"""The LMTP conversation of the lmtp transport, as the target user (Exim spec 28, RFC 2033)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from angaros.model.delivery import DeliveryResult
from angaros.model.errors import Why
from angaros.net.blocking import BlockingWaiter
from angaros.net.blocking_streams import BlockingCommand, BlockingStream
from angaros.smtp.client import ClientFailure, SmtpClient, Timeouts
from angaros.smtp.transaction import DEFERRED, DONE, FAILED, Envelope, Features, RcptOutcome, Transaction
from angaros.transports.performing.copying import pieces_of

if TYPE_CHECKING:
    from angaros.transports.plan import Copy, LmtpPlan

MAIL_STAGES = {"mail": Why.MAIL_4XX, "data": Why.DATA_4XX, "block": Why.DATA_4XX, "end": Why.DATA_4XX}


class _Source:
    """The copy, as one body: its header is part of it."""

    def __init__(self, copy: Copy, fd: int) -> None:
        self._copy = copy
        self._fd = fd

    def header(self) -> bytes:
        return b""

    def body(self) -> Iterable[bytes]:
        return pieces_of(self._copy, self._fd)

    def body_size(self) -> int | None:
        return None


def perform_lmtp(plan: LmtpPlan, fds: list[int]) -> DeliveryResult:
    """One result; `detail["outcomes"]` has one entry for each recipient, unless all share the result."""
    try:
        stream = _connect(plan)
    except OSError as error:
        what = f"Failed to connect to socket {plan.socket} for" if plan.socket else "Cannot start command of"
        return DeliveryResult("defer", message=f"{what} LMTP transport: {error.strerror}", basic_errno=error.errno or -1)
    try:
        return _converse(plan, stream, fds[0])
    finally:
        if isinstance(stream, BlockingCommand):
            try:
                stream.finish(plan.timeout)
            except TimeoutError:
                stream.kill()
        stream.close()


def _connect(plan: LmtpPlan) -> BlockingStream:
    waiter = BlockingWaiter()
    if plan.socket:
        return waiter.connect_unix(plan.socket, timeout=plan.timeout)
    return waiter.open_command(plan.argv, env=plan.environment, cwd=plan.directory)


def _converse(plan: LmtpPlan, stream: BlockingStream, fd: int) -> DeliveryResult:
    client = SmtpClient(stream, Timeouts(plan.timeout, plan.timeout, plan.timeout), lmtp_text=True)
    try:
        client.greet()
        client.hello(plan.helo, lmtp=True)
    except ClientFailure as failure:
        if failure.reply is not None:
            client.quit(wait=plan.timeout)
        return _failed(failure, "")
    quota = " IGNOREQUOTA" if plan.ignore_quota and "IGNOREQUOTA" in client.features else ""
    recipients = [(f"RCPT TO:<{address}>{quota}", f"RCPT TO:<{address}>") for address in plan.recipients]
    envelope = Envelope(f"MAIL FROM:<{plan.sender}>", recipients)
    transaction = Transaction(client, envelope, _Source(plan.copy, fd), Features(lmtp=True))
    try:
        transaction.run()
    except ClientFailure as failure:
        if failure.reply is not None:
            client.quit(wait=plan.timeout)
        result = _failed(failure, transaction.stage)
        if any(outcome.status in (DONE, FAILED) for outcome in transaction.outcomes):
            result.detail["outcomes"] = _outcomes(transaction, result)
        return result
    client.quit(wait=plan.timeout)
    result = DeliveryResult("defer", message="no reply", basic_errno=-1)
    result.detail["outcomes"] = _outcomes(transaction, result)
    return result


def _failed(failure: ClientFailure, stage: str) -> DeliveryResult:
    """For all recipients."""
    number, more = -1, 0
    if failure.reply is not None and failure.reply.code // 100 == 4 and stage:
        number, more = int(MAIL_STAGES.get(stage, Why.UNKNOWN)), failure.reply.code % 100 << 8
    response = failure.reply.text if failure.reply is not None else ""
    status = "fail" if failure.permanent else "defer"
    shown = failure.text if failure.reply is not None else ""
    return DeliveryResult(
        status, message=failure.text, user_message=shown, basic_errno=number, more_errno=more, smtp_response=response
    )


def _outcomes(transaction: Transaction, rest: DeliveryResult) -> list[dict[str, Any]]:
    """One for each recipient; those without a reply of their own share `rest`."""
    labels = [label for _, label in transaction.envelope.recipients]
    return [_outcome(outcome, label, rest) for outcome, label in zip(transaction.outcomes, labels, strict=True)]


def _outcome(outcome: RcptOutcome, label: str, rest: DeliveryResult) -> dict[str, Any]:
    reply = outcome.reply
    if outcome.status not in (DONE, DEFERRED, FAILED) or reply is None:
        return {"status": rest.status, "message": rest.message, "basic_errno": rest.basic_errno, "more_errno": rest.more_errno}
    if outcome.status == DONE:
        return {"status": "ok", "smtp_response": reply.text}
    where = label if outcome.stage == "rcpt" else "end of data"
    number = 0
    if reply.code // 100 == 4:
        number = int(Why.RCPT_4XX if outcome.stage == "rcpt" else Why.DATA_4XX)
    return {
        "status": "fail" if outcome.status == FAILED else "defer",
        "message": f"LMTP error after {where}: {reply.text}",
        "user_message": f"LMTP error after {where}: {reply.text}",
        "basic_errno": number,
        "more_errno": reply.code % 100 << 8,
        "smtp_response": reply.text,
    }
