"""Square cells, the control for regions that follow contours."""

import numpy as np
import pytest
from scipy import ndimage

from hsmix_gen.stages.superpixels.grid_regions import segment, square_grid


def test_cells_do_not_depend_on_the_image_nor_on_settings() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)

    few, many = segment(image, (4, 12), compactness=3.0, sigma=2.0, mask=image[..., 0] > 9)

    assert np.array_equal(few, square_grid((20, 30), n_regions=4))
    assert np.array_equal(many, square_grid((20, 30), n_regions=12))


@pytest.mark.parametrize(
    ("shape", "n_regions", "expected"),
    [
        ((4, 6), 6, [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2),  # in reading order
        ((2, 4), 2, [[0, 0, 1, 1]] * 2),  # along the longer side
        ((2, 3), 99, [[0, 1, 2], [3, 4, 5]]),  # a pixel each at most
    ],
)
def test_square_grid_cuts_a_plane_into_cells(shape: tuple[int, int], n_regions: int, expected: list[list[int]]) -> None:
    assert square_grid(shape, n_regions=n_regions).tolist() == expected


def test_square_grid_refuses_more_cells_than_uint16_holds() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        square_grid((300, 300), n_regions=70_000)


@pytest.mark.parametrize("n_regions", [1, 2, 3, 47, 50, 263, 400])
@pytest.mark.parametrize("shape", [(64, 64), (48, 96), (97, 61), (20, 20)])
def test_square_grid_has_the_number_of_cells_asked_for(shape: tuple[int, int], n_regions: int) -> None:
    labels = square_grid(shape, n_regions=n_regions)

    assert np.array_equal(np.unique(labels), np.arange(n_regions))


@pytest.mark.parametrize("n_regions", [30, 47, 80])
def test_square_grid_cells_are_near_square_and_of_near_equal_area(n_regions: int) -> None:
    labels = square_grid((224, 224), n_regions=n_regions)
    areas = np.bincount(labels.ravel())
    sides = [(rows.stop - rows.start) / (cols.stop - cols.start) for rows, cols in ndimage.find_objects(labels + 1)]

    assert areas.max() < 1.15 * areas.min()
    assert 1 / 1.5 < min(sides) <= max(sides) < 1.5
