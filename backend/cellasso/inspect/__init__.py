"""What a file holds, and what looking at it costs."""
