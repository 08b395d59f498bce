"""What labelling tools write is named with the way to masks, and COCO of Label Studio is found by itself."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.readers.paths.label_tools import is_coco, label_tool_hints
from hsmix_gen.pipeline.readers.registry import layout_of
from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError
from tests.command_line import run_cli
from tests.pipeline.readers.layouts import lay

CASES: dict[str, tuple[str, str, str]] = {
    "labelme": (
        "a.json", json.dumps({"version": "5", "shapes": [], "imagePath": "a.png"}), "labelme; export them as COCO",
    ),
    "via": ("via_project.json", '{"_via_settings": {}, "_via_img_metadata": {}}', "VIA (VGG Image Annotator); open"),
    "via-regions": ("via_region_data.json", '{"a.png9": {"filename": "a.png", "regions": []}}', "VIA (VGG Image Ann"),
    "via-csv": ("via.csv", "filename,region_shape_attributes\na.png,{}\n", "VIA (VGG Image Annotator)"),
    "cvat": ("annotations.xml", "<?xml version='1.0'?><annotations><version>1.1</version><meta/></annotations>",
             "CVAT; export the task as COCO 1.0 or Segmentation mask 1.1"),
    "yolo": ("labels/a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n1 .5 0.2 1e-3 0.1 0.5 0.5\n".replace(" .5", " 0.5"),
             "YOLO; convert them to COCO"),
    "yolo-boxes": ("labels/a.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO boxes; they have no outlines"),
    "rle": ("train.csv", "ImageId,EncodedPixels\na.png,1 3\n", "run lengths (RLE); convert the table to COCO"),
    "rle-quoted": ("train.csv", '"id","class","segmentation"\n"a","b",\n"a","c","12 3 40 5"\n', "run lengths (RLE)"),
    "label-studio": ("export.json", '[{"id": 1, "annotations": [{"result": []}]}]', "Label Studio; export the project"),
    "supervisely": ("ann/a.png.json", '{"objects": [{"classTitle": "cell"}]}', "Supervisely"),
    "qupath": ("a.geojson", '{"type": "FeatureCollection", "features": []}', "QuPath (GeoJSON)"),
    "voc-boxes": ("a.xml", "<annotation><object><bndbox/></object></annotation>", "PASCAL VOC boxes; they have no"),
    "coco": ("x.json", '{"images": [], "annotations": [], "categories": []}', "COCO; give the file itself as SOURCE"),
    "lfs": ("a.dcm", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "pointers of Git LFS"),
    "annex": ("a.dcm", "/annex/objects/MD5-s1--0\n", "pointers of git-annex"),
}  # fmt: skip


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("tool", CASES)
def test_files_of_a_tool_are_named_with_the_way_out(tmp_path: Path, tool: str) -> None:
    name, text, words = CASES[tool]
    lay(tmp_path, "a.png", "b.png")
    write(tmp_path / name, text)

    with pytest.raises(SourceError) as refused:
        discover(tmp_path, RunConfig())

    assert str(refused.value).startswith(f"{tmp_path} holds no pair of image and mask; ")
    assert name in str(refused.value)
    assert words in str(refused.value)
    assert "image has no mask" not in str(refused.value)


def test_files_of_a_tool_are_counted(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.json", CASES["labelme"][1])

    (hint,) = label_tool_hints(tmp_path, ("0.json", "1.json", "2.json"))

    assert hint.startswith("3 .json files are of labelme, first 0.json; export them as COCO")


def test_beside_good_pairs_they_are_a_note(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png")
    write(tmp_path / "annotations.xml", CASES["cvat"][1])

    found = discover(tmp_path, RunConfig())

    assert len(found.items) == 1
    assert any("is of CVAT" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "cell\n"), ("train.txt", "1\n2\n"), ("a.csv", "image,mask\n"), ("a.json", "{}"),
        ("a.json", '{"shapes": 3'), ("a.json", "\0" * 99), ("a.txt", ""), ("a.xml", "<Annotations/>"),
        ("points.txt", "1 2 3 4 5\n"), ("points.txt", "0 0.1 0.2 0.3 0.4\n a b\n"),
        ("l.csv", "image,segmentation\na.png,m.png\n"),
    ],
)  # fmt: skip
def test_other_files_are_of_no_tool(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / name, text)

    assert label_tool_hints(tmp_path, (name,)) == ()


def coco(folder: Path, name: str = "result.json", **more: Any) -> Path:
    """Write what Label Studio exports: pictures in a folder, and their polygons."""
    lay(folder, "images/a.png", "images/b.png")
    table = {
        "images": [{"id": k, "file_name": f"images/{n}.png", "width": 8, "height": 8} for k, n in enumerate("ab")],
        "categories": [{"id": 0, "name": "cell"}],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 0, "segmentation": [[1, 1, 6, 1, 6, 6]], "iscrowd": 0}
            for k in (0, 1)
        ],
    }
    (folder / name).write_text(json.dumps(table | more))
    return folder


def test_coco_of_label_studio_is_found_by_itself(tmp_path: Path) -> None:
    found = discover(coco(tmp_path), RunConfig())

    assert found.layout == "coco"
    assert [item.id for item in found.items] == ["a", "b"]
    assert found.labelling.classes == ("background", "cell")


def test_another_result_is_no_coco(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "result.json").write_text('{"dice": 0.9, "images": 3}')

    assert layout_of(tmp_path) == "folder"


def test_a_long_list_may_stand_before_the_others(tmp_path: Path) -> None:
    coco(tmp_path, "x.json")
    whole = json.loads((tmp_path / "x.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps({"images": whole["images"] * 2000, **whole}))

    assert is_coco(tmp_path / "x.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")

    assert not is_coco(tmp_path / "result.json")
    assert label_tool_hints(tmp_path, ("result.json",)) == ()


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_pairs_of_pointers_are_refused_by_that(tmp_path: Path, kind: str, inspect_fails: Any) -> None:
    """Pillow calls them unknown or damaged."""
    from PIL import Image

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (32, 32)).save(tmp_path / folder / "a.png")
    (tmp_path / kind / "a.png").write_text(CASES["lfs"][1])

    assert inspect_fails(tmp_path).endswith(
        f"{tmp_path / kind / 'a.png'} is a pointer of Git LFS, not the file itself; fetch the files with git lfs pull\n"
    )


@pytest.fixture
def inspect_fails() -> Any:
    """Return what `inspect` says of a source that it refuses."""

    def fails(source: Path) -> str:
        result = run_cli("inspect", source, "--progress", "none", status=1)
        return str(result.stderr)

    return fails


@pytest.mark.parametrize("name", ["l.csv", "a.npz", "instances.json"])
def test_a_source_that_is_a_pointer_is_refused_by_that(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, CASES["lfs"][1])

    with pytest.raises(SourceError, match="is a pointer of Git LFS, not the file itself"):
        discover(tmp_path / name, RunConfig())
