"""Measures of images, and the division of a set into kinds."""

import numpy as np
import pytest

from hsmix_gen.stages.measures.domains import two_domains
from hsmix_gen.stages.measures.image_measures import measure_image
from hsmix_gen.stages.superpixels.grid_regions import square_grid

SIDE = 48


def test_superpixels_that_are_the_object_follow_its_contour_and_squares_do_not() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[5:15, 7:19] = 1
    image = np.full((SIDE, SIDE, 1), 90, np.uint8)
    labels = mask.astype(np.uint16)

    found = measure_image(image, mask, labels, mask * 200, n_classes=2)

    assert found.pixels == (SIDE * SIDE - 120, 120)
    assert found.object_cells == pytest.approx(120 * 2 / SIDE**2)
    assert (found.recall, found.auc) == (1.0, 1.0)
    assert found.grid_recall < 0.3
    assert measure_image(image, mask, square_grid((SIDE, SIDE), n_regions=2), mask, n_classes=2).recall < 0.3


def test_the_largest_superpixel_is_measured_in_usual_ones() -> None:
    """Air around a body is one superpixel; numbers that no pixel has are none."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[:8, :12] = 5 + np.arange(8)[:, None] // 4 * 3 + np.arange(12) // 4
    mask = (labels > 0).astype(np.uint8)

    found = measure_image(mask[..., None], mask, labels, mask, n_classes=2)

    assert found.largest == pytest.approx((SIDE**2 - 96) / 16)


def test_an_image_without_foreground_has_nothing_to_measure() -> None:
    empty = np.zeros((SIDE, SIDE), np.uint8)
    found = measure_image(empty[..., None], empty, empty.astype(np.uint16), empty, n_classes=2)
    assert np.isnan([found.object_cells, found.recall, found.auc]).all()


def looks(*clouds: tuple[float, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(mean, 0.03, (count, 2)) for mean, count in clouds])


def test_two_clouds_of_looks_are_two_kinds() -> None:
    found = two_domains(looks((0.3, 30), (0.8, 10)))
    assert found.separation > 0.95
    assert found.gap == pytest.approx(0.5 * 2**0.5, abs=0.05)
    assert found.is_second.tolist() == [False] * 30 + [True] * 10


def test_one_cloud_is_one_kind_and_a_few_odd_images_are_none() -> None:
    assert two_domains(looks((0.5, 200))).separation < 0.72
    assert two_domains(looks((0.5, 100), (0.9, 2))).is_second.sum() >= 6


def test_equal_and_few_images_are_one_kind() -> None:
    assert two_domains(np.full((20, 4), 0.4)).separation == 0.0
    assert two_domains(looks((0.1, 3), (0.9, 3))).separation == 0.0
