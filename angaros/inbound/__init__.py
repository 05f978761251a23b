"""Reception: the SMTP server's policy side, message reception and local submission.

`conversation` drives a session of the sans-I/O core `smtp.server`; the commands are in one file a family (`hello`, `mail`,
`rcpt`, `data`, `auth`, `starttls`, `query`, `etrn`, `xclient`); `receive` and `accept` take a message to the spool; `submission`
is the road of local messages.
"""
