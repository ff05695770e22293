"""Values and categories become colours: one colouring for page, figures and plots."""
