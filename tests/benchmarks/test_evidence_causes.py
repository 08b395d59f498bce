"""What samples are like, against values by hand."""

import numpy as np
import pytest
from training.causes import look_at

from hsmix_gen.stages.mixing.mixing import mix, unmixed
from hsmix_gen.stages.mixing.sample import Sample

IMAGE = np.zeros((4, 4, 3), np.uint8)
NOTHING, ALL = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)


def mixed(weight_b: np.ndarray) -> Sample:
    """Mix background with foreground alone."""
    return Sample(mix(IMAGE, NOTHING, IMAGE, ALL, weight_b, n_classes=2), weight_b, float(weight_b.mean() / 255), ())


def test_two_pieces_and_one_unmixed_sample() -> None:
    """Three and one pixel of sixteen are the partner's; half of the samples is unmixed background."""
    weight = np.zeros((4, 4), np.uint8)
    weight[0, :3] = weight[3, 3] = 255
    plain = Sample(unmixed(IMAGE, NOTHING, n_classes=2), np.zeros((4, 4), np.uint8), 0.0, ())

    look = look_at([mixed(weight), plain], 0.0)

    assert (look.unmixed, look.from_b, look.pieces, look.largest) == (0.5, 0.25, 2.0, 0.75)
    assert (look.foreground, look.soft, look.tied) == (0.125, 0.0, 0.0)


def test_soft_labels_and_ties() -> None:
    """Half of the image is a tie, a quarter leans to the partner, a quarter is the first image."""
    weight = np.zeros((4, 4), np.uint8)
    weight[:2], weight[2] = 128, 200

    look = look_at([mixed(weight)], 0.0)

    assert look.soft == 0.75 and look.tied == pytest.approx(2 / 3)
    assert look.pieces == 1.0 and look.largest == 1.0


def test_without_pieces_nothing_is_said_of_the_largest() -> None:
    look = look_at([mixed(np.full((4, 4), 100, np.uint8))], 0.0)

    assert look.pieces == 0.0 and np.isnan(look.largest)
    assert np.isnan(look_at([Sample(unmixed(IMAGE, ALL, n_classes=2), NOTHING, 0.0, ())], 1.0).from_b)
