"""What a picture needs besides pixels: names of categories, legends, colours that were read."""
