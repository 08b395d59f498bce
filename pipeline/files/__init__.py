"""Whole-or-absent files on a disk or in an object store: atomic writes, addresses, lease."""
