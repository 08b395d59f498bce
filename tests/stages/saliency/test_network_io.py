"""Images into a network, logits out of it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.network_io import (
    foreground_scores,
    input_size,
    logits_of,
    n_classes_of,
    predicted_classes,
    predicted_foreground,
    resize_mask,
    to_input,
)

LOGITS = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]])  # (1, 2, 1, 2)
OTHER = torch.zeros(1, 5, 1, 2)


class Output(NamedTuple):
    aux: torch.Tensor
    seg: torch.Tensor


def test_integer_images_are_divided_by_the_white_of_their_type() -> None:
    bytes_ = np.array([[[[0, 51, 255]]]], np.uint8)
    words = np.array([[[[0, 13107, 65535]]]], np.uint16)

    for images in (bytes_, words):
        assert to_input(images)[:, :, 0, 0].tolist() == [[0.0, pytest.approx(0.2), 1.0]]


def test_float_images_enter_as_they_are() -> None:
    """Windowed CT is not in [0, 1]."""
    assert to_input(np.array([[[[-3.5]], [[7.0]]]], np.float32)).tolist() == [[[[-3.5], [7.0]]]]


def test_channels_come_first_and_rows_stay_rows() -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)

    tensor = to_input(images)

    assert tensor.shape == (2, 3, 4, 5)
    assert tensor[1, 2, 3, 4] == pytest.approx(images[1, 3, 4, 2] / 255)


def test_images_do_not_change_when_their_tensor_does() -> None:
    images = np.ones((1, 2, 2, 1), np.float32)

    to_input(images).zero_()

    assert images.min() == 1


@pytest.mark.parametrize("images", [np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.float64)])
def test_other_shapes_and_types_of_images_are_refused(images: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="images must"):
        to_input(images)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((224, 224), None, (224, 224)),
        ((37, 50), None, (37, 50)),
        ((224, 224), 96, (96, 96)),
        ((200, 400), 96, (48, 96)),
        ((64, 64), 96, (64, 64)),  # never enlarged
        ((16, 16), 96, (32, 32)),  # but to what the U-Net needs
        ((1000, 100), 96, (96, 32)),
    ],
)
def test_input_sizes_keep_the_aspect_in_multiples_of_16(
    size: tuple[int, int], side: int | None, expected: tuple[int, int]
) -> None:
    assert input_size(*size, side=side) == expected


def test_a_side_resizes_images_to_the_input_size() -> None:
    images = np.full((1, 128, 64, 1), 255, np.uint8)

    tensor = to_input(images, side=64)

    assert tensor.shape == (1, 1, 64, 32)
    assert tensor.min() == tensor.max() == 1


def test_masks_are_resized_without_new_classes() -> None:
    mask = np.array([[[0, 0, 255, 255]] * 4], np.uint8)

    assert resize_mask(mask, (2, 2)).tolist() == [[[0, 255], [0, 255]]]
    assert resize_mask(mask, (8, 8)).flatten().bincount().nonzero().flatten().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("output", "key"),
    [
        (LOGITS, None),
        ((LOGITS, OTHER), None),  # deep supervision
        ([LOGITS, OTHER], "0"),
        ((OTHER, LOGITS), "-1"),
        ({"seg": LOGITS}, None),
        ({"aux": OTHER, "out": LOGITS}, None),  # torchvision
        ({"aux": OTHER, "seg": LOGITS}, "seg"),
        ({"heads": [LOGITS, OTHER], "x": OTHER}, "heads"),
        (Output(OTHER, LOGITS), "seg"),
    ],
)
def test_logits_are_found_in_what_a_network_returns(output: object, key: str | None) -> None:
    assert torch.equal(logits_of(output, key=key), LOGITS)


@pytest.mark.parametrize(
    ("output", "key", "words"),
    [
        ({"a": LOGITS, "b": OTHER}, None, r"\['a', 'b'\]; choose one with --output-key"),
        ({"a": LOGITS}, "seg", r"no entry 'seg', got \['a'\]"),
        ((LOGITS, OTHER), "2", "2 outputs, the entry 2 is none of them"),
        ((LOGITS, OTHER), "seg", "choose --output-key 0 to 1"),
        ((), None, "0 outputs"),
        (LOGITS, "seg", "got Tensor"),
        (None, None, "got NoneType"),
        (torch.zeros(1, 2), None, r"shape \(N, K, h, w\), got \(1, 2\)"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.int64), None, "torch.int64"),
    ],
)
def test_outputs_without_logits_are_refused_with_the_way_out(output: object, key: str | None, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        logits_of(output, key=key)


def test_half_precision_logits_become_float32() -> None:
    assert logits_of(LOGITS.half()).dtype == torch.float32


def test_one_channel_predicts_foreground_above_zero() -> None:
    logits = torch.tensor([[[-1.0, 0.0, 0.5]]])  # (1, 1, 3)

    assert predicted_classes(logits).tolist() == [[0, 0, 1]]
    assert foreground_scores(logits).tolist() == logits.tolist()
    assert n_classes_of(logits) == 2


def test_several_channels_predict_their_argmax() -> None:
    assert predicted_classes(LOGITS).tolist() == [[[1, 0]]]
    assert n_classes_of(LOGITS) == 2


def test_scores_do_not_see_what_all_logits_share() -> None:
    """A softmax does not either."""
    shift = torch.tensor([[10.0, -4.0]])

    assert foreground_scores(LOGITS).tolist() == [[[[1.0, -1.0]]]]
    assert torch.equal(foreground_scores(LOGITS + shift), foreground_scores(LOGITS))


def test_multilabel_scores_are_the_logits_of_all_channels() -> None:
    """There is no background to be compared with: the first channel is a region like the others."""
    assert torch.equal(foreground_scores(LOGITS, multilabel=True), LOGITS)


def test_multilabel_regions_are_predicted_each_above_zero() -> None:
    """The first pixel has none, the second both."""
    logits = torch.tensor([[[-1.0, 2.0, 0.0]], [[-3.0, 1.0, 0.5]]])  # (2, 1, 3)

    assert predicted_foreground(logits, multilabel=True).tolist() == [[[False, True, False]], [[False, True, True]]]


def test_predicted_foreground_of_classes_is_their_argmax_without_background() -> None:
    logits = torch.tensor([[[3.0, 0.0, 0.0]], [[1.0, 2.0, 0.0]], [[2.0, 1.0, 4.0]]])  # (3, 1, 3)

    assert predicted_foreground(logits).tolist() == [[[False, True, False]], [[False, False, True]]]
    assert predicted_foreground(torch.tensor([[[-1.0, 0.5]]])).tolist() == [[[False, True]]]
