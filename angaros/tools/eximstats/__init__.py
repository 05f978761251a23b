"""`eximstats`: statistics from main logs (Exim spec 54.7).

`options` reads the command line, `collect` the log lines into a `Stats`, `merge` earlier reports into one; `sections` makes of it
what is to be shown, and `text`, `html`, `xls` show it.
"""

from angaros.tools.eximstats.main import main

__all__ = ["main"]
