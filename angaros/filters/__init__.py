"""Filter languages: Exim's own and Sieve."""
