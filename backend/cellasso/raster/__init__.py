"""Cells into pixels, with datashader's rules."""
