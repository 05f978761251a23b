"""Extensions of Sieve: one file each, one row each in `EXTENSIONS`."""

from __future__ import annotations

from angaros.filters.sieve.extensions import (
    body,
    copy,
    date,
    duplicate,
    editheader,
    enotify,
    envelope,
    environment,
    fileinto,
    ihave,
    imap4flags,
    include,
    index,
    mailbox,
    regex,
    reject,
    relational,
    subaddress,
    vacation,
    variables,
)
from angaros.filters.sieve.tree import Extension

EXTENSIONS: tuple[Extension, ...] = (
    body.EXTENSION,
    copy.EXTENSION,
    date.EXTENSION,
    duplicate.EXTENSION,
    editheader.EXTENSION,
    enotify.EXTENSION,
    envelope.EXTENSION,
    environment.EXTENSION,
    fileinto.EXTENSION,
    ihave.EXTENSION,
    imap4flags.EXTENSION,
    include.EXTENSION,
    index.EXTENSION,
    mailbox.EXTENSION,
    regex.EXTENSION,
    reject.EXTENSION,
    relational.EXTENSION,
    subaddress.EXTENSION,
    vacation.EXTENSION,
    variables.EXTENSION,
)
