"""What masks mean: mask values, classes, soft labels and objects."""
