"""Sieve: RFC 5228 and its extensions, with Exim's behaviour where Exim has one (Exim filter spec 2, README.SIEVE)."""
