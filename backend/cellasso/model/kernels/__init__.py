"""The compiled loop over names of genomic intervals."""
