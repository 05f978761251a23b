"""Routers: what happens to an address. `chain` runs them in order; one file a driver."""
