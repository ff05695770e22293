"""anndata's element specification: what a stored element is, and reading it."""
