"""Cells as points of a plane: sorted in space, found in a view, inside a polygon."""
