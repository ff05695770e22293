"""The compiled loops of the index: sorting, packing and unpacking."""
