"""Exim's own filter language: `# Exim filter`. Exim filter specification, chapter 3; Exim spec 47."""
