"""The pipe transport: a command gets the message (Exim spec 29)."""

from __future__ import annotations

import os
import stat
from typing import Any

from angaros.lists.parse import split_list
from angaros.logs.text import printing
from angaros.model.delivery import Delivery, DeliveryResult
from angaros.model.errors import ExpansionError
from angaros.model.text import is_tainted
from angaros.transports.arguments import build_arguments
from angaros.transports.headers import TransportError
from angaros.transports.local import LocalTransport, Setup, make_copy, perform, smtp_batch
from angaros.transports.plan import Copy, PipePlan

E2BIG = 7
MAX_ENVIRONMENT = 50
"""Settings in the environment of a command; Exim's own limit."""

FOR_SENDERS = "local delivery failed"
"""Commands are no business of those who sent the message."""
EXIT_TEXTS = {
    64: "usage or syntax error",
    65: "error in input data",
    66: "error in input data",
    67: "user nonexistent",
    68: "host nonexistent",
    69: "service or program unavailable",
    70: "internal software error",
    71: "internal operating system error",
    72: "system file missing",
    73: "output creation failed",
    74: "input/output error",
    75: "temporary error",
    76: "protocol error",
    77: "permission denied",
    78: "configuration error",
    127: "unable to exec or command does not exist",
}
"""What exit statuses mean by convention (sysexits.h)."""

SHELL = "/bin/sh"


class Pipe(LocalTransport):
    """Driver `pipe`."""

    def run(self, setup: Setup) -> DeliveryResult:
        """Run the command."""
        command, expand, from_user = self._command(setup)
        if is_tainted(command):
            raise TransportError(f"Tainted '{command}' (command for {setup.name} transport) not permitted", panic=True)
        argv = self._shell(command, expand, setup) if self.options.use_shell else self._direct(command, expand, from_user, setup)
        environment = self._environment(setup)
        plan = PipePlan(
            argv=argv,
            copy=self._copy(setup),
            environment=environment,
            umask=self.options.umask,
            timeout=self.options.timeout,
            max_output=self.options.max_output,
            capture=self._wants_output(),
        )
        result = perform(setup, plan)
        if result.status == "ok":
            self._judge(result, argv, setup)
            if result.status == "fail":
                result.user_message = FOR_SENDERS
            self._handle_output(result, setup)
        elif result.message.startswith("transport filter timeout"):
            result.status = "defer" if self.options.timeout_defer else "fail"
            result.user_message = FOR_SENDERS
        return result

    def _command(self, setup: Setup) -> tuple[str, bool, bool]:
        """The command line, whether to expand it, and whether a user made it (then errors bounce)."""
        first = setup.first
        if first.is_pipe and not self.options.force_command:
            command = first.address.lstrip("|").lstrip(" \t\n") if first.address.startswith("|") else first.address
            return command, first.filter_generated or bool(first.pipe_expand or first.pipe_expand_numeric), True
        if not self.options.command:
            raise TransportError(f"no command specified for {setup.name} transport")
        return self.options.command, True, False

    def _shell(self, command: str, expand: bool, setup: Setup) -> list[str]:
        """`use_shell`: the whole line goes to the shell, as the administrator asks."""
        if expand:
            scope = _filter_scope(setup)
            try:
                text = scope.expand(command)
            except ExpansionError as error:
                text = f'Expansion of command "{command}" in {setup.name} transport failed: {error}'
                raise TransportError(text, fail=setup.first.is_pipe, panic=not setup.first.is_pipe) from None
            if is_tainted(text):
                raise TransportError(f"Tainted arg 2 for {setup.name} transport command: '{text}'", fail=True)
            command = text
        return [SHELL, "-c", str(command)]

    def _direct(self, command: str, expand: bool, from_user: bool, setup: Setup) -> list[str]:
        """The argument vector, its command permitted and found."""
        argv = build_arguments(
            command,
            _filter_scope(setup),
            setup.deliveries,
            f"{setup.name} transport",
            expand=expand,
            fail=from_user,
            address_pipe=setup.first.address if setup.first.is_pipe and self.options.force_command else "",
        )
        name = argv[0]
        self._check_permitted(name, setup)
        if not name.startswith("/"):
            argv[0] = self._find(name, setup)
        return argv

    def _check_permitted(self, name: str, setup: Setup) -> None:
        """allow_commands and restrict_to_path."""
        options, permitted = self.options, False
        if options.allow_commands:
            try:
                allowed = setup.scope.expand(options.allow_commands)
            except ExpansionError as error:
                text = f'failed to expand string "{options.allow_commands}" for {setup.name} transport: {error}'
                raise TransportError(text) from None
            permitted = name in split_list(allowed)
        if permitted:
            return
        if options.restrict_to_path and "/" in name:
            text = f'"/" found in "{name}" (command for {setup.name} transport) - failed for security reasons'
            raise TransportError(text, fail=True)
        if options.allow_commands and not options.restrict_to_path:
            raise TransportError(f'"{name}" command not permitted by {setup.name} transport', fail=True)

    def _path(self, setup: Setup) -> str:
        try:
            return setup.scope.expand(self.options.path)
        except ExpansionError as error:
            text = f'failed to expand string "{self.options.path}" (path for {setup.name} transport): {error}'
            raise TransportError(text) from None

    def _find(self, name: str, setup: Setup) -> str:
        for directory in self._path(setup).split(":"):
            candidate = f"{directory.strip()}/{name}"
            try:
                if stat.S_ISREG(os.stat(candidate.encode("latin-1")).st_mode):
                    return candidate
            except OSError:
                continue
        raise TransportError(f'"{name}" command not found for {setup.name} transport', fail=True)

    def _copy(self, setup: Setup) -> Copy:
        copy = make_copy(setup, "while writing to pipe")
        copy.prefix = self._text(self.options.message_prefix, "prefix", setup)
        copy.suffix = self._text(self.options.message_suffix, "suffix", setup)
        if self.options.use_bsmtp:
            copy.prefix += smtp_batch(setup)
            copy.suffix = (".\r\n" if self.options.use_crlf else ".\n") + copy.suffix
            copy.check, copy.escape = ".", ".."
        return copy

    def _text(self, text: str | None, what: str, setup: Setup) -> str:
        if not text:
            return ""
        try:
            return setup.scope.expand(text)
        except ExpansionError:
            raise TransportError(f'Expansion of "{text}" ({what} for {setup.name} transport) failed', -27) from None

    # --- environment --------------------------------------------------------------------------------------------------

    def _environment(self, setup: Setup) -> dict[str, str]:
        """Exim spec 29.4."""
        main, first = setup.scope.services.config.main, setup.first
        common = setup.scope.delivery
        assert common is not None
        local_part = _parent_local_part(first) if len(setup.deliveries) == 1 else ""
        found: dict[str, str] = {}
        if len(setup.deliveries) == 1:
            found["LOCAL_PART"] = found["LOGNAME"] = found["USER"] = local_part
            found["LOCAL_PART_PREFIX"], found["LOCAL_PART_SUFFIX"] = first.prefix, first.suffix
        found["DOMAIN"] = common.domain
        if setup.home:
            found["HOME"] = setup.home
        found["MESSAGE_ID"] = setup.message.id
        found["PATH"] = self._path(setup)
        if len(setup.deliveries) == 1:
            found["RECIPIENT"] = f"{local_part}@{first.domain}" if first.is_pipe else first.address
        found["QUALIFY_DOMAIN"] = main.qualify_domain or ""
        found["SENDER"] = setup.message.sender_address
        found["SHELL"] = SHELL
        if first.hosts:
            found["HOST"] = first.hosts[0].name
        if main.timezone:
            found["TZ"] = main.timezone
        if self.options.environment:
            self._add_settings(found, setup)
        return {name: str(value) for name, value in found.items()}

    def _add_settings(self, found: dict[str, str], setup: Setup) -> None:
        try:
            text = setup.scope.expand(self.options.environment)
        except ExpansionError as error:
            text = f'failed to expand string "{self.options.environment}" for {setup.name} transport: {error}'
            raise TransportError(text) from None
        count = len(found)
        for item in split_list(text):
            count += 1
            if count >= MAX_ENVIRONMENT:
                raise TransportError(f"too many environment settings for {setup.name} transport", E2BIG)
            name, _, value = item.partition("=")
            found[name.strip()] = value

    # --- outcome ------------------------------------------------------------------------------------------------------

    def _judge(self, result: DeliveryResult, argv: list[str], setup: Setup) -> None:
        """What the command's end means (Exim spec 29.2)."""
        options, detail = self.options, result.detail
        if detail.get("timed_out"):
            result.status = "defer" if options.timeout_defer else "fail"
            result.message = "pipe delivery process timed out"
            return
        status, number = detail.get("status", 0), detail.get("signal", 0)
        if detail.get("exec_failed") and options.freeze_exec_fail:
            result.status, result.special_action = "defer", "freeze"
            result.message = f'pipe process failed to exec "{printing(" ".join(argv))}"'
        elif number:
            self._judge_signal(result, number, argv, setup)
        elif status and not options.ignore_status:
            result.status = "defer" if self._is_temporary(status) else "fail"
            meaning = f" (could mean {EXIT_TEXTS[status]})" if status in EXIT_TEXTS else ""
            result.message = f"Child process of {setup.name} transport returned {status}{meaning} from command: {argv[0]}"

    def _judge_signal(self, result: DeliveryResult, number: int, argv: list[str], setup: Setup) -> None:
        if self.options.freeze_signal:
            result.status, result.special_action = "defer", "freeze"
        elif self.options.ignore_status:
            return
        else:
            result.status = "fail"
        import signal

        text = signal.strsignal(number) or "Unknown signal"
        result.message = (
            f'Child process of {setup.name} transport (running command "{printing(" ".join(argv))}")'
            f" was terminated by signal {number} ({text})"
        )

    def _is_temporary(self, status: int) -> bool:
        text = self.options.temp_errors.strip()
        return text == "*" or str(status) in split_list(text)

    def _wants_output(self) -> bool:
        options = self.options
        return bool(
            options.return_output
            or options.return_fail_output
            or options.log_output
            or options.log_fail_output
            or options.log_defer_output
        )

    def _handle_output(self, result: DeliveryResult, setup: Setup) -> None:
        """Log the first line, keep it all for the bounce."""
        output: str = result.detail.pop("output", "")
        if not output:
            return
        options = self.options
        if (
            options.log_output
            or (result.status == "fail" and options.log_fail_output)
            or (result.status == "defer" and options.log_defer_output)
        ):
            line = printing(output.partition("\n")[0].rstrip())
            setup.scope.services.log.write(
                f"<{setup.first.address}>: {setup.name} transport output: {line}", message_id=setup.message.id
            )
        if not setup.message.sender_address and not setup.first.props.errors_to:
            return
        if options.return_output:
            result.status = "fail"
            if not result.basic_errno and not result.message:
                result.message = "return message generated"
        elif not (options.return_fail_output and result.status == "fail"):
            return
        result.return_file = _keep_output(output, setup)


def _filter_scope(setup: Setup) -> Any:
    """Names in a command that a filter made: `$1`, `$thisaddress` as they were there."""
    first = setup.first
    if not (first.pipe_expand or first.pipe_expand_numeric):
        return setup.scope
    scope = setup.scope.child()
    scope.local.update(first.pipe_expand)
    if first.pipe_expand_numeric:
        scope.numeric = first.pipe_expand_numeric
    return scope


def _parent_local_part(delivery: Delivery) -> str:
    """The local part; for a pipe from an alias or filter that of the address it came from."""
    if delivery.is_pipe and delivery.parent is not None:
        return delivery.parent.local_part or delivery.local_part
    return delivery.local_part


def _keep_output(output: str, setup: Setup) -> str:
    """A file with the output, beside the message log, until the bounce is made."""
    services = setup.scope.services
    directory = f"{services.config.main.spool_directory}/msglog"
    path = f"{directory}/{setup.message.id}-{os.getpid()}-{services.random.below(1 << 30)}"
    os.makedirs(directory, 0o750, exist_ok=True)
    fd = os.open(path.encode("latin-1"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, output.encode("latin-1"))
    finally:
        os.close(fd)
    return path
