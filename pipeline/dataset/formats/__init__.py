"""Output formats: a module each for how samples are written, read, listed and shown on the card."""
