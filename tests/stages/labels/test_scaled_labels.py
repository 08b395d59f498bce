"""Labels stored in steps of a slope are whole again where that is beyond doubt."""

import numpy as np
import pytest

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.labels.scaled_labels import unscaled_labels


@pytest.mark.parametrize("greatest", [1, 2, 3, 50])
def test_steps_of_a_slope_become_whole_numbers(greatest: int) -> None:
    """nibabel spreads 0 to the greatest label over 0 to 255."""
    slope = greatest / 255
    labels = np.arange(greatest + 1, dtype=np.float64)
    stored = (np.rint(labels / slope) * slope).astype(np.float32)

    assert unscaled_labels(stored, slope).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("values", "slope"),
    [([0, 0.5, 1], 1 / 255), ([0, 0.996, 1.004], 2 / 255), ([0, 0.9, 2], 0.9)],
    ids=["between", "two-of-one", "coarse"],
)
def test_what_was_interpolated_is_refused_with_the_slope(values: list[float], slope: float) -> None:
    with pytest.raises(SourceError, match=r"has the label .* by its scl_slope .*save it as integers.*--threshold"):
        unscaled_labels(np.array(values, np.float32), slope)


def test_labels_that_are_whole_are_left_alone() -> None:
    values = np.array([0, 0.99999994, 2], np.float32)

    assert unscaled_labels(values, 2 / 255) is values
