"""RFC 5322 and MIME text: addresses, headers, parts. Pure functions over octet text; no I/O, no policy."""
