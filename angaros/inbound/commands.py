"""Verb -> handler. One row a command; the handlers are in one file a family."""

from __future__ import annotations

from angaros.inbound import atrn, auth, chunks, data, etrn, hello, mail, query, rcpt, simple, starttls, xclient
from angaros.inbound.conversation import Handler

HANDLERS: dict[str, Handler] = {
    "HELO": hello.do_helo,
    "EHLO": hello.do_helo,
    "MAIL": mail.do_mail,
    "RCPT": rcpt.do_rcpt,
    "DATA": data.do_data,
    "BDAT": chunks.do_bdat,
    "AUTH": auth.do_auth,
    "STARTTLS": starttls.do_starttls,
    "VRFY": query.do_vrfy,
    "EXPN": query.do_expn,
    "WELLKNOWN": query.do_wellknown,
    "ETRN": etrn.do_etrn,
    "ATRN": atrn.do_atrn,
    "XCLIENT": xclient.do_xclient,
    "RSET": simple.do_rset,
    "NOOP": simple.do_noop,
    "HELP": simple.do_help,
    "QUIT": simple.do_quit,
}
