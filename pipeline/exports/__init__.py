"""A finished dataset becomes the layout of another trainer."""
