"""The command line: sendmail-style, as Exim understands it."""
