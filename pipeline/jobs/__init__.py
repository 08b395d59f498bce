"""Whole runs behind the commands."""
