"""The condition `inbound_srs`; its meaning stands beside `${srs_encode`."""

from angaros.expand.items.srs import parse_inbound_srs

__all__ = ["parse_inbound_srs"]
