"""The embedding: cells as points, drawn by the server."""
