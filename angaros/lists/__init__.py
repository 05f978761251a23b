"""Domain, host, address and local-part lists: is this subject in that list? # Exim spec 10

Laws:
- A list is expanded whole, then split, then looked at from left to right; the first item that matches decides.
- The answer is never guessed: what cannot be known now raises `ListDefer`.
- Lookups in lists go through `scope.services.lookups`, DNS through the net room; nothing here opens a socket.
"""
