"""Trainers that read the formats of an output: webdataset, wids, HF datasets, MONAI, Lightning with smp, and DALI."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.consumers.stored import read_stored
from tests.written import members_of

PARTS = ("image", "mask", "soft")
HF_WAYS = ("tar streaming", "tar map", "parquet streaming", "parquet map")


def test_stored_parts_belong_together_and_show_every_turn(output: Path) -> None:
    """Else the comparisons of this folder would prove nothing."""
    stored = read_stored(output)

    assert len(stored) == 12
    assert any(0 < soft < 1 for sample in stored.values() for soft in np.unique(sample.soft))
    for sample in stored.values():
        assert sample.image.shape == (48, 64, 3)
        assert sample.mask.shape == (48, 64)
        assert sample.soft.shape == (3, 48, 64)
        np.testing.assert_array_equal(np.take_along_axis(sample.soft, sample.mask[None], 0)[0], sample.soft.max(0))
        turned = (np.flip(sample.image, 0), np.flip(sample.image, 1), np.rot90(sample.image, 2))
        assert not any((sample.image == other).all() for other in turned)


@pytest.mark.parametrize("way", ["0 workers", "2 workers"])
def test_webdataset_gives_every_sample_once_and_trains(output: Path, consume: Any, way: str) -> None:
    """Also where workers share the shards; cross entropy takes the probabilities as they are."""
    given = consume("read_webdataset", output, "webdataset")[way]

    given.assert_epoch_of(read_stored(output), *PARTS)
    given.assert_learns()


def test_webdataset_divides_samples_evenly_over_ranks(output: Path, consume: Any) -> None:
    """Ranks have nothing in common, leave nothing out, and are done after equally many steps."""
    given = consume("read_webdataset", output, "webdataset")
    first, second = given["rank 0"], given["rank 1"]

    assert len(first.keys) == len(second.keys) == 6
    assert sorted(first.keys + second.keys) == sorted(read_stored(output))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_wids_gives_every_sample_by_its_number(output: Path, consume: Any, split: str) -> None:
    """Our index is all that it knows of the shards: their names, and how many samples each has."""
    given, stored = consume("read_wids", output, older="wids")[split], read_stored(output, (split,))

    assert given.keys == list(stored)
    given.assert_epoch_of(stored, *PARTS)
    digests = [
        hashlib.sha256(data).hexdigest()
        for key, members in members_of(output).items()
        if key.startswith(f"{split}-")
        for data in members.values()
    ]
    assert given.facts["members"].tolist() == ["image.png", "json", "mask.png", "soft.npz"]
    assert given.parts["digests"].ravel().tolist() == digests


@pytest.mark.slow
@pytest.mark.parametrize("way", HF_WAYS)
def test_hugging_face_datasets_give_every_sample_once_and_train(output: Path, consume: Any, way: str) -> None:
    """All splits are loaded together, of which only one is mixed; soft labels are numbers, not bytes or lists."""
    given = consume("read_datasets", output, "datasets")[way]

    given.assert_epoch_of(read_stored(output), *PARTS)
    given.assert_learns()


@pytest.mark.slow
def test_monai_gives_every_sample_of_the_list_once_and_trains(output: Path, consume: Any) -> None:
    """Only with `soft_label=True` a perfect prediction costs nothing."""
    given = consume("read_monai", output, "monai")["upright"]

    given.assert_epoch_of(read_stored(output), *PARTS)
    given.assert_learns()
    assert given.facts["perfect"] == pytest.approx(0, abs=1e-4)
    assert given.facts["perfect, soft_label forgotten"] > 0.01


@pytest.mark.slow
def test_default_reader_of_monai_exchanges_rows_and_columns(output: Path, consume: Any) -> None:
    """If this fails, MONAI has changed its mind and the warning of the card is to go."""
    given, stored = consume("read_monai", output, "monai")["default reader"], read_stored(output)

    for key, image in given.part("image").items():
        np.testing.assert_array_equal(image, stored[key].image.transpose(1, 0, 2))


@pytest.mark.slow
def test_lightning_gives_every_sample_once_and_trains_a_unet_of_smp(output: Path, consume: Any) -> None:
    """What arrives in the training step is what lies in the shards; multilabel Dice is 0 for the soft label itself."""
    given = consume("read_lightning", output, "lightning", "segmentation_models_pytorch")["epoch"]

    given.assert_epoch_of(read_stored(output), *PARTS)
    given.assert_learns()
    assert given.facts["perfect"] == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_dali_gives_every_sample_once_without_a_gpu_and_trains(make_output: Callable[..., Path], consume: Any) -> None:
    """It decodes npy, but no npz; its decoder of PNG keeps class ids, soft labels leave the pipeline as numbers."""
    output = make_output("--soft-encoding", "npy")
    given = consume("read_dali", output, "nvidia.dali")["cpu"]

    given.assert_epoch_of(read_stored(output), *PARTS)
    given.assert_learns()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_header_of_the_card_is_all_that_hugging_face_datasets_need(
    make_output: Callable[..., Path], consume: Any, output: Path, form: str
) -> None:
    """As tables, whose columns have one type in all splits: untouched samples have no second parent."""
    given = consume("read_card_header", make_output("--format", form), "datasets")

    assert given.keys() == {"train", "validation", "test"}
    for split, ours in (("train", "train"), ("validation", "val"), ("test", "test")):
        given[split].assert_epoch_of(read_stored(output, (ours,)), *PARTS)
