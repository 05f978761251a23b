"""Exim's logs: which lines are wanted, how they read, where they go."""
