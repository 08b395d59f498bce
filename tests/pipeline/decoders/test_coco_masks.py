"""COCO annotations become masks: polygons and runs, smaller objects on top; damaged ones do no harm."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as runs

from hsmix_gen.pipeline.decoders.coco_masks import open_mask
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions
from hsmix_gen.pipeline.readers.coco_reader import mask_key
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

HOW = ReadOptions()
HEIGHT, WIDTH = 4, 6
ALL = [0, 0, 6, 0, 6, 4, 0, 4]
MIDDLE = [1, 1, 4, 1, 4, 3, 1, 3]


def written(folder: Path, annotations: Sequence[dict[str, Any]], **image: Any) -> Path:
    entry = {"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH, **image}
    categories = [{"id": number, "name": f"c{number}"} for number in (2, 5)]
    numbered = [{"id": 10 + i, "image_id": 7, **annotation} for i, annotation in enumerate(annotations)]
    path = folder / "a.json"
    path.write_text(json.dumps({"images": [entry], "annotations": numbered, "categories": categories}))
    return path


def decoded(
    path: Path,
    *,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    labels: str = "exclusive",
    image_id: str = "7",
    categories: Sequence[int] = (2, 5),
) -> npt.NDArray[Any]:
    image = ArrayStack(np.zeros((1, *size, 3), np.uint8))
    stack = open_mask(Content("coco", (str(path),), mask_key(image_id, labels, categories)), image, HOW)
    assert (stack.size, stack.n_planes, stack.channels) == (size, 1, 1)
    return stack.plane(0)


def mask_of(folder: Path, *annotations: dict[str, Any], **options: Any) -> list[list[int]]:
    values: list[list[int]] = decoded(written(folder, annotations), **options).tolist()
    return values


def of(category: int, *segmentation: Any, **more: Any) -> dict[str, Any]:
    """Return an annotation of some polygons, or of one thing that is none."""
    return {"category_id": category, "segmentation": list(segmentation), **more}


EMPTY = "000000 000000 000000 000000"
CENTRE = "000000 0{0}{0}{0}00 0{0}{0}{0}00 000000"
FAR = [-1e8, 1, 1e8, 1, 1e8, 3, -1e8, 3]  # pycocotools would walk its outline in fifths of pixels and overflow


@pytest.mark.parametrize(
    ("annotations", "options", "drawn"),
    [
        pytest.param([of(5, MIDDLE)], {}, CENTRE.format(2), id="the class of its category"),
        pytest.param([of(2, ALL), of(5, MIDDLE)], {}, "111111 122211 122211 111111", id="smaller on top"),
        pytest.param([of(5, MIDDLE), of(2, ALL)], {}, "111111 122211 122211 111111", id="in any order"),
        # Exporters state areas of boxes, 0 or nothing.
        pytest.param(
            [of(5, MIDDLE, area=999), of(2, ALL, area=1)], {}, "111111 122211 122211 111111", id="the area of pixels"
        ),
        pytest.param([of(5, MIDDLE), of(2, MIDDLE)], {}, CENTRE.format(1), id="of equal ones the later on top"),
        pytest.param(
            [of(2, ALL), of(5, MIDDLE)], {"labels": "multilabel"}, "111111 133311 133311 111111", id="bits add up"
        ),
        pytest.param([of(5, MIDDLE)] * 2, {"labels": "multilabel"}, CENTRE.format(2), id="one category, one bit"),
        pytest.param(
            [of(2, [0, 0, 1, 0, 1, 1, 0, 1], [4, 2, 6, 2, 6, 3, 4, 3])], {}, "100000 000000 000011 000000",
            id="several polygons",
        ),
        # pycocotools takes four numbers for a box, and by the first polygon for all.
        *(pytest.param([of(2, degenerate, MIDDLE)], {}, CENTRE.format(1), id=f"{len(degenerate)} numbers beside")
          for degenerate in ([], [1, 1], [1, 1, 3], [1, 1, 3, 3])),
        pytest.param([of(2, *MIDDLE)], {}, CENTRE.format(1), id="without the outer list"),
        pytest.param([of(2, [-3, 2, 2, 2, 2, 90, -3, 90])], {}, "000000 000000 110000 110000", id="clipped"),
        pytest.param([of(2, FAR)], {}, "000000 111111 111111 000000", id="far beyond the image"),
        pytest.param(
            [{"category_id": 5, "iscrowd": 1, "segmentation": {"size": [4, 6], "counts": [4, 8, 12]}}], {},
            "022000 022000 022000 022000", id="a crowd",
        ),
        *(pytest.param([{"category_id": 2, "segmentation": none}], {}, EMPTY, id=f"no area: {none}")
          for none in ([], None, [[1, 1, 2, 2]], [[9, 9, 12, 9, 12, 12]], [[1, 1, 1, 1, 1, 1]])),
        pytest.param([], {}, EMPTY, id="no annotations"),
        pytest.param([of(2, ALL, image_id=8), of(3, ALL)], {}, EMPTY, id="other images and categories"),
    ],
)  # fmt: skip
def test_objects_are_drawn_as_their_classes(
    tmp_path: Path, annotations: list[dict[str, Any]], options: dict[str, Any], drawn: str
) -> None:
    found = mask_of(tmp_path, *annotations, **options)

    assert " ".join("".join(map(str, row)) for row in found) == drawn


def test_the_highest_of_62_bits_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, [{"category_id": 61, "segmentation": [MIDDLE]}])

    assert int(decoded(path, labels="multilabel", categories=range(62)).max()) == 2**61


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@given(points=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 16)), min_size=3, max_size=8))
@settings(max_examples=60, deadline=None)
def test_inside_the_image_polygons_are_those_of_pycocotools(
    tmp_path_factory: pytest.TempPathFactory, points: list[tuple[int, int]]
) -> None:
    """Objects are drawn in windows of their own, which must not move them."""
    outline = [coordinate / 4 for point in points for coordinate in point]
    path = written(tmp_path_factory.mktemp("coco"), [{"category_id": 2, "segmentation": [outline]}])

    whole = runs.decode(runs.frPyObjects([outline], HEIGHT, WIDTH))[..., 0]

    assert np.array_equal(decoded(path), whole)


def encoded(mask: npt.NDArray[np.uint8], *, compressed: bool) -> dict[str, Any]:
    if compressed:
        return {"size": list(mask.shape), "counts": runs.encode(np.asfortranarray(mask))["counts"].decode()}
    flat = mask.ravel(order="F")
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    lengths = np.diff(edges).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + lengths}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_runs_go_down_the_columns(tmp_path: Path, compressed: bool, first: int) -> None:
    mask = np.array([[first, 1, 0], [0, 1, 1]], np.uint8)
    path = written(
        tmp_path, [{"category_id": 2, "segmentation": encoded(mask, compressed=compressed)}], height=2, width=3
    )

    assert decoded(path, size=(2, 3)).tolist() == mask.tolist()


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), height=st.integers(1, 90), width=st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_all_compressed_runs_of_pycocotools_are_taken(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, height: int, width: int
) -> None:
    """The lengths are checked by code of ours, which has to understand every negative difference."""
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    annotation = {"category_id": 2, "segmentation": encoded(mask, compressed=True)}
    path = written(tmp_path_factory.mktemp("coco"), [annotation], height=height, width=width)

    assert np.array_equal(decoded(path, size=(height, width)), mask)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [4, 6], "counts": [3, 4]},
        {"size": [4, 6], "counts": [3, 400]},
        {"size": [4, 6], "counts": [30, -6]},
        {"size": [4, 6], "counts": [3.5, 20.5]},
        {"size": [4, 6], "counts": [[24]]},
        {"size": [4, 6], "counts": [2**70]},
        {"size": [4, 6], "counts": "1"},
        {"size": [4, 6], "counts": "oooo"},
        {"size": [4, 6], "counts": "9_"},
        {"size": [4, 6], "counts": "0O"},
        {"size": [4, 6], "counts": "\u20ac"},
        {"size": [4, 6], "counts": "oooooooooooooooooooo1"},
        {"size": [6, 4], "counts": [4, 20]},
        {"counts": [4, 20]},
        [[1, 1, 4, 1, 4, 3, 1]],
        [[1, 1, 4, 1, 4, "x"]],
        [[1, 1, 4, 1, 4, None]],
        [[1, 1, 4, 1, 4, float("nan")]],
        [[1, 1, 4, 1, 4, 1e300]],
        [[[1, 1], [4, 1], [4, 3], [1, 3], [1, 2], [1, 1]]],
        [[0, 0, 6, 4] * 20_000],
    ],
)
def test_a_damaged_outline_is_refused_by_its_annotation(tmp_path: Path, segmentation: Any) -> None:
    """Runs that are too short would show foreign memory in pycocotools."""
    path = written(tmp_path, [{"category_id": 2, "segmentation": segmentation}])

    with pytest.raises(SourceError) as refused:
        decoded(path)

    assert str(refused.value).startswith(f"{path} annotation 10 has ")
    assert "\n" not in str(refused.value)


def test_another_size_than_that_of_the_picture_is_refused_with_both(tmp_path: Path) -> None:
    """One that is turned hints at the orientation."""
    path = written(tmp_path, [])
    with pytest.raises(SourceError, match=f"{path} says that a.png is 6 x 4, the picture is 12 x 8"):
        decoded(path, size=(8, 12))
    with pytest.raises(SourceError, match="EXIF"):
        decoded(path, size=(WIDTH, HEIGHT))


def test_without_a_size_in_the_file_that_of_the_picture_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, [{"category_id": 2, "segmentation": [MIDDLE]}], height=None, width=None)

    assert decoded(path, size=(3, 5)).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]]


def test_places_of_annotations_hold_behind_letters_beyond_ascii(tmp_path: Path) -> None:
    """The index keeps places in bytes, which are not those of characters."""
    path = tmp_path / "a.json"
    text = json.dumps(
        {
            "info": {"description": "Zellkörper 细胞"},
            "images": [{"id": "bild ä", "file_name": "ä.png", "height": HEIGHT, "width": WIDTH}],
            "annotations": [{"id": 1, "image_id": "bild ä", "category_id": 2, "segmentation": [MIDDLE], "note": "ö"}]
            * 2,
            "categories": [{"id": 2, "name": "Größe"}],
        },
        ensure_ascii=False,
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert decoded(path, image_id="bild ä")[1].tolist() == [0, 1, 1, 1, 0, 0]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, [])
    assert not decoded(path).any()

    written(tmp_path, [{"category_id": 2, "segmentation": [ALL]}])
    os.utime(path, ns=(1, 1))

    assert decoded(path).all()


def test_equal_masks_have_equal_digests(tmp_path: Path) -> None:
    path = written(tmp_path, [{"category_id": 2, "segmentation": [MIDDLE]}])
    image = ArrayStack(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))

    def digest(labels: str, categories: Sequence[int]) -> str:
        return open_mask(Content("coco", (str(path),), mask_key("7", labels, categories)), image, HOW).digest(0)

    assert digest("exclusive", [2, 5]) == digest("multilabel", [2, 5]) != digest("exclusive", [0, 2])
