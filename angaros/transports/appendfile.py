"""The appendfile transport: mailbox files, MBX, maildir, mailstore, single files (Exim spec 26)."""

from __future__ import annotations

from typing import Any

from angaros.lists.parse import split_list
from angaros.model.delivery import DeliveryResult
from angaros.model.errors import ExpansionError, ForcedFailure, Why
from angaros.model.text import untaint
from angaros.spool.ids import base62
from angaros.transports import quota_warning
from angaros.transports.headers import TransportError
from angaros.transports.local import (
    LocalTransport,
    Setup,
    expand_option,
    make_copy,
    perform,
    read_size,
    refuse_tainted,
    smtp_batch,
)
from angaros.transports.plan import (
    Copy,
    Creation,
    FilePlan,
    Locks,
    MaildirPlan,
    MailstorePlan,
    NewFilePlan,
    Quota,
    QuotaPlan,
    RenamePlan,
)

FORMAT_BYTES = 256
"""How much of a mailbox `file_format` looks at."""


class Appendfile(LocalTransport):
    """Driver `appendfile`."""

    def run(self, setup: Setup) -> DeliveryResult:
        """Append, or write a new file."""
        path, is_directory = self._path(setup)
        if path == "/dev/null":
            return DeliveryResult("ok")
        quota = self._quota(setup)
        if is_directory:
            result = self._new_file(setup, path, quota)
        else:
            other = self._other_format(setup, path)
            if other is not None:
                return other
            result = self._append(setup, path, quota)
        if "warn" in result.detail:
            quota_warning.send(setup, self.options.quota_warn_message, int(result.detail["warn"]))
        return result

    def check_quota(self, setup: Setup, message_size: int) -> DeliveryResult:
        """Whether a message of that size would fit now; nothing is written."""
        options = self.options
        path, is_directory = self._path(setup)
        quota = self._quota(setup)
        quota.message_size = message_size
        if path == "/dev/null" or not (quota.size > 0 or quota.filecount > 0):
            return DeliveryResult("ok")
        kind = "maildir" if options.maildir_format else "directory" if is_directory else "file"
        plan = QuotaPlan(path, quota, kind, self._use_size_file(setup), options.maildir_quota_directory_regex)
        return perform(setup, plan, with_body=False)

    # --- where --------------------------------------------------------------------------------------------------------

    def _path(self, setup: Setup) -> tuple[str, bool]:
        """The file or directory, and which of the two it is."""
        options, first = self.options, setup.first
        is_directory = options.maildir_format or options.mailstore_format
        text = options.file
        if text is None and options.directory is not None:
            text, is_directory = options.directory, True
        if text is not None:
            path = expand_option(setup, text, "file or directory name")
        elif first.is_file:
            path = first.address
        else:
            missing = f"Mandatory file or directory option missing from {setup.name} transport"
            raise TransportError(missing, Why.UNKNOWN, panic=True)
        if not self._approved(path, setup):
            refuse_tainted(path, "file or directory name", setup)
        path = untaint(path)
        if not path.startswith("/"):
            raise TransportError(f'appendfile: file or directory name "{path}" is not absolute', Why.NOT_ABSOLUTE)
        if text is not None:
            if first.is_file:
                for one in setup.deliveries:
                    one.address = path  # the log shows where it went
        elif path.endswith("/") and len(path) > 1:
            path, is_directory = path.rstrip("/") or "/", True
        return path, is_directory

    def _approved(self, path: str, setup: Setup) -> bool:
        """Whether `create_file` names a directory that `path` is below: then it may come from outside (Exim spec 26.2)."""
        allowed = self.options.create_file
        top = setup.home if allowed == "belowhome" else allowed if allowed.startswith("/") else ""
        return bool(top) and str(path).startswith(top.rstrip("/") + "/") and "/../" not in f"{path}/"

    def _other_format(self, setup: Setup, path: str) -> DeliveryResult | None:
        """`file_format`: an existing mailbox of another kind goes to another transport."""
        if not self.options.file_format:
            return None
        try:
            found, _ = setup.scope.services.courier.read_file(path, setup.owner, limit=FORMAT_BYTES)
        except FileNotFoundError:
            return None
        if not found:
            return None
        items = split_list(self.options.file_format)
        head = found.decode("latin-1")
        for text, name in zip(items[::2], items[1::2], strict=False):
            if head.startswith(text):
                if name == setup.name:
                    return None
                return self._hand_over(setup, name, text)
        raise TransportError("mailbox file format unrecognized", Why.FORMAT_UNKNOWN)

    def _hand_over(self, setup: Setup, name: str, text: str) -> DeliveryResult:
        from angaros.transports import registry

        instance = setup.scope.services.config.transports.get(name)
        if instance is None or instance.driver not in registry.LOCAL:
            raise TransportError(f"{name} transport (for {text} format) not found", Why.BAD_TRANSPORT)
        for one in setup.deliveries:
            one.transport = name
        other = registry.build(instance)
        if not isinstance(other, Appendfile):
            return other.deliver(setup.deliveries, setup.scope)[0]
        # the user, directories and return path stay those of the transport that the address was routed to
        changed = Setup(instance, setup.deliveries, setup.scope, setup.return_path, setup.owner, setup.home, setup.directory)
        path, is_directory = other._path(changed)
        quota = other._quota(changed)
        return other._new_file(changed, path, quota) if is_directory else other._append(changed, path, quota)

    # --- what ---------------------------------------------------------------------------------------------------------

    def _copy(self, setup: Setup, path: str) -> Copy:
        options = self.options
        copy = make_copy(setup, f"while writing to {path}")
        copy.prefix = self._text(options.message_prefix, "prefix", setup)
        copy.suffix = self._text(options.message_suffix, "suffix", setup)
        if options.use_bsmtp:
            copy.prefix += smtp_batch(setup)
            copy.suffix = (".\r\n" if options.use_crlf else ".\n") + copy.suffix
            copy.check, copy.escape = ".", ".."
        return copy

    def _text(self, text: str | None, what: str, setup: Setup) -> str:
        if not text:
            return ""
        try:
            return setup.scope.expand(text)
        except ExpansionError:
            raise TransportError(f'Expansion of "{text}" ({what} for {setup.name} transport) failed', Why.EXPAND_FAIL) from None

    def _creation(self, setup: Setup) -> Creation:
        options = self.options
        return Creation(
            create_directory=options.create_directory,
            directory_mode=options.directory_mode,
            create_file=options.create_file or "anywhere",
            home=setup.home,
            mode=setup.first.file_mode or options.mode,
        )

    # --- quota --------------------------------------------------------------------------------------------------------

    def _quota(self, setup: Setup) -> Quota:
        """All limits, expanded. Exim spec 26.2."""
        options = self.options
        quota = Quota(inclusive=options.quota_is_inclusive, message_size=setup.message.message_size)
        quota.size, quota.check = self._limit(options.quota, setup)
        quota.filecount, quota.filecount_check = self._limit(options.quota_filecount, setup)
        if options.quota_warn_threshold is not None:
            quota.warn_threshold = self._threshold(options.quota_warn_threshold, quota.size, setup)
        if options.mailbox_size is not None:
            quota.mailbox_size = self._limit(options.mailbox_size, setup)[0]
        if options.mailbox_filecount is not None:
            quota.mailbox_filecount = self._limit(options.mailbox_filecount, setup)[0]
        if options.quota_directory is not None:
            quota.directory = str(expand_option(setup, options.quota_directory, "quota_directory"))
        if options.quota_size_regex is not None:
            quota.size_regex = options.quota_size_regex
        return quota

    def _limit(self, text: str | None, setup: Setup) -> tuple[int, bool]:
        """A size, and whether it is to be checked (`/no_check`)."""
        if text is None:
            return 0, True
        value = expand_option(setup, text)
        number, slash, option = value.strip().partition("/")
        try:
            size = read_size(number) if number.strip() else 0
            if size < 0 or (slash and option.strip() != "no_check"):
                raise ValueError
        except ValueError:
            raise _malformed(value, text, setup) from None
        return size, not slash

    def _threshold(self, text: str, quota: int, setup: Setup) -> int:
        """`quota_warn_threshold`: octets, or a percentage of the quota."""
        value = expand_option(setup, text)
        if not value.strip().endswith("%"):
            try:
                return read_size(value) if value.strip() else 0
            except ValueError:
                raise _malformed(value, text, setup) from None
        try:
            percent = float(value.strip()[:-1])
        except ValueError:
            raise _malformed(value, text, setup) from None
        return int(quota * percent / 100)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _append(self, setup: Setup, path: str, quota: Quota) -> DeliveryResult:
        options = self.options
        copy = self._copy(setup, path)
        copy.use_crlf = copy.use_crlf or options.mbx_format
        plan = FilePlan(
            path=path,
            copy=copy,
            creation=self._creation(setup),
            quota=quota,
            locks=self._locks(),
            hostname=_hostname(setup),
            check_owner=options.check_owner,
            check_group=options.check_group,
            allow_fifo=options.allow_fifo,
            allow_symlink=options.allow_symlink,
            must_exist=options.file_must_exist,
            mode_fail_narrower=options.mode_fail_narrower,
            mbx_format=options.mbx_format,
            notify_comsat=setup.first.local_part if options.notify_comsat else "",
        )
        return perform(setup, plan)

    def _locks(self) -> Locks:
        options = self.options
        return Locks(
            use_lockfile=options.use_lockfile,
            lockfile_mode=options.lockfile_mode,
            lockfile_timeout=options.lockfile_timeout,
            retries=options.lock_retries,
            interval=options.lock_interval,
            use_fcntl=options.use_fcntl_lock,
            fcntl_timeout=options.lock_fcntl_timeout,
            use_flock=options.use_flock_lock,
            flock_timeout=options.lock_flock_timeout,
            use_mbx=options.use_mbx_lock,
        )

    def _new_file(self, setup: Setup, path: str, quota: Quota) -> DeliveryResult:
        copy = self._copy(setup, path)
        if self.options.maildir_format:
            return self._maildir(setup, path, quota, copy)
        if self.options.mailstore_format:
            return self._mailstore(setup, path, quota, copy)
        plan = NewFilePlan(path, copy, self._creation(setup), quota, _hostname(setup))
        result = perform(setup, plan)
        if result.status != "ok":
            return result
        detail = result.detail
        scope = setup.scope.child(None, inode=str(detail["inode"]), message_size=str(result.size))
        temporary = str(detail["temporary"])
        try:
            name = scope.expand(self.options.directory_file)
        except ExpansionError as error:
            perform(setup, RenamePlan(temporary, "", remove=True), with_body=False)
            text = f'Expansion of "{self.options.directory_file}" (directory_file for {setup.name} transport) failed: {error}'
            raise TransportError(text, Why.UNKNOWN, panic=True) from None
        return self._rename(setup, result, f"{path}/{name}", "")

    def _rename(self, setup: Setup, result: DeliveryResult, target: str, size_file: str) -> DeliveryResult:
        """The second step of a delivery whose name depends on what was written."""
        temporary = str(result.detail.pop("temporary"))
        renamed = perform(setup, RenamePlan(temporary, target, result.size, size_file), with_body=False)
        if renamed.status != "ok":
            return renamed
        return result

    # --- maildir ------------------------------------------------------------------------------------------------------

    def _maildir(self, setup: Setup, path: str, quota: Quota, copy: Copy) -> DeliveryResult:
        options = self.options
        size = exact_size(copy)
        plan = MaildirPlan(
            path=path,
            copy=copy,
            creation=self._creation(setup),
            quota=quota,
            hostname=_hostname(setup),
            retries=options.maildir_retries,
            folder_regex=options.maildirfolder_create_regex or "",
            use_size_file=self._use_size_file(setup),
            quota_directory_regex=options.maildir_quota_directory_regex,
            notify_comsat=setup.first.local_part if options.notify_comsat else "",
        )
        if options.maildir_tag:
            if size >= 0:
                plan.tag = self._tag(setup, size)
            else:
                plan.wait_for_tag = True
        result = perform(setup, plan)
        if result.status != "ok" or not plan.wait_for_tag:
            return result
        temporary = str(result.detail["temporary"])
        try:
            tag = self._tag(setup, result.size)
        except TransportError:
            perform(setup, RenamePlan(temporary, "", remove=True), with_body=False)
            raise
        base = temporary.rpartition("/")[2]
        return self._rename(setup, result, f"{path}/new/{base}{tag}", str(result.detail.pop("size_file", "")))

    def _tag(self, setup: Setup, size: int) -> str:
        """`maildir_tag`, cleaned (Exim spec 26.6)."""
        text = self.options.maildir_tag
        try:
            tag = setup.scope.child(None, message_size=str(size)).expand(text)
        except ForcedFailure:
            return ""
        except ExpansionError as error:
            raise TransportError(
                f'Expansion of "{text}" (maildir_tag for {setup.name} transport) failed: {error}', Why.UNKNOWN, panic=True
            ) from None
        tag = "".join(one for one in tag if one != "/" and " " < one < "\x7f")
        return f":{tag}" if tag[:1].isalnum() else tag

    def _use_size_file(self, setup: Setup) -> bool:
        value = self.options.maildir_use_size_file
        if isinstance(value, bool):
            return value
        return expand_option(setup, value, "maildir_use_size_file").strip().lower() in ("true", "yes", "1")

    # --- mailstore ----------------------------------------------------------------------------------------------------

    def _mailstore(self, setup: Setup, path: str, quota: Quota, copy: Copy) -> DeliveryResult:
        options = self.options
        token = base62(setup.scope.services.random.below(62**6), 6)
        base = f"{setup.message.id}-{token}"
        setup.scope.local["mailstore_basename"] = f"{path}/{base}"
        lines = [setup.message.sender_address]
        lines += [one.address for one in setup.deliveries]
        envelope = self._envelope_text(options.mailstore_prefix, "mailstore prefix", setup)
        envelope += "".join(f"{line}\n" for line in lines)
        envelope += self._envelope_text(options.mailstore_suffix, "mailstore suffix", setup)
        return perform(setup, MailstorePlan(path, copy, envelope, base, self._creation(setup), quota))

    def _envelope_text(self, text: str | None, what: str, setup: Setup) -> str:
        if text is None:
            return ""
        try:
            value = setup.scope.expand(text)
        except ForcedFailure:
            return ""
        except ExpansionError as error:
            raise TransportError(
                f'Expansion of "{text}" ({what} for {setup.name} transport) failed: {error}', Why.UNKNOWN, panic=True
            ) from None
        return value if value.endswith("\n") else value + "\n"


def _malformed(value: str, text: str, setup: Setup) -> TransportError:
    return TransportError(f'Malformed value "{value}" (expansion of "{text}") in {setup.name} transport', Why.UNKNOWN, panic=True)


def _hostname(setup: Setup) -> str:
    name: Any = setup.scope.services.config.main.primary_hostname
    return str(name or "localhost")


def exact_size(copy: Copy) -> int:
    """Octets that the copy will have; -1 when only writing it tells."""
    if copy.filter or copy.check or copy.use_crlf or copy.wireformat:
        return -1
    size = len(copy.prefix) + len(copy.suffix)
    if copy.with_header:
        size += len(copy.header) + 1
    return size + (copy.body_size if copy.with_body else 0)
