"""Serving: who may speak to it, the files that it has open, a page for each visitor."""
