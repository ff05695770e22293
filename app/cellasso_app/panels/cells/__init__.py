"""Columns of obs and the legend."""
