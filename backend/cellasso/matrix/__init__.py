"""X, layers and raw, read by columns or row by row without being loaded."""
