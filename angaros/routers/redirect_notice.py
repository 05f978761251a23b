"""Syntax errors that were skipped: a log line each, and perhaps a message to `syntax_errors_to`. Exim spec 22.9, 22.10."""

from __future__ import annotations

from angaros.model.errors import AngarosError, ExpansionError
from angaros.model.text import octets
from angaros.routers.outcome import Mode
from angaros.routers.router import Run


def report(run: Run, errors: list[str], some_valid: bool) -> None:
    """Log `errors`, and tell `syntax_errors_to` when really delivering."""
    services = run.scope.services
    message = run.scope.message
    for error in errors:
        services.log.write(f"{run.router.name} router: skipped error: {error}", message_id=message.id if message else "")
    if run.mode is not Mode.DELIVER or run.options.syntax_errors_to is None or services.submitter is None or message is None:
        return
    body = _body(run, errors, some_valid)
    try:
        services.submitter.submit(octets(body), run.scope, reference=message.id, as_root=True)
    except AngarosError as error:
        services.log.write(f"{run.router.name} router: failed to send syntax error notice: {error}", message_id=message.id)


def _body(run: Run, errors: list[str], some_valid: bool) -> str:
    main, options = run.scope.services.config.main, run.options
    message = run.scope.message
    assert message is not None
    lines = [
        "Auto-Submitted: auto-replied",
        f"From: {_from_line(run)}",
        f"To: {options.syntax_errors_to}",
        "Subject: error(s) in forwarding or filtering",
        "",
        f"References: <E{message.id}@{main.primary_hostname}>",
    ]
    if options.syntax_errors_text is not None:
        try:
            lines += [run.scope.expand(options.syntax_errors_text), ""]
        except ExpansionError as error:
            run.scope.services.log.write(
                f"Failed to expand syntax_errors_text for {run.router.name} router: {error}", panic=True, message_id=message.id
            )
    lines += [f"The {run.router.name} router encountered the following error(s):", ""]
    for skipped in errors:
        reason, found, item = skipped.partition(' in "')
        lines += [f"  {reason} in the address", f'  "{item}'] if found and item.endswith('"') else [f"  {skipped}"]
        lines.append("")
    lines.append("Other addresses were processed normally." if some_valid else "No valid addresses were generated.")
    return "\n".join(lines) + "\n"


def _from_line(run: Run) -> str:
    main = run.scope.services.config.main
    try:
        return run.scope.expand(main.dsn_from)
    except ExpansionError:
        return f"Mail Delivery System <Mailer-Daemon@{main.qualify_domain}>"
