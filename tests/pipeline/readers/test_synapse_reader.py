"""TransUNet's layout of the multi-organ CT is found with its official lists."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from hsmix_gen.pipeline.decoders.arrays import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import synapse_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem

CLASSES = (
    "background", "aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach",
)  # fmt: skip


def layout(
    root: Path,
    *,
    slices: tuple[str, ...] = ("case0005_slice000", "case0005_slice001", "case0031_slice000"),
    volumes: tuple[str, ...] = ("case0008",),
    train: tuple[str, ...] | None = ("case0005_slice000", "case0005_slice001", "case0031_slice000"),
    test: tuple[str, ...] | None = ("case0008",),
) -> Path:
    """Write the folders with empty files, and the lists; None leaves a list out."""
    for folder, names, ending in (("train_npz", slices, ".npz"), ("test_vol_h5", volumes, ".npy.h5")):
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / f"{name}{ending}").touch()
    lists = root / "lists" / "lists_Synapse"
    lists.mkdir(parents=True)
    for file, listed in (("train.txt", train), ("test_vol.txt", test)):
        if listed is not None:
            (lists / file).write_text("".join(f"{name}\n" for name in listed))
    return root


def find(source: Path, config: SourceConfig | None = None) -> Found:
    return synapse_reader.find(source, config or SourceConfig())


def ids(found: Found) -> list[str]:
    return [item.id for item in found.items]


def test_slices_and_volumes_are_items_of_their_case_and_split(tmp_path: Path) -> None:
    found = find(layout(tmp_path))

    path, volume = str(tmp_path / "train_npz/case0005_slice001.npz"), str(tmp_path / "test_vol_h5/case0008.npy.h5")
    assert ids(found) == ["case0005_slice000", "case0005_slice001", "case0031_slice000", "case0008"]
    assert found.items[1] == SourceItem(
        "case0005_slice001", Content("array", (path,), "image"), Content("array", (path,), "label"), "case0005", "train"
    )
    assert found.items[3] == SourceItem(
        "case0008",
        Content("array", (volume,), "image;axes=zyx"),
        Content("array", (volume,), "label;axes=zyx"),
        "case0008",
        "test",
    )
    assert (found.refusals, found.notes) == ((), ())


def test_labels_have_the_names_that_transunet_gives_them(tmp_path: Path) -> None:
    labelling = find(layout(tmp_path)).labelling

    assert labelling.classes == CLASSES
    assert labelling.values == tuple((label, label) for label in range(9))


def test_keys_may_be_given(tmp_path: Path) -> None:
    items = find(layout(tmp_path), SourceConfig(image_key="ct", mask_key="organs")).items

    assert [(item.image.key, item.mask.key) for item in (items[0], items[-1])] == [
        ("ct", "organs"),
        ("ct;axes=zyx", "organs;axes=zyx"),
    ]


def test_what_the_lists_do_not_name_is_left_out_with_a_note(tmp_path: Path) -> None:
    found = find(layout(tmp_path, train=("case0031_slice000",), volumes=("case0008", "case0022"), test=("case0022",)))

    assert ids(found) == ["case0031_slice000", "case0022"]
    assert found.notes == (
        "train_npz has 2 that train.txt does not name, left out: case0005_slice000 first",
        "test_vol_h5 has 1 that test_vol.txt does not name, left out: case0008 first",
    )


def test_what_the_lists_name_in_vain_is_stated_with_its_number(tmp_path: Path) -> None:
    found = find(layout(tmp_path, slices=("case0031_slice000",)))

    assert ids(found) == ["case0031_slice000", "case0008"]
    assert found.notes == ("train.txt names 2 that are not in train_npz: case0005_slice000 first",)


def test_names_in_lists_may_have_endings_blanks_and_line_ends_of_windows(tmp_path: Path) -> None:
    source = layout(tmp_path, train=("case0031_slice000.npz\r", "  case0005_slice000 ", ""), test=("case0008.npy.h5",))

    assert ids(find(source)) == ["case0005_slice000", "case0031_slice000", "case0008"]


def test_a_name_in_a_list_leads_to_no_file_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.npz").touch()
    found = find(layout(tmp_path / "source", train=("../../secret", "/etc/passwd", "case0031_slice000")))

    assert ids(found) == ["case0031_slice000", "case0008"]


def test_without_lists_all_is_taken_by_its_folder(tmp_path: Path) -> None:
    found = find(layout(tmp_path, train=None, test=None))

    assert [item.split for item in found.items] == ["train", "train", "train", "test"]
    assert found.notes == (
        "there is no lists_Synapse/train.txt: all of train_npz is taken for train",
        "there is no lists_Synapse/test_vol.txt: all of test_vol_h5 is taken for test",
    )


def test_lists_of_another_data_set_beside_are_not_taken(tmp_path: Path) -> None:
    source = layout(tmp_path, train=("case0031_slice000",))
    (tmp_path / "lists" / "lists_ACDC").mkdir()
    (tmp_path / "lists" / "lists_ACDC" / "train.txt").write_text("case0005_slice000\n")

    assert ids(find(source)) == ["case0031_slice000", "case0008"]


def test_a_list_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    source = layout(tmp_path)
    (source / "lists/lists_Synapse/train.txt").write_bytes(b"\xff\xfe\x00c")

    with pytest.raises(SourceError, match=r"train\.txt cannot be read \(it is no text\)"):
        find(source)


def test_half_of_the_layout_is_enough(tmp_path: Path) -> None:
    source = layout(tmp_path)
    (source / "test_vol_h5/case0008.npy.h5").unlink()
    (source / "test_vol_h5").rmdir()

    found = find(source)

    assert synapse_reader.recognises(source)
    assert ids(found) == ["case0005_slice000", "case0005_slice001", "case0031_slice000"]
    assert found.notes == ("there is no folder test_vol_h5: nothing for test",)


def test_a_second_file_of_a_case_is_refused(tmp_path: Path) -> None:
    source = layout(tmp_path)
    (source / "test_vol_h5/case0008.h5").touch()

    found = find(source)

    assert ids(found)[-1] == "case0008"
    assert [(r.id, r.stage, r.reason) for r in found.refusals] == [
        ("case0008", "discover", "is named case0008 like case0008.h5; keep one of them")
    ]


@pytest.mark.parametrize(
    ("inner", "recognised"), [(".", True), ("data", True), ("data/Synapse", True), ("a/b/c", False)]
)
def test_the_folders_are_found_two_levels_down(tmp_path: Path, inner: str, recognised: bool) -> None:
    layout(tmp_path / inner)

    assert synapse_reader.recognises(tmp_path) is recognised
    if recognised:
        assert len(find(tmp_path).items) == 4
    else:
        with pytest.raises(SourceError, match="has no folder train_npz or test_vol_h5 up to 2 levels down"):
            find(tmp_path)


def test_lists_beside_the_data_are_found(tmp_path: Path) -> None:
    """TransUNet keeps its lists in the repository and the data in a folder of their own."""
    layout(tmp_path / "data" / "Synapse", train=("case0031_slice000",))
    (tmp_path / "TransUNet").mkdir()
    (tmp_path / "data" / "Synapse" / "lists").rename(tmp_path / "TransUNet" / "lists")

    assert ids(find(tmp_path)) == ["case0031_slice000", "case0008"]


def test_a_slice_is_a_picture_and_a_volume_has_its_slices_first(tmp_path: Path) -> None:
    source = layout(tmp_path)
    image, label = np.arange(6, dtype=np.float32).reshape(2, 3) / 6, np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez(source / "train_npz/case0005_slice000.npz", image=image, label=label)
    with h5py.File(source / "test_vol_h5/case0008.npy.h5", "w") as file:
        # Few slices, which without the reader's word would be taken for channels.
        file["image"], file["label"] = np.stack([image, image + 1]), np.stack([label, label.T.reshape(2, 3)])
    items = find(source).items

    images = [open_image(item.image, ReadOptions()) for item in (items[0], items[-1])]
    masks = [
        open_mask(item.mask, beside, ReadOptions()) for item, beside in zip((items[0], items[-1]), images, strict=True)
    ]

    assert [(i.n_planes, i.size, i.channels, i.is_volume) for i in images] == [
        (1, (2, 3), 1, False),
        (2, (2, 3), 1, True),
    ]
    assert masks[0].plane(0).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert masks[1].plane(1).tolist() == [[0, 3, 1], [4, 2, 5]]


def test_the_real_lists_give_the_numbers_of_the_paper(tmp_path: Path, shared_data: Path) -> None:
    """2211 slices of 18 cases to train on, 12 cases to test on, none of them in both."""
    lists = shared_data / "layouts/listings/transunet_lists_Synapse"
    listed = {name: tuple((lists / name).read_text().split()) for name in ("train.txt", "test_vol.txt", "all.lst")}
    source = layout(
        tmp_path,
        slices=listed["train.txt"],
        volumes=tuple(name.removesuffix(".npy.h5") for name in listed["all.lst"]),
        train=listed["train.txt"],
        test=listed["test_vol.txt"],
    )

    found = find(source)

    groups = {split: {item.group for item in found.items if item.split == split} for split in ("train", "test")}
    assert [sum(item.split == split for item in found.items) for split in ("train", "test")] == [2211, 12]
    assert (len(groups["train"]), len(groups["test"]), len(groups["train"] | groups["test"])) == (18, 12, 30)
    assert len(set(ids(found))) == 2223
    assert found.notes == ("test_vol_h5 has 18 that test_vol.txt does not name, left out: case0005 first",)


def test_real_slices_and_volumes_open_as_their_readme_states(shared_data: Path) -> None:
    items = find(shared_data / "layouts/synapse_transunet").items

    values = set()
    for item in items:
        image = open_image(item.image, ReadOptions())
        mask = open_mask(item.mask, image, ReadOptions())
        assert (image.size, image.n_planes) == (mask.size, mask.n_planes) == ((512, 512), 10 if image.is_volume else 1)
        assert (image.dtype.name, mask.dtype.name) == ("float32", "uint8")
        values |= {value for index in range(mask.n_planes) for value in np.unique(mask.plane(index)).tolist()}
    assert ids(Found(items)) == [*(f"case9001_slice{number:03d}" for number in range(10)), "case9002"]
    assert values == {0, 1, 5, 6, 7, 8}


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder whatever its permissions")
def test_a_closed_folder_beside_hides_nothing(tmp_path: Path) -> None:
    closed = tmp_path / "a_closed_one"
    closed.mkdir(mode=0)
    try:
        assert synapse_reader.recognises(layout(tmp_path / "below"))
        assert len(find(tmp_path).items) == 4
    finally:
        closed.chmod(0o700)
