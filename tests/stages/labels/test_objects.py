"""Objects are compared with superpixels: what covers less than two of them is small."""

import numpy as np
import pytest

from hsmix_gen.stages.labels.objects import median_object_share, object_report


def test_the_median_object_is_a_share_of_the_image() -> None:
    foreground = np.zeros((10, 10), bool)
    foreground[0, :2] = foreground[3:6, 3:6] = foreground[9, 9] = True

    assert median_object_share(foreground) == 0.02


def test_an_empty_mask_has_no_object() -> None:
    assert median_object_share(np.zeros((3, 4), bool)) is None


def test_large_masks_are_thinned_and_give_the_same_share() -> None:
    foreground = np.zeros((3000, 3000), bool)
    foreground[:900, :1500] = True

    assert median_object_share(foreground) == pytest.approx(0.15, abs=1e-3)


def test_a_report_counts_the_images_whose_objects_are_small() -> None:
    """Between 50 and 150 regions, the mean superpixel covers one hundredth."""
    report = object_report([0.005, 0.019, 0.02, 0.5], (50, 150))

    assert report == {"median_superpixels": pytest.approx(1.95), "images": 4, "images_small": 2}


def test_without_objects_nothing_is_small() -> None:
    assert object_report([], (50, 150)) == {"median_superpixels": None, "images": 0, "images_small": 0}
