"""Masks with palettes and previews in tables show colours to people, and class ids to whoever trains."""

import io
import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.array_bytes import encode_photograph, encode_png, with_palette, without_palette
from hsmix_gen.pipeline.dataset.class_colours import CLASS_COLOURS
from hsmix_gen.pipeline.loading.torch_datasets import HsmixDataset
from hsmix_gen.pipeline.mixing.panels import overlay
from hsmix_gen.schemas.config import OutputConfig
from tests.command_line import TINY, inspected, run_cli
from tests.fixture_types import Maker

FORMATS = ("webdataset", "parquet", "folder")
IDS = np.array([[0, 1, 2, 255], [9, 254, 7, 0]], np.uint8)


def opened(data: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data))


def test_every_class_has_a_colour_of_its_own() -> None:
    """Background is black, ignored pixels are grey."""
    assert len(np.unique(CLASS_COLOURS, axis=0)) == 256
    assert CLASS_COLOURS[[0, 255]].tolist() == [[0, 0, 0], [128, 128, 128]]


def test_a_palette_shows_colours_and_keeps_ids() -> None:
    data = with_palette(encode_png(IDS), CLASS_COLOURS)
    picture = opened(data)
    opened(data).verify()

    assert picture.mode == "P"
    np.testing.assert_array_equal(np.array(picture), IDS)
    np.testing.assert_array_equal(np.array(picture.convert("RGB")), CLASS_COLOURS[IDS])


def test_our_reader_takes_ids_with_and_without_a_palette(capfd: pytest.CaptureFixture[str]) -> None:
    """Pillow compresses otherwise and puts chunks of its own before the palette; no decoder prints a line."""
    plain = encode_png(IDS)
    other, buffer = Pillow.fromarray(IDS), io.BytesIO()
    other.putpalette(CLASS_COLOURS.tobytes())
    other.save(buffer, "PNG", dpi=(72, 72))

    assert without_palette(plain) == plain
    for data in (with_palette(plain, CLASS_COLOURS), buffer.getvalue()):
        np.testing.assert_array_equal(imagecodecs.png_decode(without_palette(data)), IDS)
    assert without_palette(with_palette(plain, CLASS_COLOURS)) == plain
    coloured = encode_photograph(CLASS_COLOURS[IDS])
    assert without_palette(coloured) == coloured
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("length", [33, 40, 60])
def test_a_palette_that_is_cut_off_is_left_to_the_decoder(length: int) -> None:
    cut = with_palette(encode_png(IDS), CLASS_COLOURS)[:length]

    with pytest.raises(RuntimeError):
        imagecodecs.png_decode(without_palette(cut))


def test_an_overlay_is_small_and_has_the_colours_of_classes_by_their_share() -> None:
    """Half a class is half as much colour; where there is none the image shows, and means are taken of squares."""
    image = np.full((4, 6, 3), 200, np.uint8)
    image[0, 0] = 100
    soft = np.zeros((2, 4, 6), np.float16)
    soft[0], soft[1, :, 2:], soft[1, :, 4:] = 1, 0.5, 1
    soft[0] -= soft[1]

    shown = overlay(image, soft, first=1, side=3)

    assert shown.shape == (2, 3, 3)
    assert shown[:, 0].tolist() == [[175] * 3, [200] * 3]
    np.testing.assert_array_equal(shown[1, 2], np.rint(0.55 * 200 + 0.45 * CLASS_COLOURS[1]))
    np.testing.assert_array_equal(shown[1, 1], np.rint(0.775 * 200 + 0.225 * CLASS_COLOURS[1]))


def test_previews_without_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="--parquet-preview needs --format parquet, got webdataset; add it"):
        OutputConfig(parquet_preview=True)


@pytest.fixture(scope="module")
def plain(make_sharded: Maker) -> Path:
    output: Path = make_sharded("webdataset")
    return output


@pytest.fixture(scope="module")
def shown(plain: Path) -> Path:
    """The same samples with palettes and previews."""
    made = ("--copies", 3, "--shards", 4, "--cache", plain / ".hsmix" / "cache", "--mask-palette", "--parquet-preview")
    forms = [part for form in FORMATS for part in ("--format", form)]
    run_cli("run", plain.parent / "source", plain.parent / "shown", *TINY, *made, *forms)
    return plain.parent / "shown"


def rows_of(output: Path) -> list[dict[str, Any]]:
    files = sorted((output / "parquet").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def pixels(data: bytes) -> npt.NDArray[Any]:
    return np.array(opened(data))


@pytest.mark.parametrize("form", FORMATS)
def test_a_palette_changes_nothing_for_who_trains(plain: Path, shown: Path, form: str) -> None:
    expected, given = HsmixDataset(plain, parts=("mask",)), HsmixDataset(shown, form=form, parts=("mask",))

    for number in range(len(expected)):
        assert torch.equal(expected[number]["mask"], given[number]["mask"])


def test_every_format_has_the_palette_and_the_card_names_its_risk(shown: Path) -> None:
    masks = [row["mask"]["bytes"] for row in rows_of(shown)]
    masks += [path.read_bytes() for path in (shown / "folder" / "masks").iterdir()]

    assert {opened(mask).mode for mask in masks} == {"P"}
    assert json.loads((shown / "dataset.json").read_text())["mask_palette"] is True
    assert "WebDataset's `.decode()` give colours" in (shown / "README.md").read_text()


def test_each_row_has_a_coloured_preview(shown: Path) -> None:
    for row in rows_of(shown):
        image, preview = pixels(row["image"]["bytes"]), pixels(row["preview"]["bytes"])
        mask = pixels(row["mask"]["bytes"])
        assert preview.shape == image.shape
        np.testing.assert_array_equal((preview != image).any(-1)[mask == 2].mean().round(), 1)
        assert row["preview"]["path"] == f"{row['key']}.preview.png"


def test_palettes_and_previews_are_verified_to_the_byte(shown: Path, tmp_path: Path) -> None:
    """Replay compares every stored member, those for viewers too."""
    run_cli("verify", shown, "--replay", 30)

    key = rows_of(shown)[0]["key"]
    run_cli("replay", shown, key, "--to", tmp_path)
    assert opened((tmp_path / f"{key}.mask.png").read_bytes()).mode == "P"


def test_exports_never_have_a_palette(plain: Path, shown: Path, tmp_path: Path) -> None:
    """Trainers read their PNG files by libraries that would give colours."""
    for name, output in (("plain", plain), ("shown", shown)):
        run_cli("export", output, tmp_path / name, "--to", "imglabel")
    masks = sorted(path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("labelcol/*.png"))

    assert masks
    assert all((tmp_path / "shown" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes() for name in masks)


def test_masks_with_our_palette_are_a_source_again(shown: Path, tmp_path: Path) -> None:
    """A palette of ours is one order of colours in all files: its numbers are the classes."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in (shown / "folder" / kind).glob("val-*"):
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    masks = [pixels(path.read_bytes()) for path in (tmp_path / "masks").iterdir()]

    found = inspected(tmp_path)

    assert found["layout"] == "folder"
    counts = [entry["pixels"] for entry in found["classes"]]
    assert counts == np.sum([np.bincount(mask.ravel(), minlength=3) for mask in masks], axis=0).tolist()


@pytest.mark.slow
def test_hugging_face_datasets_show_previews_and_coloured_masks(shown: Path) -> None:
    """Its viewer shows columns of pictures; arrays of the mask stay ids, and named columns alone are read."""
    datasets = pytest.importorskip("datasets")
    files = {"train": str(shown / "parquet" / "train-*.parquet")}
    by_key = {row["key"]: row for row in rows_of(shown)}

    given = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    narrow = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True, columns=["soft"])

    assert isinstance(given.features["preview"], datasets.Image)
    for row in given:
        stored = by_key[row["key"]]
        assert (row["preview"].mode, row["mask"].mode) == ("RGB", "P")
        np.testing.assert_array_equal(np.array(row["preview"]), pixels(stored["preview"]["bytes"]))
        np.testing.assert_array_equal(np.array(row["mask"]), pixels(stored["mask"]["bytes"]))
    assert list(next(iter(narrow))) == ["soft"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning")
def test_the_manual_names_who_takes_ids_and_who_takes_colours(tmp_path: Path) -> None:
    """If this fails, a library has changed its mind and the words of the option, card and manual with it."""
    cv2, skimage, decoders = (pytest.importorskip(name) for name in ("cv2", "skimage.io", "webdataset.autodecode"))
    from monai.data.image_reader import PILReader
    from torchvision.io import read_image

    path = tmp_path / "mask.png"
    path.write_bytes(with_palette(encode_png(IDS), CLASS_COLOURS))
    reader = PILReader(reverse_indexing=False)

    for ids in (read_image(str(path))[0], reader.get_data(reader.read(path))[0]):
        np.testing.assert_array_equal(np.asarray(ids), IDS)
    for colours in (cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1], skimage.imread(path)):
        np.testing.assert_array_equal(colours, CLASS_COLOURS[IDS])
    assert not np.array_equal(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), IDS)
    assert not np.array_equal(decoders.imagehandler("l8")("png", path.read_bytes()), IDS)
