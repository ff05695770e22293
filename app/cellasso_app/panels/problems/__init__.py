"""Files that cannot be opened."""
