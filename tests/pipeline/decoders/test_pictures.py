"""Pictures and their masks as stacks of one plane: values, digests, and errors that begin with the file."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from hsmix_gen.pipeline.decoders.pictures import PictureStack, colours_of, mask_of
from hsmix_gen.pipeline.decoders.registry import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, picture
from tests.written import png

Array = npt.NDArray[Any]
HOW = ReadOptions()
GREY = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def write(path: Path, array: Array) -> str:
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)
    return str(path)


def image(folder: Path, size: tuple[int, int] = (2, 3)) -> Stack:
    return open_image(picture(write(folder / "image.png", np.zeros(size, np.uint8))), HOW)


def mask_plane(folder: Path, form: str, *paths: str, size: tuple[int, int] = (2, 3)) -> Array:
    return open_mask(Content(form, paths), image(folder, size), HOW).plane(0)


@pytest.mark.parametrize(
    ("array", "channels", "dtype"),
    [(GREY, 1, "uint8"), (COLOUR, 3, "uint8"), (GREY.astype(np.uint16) * 257, 1, "uint16")],
    ids=["grey", "RGB", "16-bit"],
)
def test_a_picture_is_a_stack_of_one_plane(tmp_path: Path, array: Array, channels: int, dtype: str) -> None:
    path = write(tmp_path / "a.png", array)

    stack = open_image(picture(path), HOW)

    assert (stack.size, stack.n_planes, stack.channels, stack.dtype) == ((2, 3), 1, channels, np.dtype(dtype))
    assert (stack.is_picture, stack.is_volume, stack.spacing, stack.frame) == (True, False, None, None)
    assert stack.body(0) is None
    np.testing.assert_array_equal(stack.plane(0), array.reshape(2, 3, channels))
    assert stack.plane(0).dtype == dtype
    assert stack.digest(0) == sha256_of(Path(path).read_bytes())


def test_a_picture_may_lie_in_bytes() -> None:
    np.testing.assert_array_equal(PictureStack(png(COLOUR), "set.tar#a.png", HOW).plane(0), COLOUR)


def test_a_picture_is_decoded_when_it_is_asked_for() -> None:
    """Sizes are compared before anything is decoded."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)

    stack = PictureStack(png(noise)[:500], "a.png", HOW)

    assert stack.size == (24, 32)
    with pytest.raises(SourceError, match=r"^a\.png is damaged"):
        stack.plane(0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "^bad.png is no image that can be read"),
        (b"", r"^bad.png file is empty \(0 bytes\)"),
        (png(np.zeros((9, 9), np.uint8)), "^bad.png has 9 x 9 pixels, more than source.max_pixels = 80"),
    ],
    ids=["text", "empty", "large"],
)
@pytest.mark.parametrize("form", ["picture", "union", "classes", "colours"])
def test_what_is_wrong_with_a_file_begins_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, data: bytes, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = image(tmp_path)
    Path("bad.png").write_bytes(data)

    with pytest.raises(SourceError, match=reason):
        open_mask(Content(form, ("bad.png",)), whole, ReadOptions(max_pixels=80))


def test_a_missing_file_is_reported_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.png cannot be read"):
        open_image(picture(str(tmp_path / "none.png")), HOW)


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("m.png", "uint8", "uint8"), ("m.png", "uint16", "uint16"), ("m.tif", "uint16", "uint16"),
        ("m.tif", "int32", "int32"), ("m.tif", "float32", "int32"),
    ],
)  # fmt: skip
def test_a_mask_keeps_its_values(tmp_path: Path, name: str, dtype: str, expected: str) -> None:
    values = np.array([[0, 1, 200], [3, 3, 0]]) * (1 if dtype == "uint8" else 300)
    path = write(tmp_path / name, values.astype(dtype))

    stack = open_mask(picture(path), image(tmp_path), HOW)

    assert (stack.size, stack.n_planes, stack.channels, stack.dtype) == ((2, 3), 1, 1, np.dtype(expected))
    np.testing.assert_array_equal(stack.plane(0), values)
    assert stack.digest(0) == sha256_of(Path(path).read_bytes())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[0, 0.5, 1]], r"has the label 0\.5, expected whole numbers"),
        ([[0, np.nan, 1]], "has NaN or infinite labels"),
        ([[0, -1, 1]], "has the label -1, expected 0 or more"),
    ],
)
def test_a_mask_of_other_than_whole_numbers_is_refused(tmp_path: Path, values: Any, reason: str) -> None:
    path = write(tmp_path / "m.tif", np.array(values, np.float32))

    with pytest.raises(SourceError, match=reason) as caught:
        mask_plane(tmp_path, "picture", path)
    assert str(caught.value).startswith(path)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", GREY)

    with pytest.raises(SourceError, match=r"m\.png is 3 x 2, its image 3 x 4"):
        mask_plane(tmp_path, "picture", path, size=(4, 3))


def test_several_masks_are_joined_where_any_is_not_0(tmp_path: Path) -> None:
    first = write(tmp_path / "1.png", np.array([[0, 255, 0], [0, 0, 0]], np.uint8))
    second = write(tmp_path / "2.png", np.array([[0, 1, 7], [0, 0, 0]], np.uint16))
    third = write(tmp_path / "3.png", np.array([[False, False, False], [True, False, False]]))

    joined = mask_plane(tmp_path, "union", first, second, third)

    assert joined.dtype == np.uint8
    assert joined.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_lossy_masks_are_joined_by_their_two_values(tmp_path: Path) -> None:
    square = np.zeros((32, 48), np.uint8)
    square[8:16, 32:40] = 255
    paths = []
    for number, array in enumerate((square, square[::-1])):
        paths.append(str(tmp_path / f"{number}.jpg"))
        Image.fromarray(np.ascontiguousarray(array)).save(paths[-1], quality=60)

    joined = mask_plane(tmp_path, "union", *paths, size=(32, 48))

    np.testing.assert_array_equal(joined, (square | square[::-1]) // 255)


@pytest.mark.parametrize("form", ["union", "classes"])
def test_a_mask_of_one_object_covers_what_is_not_black_whatever_its_index(tmp_path: Path, form: str) -> None:
    indexed = Image.fromarray(np.array([[0, 1, 1], [0, 0, 1]], np.uint8), "P")
    indexed.putpalette([255, 255, 255, 0, 0, 0])
    indexed.save(tmp_path / "m.png")

    np.testing.assert_array_equal(mask_plane(tmp_path, form, str(tmp_path / "m.png")), [[1, 0, 0], [1, 1, 0]])


@pytest.mark.parametrize("form", ["union", "classes"])
def test_soft_edges_of_one_object_are_refused_or_cut(tmp_path: Path, form: str) -> None:
    """Whatever is not 0 would make it larger."""
    path = write(tmp_path / "m.png", np.array([[0, 9, 255], [200, 255, 255]], np.uint8))

    with pytest.raises(SourceError, match=r"m\.png has greys between 0 and 255.*--threshold 128"):
        mask_plane(tmp_path, form, path)
    cut = open_mask(Content(form, (path,)), image(tmp_path), ReadOptions(threshold=128))
    np.testing.assert_array_equal(cut.plane(0), [[0, 0, 1], [1, 1, 1]])


@pytest.mark.parametrize(("threshold", "expected"), [(1, [[0, 1, 1]]), (128, [[0, 1, 1]]), (200.5, [[0, 0, 1]])])
def test_a_mask_may_be_cut(tmp_path: Path, threshold: float, expected: Any) -> None:
    path = write(tmp_path / "m.png", np.array([[0, 128, 255]], np.uint8))

    mask = open_mask(picture(path), image(tmp_path, (1, 3)), ReadOptions(threshold=threshold))

    np.testing.assert_array_equal(mask.plane(0), expected)


def test_colours_cannot_be_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", np.zeros((2, 3, 3), np.uint8))

    with pytest.raises(SourceError, match="holds no grey values that --threshold could cut"):
        open_mask(Content("colours", (path,)), image(tmp_path), ReadOptions(threshold=9))


def test_one_file_each_class_becomes_a_sum_of_bits(tmp_path: Path) -> None:
    first = write(tmp_path / "1.png", np.array([[0, 255, 255], [0, 0, 0]], np.uint8))
    third = write(tmp_path / "3.png", np.array([[0, 0, 1], [1, 0, 0]], np.uint8))

    summed = mask_plane(tmp_path, "classes", first, "", third)

    assert summed.dtype == np.uint8
    assert summed.tolist() == [[0, 1, 5], [4, 0, 0]]


@pytest.mark.parametrize(
    ("number", "dtype"), [(8, "uint8"), (9, "uint16"), (17, "uint32"), (33, "uint64"), (62, "uint64")]
)
def test_bits_of_many_classes_have_room(tmp_path: Path, number: int, dtype: str) -> None:
    path = write(tmp_path / "m.png", np.array([[0, 1, 0], [0, 0, 0]], np.uint8))

    summed = mask_plane(tmp_path, "classes", path, *[""] * (number - 2), path)

    assert summed.dtype == dtype
    assert summed.tolist() == [[0, 1 + 2 ** (number - 1), 0], [0, 0, 0]]


def test_more_classes_than_bits_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", GREY)

    with pytest.raises(SourceError, match=r"m\.png is one of 63 masks of one image, at most 62 are taken"):
        mask_plane(tmp_path, "classes", *[""] * 62, path)


@pytest.mark.parametrize("form", ["union", "classes"])
def test_masks_of_one_image_must_have_one_size(tmp_path: Path, form: str) -> None:
    first = write(tmp_path / "1.png", GREY)
    second = write(tmp_path / "2.png", np.ascontiguousarray(GREY.T))

    with pytest.raises(SourceError, match=r"2\.png is 2 x 3, the masks beside it 3 x 2; export all masks"):
        mask_plane(tmp_path, form, first, second)


def test_the_digest_of_several_files_states_content_and_order_and_no_place(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.png", GREY), write(tmp_path / "2.png", 255 - GREY)
    whole = image(tmp_path)

    digests = [
        open_mask(Content(form, paths), whole, HOW).digest(0)
        for form, paths in [
            ("union", (first, second)), ("union", (second, first)), ("classes", (first, "")), ("classes", ("", first)),
        ]
    ]  # fmt: skip

    assert len(set(digests)) == 4
    elsewhere = tuple(shutil.copy(path, f"{path}.copy") for path in (first, second))
    assert digests[0] == open_mask(Content("union", elsewhere), whole, HOW).digest(0)


def test_masks_may_lie_in_bytes() -> None:
    """Members of archives and rows of tables."""
    np.testing.assert_array_equal(mask_of(png(GREY), "set.tar#a.png", HOW).plane(0), GREY)
    assert colours_of(png(COLOUR[:1, :1]), "set.tar#a.png", HOW).plane(0).tolist() == [[0x00FF00]]
    with pytest.raises(SourceError, match=r"^set\.tar#a\.png is no image"):
        mask_of(b"hello", "set.tar#a.png", HOW)


def test_jpeg_masks_of_kvasir_have_two_values(shared_data: Path) -> None:
    folder = shared_data / "layouts" / "kvasir_seg_sample" / "Kvasir-SEG"

    for path in sorted((folder / "masks").iterdir()):
        whole = open_image(picture(str(folder / "images" / path.name)), HOW)
        assert np.unique(open_mask(picture(str(path)), whole, HOW).plane(0)).tolist() == [0, 255]


def test_instance_ids_of_glas_are_kept(shared_data: Path) -> None:
    (folder,) = (path for path in (shared_data / "layouts" / "glas_warwick_qu").iterdir() if path.is_dir())
    path = folder / "train_1_anno.bmp"

    values = open_mask(picture(str(path)), open_image(picture(str(folder / "train_1.bmp")), HOW), HOW).plane(0)

    np.testing.assert_array_equal(values, np.asarray(Image.open(path)))
    assert values.max() > 1
