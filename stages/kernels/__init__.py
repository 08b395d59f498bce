"""Loops in C, built with the package where there is a compiler; each has a twin in Python beside whoever calls it."""
