"""Mixing methods, a module each: its formula, its paper, what it reads and which modes it has."""
