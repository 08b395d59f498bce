"""Pictures that are stacked in one array are images of their own, as far as the user says so."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest

from hsmix_gen.pipeline.decoders.arrays import array_key, open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import arrays_reader
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.records import Content, SourceItem
from tests.pipeline.decoders.written_arrays import every_kind, image, npy, npz, refusal

# Five pictures of 2 rows, 3 columns and 4 channels; all values differ, so that every wrong turn shows.
STACK = np.arange(120, dtype=np.uint8).reshape(5, 2, 3, 4)
HOW = ReadOptions()


def find(source: Path, stacks: str) -> list[SourceItem]:
    found = arrays_reader.find(source, SourceConfig.model_validate({"stacks": stacks}))
    assert found.refusals == ()
    return list(found.items)


@every_kind
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axes", ["zyxc", "zcyx", "yxzc"])
def test_a_picture_is_taken_out_of_every_kind_of_file(
    tmp_path: Path, write: Callable[..., Path], axes: str, order: Literal["C", "F"]
) -> None:
    path = write(tmp_path, np.array(STACK.transpose(["zyxc".index(axis) for axis in axes]), order=order))

    opened = image(path, array_key("", axes, plane=3))

    assert (opened.n_planes, opened.size, opened.channels, opened.is_volume) == (1, (2, 3), 4, False)
    assert np.array_equal(opened.plane(0), STACK[3])


@pytest.mark.parametrize("chunks", [None, (1, 2, 3, 4), (1, 1, 1, 4), (3, 2, 3, 4)])
@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}])
def test_chunks_of_hdf5_make_no_difference(
    tmp_path: Path, chunks: tuple[int, ...] | None, filters: dict[str, str]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=STACK, chunks=chunks, **filters)

    for number in (4, 0):
        opened = image(tmp_path / "a.h5", array_key("image", "zyxc", plane=number))
        assert np.array_equal(opened.plane(0), STACK[number])


@pytest.mark.parametrize("axes", ["zyx", "zyxc", "czyx"])
def test_its_mask_is_taken_out_alike(tmp_path: Path, axes: str) -> None:
    labels = np.arange(30, dtype=np.int64).reshape(5, 2, 3)
    stored = {"zyx": labels, "zyxc": labels[..., None], "czyx": labels[None]}[axes]
    path = npz(tmp_path, image=STACK, label=stored)
    beside = image(path, array_key("image", "zyxc", plane=4))

    opened = open_mask(Content("array", (str(path),), array_key("label", axes, plane=4)), beside, HOW)

    assert (opened.n_planes, opened.is_volume) == (1, False)
    assert opened.plane(0).tolist() == [[24, 25, 26], [27, 28, 29]]


def test_a_picture_with_nan_costs_no_other(tmp_path: Path) -> None:
    stack = STACK.astype(np.float32)
    stack[1, 0, 0, 0] = np.nan
    path = npy(tmp_path, stack)

    assert np.array_equal(image(path, array_key("", "zyxc", plane=0)).plane(0), STACK[0])
    assert refusal(lambda: image(path, array_key("", "zyxc", plane=1)), path).startswith("has 1 NaN or infinite pixels")


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    """What is compressed is kept after the first picture was taken out of it."""
    path = npz(tmp_path, image=STACK)
    image(path, array_key("", "zyxc", plane=0))
    npz(tmp_path, image=STACK + 1)
    os.utime(path, ns=(1, 1))

    assert np.array_equal(image(path, array_key("", "zyxc", plane=0)).plane(0), STACK[0] + 1)


def test_a_picture_that_is_not_there_any_more_is_reported(tmp_path: Path) -> None:
    path = npy(tmp_path, STACK[:2])

    stated = refusal(lambda: image(path, array_key("", "zyxc", plane=4)), path)

    assert stated == "has 2 pictures, lacks number 4; it was changed meanwhile"


def test_each_picture_of_a_stack_is_an_item_without_a_group(tmp_path: Path) -> None:
    """Even where the name of the file looks like that of a patient."""
    path = str(tmp_path / "case0005.npz")
    np.savez(path, image=STACK, label=STACK[..., 0])

    items = find(tmp_path, "pictures")

    assert [item.id for item in items] == [f"case0005-{number:04d}" for number in range(5)]
    assert items[2] == SourceItem(
        "case0005-0002",
        Content("array", (path,), "image;axes=zyxc;plane=2"),
        Content("array", (path,), "label;axes=zyx;plane=2"),
    )
    for number, item in enumerate(items):
        opened = open_image(item.image, HOW)
        assert np.array_equal(opened.plane(0), STACK[number])
        assert np.array_equal(open_mask(item.mask, opened, HOW).plane(0), STACK[number, ..., 0])


def test_stacks_may_lie_in_files_beside_each_other(tmp_path: Path) -> None:
    for folder, values in (("images", STACK[..., 0]), ("masks", STACK[..., 1])):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "all.npy", values)

    assert [item.id for item in find(tmp_path, "pictures")] == [f"all-{number:04d}" for number in range(5)]


def test_a_picture_of_its_own_and_volumes_stay_what_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", image=STACK[0], label=STACK[0, ..., 0])
    np.savez(tmp_path / "many.npz", image=STACK, label=STACK[..., 0])

    assert [item.id for item in find(tmp_path, "volumes")] == ["many", "one"]
    assert [item.id for item in find(tmp_path, "pictures")] == [*(f"many-000{n}" for n in range(5)), "one"]
