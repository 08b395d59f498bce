"""The small U-Net: it learns, it does so equally each time, and its best layer is found."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hsmix_gen.pipeline.features.networks import weights_digest
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.fit_batches import ReducedSamples, Samples, draw_batches
from hsmix_gen.stages.saliency.fitting import (
    Average,
    FitConfig,
    Fitted,
    fit_network,
    measure_dice,
    segmentation_loss,
)
from hsmix_gen.stages.saliency.gradcam import CamOptions
from hsmix_gen.stages.saliency.layer_ranking import rank_layers
from hsmix_gen.stages.saliency.network_io import to_input
from hsmix_gen.stages.saliency.network_layers import candidate_layers
from hsmix_gen.stages.saliency.torch_context import torch_threads

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

QUICK = FitConfig(side=32, steps=4, batch=2, features=(4, 4, 4, 4, 4, 4))


def discs(count: int, *, size: int = 48, seed: int = 0) -> Arrays:
    """Images of bright discs (class 1) with a dark core (class 2) on noise, and their masks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images, masks = [], []
    for _ in range(count):
        distance = np.hypot(rows - rng.integers(12, size - 12), columns - rng.integers(12, size - 12))
        mask = (distance < 10).astype(np.uint8) + (distance < 5)
        images.append(np.array([90, 200, 20])[mask][..., None] + rng.integers(-20, 20, (size, size, 3)))
        masks.append(mask)
    return np.stack(images).astype(np.uint8), np.stack(masks)


class Source:
    """Samples that count how often and how many at once they are read."""

    def __init__(self, images: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> None:
        self.images, self.masks = images, masks
        self.reads: list[list[int]] = []

    def load(self, indices: Sequence[int]) -> Arrays:
        self.reads.append(list(indices))
        return self.images[list(indices)], self.masks[list(indices)]

    @property
    def samples(self) -> Samples:
        return Samples(self.load, len(self.images))


def fit_to(training: Arrays, validation: Arrays | None = None, **changes: Any) -> Fitted:
    """Fit a small network for three channels and classes, unless stated otherwise."""
    standard: dict[str, Any] = {"n_channels": 3, "n_classes": 3, "config": QUICK, "seed": 0}
    checked = None if validation is None else Source(*validation).samples
    return fit_network(Source(*training).samples, checked, **(standard | changes))


def fit(config: FitConfig = QUICK, *, seed: int = 0, count: int = 6) -> Fitted:
    return fit_to(discs(count), config=config, seed=seed, threads=1)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    config = FitConfig(side=48, steps=40, batch=4, features=(8, 8, 8, 16, 16, 8), learning_rate=1e-2)
    return fit_to(discs(24), discs(8, seed=1), config=config)


def test_fitting_learns_the_task(fitted: Fitted) -> None:
    assert len(fitted.losses) == 40
    assert np.mean(fitted.losses[-5:]) < 0.7 * np.mean(fitted.losses[:5])
    assert fitted.validation_dice > 0.8


def test_the_best_layer_of_the_fitted_network_is_a_decoder_block(fitted: Fitted) -> None:
    images, masks = discs(8, seed=2)
    candidates = candidate_layers(fitted.network, to_input(images[:1]))

    ranking = rank_layers(fitted.network, candidates, images, masks, options=CamOptions())

    assert {layer for layer, _ in ranking} == set(candidates)
    assert ranking[0][0] in {"upcat_1", "upcat_2"}
    assert ranking[0][1] > 0.9
    aucs = [auc for _, auc in ranking]
    assert aucs == sorted(aucs, reverse=True)


def test_of_equal_layers_the_one_nearer_to_the_output_comes_first(fitted: Fitted) -> None:
    """A block and its last part put out the same tensor."""
    names = ["upcat_2.convs", "upcat_2", "upcat_2.convs.conv_1"]

    ranking = rank_layers(fitted.network, names, *discs(2), options=CamOptions())

    assert [layer for layer, _ in ranking] == names[::-1]


def test_layers_that_cannot_be_used_come_last(fitted: Fitted) -> None:
    images, masks = discs(2)

    ranking = rank_layers(fitted.network, ["gone", "upcat_1"], images, masks, options=CamOptions())

    assert [layer for layer, _ in ranking] == ["upcat_1", "gone"]
    assert math.isnan(ranking[1][1])


def test_a_ranking_without_any_usable_layer_says_why(fitted: Fitted) -> None:
    with pytest.raises(ModelError, match="layer 'gone' does not exist"):
        rank_layers(fitted.network, ["gone"], *discs(2), options=CamOptions())


def test_images_without_foreground_have_no_say_in_the_ranking(fitted: Fitted) -> None:
    images, masks = discs(3)
    layers = ["upcat_1"]

    with_empty = rank_layers(
        fitted.network, layers, images, masks * np.array([1, 1, 0], np.uint8)[:, None, None], options=CamOptions()
    )
    without = rank_layers(fitted.network, layers, images[:2], masks[:2], options=CamOptions())
    only_empty = rank_layers(fitted.network, layers, images, 0 * masks, options=CamOptions())

    assert with_empty[0][1] == pytest.approx(without[0][1], abs=1e-4)
    assert math.isnan(only_empty[0][1])


def test_equal_seeds_give_equal_weights() -> None:
    first, second, other = fit(), fit(), fit(seed=1)

    assert weights_digest(first.network) == weights_digest(second.network)
    assert first.losses == second.losses
    assert weights_digest(first.network) != weights_digest(other.network)


def test_the_weights_do_not_depend_on_the_callers_torch() -> None:
    """Neither its number of threads nor its generator enters."""
    expected = weights_digest(fit().network)

    with torch_threads(torch.get_num_threads() + 2):
        torch.rand(3)

        assert weights_digest(fit().network) == expected


def test_fitting_leaves_torch_as_it_was() -> None:
    with torch_threads(3):
        torch.manual_seed(5)
        state = torch.get_rng_state()

        fit()

        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 3
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_fitted_network_is_ready_for_use() -> None:
    network = fit().network

    assert not network.training
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


@pytest.mark.parametrize("steps", range(1, 10))
def test_any_number_of_steps_can_be_taken(steps: int) -> None:
    assert len(fit(replace(QUICK, steps=steps), count=1).losses) == steps


def test_fitting_without_images_is_refused() -> None:
    with pytest.raises(ModelError, match="1 training image or more, got 0"):
        fit_network(Samples(Source(*discs(1)).load, 0), None, n_channels=3, n_classes=3, config=QUICK, seed=0)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    images = np.full((2, 32, 32, 3), 3e38, np.float32)
    images[:, ::2] *= -1
    training = Samples(lambda _: (images, np.zeros((2, 32, 32), np.uint8)), 2)

    with pytest.raises(ModelError, match=r"loss of the U-Net must be finite, got nan in step"):
        fit_network(training, None, n_channels=3, n_classes=2, config=QUICK, seed=0)


class Asked:
    """States that a network is enough when it was asked so many times; keeps the digests of what it was given."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.digests: list[str] = []

    def __call__(self, network: torch.nn.Module) -> bool:
        candidates = candidate_layers(network, to_input(discs(1)[0], side=QUICK.side))
        rank_layers(network, candidates, *discs(2), options=CamOptions(side=QUICK.side))
        self.digests.append(weights_digest(network))
        return len(self.digests) == self.times


def asked_fit(is_enough: Asked) -> Fitted:
    return fit_to(discs(6), config=replace(QUICK, steps=5), is_enough=is_enough, ask_every=2)


@pytest.mark.parametrize(("times", "steps"), [(1, 2), (2, 4)])
def test_a_fit_that_is_enough_ends_with_the_network_that_was_measured(times: int, steps: int) -> None:
    asked = Asked(times)

    ended = asked_fit(asked)

    alone = fit(replace(QUICK, steps=steps))
    assert len(ended.losses) == steps
    assert ended.losses == alone.losses
    assert weights_digest(ended.network) == weights_digest(alone.network) == asked.digests[-1]


def test_a_fit_that_goes_on_equals_one_that_was_never_measured() -> None:
    asked = Asked(times=9)

    measured, alone = asked_fit(asked), fit(replace(QUICK, steps=5))

    assert measured.losses == alone.losses
    assert weights_digest(measured.network) == weights_digest(alone.network)
    assert asked.digests == [weights_digest(fit(replace(QUICK, steps=steps)).network) for steps in (2, 4, 5)]


def test_the_average_of_the_weights_is_steadier_than_the_weights() -> None:
    """They jump between 2 and 0."""
    weights = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(weights.weight)
    average = Average(weights)

    for step in range(200):
        torch.nn.init.constant_(weights.weight, 1 + (-1) ** step)
        average.update()

    assert next(average.network.parameters()).item() == pytest.approx(1, abs=0.06)


def test_the_loss_is_cross_entropy_plus_dice() -> None:
    """Two pixels, both of class 1; p(1) = 0.5 and 0.75."""
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, math.log(3)]]]])
    cross_entropy = -(math.log(0.5) + math.log(0.75)) / 2
    dice = 1 - 2 * 1.25 / (1.25 + 2)

    loss = segmentation_loss(logits, torch.tensor([[[1, 1]]]))

    assert loss.item() == pytest.approx(cross_entropy + dice, abs=1e-5)


def test_ignored_pixels_do_not_enter_the_loss() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.arange(32).reshape(2, 4, 4) % 3
    part = segmentation_loss(logits[:, :, :2], masks[:, :2])

    masks[:, 2:] = 255

    assert segmentation_loss(logits, masks).item() == pytest.approx(part.item(), abs=1e-6)


def test_a_batch_of_ignored_pixels_alone_has_a_finite_loss() -> None:
    loss = segmentation_loss(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2), 255))

    assert math.isfinite(loss.item())


def test_masks_of_more_classes_than_the_network_has_are_refused() -> None:
    with pytest.raises(ValueError, match="classes 0 to 1 or 255, got 2"):
        segmentation_loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[2, 255]]]))


def test_dice_is_measured_at_the_size_of_the_masks() -> None:
    """Bright is foreground; half of the true foreground is dark, and the third image shows nothing."""
    images = np.zeros((3, 64, 64, 1), np.uint8)
    images[:2, :, :32] = 255
    masks = np.zeros((3, 64, 64), np.uint8)
    masks[0, :, :32] = 1
    masks[1] = 1
    bright = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.constant_(bright.weight, 1)
    torch.nn.init.constant_(bright.bias, -0.5)  # type: ignore[arg-type]
    source = Source(images, masks)

    score = measure_dice(bright, source.samples, n_classes=2, side=32, batch=2)

    assert score == pytest.approx((1 + 2 / 3) / 2)
    assert source.reads == [[0, 1], [2]]


def test_samples_are_read_once_and_kept_reduced() -> None:
    source = Source(*discs(3))
    reduced = ReducedSamples(source.samples, side=32)

    first = reduced.take([2, 0])
    again = reduced.take([0, 1, 2])

    assert source.reads == [[0, 2], [1]]
    assert first[1][0].shape == (3, 32, 32)
    assert first[1][1].shape == (32, 32)
    assert again[0][0] is first[1][0]


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    source = Source(*discs(3))
    one = 32 * 32 * (3 * 4 + 8)
    reduced = ReducedSamples(source.samples, side=32, kept_bytes=one)

    reduced.take([0, 1, 2])
    reduced.take([0, 1, 2])

    assert source.reads == [[0, 1, 2], [1, 2]]


def test_every_sample_is_drawn_before_any_is_drawn_again() -> None:
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((5, 32, 32, 1), np.uint8)
    reduced = ReducedSamples(Source(images, images[..., 0]).samples, side=32)

    batches = list(draw_batches(reduced, 5, batch=2, steps=5, seed=3))

    drawn = [int(mask[0, 0]) for _, masks in batches for mask in masks]
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == [0, 1, 2, 3, 4]
    assert drawn[:5] != drawn[5:]


def test_a_batch_may_be_larger_than_the_set() -> None:
    reduced = ReducedSamples(Source(*discs(1)).samples, side=32)

    images, _ = next(draw_batches(reduced, 1, batch=3, steps=1, seed=0))

    assert images.shape == (3, 3, 32, 32)


def modalities(count: int, *, channels: int, dtype: type[np.generic], seed: int = 0) -> Arrays:
    """Images of a dark-cored disc as z-scores from about -3 to 10 per modality, or as words, and their masks."""
    rng = np.random.default_rng(seed)
    _, masks = discs(count, seed=seed)
    contrast = np.array([[0, 0, 0, 0], [9, -2, 4, 0], [3, 2, 9, -2]])[:, :channels]
    z_scores = contrast[masks] + rng.normal(scale=0.5, size=(count, 48, 48, channels))
    z_scores[:, :4] = 0
    return (z_scores if dtype == np.float32 else (z_scores + 10) * 2500).astype(dtype), masks


@pytest.mark.parametrize(("channels", "dtype"), [(4, np.float32), (4, np.uint16), (1, np.float32)])
def test_modalities_are_learnt_and_their_best_layer_found(channels: int, dtype: type[np.generic]) -> None:
    config = FitConfig(side=48, steps=30, batch=4, features=(8, 8, 8, 16, 16, 8), learning_rate=1e-2)
    images, masks = modalities(8, channels=channels, dtype=dtype, seed=1)

    fitted = fit_to(modalities(16, channels=channels, dtype=dtype), (images, masks), n_channels=channels, config=config)
    candidates = candidate_layers(fitted.network, to_input(images[:1]))
    ranking = rank_layers(fitted.network, candidates, images, masks, options=CamOptions())

    assert fitted.validation_dice > 0.7
    assert ranking[0][1] > 0.9


def nested(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (N, H, W, 2) channels of class ids: "1 or 2", "2"."""
    return np.stack([masks >= 1, masks == 2], axis=3).astype(np.uint8)


def test_multilabel_masks_are_fitted_and_ranked_as_their_innermost_regions() -> None:
    images, masks = discs(4)
    by_id, by_region = (fit_to((images, given), (images, given)) for given in (masks, nested(masks)))
    layers = ["upcat_1"]

    assert weights_digest(by_region.network) == weights_digest(by_id.network)
    assert by_region.validation_dice == by_id.validation_dice
    for target in ("predicted", "truth"):
        options = CamOptions(target=target)
        first, second = (
            rank_layers(by_id.network, layers, images, given, options=options) for given in (masks, nested(masks))
        )
        assert first == second


class Regions(torch.nn.Module):
    """A network of classes with one logit for each region above the background."""

    def __init__(self, classes: torch.nn.Module) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classes(images)
        return logits[:, 1:] - logits[:, :1]


def test_layers_of_a_multilabel_network_are_ranked(fitted: Fitted) -> None:
    images, masks = discs(6, seed=2)
    regions = Regions(fitted.network)
    candidates = candidate_layers(regions, to_input(images[:1]))

    ranking = rank_layers(
        regions, candidates, images, nested(masks), options=CamOptions(target="truth", multilabel=True)
    )

    assert ranking[0][1] > 0.9
