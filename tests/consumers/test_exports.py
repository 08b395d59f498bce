"""Trainers that read exports: nnU-Net, the research repositories' datasets, MosaicML Streaming and litData."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIDE = 192

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def synapse(grey_output: Path, export: Callable[..., Path]) -> Path:
    return export(grey_output, "synapse")


def test_dataset_of_transunet_gives_every_slice_once(
    synapse: Path, grey_output: Path, consume: Any, read_stored: Any
) -> None:
    """Images are floats in 0 to 1, labels class ids, soft labels lie beside them."""
    given, stored = consume("read_transunet", synapse)["slices"], read_stored(grey_output)

    given.assert_epoch_of(stored, "mask", "soft")
    for key, image in given.part("image").items():
        np.testing.assert_array_equal(np.rint(image * 255), stored[key].image)


def test_dataset_of_transunet_gives_every_test_volume(
    synapse: Path, grey_output: Path, consume: Any, read_stored: Any
) -> None:
    """A picture is a volume of one slice."""
    given = consume("read_transunet", synapse)["volumes"]
    (key, sample), *others = read_stored(grey_output, ("test",)).items()

    assert (given.keys, others) == ([key], [])
    np.testing.assert_array_equal(np.rint(given.parts["image"] * 255), [sample.image[None]])
    np.testing.assert_array_equal(given.parts["mask"], [sample.mask[None]])


@pytest.mark.parametrize("way", ["slices", "as published"])
def test_dataset_of_transunet_trains(synapse: Path, consume: Any, way: str) -> None:
    """On soft labels, and as it is published on class ids of stretched slices."""
    consume("read_transunet", synapse)[way].assert_learns()


@pytest.fixture(scope="module")
def perclass(output: Path, export: Callable[..., Path]) -> Path:
    return export(output, "perclass")


def test_dataset_of_unext_gives_every_picture_once(
    perclass: Path, output: Path, consume: Any, read_stored: Any
) -> None:
    """Masks hold the soft values of the foreground."""
    given, stored = consume("read_unext", perclass)["epoch"], read_stored(output)

    given.assert_epoch_of(stored, "image")
    for key, soft in given.part("soft").items():
        np.testing.assert_allclose(soft, stored[key].soft[1:], atol=5e-4)


def test_dataset_of_unext_trains_on_soft_labels(perclass: Path, consume: Any) -> None:
    """BCE and Dice of these repositories take them unchanged."""
    given = consume("read_unext", perclass)["epoch"]

    given.assert_learns()
    assert ((given.parts["soft"] > 0) & (given.parts["soft"] < 1)).any()


@pytest.fixture(scope="module")
def medsam(output: Path, export: Callable[..., Path]) -> Path:
    return export(output, "medsam", "--image-size", SIDE)


def test_dataset_of_medsam_gives_every_image_with_foreground_once(
    medsam: Path, output: Path, consume: Any, read_stored: Any
) -> None:
    """Images and class ids are stretched alike: 4 times in height, 3 times in width."""
    given = consume("read_medsam", medsam)["epoch"]
    stored = {key: sample for key, sample in read_stored(output).items() if len(np.unique(sample.mask)) > 1}

    assert sorted(given.keys) == sorted(stored)
    for key, labels in given.part("mask").items():
        np.testing.assert_array_equal(labels, np.kron(stored[key].mask, np.ones((4, 3), np.uint8)))
    for key, image in given.part("image").items():
        blocks = image.reshape(48, 4, 64, 3, 3).mean((1, 3)) * 255
        assert np.corrcoef(blocks.ravel(), stored[key].image.ravel())[0, 1] > 0.95


def test_dataset_of_medsam_trains(medsam: Path, consume: Any) -> None:
    """Each item has a class to ask for."""
    consume("read_medsam", medsam)["epoch"].assert_learns()


@pytest.fixture(scope="module")
def nnunet(output: Path, export: Callable[..., Path]) -> Path:
    return export(output, "nnunet")


@pytest.mark.timeout(900)
def test_nnunet_reads_every_case_once(nnunet: Path, output: Path, consume: Any, read_stored: Any) -> None:
    """Its own readers give the stored pixels and class ids."""
    given = consume("read_nnunet", nnunet, "nnunetv2", timeout_s=800)["cases"]

    given.assert_epoch_of(read_stored(output, ("train", "val")), "image", "mask")


@pytest.mark.timeout(900)
def test_nnunet_finds_the_dataset_sound(nnunet: Path, consume: Any) -> None:
    """`--verify_dataset_integrity` says so; what it finds wrong ends the command."""
    given = consume("read_nnunet", nnunet, "nnunetv2", timeout_s=800)["cases"]

    assert "verify_dataset_integrity Done" in str(given.facts["checked"])


@pytest.mark.timeout(900)
def test_nnunet_trains_two_iterations_on_the_given_split(
    nnunet: Path, output: Path, consume: Any, read_stored: Any
) -> None:
    """Mixed samples train, the untouched ones validate."""
    given = consume("read_nnunet", nnunet, "nnunetv2", timeout_s=800)["cases"]

    assert len(given.losses) == 2
    assert np.isfinite(given.losses).all()
    assert given.facts["train"].tolist() == sorted(read_stored(output, ("train",)))
    assert given.facts["val"].tolist() == sorted(read_stored(output, ("val",)))
    (splits,) = json.loads(next(nnunet.glob("Dataset*/splits_final.json")).read_text())
    assert splits["train"] == given.facts["train"].tolist()


@pytest.mark.parametrize(("kind", "package"), [("mds", "streaming"), ("litdata", "litdata")])
def test_vendors_readers_give_every_sample_once(
    output: Path, export: Callable[..., Path], consume: Any, read_stored: Any, kind: str, package: str
) -> None:
    """Shuffled, with two workers, of what the vendor's own writer wrote."""
    pytest.importorskip(package, reason="`make test-slow` installs it in .venv-consumers")
    given = consume(f"read_{kind}", export(output, kind), package)["epoch"]

    given.assert_epoch_of(read_stored(output), "image", "mask", "soft")
    given.assert_learns()
