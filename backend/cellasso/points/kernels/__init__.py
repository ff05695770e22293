"""The compiled loops over points."""
