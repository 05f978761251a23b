"""Expansion items: `${name{...}...}`. Each file has the grammar and the meaning of a few."""
