"""Exim's string expansion language: parser, tree of self-evaluating nodes, variables."""
