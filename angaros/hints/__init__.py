"""Hints: what is good to remember and harmless to lose (retry times, waiting messages, callout results, ...)."""
