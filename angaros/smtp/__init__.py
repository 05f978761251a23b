"""SMTP as sans-I/O protocol cores: octets in, events out, replies in, octets out. No policy, no sockets."""
