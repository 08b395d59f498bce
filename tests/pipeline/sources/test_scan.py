"""One reading of every item says which images it gives and what they hold, or why it cannot be used."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.sources.scan import ScanOptions, scan, scan_options
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import Content, Labelling, Part, ScanResult, SourceItem, Split, picture

OPTIONS = ScanOptions(ReadOptions(max_pixels=10**6))


def item(folder: Path, name: str, image: Any = None, mask: Any = None) -> SourceItem:
    """Write a pair of files, if given as arrays or bytes, and return its item."""
    paths = folder / f"{name}.png", folder / f"{name}_mask.png"
    for path, content in zip(paths, (image, mask), strict=True):
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            Image.fromarray(np.asarray(content, getattr(content, "dtype", np.uint8))).save(path)
    return SourceItem(name, picture(str(paths[0])), picture(str(paths[1])), name, "train")


def volume(folder: Path, mask: Any, name: str = "v") -> SourceItem:
    """Write a volume of arrays (Z, H, W) and its mask, as one h5 file, and return its item."""
    path = folder / f"{name}.h5"
    with h5py.File(path, "w") as file:
        file["image"] = np.arange(mask.size, dtype=np.float32).reshape(mask.shape) - 3
        file["label"] = mask
    contents = [Content("array", (str(path),), f"{key};axes=zyx") for key in ("image", "label")]
    return SourceItem(name, contents[0], contents[1], name, "train")


def scan_one(one: SourceItem, options: ScanOptions = OPTIONS) -> list[ScanResult]:
    (results,) = scan([one], options)
    return results


RGB = np.zeros((2, 3, 3), np.uint8)
MASK = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)


def test_a_scan_states_checksums_form_and_mask_values(tmp_path: Path) -> None:
    one = item(tmp_path, "a", RGB, MASK)

    (result,) = scan_one(one)

    image, mask = (hashlib.sha256(Path(side.paths[0]).read_bytes()).hexdigest() for side in (one.image, one.mask))
    assert (result.id, result.part, result.problem) == ("a", Part(), None)
    assert (result.image_sha256, result.mask_sha256) == (image, mask)
    assert (result.height, result.width, result.channels, result.dtype) == (2, 3, 3, "uint8")
    assert result.mask_counts == ((0, 3), (255, 3))
    assert result.object_share == 0.5


def test_items_come_back_in_their_order(tmp_path: Path) -> None:
    items = [item(tmp_path, name, RGB, MASK) for name in "cab"]

    assert [result.id for (result,) in scan(items, OPTIONS)] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (None, MASK, "a.png cannot be read (No such file or directory)"),
        (RGB, None, "a_mask.png cannot be read (No such file or directory)"),
        (b"", MASK, "a.png file is empty (0 bytes)"),
        (RGB, b"", "a_mask.png file is empty (0 bytes)"),
        (b"text", MASK, "a.png is no image that can be read"),
        (RGB, b"text", "a_mask.png is no image that can be read"),
        (RGB, RGB + np.arange(3, dtype=np.uint8), "a_mask.png mask is coloured"),
        (RGB, MASK.T, "a_mask.png is 2 x 3, its image 3 x 2; export the mask at the size of the image"),
        (np.zeros((2000, 2000), np.uint8), MASK, "a.png has 2000 x 2000 pixels, more than source.max_pixels"),
        (RGB, np.zeros((2000, 2000), np.uint8), "a_mask.png has 2000 x 2000 pixels, more than source.max_pixels"),
    ],
)
def test_a_problem_is_reported_with_its_file_and_the_other_pairs_stay(
    tmp_path: Path, image: Any, mask: Any, message: str
) -> None:
    items = [item(tmp_path, "a", image, mask), item(tmp_path, "b", RGB, MASK)]

    (bad,), (good,) = scan(items, OPTIONS)

    assert message in (bad.problem or "")
    assert str(tmp_path) in (bad.problem or "")
    assert good.problem is None


def halved(folder: Path, which: str, share: float) -> SourceItem:
    rng = np.random.default_rng(0)
    one = item(folder, "a", rng.integers(0, 256, (40, 40, 3), np.uint8), rng.integers(0, 2, (40, 40), np.uint8))
    path = Path(getattr(one, which).paths[0])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return one


@pytest.mark.parametrize(("which", "stated"), [("mask", "a_mask.png"), ("image", "a.png is damaged")])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_half_a_file_is_a_problem(tmp_path: Path, which: str, stated: str, share: float) -> None:
    (result,) = scan_one(halved(tmp_path, which, share))

    assert stated in (result.problem or "")


def test_the_size_of_a_turned_image_is_that_which_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    one = item(tmp_path, "a", None, MASK)
    Image.fromarray(np.zeros((3, 2, 3), np.uint8)).save(one.image.paths[0], exif=exif)

    (result,) = scan_one(one)

    assert (result.problem, result.height, result.width) == (None, 2, 3)


SLICES = np.zeros((4, 2, 3), np.uint8)
SLICES[1, 0, 0] = 1
SLICES[2] = 2
SLICES[3, 0] = 9


@pytest.mark.parametrize(
    ("changes", "planes"),
    [
        ({"min_foreground": 0}, [0, 1, 2, 3]),
        ({}, [1, 2, 3]),
        ({"min_foreground": 2}, [2, 3]),
        ({"min_foreground": 4}, [2]),
        ({"min_foreground": 0, "every": 2}, [0, 2]),
        ({"every": 3}, [3]),
        ({"background": (0, 9)}, [1, 2]),
    ],
)
def test_slices_are_kept_by_rule(tmp_path: Path, changes: dict[str, Any], planes: list[int]) -> None:
    results = scan_one(volume(tmp_path, SLICES), replace(OPTIONS, **changes))

    assert [result.part.plane for result in results] == planes
    assert [result.id for result in results] == [f"v-z{plane:03d}" for plane in planes]
    assert all(result.volume and not result.picture for result in results)
    assert {result.whole for result in results} == {len(planes) == 4}


@pytest.mark.parametrize("split", ["val", "test"])
def test_validation_and_test_keep_every_slice(tmp_path: Path, split: Split) -> None:
    """What training would choose is marked, as a fold may train on it."""
    one = replace(volume(tmp_path, SLICES), split=split)

    results = scan_one(one, replace(OPTIONS, every=2))

    assert [(result.part.plane, result.chosen) for result in results] == [(0, False), (1, False), (2, True), (3, False)]


def test_folds_keep_every_slice_as_each_is_validated_on(tmp_path: Path) -> None:
    results = scan_one(volume(tmp_path, SLICES), replace(OPTIONS, folds=True))

    assert [result.chosen for result in results] == [False, True, True, True]


def test_a_volume_without_foreground_is_a_problem_with_its_way_out(tmp_path: Path) -> None:
    (result,) = scan_one(volume(tmp_path, SLICES * 0))

    assert "has no slice with 1 foreground pixels; lower --min-foreground" in (result.problem or "")


def test_a_slice_states_its_range_and_zeros(tmp_path: Path) -> None:
    first = scan_one(volume(tmp_path, SLICES), replace(OPTIONS, min_foreground=0))[0]

    assert (first.range, first.dtype) == ((-3.0, 2.0), "float32")
    assert first.zeros == pytest.approx(1 / 6)


def test_slices_of_equal_pixels_have_one_checksum(tmp_path: Path) -> None:
    """Copies are found whatever volume they lie in."""
    one, other = (scan_one(volume(tmp_path, SLICES, name)) for name in "vw")

    assert [result.image_sha256 for result in one] == [result.image_sha256 for result in other]
    assert len({result.image_sha256 for result in one}) == 3


def test_tiles_have_ids_places_and_counts_of_their_own(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[0, 5] = 255
    one = item(tmp_path, "a", np.arange(72, dtype=np.uint8).reshape(4, 6, 3), mask)

    results = scan_one(one, replace(OPTIONS, tile=(4, 4), overlap=2))

    assert [result.id for result in results] == ["a-y0000-x0000", "a-y0000-x0002"]
    assert [result.part.tile for result in results] == [(0, 0, 4, 4), (0, 2, 4, 4)]
    assert [result.mask_counts for result in results] == [((0, 16),), ((0, 15), (255, 1))]
    assert len({result.image_sha256 for result in results}) == 2


def test_numbers_of_objects_are_one_class(tmp_path: Path) -> None:
    one = item(tmp_path, "a", RGB, np.array([[0, 3, 7], [0, 0, 7]], np.uint8))

    (result,) = scan_one(one, replace(OPTIONS, instances=True))

    assert result.mask_counts == ((0, 3), (1, 3))


def test_values_of_class_0_and_ignored_ones_are_no_foreground() -> None:
    config = RunConfig.model_validate({"source": {"ignore": 9}})
    labelling = Labelling(values=((1, 0), (2, 1), (7, 255)))

    assert scan_options(config, labelling).background == (1, 7, 9)
    assert scan_options(RunConfig(), Labelling()).background == (0,)


def test_what_the_user_says_of_instances_goes_before_the_layout() -> None:
    said = RunConfig.model_validate({"source": {"instances": False}})

    assert scan_options(RunConfig(), Labelling(instances=True)).instances
    assert not scan_options(said, Labelling(instances=True)).instances
