"""COCO folders of COCO itself, CVAT and Roboflow are found with classes, splits and places of their pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.decoders.coco_index import read_index
from hsmix_gen.pipeline.readers import coco_reader
from hsmix_gen.pipeline.readers.coco_reader import mask_key
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Labelling, picture

OUTLINE = [[1, 1, 4, 1, 4, 3]]
CATEGORIES = ({"id": 3, "name": "nucleus"}, {"id": 1, "name": "gland"})


def annotated(
    path: Path,
    names: Sequence[str] = ("a.png",),
    *,
    annotations: Sequence[Mapping[str, Any]] = ({"image_id": 1, "category_id": 1, "segmentation": OUTLINE},),
    categories: Sequence[Mapping[str, Any]] = CATEGORIES,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": i, "file_name": name, "height": 4, "width": 6} for i, name in enumerate(names, start=1)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def find(source: Path, **options: Any) -> Found:
    return coco_reader.find(source, SourceConfig(layout="coco", **options))


def reasons(found: Found) -> list[str]:
    return [refusal.reason for refusal in found.refusals]


def test_the_folder_of_coco_is_read_with_its_splits(tmp_path: Path) -> None:
    train = annotated(tmp_path / "annotations/instances_train2017.json", ["1.jpg"])
    val = annotated(tmp_path / "annotations/instances_val2017.json", ["2.jpg"])
    annotated(tmp_path / "annotations/captions_val2017.json", ["2.jpg"])
    pictures(tmp_path, "train2017/1.jpg", "val2017/2.jpg")

    found = find(tmp_path)

    assert coco_reader.recognises(tmp_path)
    assert [(item.id, item.split) for item in found.items] == [("1", "train"), ("2", "val")]
    assert [item.image for item in found.items] == [
        picture(str(tmp_path / "train2017/1.jpg")),
        picture(str(tmp_path / "val2017/2.jpg")),
    ]
    assert [item.mask for item in found.items] == [
        Content("coco", (str(train),), "1;exclusive;1,3"),
        Content("coco", (str(val),), "1;exclusive;1,3"),
    ]


def test_the_folder_of_roboflow_is_read_with_copies_of_an_original_as_a_group(tmp_path: Path) -> None:
    names = ["x_jpg.rf.00aa.jpg", "x_jpg.rf.11bb.jpg"]
    annotated(tmp_path / "train/_annotations.coco.json", names)
    annotated(tmp_path / "valid/_annotations.coco.json", ["y_jpg.rf.22cc.jpg"])
    pictures(tmp_path, *(f"train/{name}" for name in names), "valid/y_jpg.rf.22cc.jpg")

    found = find(tmp_path)

    assert coco_reader.recognises(tmp_path)
    assert [(item.group, item.split) for item in found.items] == [
        ("x_jpg", "train"), ("x_jpg", "train"), ("y_jpg", "val"),
    ]  # fmt: skip
    assert len({item.id for item in found.items}) == 3


def test_an_original_in_two_official_splits_is_no_group(tmp_path: Path) -> None:
    for split, name in (("train", "1_jpg.rf.aa.jpg"), ("test", "1_jpg.rf.bb.jpg")):
        annotated(tmp_path / split / "_annotations.coco.json", [name])
        pictures(tmp_path, f"{split}/{name}")

    assert [item.group for item in find(tmp_path).items] == [None, None]


def test_a_single_file_has_its_images_beside_it(tmp_path: Path) -> None:
    path = annotated(tmp_path / "cells.json", ["a.png", "sub/b.png"])
    pictures(tmp_path, "a.png", "images/sub/b.png")

    found = find(path)

    assert coco_reader.recognises(path)
    assert [item.image.uri for item in found.items] == [str(tmp_path / "a.png"), str(tmp_path / "images/sub/b.png")]
    assert [item.split for item in found.items] == [None, None]


def test_a_file_in_the_folder_annotations_has_its_images_beside_that_folder(tmp_path: Path) -> None:
    path = annotated(tmp_path / "annotations/instances_default.json")
    pictures(tmp_path, "images/a.png")

    assert [item.id for item in find(path).items] == ["a"]


@pytest.mark.parametrize("names", [["annotations/masks.png"], ["dataset.json"], ["train/a.json"], ["a.json"], []])
def test_other_folders_are_not_taken_for_coco(tmp_path: Path, names: list[str]) -> None:
    pictures(tmp_path, *names)

    assert not coco_reader.recognises(tmp_path)


@pytest.mark.parametrize("name", ["none", "dataset.json", "a.csv"])
def test_other_files_are_not_taken_for_coco(tmp_path: Path, name: str) -> None:
    if name != "none":
        pictures(tmp_path, name)

    assert not coco_reader.recognises(tmp_path / name)


def test_a_folder_without_annotations_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no file such as annotations/instances_train\.json"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("categories", "classes", "notes"),
    [
        (CATEGORIES, ("gland", "nucleus"), ()),
        ([{"id": 0, "name": "Background"}, *CATEGORIES], ("gland", "nucleus"), ("category Background is no class",)),
        ([{"id": 1, "name": "cell"}, {"id": 2, "name": "cell"}], ("cell_1", "cell_2"), ()),
        # Roboflow lists the project as a category.
        (
            [{"id": 0, "name": "cells", "supercategory": "none"}, {"id": 1, "name": "gland", "supercategory": "cells"}],
            ("gland",),
            ("category cells is no class",),
        ),
    ],
    ids=["by-number", "background", "one-name", "project"],
)
def test_classes_are_in_the_order_of_category_ids(
    tmp_path: Path, categories: Sequence[Mapping[str, Any]], classes: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    annotated(tmp_path / "annotations.json", categories=categories)
    pictures(tmp_path, "a.png")
    found = find(tmp_path)
    assert (found.labelling.classes, found.notes) == (("background", *classes), notes)
    assert found.labelling.values == tuple((number, number) for number in range(len(classes) + 1))


def test_multilabel_masks_are_bits(tmp_path: Path) -> None:
    annotated(tmp_path / "annotations.json")
    pictures(tmp_path, "a.png")

    found = find(tmp_path, labels="multilabel")

    assert found.labelling == Labelling(("background", "gland", "nucleus"), bits=True)
    assert found.items[0].mask.key == "1;multilabel;1,3"


@pytest.mark.parametrize(("labels", "most"), [("multilabel", 62), ("exclusive", 254)])
def test_more_classes_than_can_be_stored_are_refused(tmp_path: Path, labels: str, most: int) -> None:
    pictures(tmp_path, "a.png")
    many = [{"id": number, "name": f"c{number}"} for number in range(most + 1)]

    annotated(tmp_path / "annotations.json", categories=many[:-1])
    assert len(find(tmp_path, labels=labels).labelling.classes) == most + 1
    annotated(tmp_path / "annotations.json", categories=many)
    with pytest.raises(SourceError, match=f"has {most + 1} categories, expected 1 to {most}"):
        find(tmp_path, labels=labels)


def test_files_that_disagree_on_a_category_are_refused(tmp_path: Path) -> None:
    annotated(tmp_path / "train/_annotations.coco.json")
    annotated(tmp_path / "valid/_annotations.coco.json", categories=[{"id": 1, "name": "nucleus"}])

    with pytest.raises(SourceError, match="calls category 1 nucleus, others gland"):
        find(tmp_path)


def test_annotations_that_cannot_be_drawn_are_counted(tmp_path: Path) -> None:
    annotations = [
        {"image_id": 1, "category_id": 1, "segmentation": OUTLINE},
        {"image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3, 4]]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"image_id": 9, "category_id": 1, "segmentation": OUTLINE},
        {"image_id": 1, "category_id": 8, "segmentation": OUTLINE},
    ]
    annotated(tmp_path / "annotations.json", annotations=annotations)
    pictures(tmp_path, "a.png")

    assert find(tmp_path).notes == (
        "2 annotations have no outline and are left out",
        "1 annotations belong to images that are not listed and are left out",
        "1 annotations are of unknown categories (8) and are left out",
    )


def test_boxes_alone_are_no_masks(tmp_path: Path) -> None:
    annotated(tmp_path / "annotations.json", annotations=[{"image_id": 1, "category_id": 1, "segmentation": []}])

    with pytest.raises(SourceError, match="has boxes but no outlines"):
        find(tmp_path)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "..\\a.png", "x/../../a.png"])
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    annotated(tmp_path / "data/annotations.json", [name, "b.png"])
    pictures(tmp_path, "a.png", "data/x/c.png", "data/b.png")

    found = find(tmp_path / "data")

    assert [item.id for item in found.items] == ["b"]
    assert reasons(found) == [f"file_name {name} leaves {tmp_path}/data; correct it, or give --root DIR"]


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    annotated(tmp_path / "data/annotations.json")
    pictures(tmp_path, "secret.png")
    (tmp_path / "data/a.png").symlink_to(tmp_path / "secret.png")

    assert "leaves" in reasons(find(tmp_path / "data"))[0]
    assert find(tmp_path / "data", root=str(tmp_path)).refusals == ()


def test_an_image_that_is_not_there_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    annotated(tmp_path / "annotations.json", ["a.png", "nul\x00.png"])

    first, second = reasons(find(tmp_path))

    assert first.startswith(f"image a.png is in none of {tmp_path}, {tmp_path}/images")
    assert "nul" in second


def test_pictures_of_one_name_in_two_splits_have_different_ids(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        annotated(tmp_path / split / "_annotations.coco.json")
        pictures(tmp_path, f"{split}/a.png")

    assert [item.id for item in find(tmp_path).items] == ["train-a", "valid-a"]


def test_a_picture_that_is_listed_twice_is_used_once(tmp_path: Path) -> None:
    path = annotated(tmp_path / "annotations.json", ["a.png", "a.png"])
    pictures(tmp_path, "a.png")

    found = find(tmp_path)

    assert [item.mask.key for item in found.items] == ["1;exclusive;1,3"]
    assert reasons(found) == [f"is listed twice, first in {path}#1;exclusive;1,3; keep one entry of a picture"]


def test_an_image_id_that_is_listed_twice_is_refused_once(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    images = [{"id": 1, "file_name": "a.png"}, {"id": 1.0, "file_name": "b.png"}]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": CATEGORIES}))
    pictures(tmp_path, "a.png", "b.png")

    found = find(tmp_path)

    assert ([item.id for item in found.items], len(found.refusals)) == (["a"], 1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"images": [}',
        '{"images": [], "annotations": []}',
        '{"images": {}, "annotations": [], "categories": []}',
        '{"images": [5], "annotations": [], "categories": []}',
        '{"images": [{"id": 1}], "annotations": [], "categories": []}',
        '{"images": [], "annotations": [], "categories": [{"id": "x"}]}',
        '{"images": [], "annotations": [], "categories": []',
        '{"images": [], "annotations": [], "categories": []}'[:-20],
        '{"images": [], "annotations": [7], "categories": []}',
        '{"info": ' + "[" * 200_000,
        "\x00\x01binary",
    ],
)
def test_a_damaged_file_is_one_line_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(content)

    with pytest.raises(SourceError) as refused:
        find(tmp_path)

    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_names_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path / "annotations.json")
    path.write_bytes(path.read_bytes().replace(b"gland", b"gl\xffnd"))

    with pytest.raises(SourceError, match="is damaged: 'utf-8' codec"):
        find(tmp_path)


@pytest.mark.parametrize(("ids", "listed"), [([1, 2, 3, 5], "1-3,5"), ([7], "7"), ([4, 2, 3], "2-4"), ([0, 2], "0,2")])
def test_category_ids_in_a_key_are_short(ids: list[int], listed: str) -> None:
    assert mask_key("9", "exclusive", ids) == f"9;exclusive;{listed}"


def test_the_index_of_a_file_is_made_once(tmp_path: Path) -> None:
    path = annotated(tmp_path / "annotations.json")

    assert read_index(str(path)) is read_index(str(path))
