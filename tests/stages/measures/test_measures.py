"""Measures of samples against numbers that are counted by hand."""

import math
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import MEASURED, Measures, SamplePlan
from hsmix_gen.stages.measures.contours import seam_agreement
from hsmix_gen.stages.measures.looks import look_distance, look_vector
from hsmix_gen.stages.measures.pieces import count_pieces
from hsmix_gen.stages.measures.sample_measures import map_auc, measure_sample
from hsmix_gen.stages.mixing.method import Parent
from hsmix_gen.stages.mixing.mixing import mix
from hsmix_gen.stages.mixing.sample import Sample, make_sample
from hsmix_gen.stages.saliency.quality import saliency_auc

SIDE = 32


def square(top: int, left: int, side: int, value: int = 1) -> npt.NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top : top + side, left : left + side] = value
    return mask


def parent(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], saliency: npt.NDArray[np.uint8]) -> Parent:
    return Parent(image, mask, np.zeros((SIDE, SIDE), np.uint16), saliency)


def measured(a: Parent, b: Parent, weight: npt.NDArray[np.uint8], *, has_maps: bool = False) -> Measures:
    mixed = mix(a.image, a.mask, b.image, b.mask, weight, n_classes=2)
    return measure_sample(Sample(mixed, weight, 0.0, ()), a, b, n_classes=2, has_maps=has_maps)


def grey(value: int) -> npt.NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 1), value, np.uint8)


def counts(*arrays: npt.NDArray[np.uint8]) -> tuple[int | None, ...]:
    found = count_pieces(*arrays)
    return found.fragments, found.fragments_before, found.objects, found.cut


def test_objects_that_are_whole_or_gone_are_not_cut() -> None:
    """B's square is pasted whole, A's lies outside of the paste."""
    weight = square(0, 0, 12, 255)
    mask_a, mask_b = square(20, 20, 6), square(2, 2, 6)
    mixed = np.where(weight > 0, mask_b, mask_a)

    assert counts(mixed, mask_a, mask_b, weight) == (0, 0, 2, 0)


def test_objects_of_both_parents_that_a_mix_divides_are_cut() -> None:
    weight = square(0, 0, 16, 255)
    mask = square(12, 4, 8)  # half inside of the paste
    assert counts(mask, mask, mask, weight) == (0, 0, 2, 2)


def test_objects_below_four_regions_are_small() -> None:
    """An object of 64 pixels of 1,024: four of 64 regions are as large, four of 32 are larger."""
    weight, mask = square(0, 0, 16, 255), square(12, 4, 8)
    many, few = (count_pieces(mask, mask, mask, weight, n_regions=count) for count in (64, 32))
    assert (many.small, many.small_cut, few.small, few.small_cut) == (0, 0, 2, 2)


def test_a_tenth_is_not_a_cut() -> None:
    mask = square(4, 4, 10)
    weight = square(0, 0, SIDE, 255)
    weight[4:5, 4:14] = 0  # exactly nine tenths of it are B's
    assert count_pieces(mask, square(0, 0, 0), mask, weight).cut == 0
    weight[5, 4] = 0
    assert count_pieces(mask, square(0, 0, 0), mask, weight).cut == 1


def test_pieces_below_ten_pixels_are_fragments_and_no_objects() -> None:
    weight = square(0, 0, 6, 255)
    mask_b = square(4, 4, 8)  # a corner of 2 x 2 comes over
    mixed = np.where(weight > 0, mask_b, 0).astype(np.uint8)
    assert counts(mixed, square(20, 20, 3), mask_b, weight) == (1, 1, 1, 0)


def test_ignored_pixels_and_channels_are_no_objects_of_their_own() -> None:
    ignored = square(4, 4, 8, 255)
    channels = np.stack([square(4, 4, 8), square(6, 6, 4)], axis=-1)
    assert counts(ignored, ignored, channels, square(0, 0, SIDE, 255)) == (0, 0, 1, 0)


def test_a_seam_on_the_contour_of_b_agrees_and_one_beside_it_does_not() -> None:
    image, mask = grey(90), square(8, 8, 12)
    on, chance = seam_agreement(image, mask, square(8, 8, 12, 255))
    beside, _ = seam_agreement(image, mask, square(0, 24, 8, 255))
    assert (on, beside) == (1.0, 0.0)
    assert 0.1 < chance < 0.5


def test_steep_slopes_of_the_image_are_contours_too() -> None:
    image = grey(90)
    image[:, 16:] = 200
    agreement, _ = seam_agreement(image, square(0, 0, 0), np.where(image[..., 0] > 100, 255, 0).astype(np.uint8))
    assert agreement == 1.0


def test_small_steps_of_lambda_are_no_seam() -> None:
    weight = np.full((SIDE, SIDE), 100, np.uint8)
    weight[:, 16:] = 112
    assert math.isnan(seam_agreement(grey(9), square(0, 0, 4), weight)[0])


def test_black_and_white_are_one_apart() -> None:
    assert look_distance(grey(0), grey(255)) == 1.0
    assert look_distance(grey(40), grey(40)) == 0.0
    assert look_distance(grey(0).astype(np.uint16), np.full((SIDE, SIDE, 1), 65535, np.uint16)) == 1.0


def test_float_images_are_compared_in_units_of_their_spread() -> None:
    image = np.random.default_rng(0).normal(0, 7, (64, 64, 2)).astype(np.float32)
    assert look_distance(image, image + 14) == pytest.approx(2, rel=0.15)


def test_a_look_is_the_mean_and_the_spread_of_each_channel() -> None:
    image = np.zeros((SIDE, SIDE, 2), np.uint8)
    image[..., 0] = 51
    image[: SIDE // 2, :, 1] = 255
    assert look_vector(image) == pytest.approx([0.2, 0.5, 0.0, 0.5])


def test_the_fast_auc_is_that_of_the_quality_measures() -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (SIDE, SIDE)).astype(np.uint8)
    mask[:4] = 255
    saliency = (rng.integers(0, 40, (SIDE, SIDE)) + 30 * (mask == 1)).astype(np.uint8)
    assert map_auc(saliency, mask) == pytest.approx(saliency_auc(saliency[::2, ::2].astype(float), mask[::2, ::2]))
    assert math.isnan(map_auc(saliency, np.zeros_like(mask)))


def test_classes_are_counted_before_and_after_with_the_share_of_lambda() -> None:
    a = parent(grey(0), square(0, 0, 4), grey(0)[..., 0])
    b = parent(grey(255), square(0, 0, 8), square(0, 0, 8, 9))
    found = measured(a, b, np.full((SIDE, SIDE), 51, np.uint8), has_maps=True)

    assert found.pixels_a == (1024 - 16, 16)
    assert found.pixels_b == (1024 - 64, 64)
    assert found.pixels == (1024 - 25.6, 25.6)  # 0.8 * 16 + 0.2 * 64
    assert (found.appearance, found.lambda_std) == (1.0, 0.0)
    assert (found.auc_a, found.auc_b) == (0.5, 1.0)
    assert found.contour is None


def test_without_maps_there_is_no_auc() -> None:
    a = parent(grey(0), square(0, 0, 4), grey(0)[..., 0])
    found = measured(a, a, square(0, 0, 8, 255))
    assert (found.auc_a, found.auc_b) == (None, None)
    assert found.lambda_std == pytest.approx(0.2421, abs=1e-3)


def test_of_an_unmixed_sample_classes_are_counted_alone() -> None:
    a = parent(grey(0), square(0, 0, 4), grey(0)[..., 0])
    plan = SamplePlan("k", "train", "none", 0, None, 1, "train-000000", 0)
    sample = make_sample(plan, a, None, MixConfig(), n_classes=2)
    found = measure_sample(sample, a, None, n_classes=2, has_maps=False)
    assert {name: value for name, value in asdict(found).items() if value is not None} == {
        "pixels_a": (1008, 16),
        "pixels": (1008.0, 16.0),
    }


def test_channels_of_a_multilabel_mask_are_counted_each() -> None:
    channels = np.stack([square(0, 0, 8), square(0, 0, 4)], axis=-1)
    a = parent(grey(0), channels, grey(0)[..., 0])
    found = measured(a, parent(grey(0), np.zeros_like(channels), grey(0)[..., 0]), square(0, 0, 4, 255))
    assert found.pixels_a == (64, 16)
    assert found.pixels == (48.0, 0.0)


def test_measures_have_the_names_of_the_columns() -> None:
    assert list(asdict(Measures())) == list(MEASURED)
