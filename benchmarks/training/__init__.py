"""Trainings that measure whether, when and which mixing helps: arms, data, networks, results and their statistics."""
