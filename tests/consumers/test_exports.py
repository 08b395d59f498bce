"""Trainers that read exports: nnU-Net, the research repositories' datasets, MosaicML Streaming and litData."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.consumers.stored import read_stored

SIDE = 192

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def synapse(grey_output: Path, export: Callable[..., Path]) -> Path:
    return export(grey_output, "synapse")


def test_dataset_of_transunet_gives_every_slice_once_and_trains(synapse: Path, grey_output: Path, consume: Any) -> None:
    """Images are floats in 0 to 1, labels class ids beside soft labels; as published, slices are stretched."""
    found, stored = consume("read_transunet", synapse), read_stored(grey_output)
    given = found["slices"]

    given.assert_epoch_of(stored, "mask", "soft")
    for key, image in given.part("image").items():
        np.testing.assert_array_equal(np.rint(image * 255), stored[key].image)
    given.assert_learns()
    found["as published"].assert_learns()


def test_dataset_of_transunet_gives_every_test_volume(synapse: Path, grey_output: Path, consume: Any) -> None:
    """A picture is a volume of one slice."""
    given = consume("read_transunet", synapse)["volumes"]
    (key, sample), *others = read_stored(grey_output, ("test",)).items()

    assert (given.keys, others) == ([key], [])
    np.testing.assert_array_equal(np.rint(given.parts["image"] * 255), [sample.image[None]])
    np.testing.assert_array_equal(given.parts["mask"], [sample.mask[None]])


def test_dataset_of_unext_gives_every_picture_once_and_trains(
    output: Path, export: Callable[..., Path], consume: Any
) -> None:
    """Masks hold the soft values of the foreground, which BCE and Dice of these repositories take unchanged."""
    given, stored = consume("read_unext", export(output, "perclass"))["epoch"], read_stored(output)

    given.assert_epoch_of(stored, "image")
    for key, soft in given.part("soft").items():
        np.testing.assert_allclose(soft, stored[key].soft[1:], atol=5e-4)
    given.assert_learns()
    assert ((given.parts["soft"] > 0) & (given.parts["soft"] < 1)).any()


def test_dataset_of_medsam_gives_every_image_with_foreground_once_and_trains(
    output: Path, export: Callable[..., Path], consume: Any
) -> None:
    """Images and class ids are stretched alike: 4 times in height, 3 times in width; each has a class to ask for."""
    given = consume("read_medsam", export(output, "medsam", "--image-size", SIDE))["epoch"]
    stored = {key: sample for key, sample in read_stored(output).items() if len(np.unique(sample.mask)) > 1}

    assert sorted(given.keys) == sorted(stored)
    for key, labels in given.part("mask").items():
        np.testing.assert_array_equal(labels, np.kron(stored[key].mask, np.ones((4, 3), np.uint8)))
    for key, image in given.part("image").items():
        blocks = image.reshape(48, 4, 64, 3, 3).mean((1, 3)) * 255
        assert np.corrcoef(blocks.ravel(), stored[key].image.ravel())[0, 1] > 0.95
    given.assert_learns()


@pytest.mark.timeout(900)
def test_nnunet_finds_the_dataset_sound_reads_every_case_once_and_trains_on_the_given_split(
    output: Path, export: Callable[..., Path], consume: Any
) -> None:
    """Its own readers give the stored pixels and class ids; mixed samples train, the untouched ones validate."""
    dest = export(output, "nnunet")
    given = consume("read_nnunet", dest, "nnunetv2", timeout_s=800)["cases"]

    assert "verify_dataset_integrity Done" in str(given.facts["checked"])
    given.assert_epoch_of(read_stored(output, ("train", "val")), "image", "mask")
    assert len(given.losses) == 2
    assert np.isfinite(given.losses).all()
    assert given.facts["train"].tolist() == sorted(read_stored(output, ("train",)))
    assert given.facts["val"].tolist() == sorted(read_stored(output, ("val",)))
    (splits,) = json.loads(next(dest.glob("Dataset*/splits_final.json")).read_text())
    assert splits["train"] == given.facts["train"].tolist()


@pytest.mark.parametrize(("kind", "package"), [("mds", "streaming"), ("litdata", "litdata")])
def test_vendors_readers_give_every_sample_once(
    output: Path, export: Callable[..., Path], consume: Any, kind: str, package: str
) -> None:
    """Shuffled, with two workers, of what the vendor's own writer wrote."""
    pytest.importorskip(package, reason="`make test-slow` installs it in .venv-consumers")
    given = consume(f"read_{kind}", export(output, kind), package)["epoch"]

    given.assert_epoch_of(read_stored(output), "image", "mask", "soft")
    given.assert_learns()
