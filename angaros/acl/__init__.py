"""Access control lists: parsed once, run at the points of reception, answering with a `Verdict`."""
