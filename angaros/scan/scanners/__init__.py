"""One file a virus scanner: `scan(job)` gives the name of what was found, or None. Exim spec 45.1."""
