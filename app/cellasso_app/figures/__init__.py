"""What is on the screen as a figure that can be saved."""
