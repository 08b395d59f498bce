"""Images as arrays: size, intensity, tiles, similarity."""
