"""One look at every pair tells what all have in common, and which pair cannot be used."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hsmix_gen.pipeline.scanning import scan, understand, value_counts, with_value_problems
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import DatasetFacts, ScanResult, SourceItem

MAX_PIXELS = 10**6


def item(folder: Path, name: str, image: Any = None, mask: Any = None) -> SourceItem:
    """Write a pair of files, if given as arrays or bytes, and return its item."""
    paths = folder / f"{name}.png", folder / f"{name}_mask.png"
    for path, content in zip(paths, (image, mask), strict=True):
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            Image.fromarray(np.asarray(content, getattr(content, "dtype", np.uint8))).save(path)
    return SourceItem(name, str(paths[0]), str(paths[1]), name, "train")


def scanned(name: str = "a", values: tuple[int, ...] = (0, 255), **changes: Any) -> ScanResult:
    facts: dict[str, Any] = {"height": 4, "width": 5, "channels": 3, "bits": 8}
    return ScanResult(name, "i", "m", mask_counts=tuple((value, 10) for value in values), **(facts | changes))


def facts(*results: ScanResult, **source: Any) -> DatasetFacts:
    return understand(results, RunConfig.model_validate({"source": source}))


RGB = np.zeros((2, 3, 3), np.uint8)
MASK = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)


def test_a_scan_tells_checksums_form_and_mask_values(tmp_path: Path) -> None:
    one = item(tmp_path, "a", RGB, MASK)

    (result,) = scan([one], MAX_PIXELS)

    image, mask = (hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (one.image, one.mask))
    assert result == ScanResult("a", image, mask, 2, 3, 3, 8, ((0, 3), (255, 3)))


def test_pairs_come_back_in_their_order(tmp_path: Path) -> None:
    items = [item(tmp_path, name, RGB, MASK) for name in "cab"]

    assert [result.id for result in scan(items, MAX_PIXELS)] == ["c", "a", "b"]


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
        (RGB, MASK.astype(np.uint16) * 257, "a_mask.png mask has uint16 values"),
        (RGB, MASK.T, "a_mask.png is 2 x 3, its image 3 x 2; export the mask at the size of the image"),
        (np.zeros((2000, 2000), np.uint8), MASK, "a.png has 2000 x 2000 pixels, more than source.max_pixels"),
        (RGB, np.zeros((2000, 2000), np.uint8), "a_mask.png has 2000 x 2000 pixels, more than source.max_pixels"),
    ],
)
def test_a_problem_is_told_with_its_file_and_the_other_pairs_stay(
    tmp_path: Path, image: Any, mask: Any, message: str
) -> None:
    items = [item(tmp_path, "a", image, mask), item(tmp_path, "b", RGB, MASK)]

    bad, good = scan(items, MAX_PIXELS)

    assert message in (bad.problem or "")
    assert str(tmp_path) in (bad.problem or "")
    assert good.problem is None


def halved(folder: Path, which: str, share: float) -> SourceItem:
    rng = np.random.default_rng(0)
    one = item(folder, "a", rng.integers(0, 256, (40, 40, 3), np.uint8), rng.integers(0, 2, (40, 40), np.uint8))
    path = Path(getattr(one, which))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return one


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_half_a_mask_is_a_problem(tmp_path: Path, share: float) -> None:
    (result,) = scan([halved(tmp_path, "mask", share)], MAX_PIXELS)

    assert "a_mask.png" in (result.problem or "")


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_half_an_image_is_no_crash(tmp_path: Path, share: float) -> None:
    """Images are decoded later, so damage behind the header need not be found here."""
    (result,) = scan([halved(tmp_path, "image", share)], MAX_PIXELS)

    assert result.problem is None or "a.png" in result.problem


def test_the_size_of_a_turned_image_is_that_which_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    one = item(tmp_path, "a", None, MASK)
    Image.fromarray(np.zeros((3, 2, 3), np.uint8)).save(one.image, exif=exif)

    (result,) = scan([one], MAX_PIXELS)

    assert (result.problem, result.height, result.width) == (None, 2, 3)


def test_all_images_are_colour_if_one_is() -> None:
    assert facts(scanned(channels=1), scanned(channels=1)).channels == 1
    assert facts(scanned(channels=1), scanned(channels=3)).channels == 3


def test_channels_may_be_given() -> None:
    config = RunConfig.model_validate({"image": {"channels": "1"}})

    assert understand([scanned(channels=3)], config).channels == 1


@pytest.mark.parametrize(("bits", "dtype"), [((8, 8, 16), "uint8"), ((8, 16, 16), "uint16"), ((8, 16), "uint8")])
def test_the_depth_is_that_of_most_images(bits: tuple[int, ...], dtype: str) -> None:
    assert facts(*(scanned(bits=b) for b in bits)).dtype == dtype


def test_the_size_is_the_configured_one() -> None:
    config = RunConfig.model_validate({"image": {"size": (16, 32)}})

    assert understand([scanned()], config).size == (16, 32)


def test_a_pair_with_a_problem_is_not_asked() -> None:
    found = facts(scanned(channels=1), scanned(channels=3, values=(0, 1, 2, 3), problem="torn"))

    assert (found.channels, found.mask_values) == (1, ((0, 0), (255, 1)))


def test_without_a_usable_pair_nothing_can_be_understood() -> None:
    with pytest.raises(SourceError, match=r"no pair of image and mask can be used; .*refused\.csv"):
        facts(scanned(problem="torn"))


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ((0, 255), ("background", "foreground")),
        ((0,), ("background", "foreground")),
        ((0, 128, 255), ("background", "class_1", "class_2")),
        ((0, 1, 2, 3), ("background", "class_1", "class_2", "class_3")),
    ],
)
def test_classes_have_names_by_default(values: tuple[int, ...], classes: tuple[str, ...]) -> None:
    found = facts(scanned(values=values))

    assert (found.classes, found.n_classes) == (classes, len(classes))


def test_classes_may_be_named() -> None:
    assert facts(scanned(), classes=("skin", "lesion")).classes == ("skin", "lesion")


@pytest.mark.parametrize("names", [("one",), ("a", "b", "c"), ("a", "a")])
def test_names_that_do_not_fit_the_classes_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="must name each of the 2 classes once, background first"):
        facts(scanned(), classes=names)


def test_a_given_map_is_taken_whatever_the_masks_hold() -> None:
    found = facts(scanned(values=(0, 77, 90)), mask_values={0: 0, 77: 1, 90: 255})

    assert (found.mask_values, found.n_classes) == (((0, 0), (77, 1), (90, 255)), 2)


@pytest.mark.parametrize(
    "values", [{0: 0, 255: 2}, {255: 1}, {0: 0, 300: 1}, {-1: 0, 1: 1}, {0: 0, 1: -1}, {0: 0, 1: 300}]
)
def test_a_map_with_gaps_or_impossible_values_is_refused(values: dict[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"must map values 0\.\.255 to class ids 0\.\.K-1 without gaps"):
        facts(scanned(), mask_values=values)


@pytest.mark.parametrize("odd", [(0, 77, 255), (3,)])
def test_one_odd_mask_is_refused_and_does_not_change_the_map(tmp_path: Path, odd: tuple[int, ...]) -> None:
    results = [*(scanned(f"a{i}") for i in range(10)), scanned("odd", odd)]
    items = [item(tmp_path, result.id) for result in results]

    found = facts(*results)
    checked = with_value_problems(results, found, items)

    assert found.mask_values == ((0, 0), (255, 1))
    assert [result.id for result in checked if result.problem] == ["odd"]
    unknown = [value for value in odd if value not in (0, 255)]
    expected = f"{items[-1].mask} has values {unknown[0]} that are no class, expected 0, 255; correct the file or map"
    assert expected in (checked[-1].problem or "")
    assert f"--mask-values 0=0,255=1,{unknown[0]}=1" in (checked[-1].problem or "")


def test_masks_without_foreground_are_used(tmp_path: Path) -> None:
    """Healthy cases."""
    results = [scanned("a", (0,)), scanned("b", (0, 255)), scanned("c", (255,))]

    checked = with_value_problems(results, facts(*results), [item(tmp_path, name) for name in "abc"])

    assert [result.problem for result in checked] == [None] * 3


def test_an_earlier_problem_is_kept(tmp_path: Path) -> None:
    results = [scanned("a"), scanned("b", (77,), problem="torn")]

    checked = with_value_problems(results, facts(*results), [item(tmp_path, name) for name in "ab"])

    assert checked[1].problem == "torn"


def test_values_are_counted_over_usable_masks() -> None:
    counted = value_counts([scanned(values=(0, 255)), scanned(values=(0,)), scanned(values=(7,), problem="torn")])

    assert counted == {0: 20, 255: 10}
