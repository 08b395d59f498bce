"""Soft labels come back from every form as they were, and are distinguished from what they are not."""

import io
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.soft_encoding import (
    SOFT_FORMS,
    check_soft_encoding,
    describe_soft,
    encode_column,
    soft_encoding_of,
)
from hsmix_gen.schemas.config import SoftEncoding
from hsmix_gen.schemas.errors import ConfigError, OutputError
from hsmix_gen.schemas.records import DatasetFacts
from hsmix_gen.stages.labels.labels import SoftLabel, soft_label

FORMS: tuple[SoftEncoding, ...] = get_args(SoftEncoding)
# (C, H, W) = (3, 2, 4): mixed of two classes, of one, of the first and the last, and ignored.
SHARES = np.zeros((3, 2, 4), dtype=np.uint8)
SHARES[:, 0] = [[255, 155, 0, 0], [0, 100, 255, 0], [0, 0, 0, 0]]
SHARES[:, 1] = [[1, 127, 254, 0], [0, 0, 0, 255], [254, 128, 1, 0]]
SOFT: SoftLabel = soft_label(SHARES)


def facts(*, multilabel: bool = False) -> DatasetFacts:
    return DatasetFacts((2, 4), 3, "uint8", ("background", "a", "b"), ((0, 0),), multilabel=multilabel)


@pytest.mark.parametrize("form", FORMS)
def test_a_soft_label_comes_back_exactly(form: SoftEncoding) -> None:
    found = SOFT_FORMS[form].decode(SOFT_FORMS[form].encode(SOFT), (3, 2, 4))

    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, SOFT)


@pytest.mark.parametrize("form", FORMS)
def test_a_column_gives_the_same_label(form: SoftEncoding) -> None:
    column = encode_column(SOFT, form, SOFT_FORMS[form].encode(SOFT))

    np.testing.assert_array_equal(SOFT_FORMS["npy" if form == "npz" else form].decode(column, (3, 2, 4)), SOFT)


def test_a_column_holds_npy_where_the_member_is_npz() -> None:
    """Pages of a column are compressed by themselves."""
    assert encode_column(SOFT, "npz", b"npz")[:6] == b"\x93NUMPY"
    assert encode_column(SOFT, "png", b"png") == b"png"


@pytest.mark.parametrize("form", ["npz", "npy", "png"])
def test_overlapping_channels_come_back_exactly(form: SoftEncoding) -> None:
    share = np.random.default_rng(0).integers(0, 256, (4, 3, 5)).astype(np.uint8)

    found = SOFT_FORMS[form].decode(SOFT_FORMS[form].encode(soft_label(share)), (4, 3, 5))

    np.testing.assert_array_equal(found, soft_label(share))


@pytest.mark.parametrize("form", FORMS)
def test_equal_labels_are_equal_bytes_however_they_lie_in_memory(form: SoftEncoding) -> None:
    in_columns: Any = np.asfortranarray

    assert SOFT_FORMS[form].encode(in_columns(SOFT)) == SOFT_FORMS[form].encode(SOFT)


def test_a_picture_holds_the_channels_one_below_the_other_in_255ths() -> None:
    picture = Pillow.open(io.BytesIO(SOFT_FORMS["png"].encode(SOFT)))

    assert (picture.mode, picture.size) == ("L", (4, 6))
    np.testing.assert_array_equal(np.asarray(picture).reshape(3, 2, 4), SHARES)


def test_a_pair_names_its_planes_and_marks_ignored_pixels() -> None:
    with np.load(io.BytesIO(SOFT_FORMS["pair"].encode(SOFT)), allow_pickle=False) as archive:
        found = {name: archive[name].tolist() for name in archive.files}

    assert found == {
        "class_a": [[0, 0, 1, 255], [2, 2, 0, 1]],
        "class_b": [[0, 1, 1, 255], [0, 0, 2, 1]],
        "weight_b": [[0, 100, 0, 0], [1, 127, 1, 0]],
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01\x00"])
def test_bytes_of_something_else_are_refused(form: SoftEncoding, data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017 - of many libraries; who calls puts the file before it
        SOFT_FORMS[form].decode(data, (3, 2, 4))


@pytest.mark.parametrize("form", ["pair", "png"])
def test_a_label_stored_in_another_size_is_refused(form: SoftEncoding) -> None:
    """Rows and columns of another size may hold as many pixels."""
    with pytest.raises(OutputError, match=r"stored as \(\d, 4\) uint8, expected \(\d+, 2\) uint8"):
        SOFT_FORMS[form].decode(SOFT_FORMS[form].encode(SOFT), (3, 4, 2))


def test_pairs_cannot_hold_multi_label() -> None:
    with pytest.raises(ConfigError) as refused:
        check_soft_encoding("pair", facts(multilabel=True))

    assert str(refused.value) == (
        "--soft-encoding pair holds two classes a pixel, but the labels are multi-label; "
        "use --soft-encoding npz, npy or png"
    )
    check_soft_encoding("pair", facts())
    check_soft_encoding("png", facts(multilabel=True))


@pytest.mark.parametrize("form", FORMS)
def test_the_description_says_what_lies_in_the_member(form: SoftEncoding) -> None:
    described = describe_soft(form, facts())
    data = io.BytesIO(SOFT_FORMS[form].encode(SOFT))
    if form == "png":
        arrays = {"": np.asarray(Pillow.open(data))}
    else:
        loaded = np.load(data, allow_pickle=False)
        arrays = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)

    assert {entry["array"]: (entry["shape"], entry["dtype"]) for entry in described["stored"]} == {
        name: (list(array.shape), str(array.dtype)) for name, array in arrays.items()
    }
    assert (described["shape"], described["dtype"]) == ([3, 2, 4], "float16")
    assert soft_encoding_of({"soft": described}) == form


def test_a_description_of_an_older_dataset_means_npz() -> None:
    assert soft_encoding_of({"soft": {"array": "soft"}}) == "npz"
