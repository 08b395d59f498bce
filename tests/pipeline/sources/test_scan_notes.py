"""What no single image shows: different axes or depths in one set, masks that were not turned with their images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from hsmix_gen.pipeline.sources.scan_notes import axes_of, scan_notes
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import ScanResult, SourceItem, picture
from tests.command_line import TINY, inspected, run_cli

PIXELS = np.arange(48 * 48 * 3, dtype=np.uint32).reshape(48, 48, 3).astype(np.uint8)
MASK = np.zeros((48, 48), np.uint8)
MASK[4:20, 8:40] = 255


def of(*volumes: str) -> tuple[list[ScanResult], list[SourceItem]]:
    """Return two slices of each volume, which is named by its number and cut across an axis."""
    items = [SourceItem(str(number), picture("a"), picture("m")) for number in range(len(volumes))]
    scans = [ScanResult(f"{number}-z{z}", axis=axis) for number, axis in enumerate(volumes) for z in (0, 1)]
    return scans, [item for item in items for _ in (0, 1)]


def test_volumes_are_counted_by_axis() -> None:
    assert axes_of(*of("coronal", "axial", "axial")) == {"axial": 2, "coronal": 1}


def test_different_axes_are_stated() -> None:
    assert scan_notes(*of("coronal", "axial", "axial"), RunConfig()) == [
        "volumes are cut across different axes (2 axial, 1 coronal slices); choose one for all with --axis axial"
    ]


def test_one_axis_is_not_worth_a_word() -> None:
    assert scan_notes(*of("axial", "axial", ""), RunConfig()) == []


@pytest.mark.parametrize(
    ("unturned", "size", "count"),
    [(1, (8, 8), 0), (6, (8, 8), 1), (6, (8, 9), 0), (3, (8, 9), 1), (2, (8, 8), 1)],
)
def test_only_masks_that_may_be_wrong_are_stated(unturned: int, size: tuple[int, int], count: int) -> None:
    """An oblong mask that fits was drawn on the turned image."""
    scan = ScanResult("a", unturned=unturned, height=size[0], width=size[1])
    items = [SourceItem("a", picture("a"), picture("m"))]

    assert len(scan_notes([scan], items, RunConfig())) == count
    assert scan_notes([replace(scan, problem="torn")], items, RunConfig()) == []


@pytest.mark.parametrize(
    ("dtypes", "image", "reason"),
    [
        (["uint8", "uint16", "uint8"], {}, "65535 of 16 bits is the white of 255"),
        (["uint8", "uint16", "uint8"], {"dtype": "uint16"}, "65535 of 16 bits is the white of 255"),
        (["uint8", "uint16", "uint8"], {"intensity": "window", "window": (0, 4080)}, "the window 0 to 4080 means"),
        (["uint8", "uint16", "uint8"], {"intensity": "percentile"}, None),
        (["uint16", "uint16"], {}, None),
        (["uint8", "uint8"], {}, None),
    ],
)
def test_two_depths_are_stated_unless_each_image_has_its_own_scale(
    dtypes: list[str], image: dict[str, Any], reason: str | None
) -> None:
    """Pictures of 12 bits became nearly black among those of 8, in silence."""
    items = [SourceItem(f"i{n}", picture(f"i{n}.png"), picture("m")) for n in range(len(dtypes))]
    scans = [ScanResult(item.id, dtype=dtype) for item, dtype in zip(items, dtypes, strict=True)]
    config = RunConfig.model_validate({"image": image})

    found = scan_notes(scans, items, config)

    start = f"1 image of 16 bits (such as i1.png) beside 2 images of 8 bits: {reason}"
    assert [text[: len(start)] for text in found] == ([start] if reason else [])
    assert all("--intensity percentile" in text for text in found)
    assert scan_notes([replace(scan, problem="torn") for scan in scans], items, config) == []


def depths(folder: Path) -> Path:
    """Write eight pictures of 8 bits and four of 12 bits in 16, all alike bright in their own scale."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(12):
        grey = np.random.default_rng(number).integers(100, 240, (48, 48)) + (MASK > 0) * 15
        stored = (grey * 16).astype(np.uint16) if number % 3 == 2 else grey.astype(np.uint8)
        Image.fromarray(stored).save(folder / "images" / f"{number:02d}.png")
        Image.fromarray(MASK).save(folder / "masks" / f"{number:02d}.png")
    return folder


def test_inspect_and_run_warn_of_two_depths_and_the_way_out_ends_it(tmp_path: Path) -> None:
    source = depths(tmp_path)

    (warning,) = inspected(source, "--split", "1/0/0")["warnings"]
    planned = run_cli("run", source, tmp_path / "out", *TINY, "--split", "1/0/0", "--dry-run")

    assert warning.startswith(f"4 images of 16 bits (such as {source}/images/02.png) beside 8 images of 8 bits: ")
    assert f"warning: {warning}" in planned.stderr
    assert inspected(source, "--split", "1/0/0", "--intensity", "percentile")["warnings"] == []


def photographs(folder: Path) -> Path:
    """Write two square photographs that are to be turned, with masks drawn on the stored pixels."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    exif = Image.Exif()
    exif[274] = 6
    for number in range(2):
        Image.fromarray(np.roll(PIXELS, number, 0)).save(folder / "images" / f"{number}.jpg", exif=exif)
        Image.fromarray(MASK).save(folder / "masks" / f"{number}.png")
    return folder


def test_turned_photographs_are_a_warning_that_an_option_ends(tmp_path: Path) -> None:
    source = photographs(tmp_path)

    warnings = inspected(source, "--split", "1/0/0")["warnings"]

    assert warnings == [
        "2 images were turned upright by their EXIF orientation and their masks, which have none, were not, first 0; "
        "if masks were drawn on the pixels as stored, add --turn-masks"
    ]
    assert inspected(source, "--split", "1/0/0", "--turn-masks")["warnings"] == []


def test_masks_turned_by_their_own_word_are_a_warning(tmp_path: Path) -> None:
    """A mask of an image without the tag was turned against it in silence."""
    exif = Image.Exif()
    exif[274] = 6
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(2):
        Image.fromarray(np.roll(PIXELS, number, 0)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(MASK).save(tmp_path / "masks" / f"{number}.png", exif=exif)

    (warning,) = inspected(tmp_path, "--split", "1/0/0")["warnings"]

    assert warning.startswith("2 masks were turned upright by an EXIF orientation that their images do not have, first")


def volumes(folder: Path, thick: tuple[int, int]) -> Path:
    """Write two cases whose voxels are thick along one axis each."""
    for number, axis in enumerate(thick):
        affine = np.eye(4)
        affine[axis, axis] = 4
        values = np.random.default_rng(number).normal(100, 10, (20, 24, 28)).astype(np.float32)
        labels = np.zeros(values.shape, np.uint8)
        labels[8:12, 8:12, 8:12] = 1
        for kind, array in (("imagesTr", values), ("labelsTr", labels)):
            (folder / kind).mkdir(exist_ok=True)
            image: Any = nib.Nifti1Image
            nib.save(image(array, affine), folder / kind / f"c{number}.nii.gz")
    return folder


def test_inspect_shows_the_axes_of_volumes(tmp_path: Path) -> None:
    source = volumes(tmp_path, (1, 2))

    found = inspected(source, "--split", "1/0/0")

    assert found["axes"] == {"axial": 1, "coronal": 1}
    assert found["warnings"][0].startswith("volumes are cut across different axes (1 ")
    text = run_cli("inspect", source, "--axis", "axial", "--split", "1/0/0", "--progress", "none").stdout
    assert "  slices   axial of 2 volumes\n" in text
    assert "different axes" not in text
