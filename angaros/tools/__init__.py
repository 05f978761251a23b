"""The operator's tools, under Exim's names, with Exim's options and output (Exim spec 54)."""
