"""Exports: the cells of a mask become a new file, compared with its source."""
