"""The command `cellasso`."""
