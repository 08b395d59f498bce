"""Measures of superpixels against numbers worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from region_measures import achievable_accuracy, leak

from hsmix_gen.stages.superpixels import slic_regions
from hsmix_gen.stages.superpixels.grid_regions import square_grid

NAN = float("nan")


def row(*values: int) -> list[list[int]]:
    """Return a plane of one row."""
    return [list(values)]


@pytest.mark.parametrize(
    ("measure", "labels", "mask", "expected"),
    [
        # Each region gets its most frequent class; a region of ignored pixels has none and shifts no other.
        pytest.param(achievable_accuracy, row(0, 0, 0, 1, 1), row(0, 0, 1, 1, 1), 4 / 5, id="accuracy"),
        pytest.param(achievable_accuracy, row(0, 0, 0, 1, 1), row(0, 255, 1, 1, 1), 3 / 4, id="accuracy-ignored"),
        pytest.param(achievable_accuracy, row(0, 0, 1, 2), row(0, 0, 1, 255), 1.0, id="accuracy-ignored-region"),
        pytest.param(achievable_accuracy, row(0, 1), row(255, 255), NAN, id="accuracy-all-ignored"),
        # One foreground pixel of three goes to the background, or one of the background to the foreground.
        pytest.param(leak, row(0, 0, 0, 1, 1), row(0, 0, 1, 1, 1), 1 / 3, id="leak"),
        pytest.param(leak, row(0, 0, 0, 0), row(0, 1, 1, 1), 1 / 3, id="leak-of-background"),
        pytest.param(leak, row(0, 0, 0, 0), row(0, 0, 0, 1), 1.0, id="leak-of-all"),
        pytest.param(leak, row(0, 0, 0, 0), row(1, 2, 2, 2), 1 / 4, id="leak-between-classes"),
        pytest.param(leak, row(0, 0, 0, 1, 1), row(0, 0, 1, 1, 255), 1 / 2, id="leak-ignored"),
        pytest.param(leak, row(0, 1), row(0, 255), NAN, id="leak-without-foreground"),
    ],
)
def test_measures_of_regions_are_those_worked_out_by_hand(
    measure: Callable[..., float], labels: list[list[int]], mask: list[list[int]], expected: float
) -> None:
    found = measure(np.array(labels, np.uint16), np.array(mask, np.uint8))

    assert found == pytest.approx(expected, nan_ok=True)


def test_a_multilabel_mask_is_measured_by_its_innermost_regions() -> None:
    """The channels hold the ids 0, 0, 1, 1, 2, 2, 255."""
    ids = np.array([[0, 0, 1, 1, 2, 2, 255]], np.uint8)
    mask = np.stack([ids >= 1, ids >= 2], axis=2).astype(np.uint8)
    mask[ids == 255] = 255
    labels = np.array([[0, 0, 0, 1, 1, 2, 2]], np.uint16)

    assert achievable_accuracy(labels, mask) == pytest.approx(4 / 6)
    assert leak(labels, mask) == pytest.approx(2 / 4)


def test_superpixels_leak_less_than_as_many_squares() -> None:
    rows, columns = np.mgrid[:96, :112]
    mask = (((rows - 45) / 27) ** 2 + ((columns - 60) / 38) ** 2 <= 1).astype(np.uint8)
    noise = np.random.default_rng(0).normal(size=(96, 112, 3)) * 9
    image = (np.array([150.0, 110.0, 100.0]) - mask[..., None] * 40.0 + noise).clip(0, 255).astype(np.uint8)

    (labels,) = slic_regions.segment(image, [50])
    squares = square_grid(mask.shape, n_regions=int(labels.max()) + 1)

    assert leak(labels, mask) < leak(squares, mask)
