"""Searching and listing genes."""
