"""Random: independent uniform numbers, blind to the image (a control)."""

import numpy as np

from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.saliency.backend import Backend, Map, Subject


def map_of(subject: Subject) -> Map:
    """Return an (H, W) float32 map of numbers that depend on the image's id alone."""
    return generator_for(0, "saliency", subject.id).random(subject.size).astype(np.float32)


BACKEND = Backend(map_of)
