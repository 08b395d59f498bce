"""Uniform: all pixels count alike (a control)."""

import numpy as np

from hsmix_gen.stages.saliency.backend import Backend, Map, Subject


def map_of(subject: Subject) -> Map:
    """Return an (H, W) float32 map of ones."""
    return np.ones(subject.size, np.float32)


BACKEND = Backend(map_of)
