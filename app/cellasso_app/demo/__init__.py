"""Files to try the explorer on."""
