"""Opening a file, and saying why there is none."""
