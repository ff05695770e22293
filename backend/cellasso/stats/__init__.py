"""Statistics on matrices and codes of groups; they know no files."""
