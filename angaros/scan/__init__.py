"""Content scanning: the copy of a message that scanners read, MIME parts, virus and spam scanners. Exim spec 45."""
