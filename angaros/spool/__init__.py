"""The spool: Exim's -H, -D and -J files, the order of writing that loses nothing, and operations on the queue."""
