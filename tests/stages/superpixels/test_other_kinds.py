"""Watershed, Felzenszwalb's method and maps that were brought: labels without gaps, near the numbers asked for."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.superpixels import felzenszwalb_regions, precomputed_regions, watershed_regions

Segment = Callable[..., list[npt.NDArray[np.uint16]]]
KINDS = [watershed_regions.segment, felzenszwalb_regions.segment]


def halves(channels: int, dtype: type) -> npt.NDArray[np.generic]:
    """Return a noisy image, dark on the left and bright from column 20 on."""
    rng = np.random.default_rng(3)
    image = rng.normal(60, 5, (40, 56, channels))
    image[:, 20:] += 120
    return (image / 255).astype(dtype) if dtype == np.float32 else image.astype(dtype)


@pytest.mark.parametrize("segment", KINDS)
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (3, np.uint16), (4, np.float32)])
def test_regions_are_numbered_without_gaps_and_follow_a_strong_edge(
    segment: Segment, channels: int, dtype: type
) -> None:
    image = halves(channels, dtype)

    few, many = segment(image, [4, 24])

    for labels, wanted in ((few, 4), (many, 24)):
        assert labels.shape == (40, 56)
        assert labels.dtype == np.uint16
        assert list(np.unique(labels)) == list(range(labels.max() + 1))
        assert 0.5 * wanted <= labels.max() + 1 <= 2 * wanted
    left, right = set(many[:, :18].ravel()), set(many[:, 22:].ravel())
    assert not left & right
    assert all(np.array_equal(a, b) for a, b in zip(segment(image, [4, 24]), (few, many), strict=True))


@pytest.mark.parametrize("segment", KINDS)
def test_outside_of_the_body_is_one_region(segment: Segment) -> None:
    body = np.zeros((40, 56), dtype=bool)
    body[5:30, 8:50] = True

    (labels,) = segment(halves(4, np.float32), [10], mask=body)

    assert (labels[~body] == 0).all()
    assert (labels[body] > 0).all()
    assert labels.max() >= 4


@pytest.mark.parametrize("segment", KINDS)
def test_an_even_image_and_one_region_are_no_trouble(segment: Segment) -> None:
    one, several = segment(np.full((20, 24, 3), 9, np.uint8), [1, 6])

    assert one.max() == 0
    assert list(np.unique(several)) == list(range(several.max() + 1))


@pytest.mark.parametrize("segment", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("sigma", [0, 1])
def test_a_line_or_a_pixel_is_cut_as_well(segment: Segment, size: tuple[int, int], sigma: float) -> None:
    image = np.arange(size[0] * size[1], dtype=np.uint8).reshape(*size, 1)

    (labels,) = segment(image, [3], sigma=sigma)

    assert labels.shape == size
    assert set(labels.ravel().tolist()) == set(range(int(labels.max()) + 1))


def test_brought_maps_lose_their_gaps_and_regions_are_one_piece_each() -> None:
    """Two areas of the number 7 are two things, and may not move together."""
    brought = np.array([[7, 7, 2, 7], [7, 7, 2, 7], [0, 0, 2, 900]])

    (labels,) = precomputed_regions.segment(np.zeros((3, 4, 3)), [99], brought=[brought], sigma=1.0)

    assert labels.dtype == np.uint16
    assert list(np.unique(labels)) == [0, 1, 2, 3, 4]
    for number in range(5):
        assert ndimage.label(labels == number)[1] == 1
        assert len(np.unique(brought[labels == number])) == 1


@pytest.mark.parametrize(
    ("brought", "reason"),
    [
        (np.zeros((4, 4), int), "must hold 2 to 65535 regions, each in one piece, got 1; cut the image into more"),
        (np.arange(12).reshape(4, 3), r"must be 4 x 4 as its image, got 3 x 4"),
        (np.arange(260 * 256).reshape(260, 256), "got 66560; join small ones"),
    ],
)
def test_what_is_no_cut_of_the_image_is_refused(brought: npt.NDArray[np.int64], reason: str) -> None:
    size = (4, 4) if brought.size < 100 else brought.shape
    with pytest.raises(SourceError, match=reason):
        precomputed_regions.segment(np.zeros((*size, 1)), [5], brought=[brought])
