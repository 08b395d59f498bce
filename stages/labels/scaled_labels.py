"""Labels that were rounded to steps of a scale when they were stored, as nibabel does to floats saved as integers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import SourceError

_WHOLE = 1e-3
# Half a greater step is not clearly nearer to one whole number than to another.
_COARSEST = 0.8


def unscaled_labels(values: npt.NDArray[Any], slope: float) -> npt.NDArray[Any]:
    """Return the whole numbers that were stored in steps of a slope (0.996 for 1).

    Each value is at most half a step from its number, and no two stored values stand for one number. What is whole to
    a thousandth is returned as it is.

    Parameters
    ----------
    values : array of any shape
        Finite floats, as scaled.
    slope : float
        The step, ``scl_slope``.

    Raises
    ------
    SourceError
        If they are no such numbers, as after interpolation; the text names no file.
    """
    stored = np.unique(values)
    labels = np.rint(stored)
    off = np.abs(stored - labels)
    if float(off.max()) <= _WHOLE:
        return values
    step = abs(slope)
    if step > _COARSEST or (off > step / 2 + _WHOLE).any() or len(np.unique(labels)) < len(labels):
        raise SourceError(
            f"has the label {stored[off.argmax()]:g} by its scl_slope {slope:g}, expected whole numbers; save it as "
            "integers, without scale and interpolation, or cut it with --threshold"
        )
    whole: npt.NDArray[Any] = np.rint(values)
    return whole
