"""ARC: the chain of custody of authentication results. # RFC 8617; Exim's experimental specification, ARC

`chain` reads the sets of a message, `verify` judges them, `sign` adds one.
"""
