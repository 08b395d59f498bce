"""The form of areas: sides of pixels, outlines and specks of 255, numbers of objects."""

import numpy as np
import pytest

from hsmix_gen.schemas.records import MaskForm
from hsmix_gen.stages.labels.mask_areas import mask_form
from tests.stages.labels.drawn_masks import disc, nested, outlined, with_pixels


def form(mask: object) -> MaskForm:
    array = np.asarray(mask)
    return mask_form(array, np.unique(array).tolist())


def test_sides_are_counted_towards_other_values_and_the_end() -> None:
    # The 1 at the end of a row does not touch the 0 at the begin of the next.
    assert form([[0, 0, 1], [0, 0, 1], [0, 0, 0]]).sides == (12, 6)
    assert form([[7]]).sides == (4,)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_an_outline_is_slender_whatever_its_width(width: int) -> None:
    mask = outlined(disc(), width=width)

    assert form(mask).outline == (mask == 255).sum()


def test_an_area_is_no_outline() -> None:
    assert form(nested(0, (0, 1, 255))).outline == 0


def test_specks_count_as_outlines_and_areas_beside_them_do_not() -> None:
    assert form(with_pixels(nested(0, (0, 1, 255)), 255, 3)).outline == 3


def test_255_without_ids_is_no_question() -> None:
    assert form(outlined(disc(value=128))).outline == 0


def test_areas_are_counted_from_four_values_on() -> None:
    rows = np.repeat(np.arange(5), 2)[:, None] * np.ones((1, 6), np.int64)
    twice = np.hstack([rows, rows * 0, rows])

    assert form(rows).areas == 4
    assert form(twice).areas == 8
    assert form(np.where(rows > 3, 0, rows)).areas == 0


def test_the_value_around_a_mask_is_seen() -> None:
    inverted = 1 - disc()

    assert form(inverted).around == 1
    assert form(disc()).around == 0
    inverted[:, :20] = 0
    assert form(inverted).around == 0
