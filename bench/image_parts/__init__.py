"""What the measurement of images is made of."""
