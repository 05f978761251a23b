"""What Exim's Sieve knows."""

from __future__ import annotations

EXIM_CAPABILITIES = (
    "envelope", "fileinto", "encoded-character", "enotify", "subaddress", "vacation", "copy",
    "comparator-i;octet", "comparator-i;ascii-casemap", "comparator-en;ascii-casemap", "comparator-i;ascii-numeric",
)  # fmt: skip
"""What `require` may name in Exim, in the order of `-bI:sieve`. A script that requires more could not run there: for it the RFCs
hold to the letter where Exim deviates (several header fields of one name, address headers)."""

BUILT_IN = (*(name for name in EXIM_CAPABILITIES if name.startswith("comparator-")), "encoded-character")
"""Those that are no row of a table."""
