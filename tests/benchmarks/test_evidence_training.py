"""Trainings of the evidence: equal steps, seeds, images and order for all arms, by the product's own samples."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from training.arms import METHODS, arm_of, words_of
from training.datasets import Prepared
from training.fit import Recipe, evaluate, share_of_peak, soft_loss, train
from training.layers import LAYERS
from training.networks import NETWORKS, make_network
from training.samples import Samples

from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import DatasetFacts, SourceRecord
from hsmix_gen.stages.mixing.mixing import Mixed

SIDE = 16
ROWS = np.arange(6)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Eight pictures whose pixels are ten times their number, two columns of superpixels, a mask on the left half."""
    facts = DatasetFacts((SIDE, SIDE), 3, "uint8", ("background", "thing"), ((0, 0), (1, 1)))
    records = [
        SourceRecord(f"c{n}", f"g{n}", "train" if n < 6 else "test", None, "i", "m", f"{n}", f"{n}", SIDE, SIDE)
        for n in range(8)
    ]
    half = (np.arange(SIDE) < SIDE // 2).astype(np.uint8)
    layers = Layers(tmp_path_factory.mktemp("cache"), "i", "s", "a", facts, 8, 1)
    return Prepared(
        layers,
        records,
        np.broadcast_to((10 * np.arange(8, dtype=np.uint8))[:, None, None, None], (8, SIDE, SIDE, 3)).copy(),
        np.broadcast_to(half, (8, SIDE, SIDE)).copy(),
        np.broadcast_to(half.astype(np.uint16), (8, 1, SIDE, SIDE)).copy(),
        np.arange(6),
        np.arange(6, 8),
    )


def samples_of(prepared: Prepared, arm: str, folder: Path, exposures: int = 24, seed: int = 0) -> Samples:
    return Samples(prepared, ROWS, arm_of(arm), seed=seed, exposures=exposures, saliency=folder)


def shown(samples: Samples) -> list[int]:
    """Return which picture each sample is, of arms that do not mix."""
    return [int(one.image[0, 0, 0]) // 10 for one in samples]


def test_all_arms_show_the_same_pictures_in_the_same_order(prepared: Prepared, tmp_path: Path) -> None:
    """A hard sample keeps its first parent wherever the second was not taken."""
    plain = shown(samples_of(prepared, "none", tmp_path))
    cut = list(samples_of(prepared, "cutmix", tmp_path))

    assert sorted(plain[:6]) == list(range(6)) and len(plain) == 24
    assert plain == shown(samples_of(prepared, "flips", tmp_path))
    assert plain != shown(samples_of(prepared, "none", tmp_path, seed=1))
    kept = [number * 10 in one.image for number, one in zip(plain, cut, strict=True)]
    assert sum(kept) >= 20  # a rectangle may cover all of a picture


def test_copies_come_again_and_fresh_samples_do_not(prepared: Prepared, tmp_path: Path) -> None:
    few, fresh = (list(samples_of(prepared, arm, tmp_path)) for arm in ("cutmix@2", "cutmix"))

    assert len({id(one) for one in few}) == 12  # six pictures, two copies
    assert len({id(one) for one in fresh}) == 24
    for one, other in zip(few[:12], fresh[:12], strict=True):
        assert np.array_equal(one.image, other.image)  # the first copies are those of any number


def test_no_partner_comes_from_outside_of_the_subset(prepared: Prepared, tmp_path: Path) -> None:
    values = {int(v) for one in samples_of(prepared, "cutmix", tmp_path) for v in np.unique(one.image)}

    assert values == {0, 10, 20, 30, 40, 50}


def test_subsets_are_nested_and_the_rest_is_held_out(prepared: Prepared) -> None:
    small, large = prepared.subset(2, 5), prepared.subset(4, 5)

    assert set(small) < set(large) and len(prepared.subset(99, 5)) == 6
    assert set(prepared.held_out(large)) == set(range(6)) - set(large)


def endless(count: int) -> Iterator[Mixed]:
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    soft = np.zeros((2, SIDE, SIDE), np.float16)
    soft[0] = 1
    yield from [Mixed(image, soft[0].astype(np.uint8), soft)] * count


def test_every_arm_takes_as_many_steps(prepared: Prepared, tmp_path: Path) -> None:
    recipe = Recipe(network="unet-half", steps=3, batch=4)
    for arm in ("none", "strong+cutmix@1"):
        samples = samples_of(prepared, arm, tmp_path, exposures=12)
        assert train(samples, recipe, channels=3, classes=2, seed=0, layer=arm_of(arm).layer).steps == 3


def test_a_stream_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="step 2 of 3 has 1 samples, expected 4"):
        train(endless(9), Recipe(network="unet-half", steps=3, batch=4), channels=3, classes=2, seed=0)


def test_equal_seeds_begin_with_equal_weights_whatever_was_drawn_before() -> None:
    first = make_network("unet-half", 3, 2, seed=7, encoder_weights=None).state_dict()
    torch.rand(3)
    second = make_network("unet-half", 3, 2, seed=7, encoder_weights=None).state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["unet-half", "unet", "hybrid", "two-scale"])
def test_networks_give_logits_of_the_size_of_images(name: str) -> None:
    assert NETWORKS[name](4, 3).eval()(torch.zeros(1, 4, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_keep_labels_whole_and_repeat_themselves(name: str) -> None:
    images = torch.rand(6, 3, 32, 32)
    labels = torch.rand(6, 2, 32, 32).softmax(1)

    first, second = (LAYERS[name](images, labels, torch.Generator().manual_seed(1)) for _ in range(2))

    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not (torch.equal(first[0], images) and torch.equal(first[1], labels))
    assert torch.allclose(first[1].sum(1), torch.ones(6, 32, 32), atol=1e-4)
    assert first[0].min() >= 0 and first[0].max() <= 1


def test_labels_move_with_their_images() -> None:
    """Where an image is its own label, it still is after all that moves pixels."""
    labels = torch.zeros(16, 2, 32, 32)
    labels[:, 1, 8:20, 4:16] = 1
    labels[:, 0] = 1 - labels[:, 1]
    images = labels[:, 1:].expand(-1, 3, -1, -1)

    for name in ("strong", "trivial", "rand"):
        moved, same = LAYERS[name](images, labels, torch.Generator().manual_seed(2))
        light = (moved - moved.amin((1, 2, 3), keepdim=True)).mean(1)
        agreement = [
            float(np.corrcoef(a.flatten(), b.flatten())[0, 1])
            for a, b in zip(light, same[:, 1], strict=True)
            if a.std() > 0.01  # a policy may blacken or whiten all of an image
        ]
        assert np.median(np.abs(agreement)) > 0.9, name


def test_the_loss_is_least_at_the_soft_label_itself() -> None:
    """The linear Dice loss would ask for hard decisions where the label is soft."""
    label = torch.full((1, 2, 4, 4), 0.5)
    label[:, 1] = 0.3
    label[:, 0] = 0.7
    losses = {chance: float(soft_loss(logits_of(chance), label)) for chance in (0.1, 0.2, 0.3, 0.4, 0.6)}

    assert min(losses, key=losses.__getitem__) == 0.3


def logits_of(chance: float) -> torch.Tensor:
    return torch.tensor([1 - chance, chance]).log()[None, :, None, None].expand(1, 2, 4, 4)


def test_ignored_pixels_have_no_loss() -> None:
    label = torch.zeros(1, 2, 4, 4)
    label[:, 1, :, :2] = 1
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)

    soft_loss(logits, label).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None and not logits.grad[..., 2:].any() and logits.grad[..., :2].any()


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    assert share_of_peak(0.05) == pytest.approx(0.5)
    assert share_of_peak(0.1) == pytest.approx(1.0)
    assert share_of_peak(1.0) == pytest.approx(0.0)


@pytest.mark.slow  # MONAI takes seconds to import
def test_corruptions_are_equal_for_all_runs(prepared: Prepared) -> None:
    network = NETWORKS["unet-half"](3, 2).eval()
    images = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    masks = np.ones((2, 32, 32), np.uint8)

    first, second = (evaluate(network, images, masks, n_classes=2, device="cpu") for _ in range(2))

    assert first == second and set(first) == {"clean", "blur", "bias", "noise", "contrast"}
    assert all(len(scores) == 2 for scores in first.values())


def test_names_of_arms_are_read_in_three_parts() -> None:
    arm = arm_of("strong+hsmix@10")

    assert (arm.layer, arm.copies, arm.config.mix.method) == ("strong", 10, "hsmix")
    assert words_of("strong+hsmix@10") == "strong + HSMix (paper), 10 copies"
    assert words_of("strong+flips") == "strong augmentation alone"
    assert "none" in METHODS


@pytest.mark.parametrize("name", ["weak+hsmix", "strong+hsmux", "strong+hsmix@0", "hsmix@"])
def test_unknown_arms_are_named(name: str) -> None:
    if name == "hsmix@":
        assert arm_of(name).copies is None
        return
    with pytest.raises(ConfigError, match="arm"):
        arm_of(name)
