"""What is measured of a sample when it is mixed, and of images before: numbers that say whether a set is sound."""
