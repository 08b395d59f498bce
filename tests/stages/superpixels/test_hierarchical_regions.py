"""Nested regions: exact numbers, one inside the other, closer to contours than as many of SLIC, alike everywhere."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import ndimage

from hsmix_gen.stages.kernels.compiled import COMPILED
from hsmix_gen.stages.saliency import quality
from hsmix_gen.stages.superpixels import slic_regions
from hsmix_gen.stages.superpixels.hierarchical_regions import segment
from hsmix_gen.stages.superpixels.label_maps import region_count
from tests.stages.loops import both_ways

Labels = npt.NDArray[np.uint16]


def drawing(shape: tuple[int, int, int] = (60, 70, 3), seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return a smooth random image."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), (3, 3, 0))
    image: npt.NDArray[np.uint8] = np.rint((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    return image


def is_nested(fine: Labels, coarse: Labels) -> bool:
    """Whether every fine region lies in one coarse region."""
    return len(np.unique(fine.astype(np.int64) * 65536 + coarse)) == region_count(fine)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_numbers_are_exact_and_regions_nested(channels: int, dtype: type[np.generic]) -> None:
    counts = (3, 10, 41, 90)

    maps = segment(drawing((60, 70, channels)).astype(dtype), counts)

    for labels, count in zip(maps, counts, strict=True):
        assert labels.dtype == np.uint16
        assert labels.shape == (60, 70)
        assert np.array_equal(np.unique(labels), np.arange(count))
    assert all(is_nested(fine, coarse) for coarse, fine in itertools.pairwise(maps))


def test_every_region_is_connected() -> None:
    for labels in segment(drawing(), (5, 30)):
        assert all(ndimage.label(labels == label)[1] == 1 for label in range(region_count(labels)))


def test_regions_have_the_two_colours_of_an_image_before_they_have_anything_else() -> None:
    image = np.empty((40, 50, 3), np.uint8)
    image[:, :23] = (200, 62, 33)
    image[:, 23:] = (51, 137, 38)

    (labels,) = segment(image, (2,), sigma=0.0)

    assert np.array_equal(labels, np.arange(50)[None].repeat(40, axis=0) >= 23)


def test_numbers_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    few, many = segment(drawing(), (8, 50))

    assert all(np.array_equal(a, b) for a, b in zip((many, few), segment(drawing(), (50, 8)), strict=True))


def test_inside_a_mask_the_outside_is_region_0() -> None:
    mask = np.zeros((60, 70), np.bool_)
    mask[5:50, 6:60] = True
    mask[20:30, 20:40] = False

    few, many = segment(drawing(), (5, 40), mask=mask)

    assert np.array_equal(few == 0, ~mask)
    assert np.array_equal(many == 0, ~mask)
    assert (region_count(few), region_count(many)) == (6, 41)
    assert is_nested(many, few)


def test_a_mask_of_all_pixels_has_no_outside() -> None:
    (whole,) = segment(drawing(), (5,), mask=np.ones((60, 70), np.bool_))

    assert region_count(whole) == 5


def test_parts_of_a_mask_that_do_not_touch_stay_apart() -> None:
    mask = np.zeros((60, 70), np.bool_)
    mask[5:20, 5:60] = mask[40:50, 5:60] = True

    (labels,) = segment(drawing(), (1,), mask=mask)

    assert np.array_equal(labels, np.where(mask, np.arange(60)[:, None] // 30 + 1, 0))


def test_there_are_never_more_regions_than_pixels() -> None:
    (labels,) = segment(drawing((16, 16, 3)), (1000,))

    assert np.array_equal(labels, np.arange(256).reshape(16, 16))


def test_a_constant_image_is_cut() -> None:
    (labels,) = segment(np.full((32, 32, 3), 77, np.uint8), (7,))

    assert region_count(labels) == 7


def test_what_is_not_finite_is_refused() -> None:
    image = np.zeros((20, 20, 1), np.float32)
    image[3, 4] = np.nan

    with pytest.raises(ValueError, match="image must be finite"):
        segment(image, (2,))


@pytest.mark.skipif(not COMPILED, reason="the loops could not be compiled here")
@pytest.mark.filterwarnings("ignore:One of the clusters is empty")  # of the centres that scikit-image lays in a mask
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    channels=st.integers(1, 4),
    sigma=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    masked=st.booleans(),
)
def test_labels_without_compiled_loops_are_the_same(
    seed: int, height: int, width: int, channels: int, sigma: float, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
    inside = ndimage.gaussian_filter(rng.normal(size=(height, width)), 3) > 0
    mask = inside if masked and inside.any() else None

    assert np.array_equal(*both_ways(lambda: segment(image, (3, 20, 35), sigma=sigma, mask=mask)))


def test_labels_are_the_same_on_every_machine() -> None:
    """The digest was made once; colours that differ in their last bit elsewhere must not change it."""
    y, x = np.mgrid[:90, :110]
    image = np.stack([(x * y) % 251, (x * x // 7 + 3 * y) % 253, (y * y // 5 + x) % 247], axis=-1).astype(np.uint8)

    maps = np.array(segment(image, (4, 30, 77)))

    assert hashlib.sha256(maps.astype("<u2").tobytes()).hexdigest()[:16] == "7cbc007996cc2495"


def test_photographs_are_followed_closer_than_by_slic(shared_data: Path) -> None:
    folder = shared_data / "isic2017"
    gains = []
    for path in sorted((folder / "ISIC-2017_Training_Data").glob("*.jpg"))[::12]:
        truth = folder / "ISIC-2017_Training_Part1_GroundTruth" / f"{path.stem}_segmentation.png"
        with Pillow.open(path) as picture, Pillow.open(truth) as mask_picture:
            image = np.asarray(picture.convert("RGB").resize((128, 128)))
            mask = (np.asarray(mask_picture.resize((128, 128))) > 127).astype(np.uint8)
        (slic,) = slic_regions.segment(image, (50,))
        (ours,) = segment(image, (region_count(slic),))
        gains.append(
            quality.boundary_recall(ours, mask, tolerance=1) - quality.boundary_recall(slic, mask, tolerance=1)
        )

    assert np.mean(gains) > 0.05
