"""Choosing cells: recipes, and the grammar of where-expressions."""
