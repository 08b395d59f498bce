"""Labels of nnU-Net: consecutive whole numbers from 0, and regions where channels overlap."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.exports.base import Sample
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.soft_pairs import shares_of

_HALF = 128
"""A channel of at least one half, in 255ths, holds a pixel of the hard label."""
_MOST_LABELS = 254
_MOST_CHANNELS = 62
"""Sets of channels are bits of a 64-bit integer."""
_RESERVED = ("background", "ignore")


class ClassLabels:
    """Labels that exclude each other: the class ids themselves.

    Attributes
    ----------
    count : int
        Labels, background included; the value of ignore.
    """

    def __init__(self, classes: list[str]) -> None:
        self.count = len(classes)
        if self.count > _MOST_LABELS:
            raise OutputError(f"nnU-Net labels are 8-bit here, up to {_MOST_LABELS} classes, got {self.count}")
        self._names = _free_names(classes[1:])

    def of(self, sample: Sample) -> tuple[arrays.Mask, npt.NDArray[np.bool_]]:
        """Return the label, (H, W) uint8, and where it is ignored."""
        return sample.mask, sample.mask == IGNORE

    def described(self) -> dict[str, Any]:
        """Return the part of dataset.json that states the labels."""
        return {"labels": {"background": 0, **{name: i for i, name in enumerate(self._names, start=1)}}}


class RegionLabels:
    """Multi-label: each set of channels that pixels have is a label, each channel the region of labels that hold it.

    The sets of nested regions, 0 to k, are labels k + 1 whether they occur or not; others follow as they are met.
    """

    def __init__(self, classes: list[str]) -> None:
        if len(classes) > _MOST_CHANNELS:
            raise OutputError(f"nnU-Net regions are made of up to {_MOST_CHANNELS} channels, got {len(classes)}")
        self._names = _free_names(classes)
        self._label_of = {0: 0} | {(1 << (k + 1)) - 1: k + 1 for k in range(len(classes))}
        self._pixels: Counter[int] = Counter()

    @property
    def count(self) -> int:
        """Labels so far, background included."""
        return len(self._label_of)

    def of(self, sample: Sample) -> tuple[arrays.Mask, npt.NDArray[np.bool_]]:
        """Return the label, (H, W) uint8, and where it is ignored.

        Raises OutputError if channels overlap in too many ways.
        """
        held = shares_of(sample.soft) >= _HALF
        sets = np.zeros(sample.mask.shape, dtype=np.int64)
        for channel, pixels in enumerate(held):
            sets |= pixels.astype(np.int64) << channel
        found, places, counts = np.unique(sets, return_inverse=True, return_counts=True)
        self._pixels.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        labels = [self._label(bits) for bits in found.tolist()]
        return np.array(labels, dtype=np.uint8)[places.reshape(sets.shape)], sample.mask == IGNORE

    def _label(self, bits: int) -> int:
        label = self._label_of.setdefault(bits, len(self._label_of))
        if label > _MOST_LABELS:
            raise OutputError(
                f"channels overlap in more than {_MOST_LABELS} ways, nnU-Net labels are 8-bit here; export zarr instead"
            )
        return label

    def described(self) -> dict[str, Any]:
        """Return the part of dataset.json that states the labels.

        A region of one label is that number, not a list: nnU-Net counts the outputs of its network so. The order
        decides which label nnU-Net places where it predicts a region, later ones over earlier ones: of the sets whose
        last channel it is, the one with most pixels.
        """
        if len(self._names) == 1:
            return {"labels": {"background": 0, self._names[0]: 1}}
        regions: dict[str, int | list[int]] = {"background": 0}
        order = []
        for channel, name in enumerate(self._names):
            sets = [bits for bits in self._label_of if bits >> channel & 1]
            labels = sorted(self._label_of[bits] for bits in sets)
            regions[name] = labels[0] if len(labels) == 1 else labels
            last = [bits for bits in sets if bits.bit_length() == channel + 1]
            order.append(self._label_of[max(last, key=lambda bits: (self._pixels[bits], bits))])
        return {"labels": regions, "regions_class_order": order}


def _free_names(names: list[str]) -> list[str]:
    """Return names of foreground classes; those that nnU-Net keeps for itself get an ending."""
    return [f"{name}_class" if name in _RESERVED else name for name in names]
