"""Coloured masks in tar members and Parquet rows: an option or a table beside the files says which colour is what."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_png
from hsmix_gen.pipeline.decoders.packed_members import open_image
from hsmix_gen.pipeline.decoders.registry import open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import parquet_reader, webdataset_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from tests.written import tar

GIVEN = "#000000=background,#FF0000=polyp,#0000FF=tool"
COLOURED = np.array([[(0, 0, 0), (255, 0, 0), (0, 0, 255)], [(255, 0, 0), (0, 0, 0), (0, 0, 0)]], np.uint8)
NUMBERS = [[0, 0xFF0000, 0x0000FF], [0xFF0000, 0, 0]]
TABLE = "background,0,0,0\npolyp,255,0,0\ntool,0,0,255\n"
GREY = np.array([[0, 1, 2], [1, 0, 0]], np.uint8)
IMAGE = encode_png(np.zeros((2, 3, 3), np.uint8))
Pack = Callable[[Path, bytes], Path]


def in_tar(folder: Path, mask: bytes) -> Path:
    ending = "npy" if mask.startswith(b"\x93NUMPY") else "png"
    return tar(folder / "shard.tar", {"a.image.png": IMAGE, f"a.mask.{ending}": mask})


def in_table(folder: Path, mask: bytes) -> Path:
    path = folder / "table.parquet"
    pq.write_table(pa.table({"image": [IMAGE], "mask": [mask]}), path)
    return path


def found_in(path: Path, **options: Any) -> Found:
    """Return what the reader of a file, or of the one in a folder, finds."""
    file = path if path.is_file() else next(path.glob("[st]*.*"))
    find = webdataset_reader.find if file.suffix == ".tar" else parquet_reader.find
    return find(path, SourceConfig(**options))


def values_of(found: Found) -> list[list[int]]:
    """Return the mask of the only item as it is read."""
    (item,) = found.items
    values: list[list[int]] = (
        open_mask(item.mask, open_image(item.image, ReadOptions()), ReadOptions()).plane(0).tolist()
    )
    return values


def palette(_: Any = None) -> bytes:
    """Return the colours as a picture with a palette."""
    picture = Pillow.fromarray(GREY, "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [in_tar, in_table])
@pytest.mark.parametrize("encode", [encode_png, encode_npy, palette])
def test_given_colours_are_read_from_packed_masks(tmp_path: Path, pack: Pack, encode: Callable[..., bytes]) -> None:
    """As pictures, arrays and palettes; before, the option was ignored."""
    found = found_in(pack(tmp_path, encode(COLOURED)), colours=GIVEN)

    assert values_of(found) == NUMBERS
    assert found.labelling.classes == ("background", "polyp", "tool")
    assert dict(found.labelling.values) == {0: 0, 0xFF0000: 1, 0x0000FF: 2}


@pytest.mark.parametrize("pack", [in_tar, in_table])
def test_a_table_is_found_beside_the_file_that_is_the_source(tmp_path: Path, pack: Pack) -> None:
    """A relative name is one of the folder, also where the source is a single file."""
    (tmp_path / "mine.csv").write_text(TABLE)

    found = found_in(pack(tmp_path, encode_png(COLOURED)), colours="mine.csv")

    assert values_of(found) == NUMBERS


@pytest.mark.parametrize("pack", [in_tar, in_table])
@pytest.mark.parametrize("encode", [encode_png, encode_npy, palette])
def test_a_table_in_the_folder_is_taken_where_masks_have_colours(
    tmp_path: Path, pack: Pack, encode: Callable[..., bytes]
) -> None:
    """As in folders of pictures."""
    (tmp_path / "class_dict.csv").write_text(TABLE)
    pack(tmp_path, encode(COLOURED))

    found = found_in(tmp_path)

    assert values_of(found) == NUMBERS
    assert found.labelling.classes == ("background", "polyp", "tool")
    assert found.notes == ("colours of masks are those of class_dict.csv",)


@pytest.mark.parametrize("pack", [in_tar, in_table])
@pytest.mark.parametrize("encode", [encode_png, encode_npy])
def test_a_table_is_left_alone_where_masks_hold_class_ids(
    tmp_path: Path, pack: Pack, encode: Callable[..., bytes]
) -> None:
    """Class ids are no shades of grey."""
    (tmp_path / "class_dict.csv").write_text(TABLE)
    pack(tmp_path, encode(GREY))

    found = found_in(tmp_path)

    assert values_of(found) == GREY.tolist()
    assert found.labelling.classes == ()
    assert found.notes == ("colour table class_dict.csv was left alone: the masks have no colours",)


@pytest.mark.parametrize("pack", [in_tar, in_table])
def test_a_grey_mask_under_given_colours_is_one_of_grey_colours(tmp_path: Path, pack: Pack) -> None:
    """A whole black mask may be stored without channels."""
    for encode in (encode_png, encode_npy):
        found = found_in(pack(tmp_path, encode(GREY)), colours=GIVEN)
        assert values_of(found) == (GREY.astype(int) * 0x010101).tolist()


@pytest.mark.parametrize("array", [COLOURED.astype(np.uint16), COLOURED[..., :2]])
def test_arrays_that_hold_no_colours_are_refused(tmp_path: Path, array: Any) -> None:
    """Wider numbers or two channels are no colours."""
    found = found_in(in_tar(tmp_path, encode_npy(array)), colours=GIVEN)

    with pytest.raises(SourceError, match=r"shard\.tar#a\.mask\.npy has colours as .*, expected \(H, W, 3\) uint8; "):
        values_of(found)


@pytest.mark.parametrize("encode", [encode_png, encode_npy])
def test_coloured_masks_without_a_table_are_refused_with_the_way_out(
    tmp_path: Path, encode: Callable[..., bytes]
) -> None:
    """The option is named."""
    found = found_in(in_tar(tmp_path, encode(COLOURED)))

    with pytest.raises(SourceError, match=r"shard\.tar#a\.mask\.\w+ .*--colours"):
        values_of(found)


@pytest.mark.parametrize("pack", [in_tar, in_table])
def test_an_absent_table_is_refused(tmp_path: Path, pack: Pack) -> None:
    """It is never dropped."""
    path = pack(tmp_path, encode_png(COLOURED))

    with pytest.raises(SourceError, match=r"^colour table none\.csv does not exist; "):
        found_in(path, colours="none.csv")
