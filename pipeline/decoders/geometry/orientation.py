"""How a volume lies in the patient, and the exact flips and transposes that bring it to the frame of display."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import SourceError

Affine = npt.NDArray[np.float64]
"""(4, 4), from voxels to millimetres."""
Turn = npt.NDArray[np.float64]
"""(3, 2) of nibabel: for each stored axis, its place among (column, row, plane) and 1 or -1."""

# Where columns, rows and planes go: (L)eft, (P)osterior, (S)uperior, (I)nferior, as radiologists view slices.
_DIRECTIONS = {
    "axial": ("L", "P", "S"),
    "coronal": ("L", "I", "P"),
    "sagittal": ("P", "I", "L"),
}
# Slicing axis by the axis of the patient (left-right, front-back, up-down) that it runs along.
_ALONG = ("sagittal", "coronal", "axial")
_THICK = 2.0
# Cosine between axes: half a degree, beyond the rounding of any writer.
_MAX_SHEAR = 0.01
# Share of a voxel by which the frames of two files may differ.
_TOLERANCE = 0.05


def check_affine(affine: Affine, name: str) -> None:
    """Refuse an affine that places no voxels, or whose axes are not at right angles.

    Raises
    ------
    SourceError
        With `name`, the file.
    """
    if not np.isfinite(affine).all():
        raise SourceError(f"{name} has NaN or infinite numbers in its affine; set a valid sform or qform")
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if spacing.min() <= 0:
        sizes = " x ".join(f"{size:g}" for size in spacing)
        raise SourceError(f"{name} has voxels of {sizes} mm, expected more than 0; set a valid sform, qform and pixdim")
    cosines = np.abs((axes / spacing).T @ (axes / spacing) - np.eye(3))
    if cosines.max() > _MAX_SHEAR:
        angle = np.degrees(np.arccos(min(cosines.max(), 1.0)))
        raise SourceError(
            f"{name} has a sheared affine (axes at {angle:.1f} degrees, expected 90); "
            "resample it and its mask onto a grid of right angles"
        )


def display_turn(affine: Affine, shape: tuple[int, ...], axis: str) -> Turn:
    """Return the turn that brings stored axes nearest to the display frame of a slicing axis.

    Columns go to the patient's left; rows to the back in axial slices, downwards in the others. Columns of sagittal
    slices go to the back.

    Parameters
    ----------
    affine : (4, 4) float64
    shape : (int, int, int)
        Voxels along the stored axes.
    axis : str
        ``axial``, ``coronal``, ``sagittal``, or ``auto``: across the only axis with one voxel, else the axis whose
        voxels are at least twice as thick as along both others, else axial.
    """
    stored = _orientations().io_orientation(affine)
    if axis == "auto":
        places = stored[:, 0].astype(int)
        single = [place for place, count in zip(places, shape, strict=True) if count == 1]
        axis = _ALONG[single[0]] if len(single) == 1 else _thick_axis(affine, places)
    turn: Turn = _orientations().ornt_transform(stored, _orientations().axcodes2ornt(_DIRECTIONS[axis]))
    return turn


def turn_onto(affine: Affine, frame: Affine) -> Turn:
    """Return the turn that brings stored axes nearest to the (column, row, plane) of a frame."""
    directions = np.eye(4)
    axes = frame[:3, :3] / np.linalg.norm(frame[:3, :3], axis=0)
    directions[:3, :3] = np.linalg.solve(axes, affine[:3, :3])
    turn: Turn = _orientations().io_orientation(directions)
    return turn


def turned(volume: npt.NDArray[Any], turn: Turn) -> npt.NDArray[Any]:
    """Return a view of a volume of stored axes as (plane, row, column)."""
    view: npt.NDArray[Any] = _orientations().apply_orientation(volume, turn).T
    return view


def turned_frame(affine: Affine, shape: tuple[int, ...], turn: Turn) -> Affine:
    """Return the affine from (column, row, plane) to millimetres."""
    frame: Affine = affine @ _orientations().inv_ornt_aff(turn, shape)
    return frame


def turned_shape(shape: tuple[int, ...], turn: Turn) -> tuple[int, int, int]:
    """Return the numbers of planes, rows and columns."""
    columns, rows, planes = (shape[stored] for stored in np.argsort(turn[:, 0]))
    return planes, rows, columns


def frame_spacing(frame: Affine, planes: int) -> tuple[float, ...]:
    """Return millimetres between rows and columns, and between planes where there are several."""
    column, row, plane = (float(length) for length in np.linalg.norm(frame[:3, :3], axis=0))
    return (row, column, plane) if planes > 1 else (row, column)


def plane_axis(frame: Affine) -> str:
    """Return across which axis of the patient planes with this frame were cut: axial, coronal or sagittal."""
    return _ALONG[int(_orientations().io_orientation(frame)[2, 0])]


def frames_apart(first: Affine, second: Affine, shape: tuple[int, int, int]) -> float:
    """Return by how many millimetres the corners of a (plane, row, column) volume differ, 0 if by next to nothing."""
    ends = np.meshgrid(*([0, n - 1] for n in reversed(shape)))
    corners = np.vstack([np.reshape(ends, (3, -1)), np.ones(8)])
    apart = float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())
    return apart if apart > _TOLERANCE * np.linalg.norm(first[:3, :3], axis=0).min() else 0.0


def _thick_axis(affine: Affine, places: npt.NDArray[np.int_]) -> str:
    spacing = np.empty(3)
    spacing[places] = np.linalg.norm(affine[:3, :3], axis=0)
    for along, name in enumerate(_ALONG):
        if spacing[along] >= _THICK * np.delete(spacing, along).max():
            return name
    return "axial"


@cache
def _orientations() -> Any:
    """Return nibabel's module, whose functions bear no types; it brings pydicom too, and pictures need neither."""
    import nibabel

    return nibabel.orientations
