"""Bytes to groups and arrays: one folder for each container format."""
