"""Other programs' judgement of signatures: dkimpy (PyPI) and OpenDKIM's library (Debian: libopendkim11)."""
