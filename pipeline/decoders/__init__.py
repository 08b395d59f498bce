"""One file becomes planes of pixels."""
