"""Angaros: a mail transfer agent that speaks Exim's language."""

__version__ = "0.1.0"

EXIM_VERSION = "4.99"
"""The version of Exim whose behaviour, files and command line we keep."""

VERSION_NUMBER = f"{EXIM_VERSION}-Angaros"
"""`$version_number`, and with it the banner and the Received: header: what we are compatible with, and who we are."""
