"""A copy of a matrix sorted by feature, built block by block, so that a gene is read at once."""
