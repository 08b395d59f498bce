"""The checks at the borders let through what is meant and name what is not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.schemas.arrays import check_image, check_labels, check_mask, check_multi_mask


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_may_have_any_channels_and_three_dtypes(dtype: npt.DTypeLike, channels: int) -> None:
    check_image(np.zeros((2, 3, channels), dtype=dtype))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 3), np.uint8), r"shape \(H, W, C\), got \(2, 3\)"),
        (np.zeros((2, 0, 3), np.uint8), r"got \(2, 0, 3\)"),
        (np.zeros((2, 3, 1), np.int16), "uint8, uint16 or float32, got int16"),
        (np.full((2, 3, 1), np.nan, np.float32), "finite"),
        (np.full((2, 3, 1), np.inf, np.float32), "finite"),
    ],
)
def test_another_image_is_refused(image: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_image(image)


def test_a_mask_may_hold_class_ids_and_ignore() -> None:
    check_mask(np.array([[0, 1], [2, 255]], np.uint8), n_classes=3)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([[0, 3], [7, 255]], np.uint8), r"class ids 0 to 2 or 255, got \[3, 7\]"),
        (np.zeros((2, 2, 1), np.uint8), r"\(H, W\) uint8"),
        (np.zeros((2, 2), np.int64), "int64"),
    ],
)
def test_another_mask_is_refused(mask: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_mask(mask, n_classes=3)


def test_labels_may_be_given_in_any_order() -> None:
    check_labels(np.array([[2, 0], [1, 1]], np.uint16))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[1, 1], [2, 2]], np.uint16), "no pixel of 0"),
        (np.array([[0, 0], [2, 3]], np.uint16), "no pixel of 1"),
        (np.array([[0, 1]], np.int32), "uint16"),
        (np.zeros((1, 1, 1), np.uint16), r"\(H, W\)"),
    ],
)
def test_other_labels_are_refused(labels: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(labels)


def test_a_multilabel_mask_may_hold_overlapping_channels_and_ignored_pixels() -> None:
    check_multi_mask(np.array([[[0, 0], [1, 0]], [[1, 1], [255, 255]]], np.uint8), n_classes=2)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2), np.uint8), r"\(H, W, 2\) uint8, got \(2, 2\)"),
        (np.zeros((2, 2, 3), np.uint8), r"got \(2, 2, 3\)"),
        (np.zeros((2, 2, 2), np.bool_), "got .* bool"),
        (np.array([[[0, 4], [1, 2]]], np.uint8), r"hold 0, 1 or 255, got \[2, 4\]"),
        (
            np.array([[[255, 1], [0, 255], [255, 255]]], np.uint8),
            "in all channels of a pixel or in none, got 2 in some",
        ),
    ],
)
def test_another_multilabel_mask_is_refused(mask: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_multi_mask(mask, n_classes=2)


def test_more_channels_than_ids_beside_ignore_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 254 channels, got 255"):
        check_multi_mask(np.zeros((1, 1, 255), np.uint8), n_classes=255)
