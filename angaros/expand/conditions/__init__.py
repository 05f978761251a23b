"""Conditions of `${if`."""
