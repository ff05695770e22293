"""Plots of genes by groups of cells."""
