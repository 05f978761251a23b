"""Delivery of one message, of the queue, and what is told to the sender about it."""
