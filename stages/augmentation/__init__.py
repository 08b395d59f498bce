"""Augmentation of a single finished sample, as a baseline or on top of any mixing method: a kind a module."""
