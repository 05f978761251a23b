"""Values that travel between the rooms. Nothing here does I/O."""
