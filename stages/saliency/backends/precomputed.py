"""Precomputed: maps that you bring, a picture or npy array for each image."""

from hsmix_gen.stages.imaging.standardise import resize_plane
from hsmix_gen.stages.saliency.backend import Backend

BACKEND = Backend(
    lambda subject: resize_plane(subject.brought(), subject.size),
    libraries=(),
    options=("folder",),
    required=("folder",),
)
