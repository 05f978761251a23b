"""The MIME frame of bounces, warnings and success notices. RFC 3462, RFC 3464, RFC 6533."""

from __future__ import annotations

from collections.abc import Iterator

from angaros.delivery.attempt import Attempt, Fate
from angaros.delivery.wording import diagnostic, folded, top_address
from angaros.logs.times import tod_full
from angaros.mime.references import references_for
from angaros.model.errors import ExpansionError
from angaros.model.message import DSN_RET_FULL, DSN_RET_HDRS
from angaros.model.text import octets

ONLY_HEADERS = "X-Exim-DSN-Information: Due to administrative limits only headers are returned\n"

LONGEST_HEADER = 998
"""What is longer is cut in a returned copy (line end and all, as Exim does). RFC 5322 2.1.1."""

BLOCK = 8192
"""`bounce_return_size_limit` is rounded up to a multiple of this, as in Exim."""


def sender_of_reports(attempt: Attempt) -> str:
    """`dsn_from`, expanded. Exim spec 14."""
    main = attempt.services.config.main
    try:
        return attempt.scope.expand(main.dsn_from)
    except ExpansionError as error:
        attempt.log(f"Failed to expand dsn_from (using default): {error}", panic=True)
        return f"Mail Delivery System <Mailer-Daemon@{main.qualify_domain}>"


def references(attempt: Attempt) -> str:
    """The References line."""
    value = references_for(attempt.message.headers)
    return f"References: {value}\n" if value else ""


def new_boundary(attempt: Attempt) -> str:
    """A boundary that is in no message."""
    services = attempt.services
    return f"{int(services.clock.now())}-eximdsn-{services.random.below(1 << 31)}"


def mime_headers(boundary: str) -> str:
    """Content-Type of a report."""
    return f"Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}\nMIME-Version: 1.0\n"


def status_part(attempt: Attempt, fates: list[Fate], boundary: str, *, action: str, status: str) -> str:
    """message/delivery-status. RFC 3464 2."""
    kind = "global-delivery-status" if attempt.message.smtputf8 else "delivery-status"
    out = [f"--{boundary}\nContent-type: message/{kind}\n\nReporting-MTA: dns; {attempt.services.config.main.primary_hostname}\n"]
    if attempt.message.dsn_envid:
        out.append(f"Original-Envelope-ID: {attempt.message.dsn_envid}\n")
    out.append(deliver_by_date(attempt))
    for fate in fates:
        out.append("\n" + recipient_fields(fate, action, status))
    return "".join(out) + "\n"


def deliver_by_date(attempt: Attempt) -> str:
    """The field of DELIVERBY. # RFC 2852 6.1"""
    extensions = attempt.message.extensions
    return f"Deliver-By-Date: {tod_full(extensions.by)}\n" if extensions is not None and extensions.by_mode else ""


def recipient_fields(fate: Fate, action: str, status: str) -> str:
    """Fields of one recipient. RFC 3464 2.3."""
    delivery, result = fate.delivery, fate.result
    out = []
    if delivery.orcpt and delivery.parent is None:
        out.append(f"Original-Recipient: {delivery.orcpt}\n")
    out.append(f"Action: {action}\nFinal-Recipient: rfc822;{top_address(delivery)}\nStatus: {result.dsn_status or status}\n")
    host = result.host
    if host is not None and host.name:
        out.append(f"Remote-MTA: dns; {host.name}\n")
        if host.address:
            port = f":{host.port}" if host.port else ""
            out.append(f"Remote-MTA: X-ip; [{host.address}]{port}\n")
        if result.smtp_greeting:
            out.append(f"X-Remote-MTA-smtp-greeting: X-str; {folded(result.smtp_greeting)}\n")
        if result.helo_response:
            out.append(f"X-Remote-MTA-helo-response: X-str; {folded(result.helo_response)}\n")
        said = diagnostic(result)
        if said:
            out.append(f"Diagnostic-Code: smtp; {said}\n")
    return "".join(out)


def returned_message(attempt: Attempt, boundary: str, *, headers_only: bool = False) -> Iterator[bytes]:
    """The last part: the message, or its header. RFC 3461 6.2, Exim spec 14 (bounce_return_...)."""
    message = attempt.message
    limited = False
    if not headers_only:
        headers_only, limited = _return_limits(attempt)
    kind = "text/rfc822-headers" if headers_only else "message/global" if message.smtputf8 else "message/rfc822"
    yield octets(f"--{boundary}\nContent-type: {kind}\n\nReturn-path: <{message.sender_address}>\n")
    yield b"".join(octets(header.text[:LONGEST_HEADER]) for header in message.headers if header.kind != "*")
    if limited:
        yield ONLY_HEADERS.encode("ascii")
    yield b"\n"
    if not headers_only:
        chunks = attempt.services.store.body_chunks(message, attempt.lock)
        if message.wireformat:
            from angaros.transports.writer import to_lf

            chunks = to_lf(chunks)
        last = b"\n"
        for chunk in chunks:
            yield chunk
            last = chunk[-1:]
        if last != b"\n":
            yield b"\n"
    yield octets(f"\n--{boundary}--\n")


def _return_limits(attempt: Attempt) -> tuple[bool, bool]:
    """(only headers, because of a limit)."""
    message, main = attempt.message, attempt.services.config.main
    if message.requiretls:  # whatever RET says. # RFC 8689 5
        return True, False
    if message.dsn_ret == DSN_RET_HDRS or (message.dsn_ret != DSN_RET_FULL and not main.bounce_return_body):
        return True, False
    limit = main.bounce_return_size_limit
    if limit > 0 and message.body_size > (limit // BLOCK + 1) * BLOCK:
        return True, True
    line_limit = main.bounce_return_linesize_limit
    if line_limit > 0 and message.max_received_linelength > line_limit:
        return True, True
    return False, False
