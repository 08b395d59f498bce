"""Masks whose values need a second look are stored as they are meant, from the file to the shard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageFilter

from tests.command_line import run_cli
from tests.pipeline.stored_samples import read_samples
from tests.small_sources import make_source

Mask = npt.NDArray[np.uint8]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Masks of 0, 1 and 2, or of 0 and 1, to be changed by a test."""
    folder = make_source(tmp_path / "source")
    change(folder, lambda mask, _: (mask // 127).astype(np.uint8))
    return folder


def change(source: Path, how: Callable[[Mask, int], Any]) -> None:
    """Write each mask again; what is given back is an array or a picture."""
    for number, path in enumerate(sorted((source / "masks").iterdir())):
        changed = how(np.asarray(Pillow.open(path)), number)
        (changed if isinstance(changed, Pillow.Image) else Pillow.fromarray(changed)).save(path)


def stored(source: Path, output: Path, *options: object) -> list[Mask]:
    """Run, and return the masks of the images that are not mixed, by their names."""
    tiny = ("--size", 48, 64, "--regions", 4, 8, "--variants", 1, "--saliency", "fine_grained", "--backend", "serial")
    run_cli("run", source, output, *tiny, "--copies", 1, "--progress", "none", *options)
    alone = [sample for sample in read_samples(output).values() if sample.provenance["source_b"] is None]
    assert len(alone) >= 2
    return [sample.mask for sample in sorted(alone, key=lambda sample: str(sample.provenance["source_a"]))]


def test_an_outline_of_255_is_ignored_in_the_dataset(source: Path, tmp_path: Path) -> None:
    def outlined(mask: Mask, _: int) -> Mask:
        inside = np.asarray(Pillow.fromarray(np.minimum(mask, 1)).filter(ImageFilter.MaxFilter(3)))
        return np.where(inside > np.minimum(mask, 1), 255, mask).astype(np.uint8)

    change(source, outlined)

    masks = stored(source, tmp_path / "output")

    assert set(np.unique(np.stack(masks)).tolist()) == {0, 1, 2, 255}


def test_palettes_in_any_order_give_the_same_dataset(source: Path, tmp_path: Path) -> None:
    def indexed(mask: Mask, number: int) -> Pillow.Image:
        order = np.roll(np.arange(3), number)
        picture = Pillow.fromarray(order[mask].astype(np.uint8), "P")
        table = np.zeros((3, 3), np.uint8)
        table[order] = [(0, 0, 0), (0, 255, 0), (255, 0, 0)]
        picture.putpalette(table.tobytes())
        return picture

    expected = stored(source, tmp_path / "plain")
    change(source, indexed)

    masks = stored(source, tmp_path / "output")

    assert [mask.tolist() for mask in masks] == [mask.tolist() for mask in expected]


def test_soft_masks_are_cut_and_another_threshold_makes_other_images(source: Path, tmp_path: Path) -> None:
    """The cache does not give the masks of one threshold to another."""

    def softened(mask: Mask, _: int) -> Pillow.Image:
        return Pillow.fromarray(np.minimum(mask, 1) * np.uint8(255)).filter(ImageFilter.GaussianBlur(1))

    change(source, softened)
    cache = ("--cache", tmp_path / "cache")
    asked = run_cli("inspect", source, "--progress", "none", status=1)

    wide = stored(source, tmp_path / "wide", "--threshold", 32, *cache)
    narrow = stored(source, tmp_path / "narrow", "--threshold", 224, *cache)
    ranged = stored(source, tmp_path / "ranged", "--mask-values", "0-223=0,224-255=1", *cache)

    assert "cut them with --threshold 128" in asked.stderr
    assert np.sum(wide) > np.sum(narrow) > 0
    assert [mask.tolist() for mask in narrow] == [mask.tolist() for mask in ranged]


@pytest.mark.parametrize("hidden", [True, False], ids=["alpha", "empty"])
def test_masks_that_show_nothing_are_refused(source: Path, hidden: bool) -> None:
    def blank(mask: Mask, _: int) -> Mask:
        return np.dstack([mask * 0] * 3 + [np.minimum(mask, 1) * np.uint8(255)]) if hidden else mask * 0

    change(source, blank)

    result = run_cli("inspect", source, "--progress", "none", status=1)

    assert ("save the alpha channel" if hidden else "no mask has any foreground") in result.stderr
