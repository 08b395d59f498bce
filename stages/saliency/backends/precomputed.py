"""Precomputed: maps that you bring, a picture or npy array for each image."""

from hsmix_gen.stages.imaging.standardise import resize_plane
from hsmix_gen.stages.saliency.backend import Backend, Map, Subject


def map_of(subject: Subject) -> Map:
    """Return the map of the image, stretched to its size."""
    return resize_plane(subject.brought(), subject.size)


BACKEND = Backend(map_of, libraries=(), options=("folder",), required=("folder",))
