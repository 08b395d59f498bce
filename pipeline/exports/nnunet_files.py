"""Files of nnU-Net: pictures, or NIfTI of a slice or a volume, one a channel; equal for equal arrays."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import write
from hsmix_gen.schemas.records import IGNORE, ManifestRow

_FAR_MM = 999.0
"""Distance to a next slice, as nnU-Net itself gives it to pictures, so that it plans in two dimensions."""
_GZIP_LEVEL = 1

Spacing = tuple[float, float, float | None]
"""Millimetres between rows, columns and planes; of a single slice the planes have none."""


class LabelFiles:
    """Writes labels; ignored pixels get their value last, as it has to be the greatest of all labels.

    Attributes
    ----------
    is_png : bool
        Whether files are PNG, and not NIfTI; images and labels have one ending.
    with_ignore : dict
        Files with ignored pixels and their spacing, rows first.
    """

    def __init__(self, *, is_png: bool) -> None:
        self.is_png = is_png
        self.ending = ".png" if is_png else ".nii.gz"
        self.with_ignore: dict[Path, Spacing] = {}

    def write_label(
        self, path: Path, label: npt.NDArray[np.uint8], ignored: npt.NDArray[np.bool_], spacing: Spacing
    ) -> None:
        """Write an (S, H, W) uint8 label; pictures have one slice."""
        if ignored.any():
            label = np.where(ignored, np.uint8(IGNORE), label)
            self.with_ignore[path] = spacing
        write(path, self._bytes(label, spacing))

    def set_ignore(self, value: int) -> None:
        """Give ignored pixels of all files their value."""
        for path, spacing in self.with_ignore.items():
            if self.is_png:
                label = np.asarray(Pillow.open(path))[None]
            else:
                image = nibabel.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
                label = np.asarray(image.dataobj).transpose()
            path.write_bytes(self._bytes(np.where(label == IGNORE, np.uint8(value), label), spacing))

    def _bytes(self, label: npt.NDArray[Any], spacing: Spacing) -> bytes:
        return encode_png(label[0]) if self.is_png else nifti(label, spacing)


def spacing_of(row: ManifestRow) -> tuple[float, float]:
    """Return millimetres between rows and columns of a sample: those of A after its turn, or 1 where unknown."""
    if row.spacing_a is None or len(row.spacing_a) < 2 or not np.all(np.asarray(row.spacing_a[:2]) > 0):
        return 1.0, 1.0
    rows, columns = row.spacing_a[:2]
    return (columns, rows) if row.transform_a % 2 else (rows, columns)


def nifti(volume: npt.NDArray[Any], spacing: Spacing, *, flat: bool = False) -> bytes:
    """Return an (S, H, W) volume as a NIfTI file of (W, H, S): readers of nnU-Net turn the axes round.

    A single slice is one of (W, H) where it is to be `flat`.
    """
    rows, columns, planes = spacing
    affine = np.diag([columns, rows, planes or max(_FAR_MM, rows, columns), 1.0])
    held = np.ascontiguousarray(volume.transpose())
    held = held[..., 0] if flat and held.shape[-1] == 1 else held
    image = nibabel.Nifti1Image(held, affine)  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes(), compresslevel=_GZIP_LEVEL, mtime=0)
