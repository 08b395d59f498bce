"""Planes of DICOM series in space: their order along the normal, their affine, and how they are turned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation

from hsmix_gen.pipeline.decoders.geometry.orientation import Affine, Turn, turned_frame
from hsmix_gen.schemas.errors import SourceError

# Share by which a gap between planes, and of a gap or pixel by which a plane's place, may differ.
_GAP_TOLERANCE = 0.05
_LINE_TOLERANCE = 0.25
_SIDE_TOLERANCE = 0.5
_DIRECTION_TOLERANCE = 1e-3
_SQUARE_TOLERANCE = 1e-2
_SAME_PLACE_MM = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class PlanePosition:
    """Where a plane lies."""

    position: npt.NDArray[np.float64] | None = None
    """(3,) float64 or None; centre of the first pixel in millimetres of the patient, x to the left, y to the back, z to
    the head (LPS)."""
    directions: npt.NDArray[np.float64] | None = None
    """(2, 3) float64 or None; unit vectors along a row (columns rise) and along a column (rows rise)."""
    number: int = 0
    """Place among the planes where positions are absent."""

    @property
    def is_known(self) -> bool:
        """Return whether the place in the patient is known."""
        return self.position is not None and self.directions is not None


def order_planes(places: Sequence[PlanePosition], spacing: tuple[float, float] | None) -> list[int]:
    """Return the order of planes along their common normal; by number if any position is absent.

    Parameters
    ----------
    places : sequence of PlanePosition
    spacing : (float, float) or None
        Millimetres between rows and between columns.

    Raises
    ------
    SourceError
        If directions differ, places are taken twice, or gaps are uneven; the text lacks the file.
    """
    if not all(place.is_known for place in places):
        return sorted(range(len(places)), key=lambda index: places[index].number)
    first = _directions(places[0])
    if abs(np.linalg.norm(first, axis=1) - 1).max() > _SQUARE_TOLERANCE or abs(first[0] @ first[1]) > _SQUARE_TOLERANCE:
        raise SourceError(
            f"has the ImageOrientationPatient {first.ravel().tolist()}, expected perpendicular unit vectors; "
            "export it again"
        )
    if any(abs(_directions(place) - first).max() > _DIRECTION_TOLERANCE for place in places):
        raise SourceError("holds planes of several orientations (a localizer?); keep one orientation a series")
    normal = np.cross(first[0], first[1])
    positions = np.array([place.position for place in places])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    if len(order) > 1:
        _check_gaps(along[order])
        _check_line(positions[order], normal, min(spacing or (1.0, 1.0)))
    return [int(index) for index in order]


def frame_of(places: Sequence[PlanePosition], spacing: tuple[float, float] | None, thickness: float) -> Affine | None:
    """Return the affine from (column, row, plane) to millimetres in RAS of planes in order; None if unknown.

    RAS (x to the right, y to the front) is the world of NIfTI, so that both can be compared.
    """
    if spacing is None or not all(place.is_known for place in places):
        return None
    along_row, along_column = _directions(places[0])
    positions = np.array([place.position for place in places])
    several = len(places) > 1
    step = (
        (positions[-1] - positions[0]) / (len(places) - 1) if several else np.cross(along_row, along_column) * thickness
    )
    frame = np.eye(4)
    frame[:3] = LPS_TO_RAS @ np.stack([along_row * spacing[1], along_column * spacing[0], step, positions[0]], axis=1)
    return frame


def turn_planes(volume: npt.NDArray[Any], frame: Affine, turn: Turn) -> tuple[npt.NDArray[Any], Affine]:
    """Return a view of a volume, turned by flips and transposes alone, and its affine.

    Parameters
    ----------
    volume : (Z, H, W, C)
    frame : (4, 4) float64
        Affine from (column, row, plane) to millimetres in RAS.
    turn : (3, 2) float64
        As of `volume_frames`.
    """
    depth, height, width, _ = volume.shape
    # nibabel's axes are (column, row, plane), further ones stay.
    view = apply_orientation(volume.transpose(2, 1, 0, 3), turn).transpose(2, 1, 0, 3)  # type: ignore[no-untyped-call]
    return view, turned_frame(frame, (width, height, depth), turn)


def _directions(place: PlanePosition) -> npt.NDArray[np.float64]:
    assert place.directions is not None
    return place.directions


def _check_gaps(along: npt.NDArray[np.float64]) -> None:
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    twins = int((gaps < _SAME_PLACE_MM).sum())
    if twins:
        raise SourceError(
            f"has {twins + 1} or more planes at one position: time points, echoes or copies; "
            "keep one acquisition a series"
        )
    worst = int(np.abs(gaps - usual).argmax())
    if abs(gaps[worst] - usual) > _GAP_TOLERANCE * usual:
        raise SourceError(
            f"has {gaps[worst]:.4g} mm between planes {worst + 1} and {worst + 2}, elsewhere {usual:.4g} mm; "
            "add the missing files or resample the series"
        )


def _check_line(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], pixel: float) -> None:
    share = np.linspace(0, 1, len(positions))[:, None]
    beside = positions - (positions[0] * (1 - share) + positions[-1] * share)
    step = float((positions[-1] - positions[0]) @ normal) / (len(positions) - 1)
    along = beside @ normal
    if np.abs(along).max() > _LINE_TOLERANCE * step:
        raise SourceError(f"has planes whose distance changes from about {step:.4g} mm; resample the series")
    sideways = np.linalg.norm(beside - along[:, None] * normal, axis=1).max()
    if sideways > _SIDE_TOLERANCE * pixel:
        raise SourceError(f"has planes shifted sideways by {sideways:.3g} mm; resample the series")
