"""Folders of npz, h5 and npy files become items, paired by what names and shapes say."""

from pathlib import Path
from typing import Any

import h5py
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from hsmix_gen.pipeline.decoders.arrays import open_image, open_mask
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.readers import arrays_reader
from hsmix_gen.pipeline.readers.paths.array_names import case_of, read_naming, split_of
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, SourceItem

PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3)
COLOUR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
VOLUME = np.arange(120, dtype=np.uint8).reshape(20, 2, 3)


def write(path: Path, values: Any = PICTURE, **arrays: Any) -> Path:
    """Write `values` as npy, or `arrays` as npz or h5; ``__`` in a name stands for a group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name.replace("__", "/")] = array
    return path


def find(source: Path, **options: Any) -> Found:
    return arrays_reader.find(source, SourceConfig(**options))


def ids(found: Found) -> list[str]:
    return [item.id for item in found.items]


def reasons(found: Found) -> dict[str, str]:
    assert all(refusal.stage == "discover" for refusal in found.refusals)
    return {refusal.id: refusal.reason for refusal in found.refusals}


# -- image and mask in one file


@pytest.mark.parametrize("ending", [".npz", ".h5", ".hdf5", ".npy.h5"])
def test_a_file_with_image_and_mask_is_an_item(tmp_path: Path, ending: str) -> None:
    path = str(write(tmp_path / f"case7{ending}", image=PICTURE, label=PICTURE))

    found = find(tmp_path)

    assert found.items == (SourceItem("case7", Content("array", (path,), "image"), Content("array", (path,), "label")),)
    assert found.notes == ("arrays image are images and label masks",)
    assert found.refusals == ()


@pytest.mark.parametrize(("image", "mask"), [("img", "gt"), ("x", "y"), ("data", "seg"), ("IMAGES", "Mask")])
def test_usual_names_of_arrays_are_known(tmp_path: Path, image: str, mask: str) -> None:
    write(tmp_path / "a.npz", **{image: PICTURE, mask: PICTURE, "spacing": np.ones(3)})

    assert [(item.image.key, item.mask.key) for item in find(tmp_path).items] == [(image, mask)]


def test_given_names_come_before_usual_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", image=PICTURE, label=PICTURE, t1=PICTURE, organs=PICTURE)

    item = find(tmp_path, image_key="t1", mask_key="organs").items[0]

    assert (item.image.key, item.mask.key) == ("t1", "organs")


def test_given_names_may_be_paths_in_different_groups(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", volumes__raw=VOLUME, volumes__labels__cells=VOLUME)

    found = find(tmp_path, image_key="/volumes/raw", mask_key="volumes/labels/cells")

    (item,) = found.items
    assert (item.image.key, item.mask.key) == ("volumes/raw;axes=zyx", "volumes/labels/cells;axes=zyx")


def test_each_group_of_a_file_may_hold_an_item(tmp_path: Path) -> None:
    write(tmp_path / "all.h5", c1__image=PICTURE, c1__label=PICTURE, c2__image=PICTURE, c2__label=PICTURE)

    found = find(tmp_path)

    assert [(item.id, item.image.key, item.mask.key) for item in found.items] == [
        ("c1", "c1/image", "c1/label"),
        ("c2", "c2/image", "c2/label"),
    ]


@pytest.mark.parametrize(
    ("arrays", "options", "reason"),
    [
        (("photo", "label"), {}, "has no image array, got label, photo; name it with --image-key"),
        (("image", "organs"), {}, "has no mask array, got image, organs; name it with --mask-key"),
        (("image", "label"), {"mask_key": "seg"}, "has no mask array seg, got image, label; name it with --mask-key"),
    ],
)
def test_missing_arrays_are_reported_with_those_that_are_there(
    tmp_path: Path, arrays: tuple[str, ...], options: dict[str, str], reason: str
) -> None:
    write(tmp_path / "a.npz", **dict.fromkeys(arrays, PICTURE))

    assert reasons(find(tmp_path, **options)) == {"a": reason}


# -- what shapes say


@pytest.mark.parametrize(
    ("image", "mask", "keys"),
    [
        (PICTURE, PICTURE, ("image", "label")),
        (COLOUR, PICTURE, ("image;axes=yxc", "label")),
        (np.moveaxis(COLOUR, -1, 0), PICTURE, ("image;axes=cyx", "label")),
        (VOLUME, VOLUME, ("image;axes=zyx", "label;axes=zyx")),
        (np.stack([VOLUME] * 4), VOLUME, ("image;axes=czyx", "label;axes=zyx")),
    ],
)
def test_keys_carry_the_axes_that_the_mask_decides(
    tmp_path: Path, image: Any, mask: Any, keys: tuple[str, str]
) -> None:
    write(tmp_path / "a.h5", image=image, label=mask)

    item = find(tmp_path).items[0]
    opened = open_image(item.image, ReadOptions())

    assert (item.image.key, item.mask.key) == keys
    assert open_mask(item.mask, opened, ReadOptions()).n_planes == opened.n_planes


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (PICTURE.T, "image has the shape (2, 3), its mask (3, 2); export the mask at the size of the image"),
        (np.stack([PICTURE] * 5), "mask has the shape (5, 2, 3), one channel per class; "),
    ],
)
def test_shapes_that_do_not_fit_are_refused_and_the_rest_stays(tmp_path: Path, mask: Any, reason: str) -> None:
    write(tmp_path / "a.npz", image=PICTURE, label=mask)
    write(tmp_path / "b.npz", image=PICTURE, label=PICTURE)

    found = find(tmp_path)

    assert ids(found) == ["b"]
    assert reasons(found)["a"].startswith(reason)


# -- pairs of files


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.npy", "masks/a.npy"),
        ("imgs/a.npy", "gts/a.npy"),
        ("a.npy", "a_mask.npy"),
        ("a_image.npy", "a_label.npy"),
        ("images/a.npy", "labels/a_seg.npy"),
        ("trainImage/a.npy", "trainMask/a.npy"),
        ("imagesTr/a.npy", "labelsTr/a.npy"),
        ("train/images/a.npy", "train/masks/a.npy"),
        ("data/images/a.npy", "data/ground_truth/a.npy"),
    ],
)
def test_files_of_one_array_pair_by_folder_or_suffix(tmp_path: Path, image: str, mask: str) -> None:
    write(tmp_path / image, COLOUR)
    write(tmp_path / mask, PICTURE)

    found = find(tmp_path)

    assert [(item.image, item.mask) for item in found.items] == [
        (Content("array", (str(tmp_path / image),), ";axes=yxc"), Content("array", (str(tmp_path / mask),)))
    ]
    assert found.refusals == ()


def test_given_suffixes_stand_instead_of_the_usual_ones(tmp_path: Path) -> None:
    for name in ("a_ct", "a_organs", "b_mask_ct", "b_mask_organs"):
        write(tmp_path / f"{name}.npy")

    assert ids(find(tmp_path, image_suffix="_ct", mask_suffix="_organs")) == ["a", "b_mask"]


def test_npz_files_of_one_array_pair_too(tmp_path: Path) -> None:
    write(tmp_path / "images/a.npz", arr_0=PICTURE)
    write(tmp_path / "masks/a.npz", arr_0=PICTURE)

    assert ids(find(tmp_path)) == ["a"]


def test_files_without_a_partner_are_refused(tmp_path: Path) -> None:
    for name in ("images/a", "masks/a", "images/b", "masks/c", "images/d", "masks/d", "masks/d_seg"):
        write(tmp_path / f"{name}.npy")

    found = find(tmp_path)

    assert ids(found) == ["a"]
    assert reasons(found) == {
        "images-b": "image has no mask; add one, in a folder masks or with a suffix such as _mask",
        "masks-c": "mask has no image; add it or remove the mask",
        "images-d": "several masks have one name: masks/d.npy, masks/d_seg.npy; keep one",
    }


@pytest.mark.parametrize(
    ("path", "pair", "side"),
    [
        ("images/a.npy", "a", "image"),
        ("masks/a.npy", "a", "mask"),
        ("x/TrainMask/a_1.npy", "x/train/a_1", "mask"),
        ("masks/images/a.npy", "masks/a", "image"),
        ("a-seg.npy", "a", "mask"),
        ("masks/a_img.npy", "a", "image"),
        ("mask.npy", "mask", ""),
        ("unmasked/a.npy", "unmasked/a", ""),
        ("a_liver.npy", "a_liver", ""),
    ],
)
def test_names_say_what_pairs(path: str, pair: str, side: str) -> None:
    naming = read_naming(path, ".npy", SourceConfig())

    assert (naming.pair, naming.side) == (pair, side)


# -- ids, groups, splits


@pytest.mark.parametrize(
    ("stem", "case"),
    [
        ("case12_slice3", "case12"),
        ("case12-slice-003", "case12"),
        ("case12slice3", "case12"),
        ("pat_a_sl_7", "pat_a"),
        ("vol1_z04", "vol1"),
        ("patient001_frame01_slice_1", "patient001"),
        ("patient001_frame12", "patient001"),
        ("Case1_Slice2", "Case1"),
        ("topaz12", None),
        ("slice3", None),
        ("case12", None),
        ("case12_slice3_b", None),
    ],
)
def test_slices_and_frames_belong_to_their_case(stem: str, case: str | None) -> None:
    assert case_of(stem) == case


def test_slices_of_a_case_are_a_group(tmp_path: Path) -> None:
    for name in ("patient001_frame01_slice_1", "patient001_frame12_slice_1", "other"):
        write(tmp_path / f"{name}.h5", image=PICTURE, label=PICTURE, scribble=PICTURE)

    assert [(item.id, item.group) for item in find(tmp_path).items] == [
        ("other", None),
        ("patient001_frame01_slice_1", "patient001"),
        ("patient001_frame12_slice_1", "patient001"),
    ]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.npz", "train"),
        ("Validation/x/a.npz", "val"),
        ("test_images/a.npy", "test"),
        ("trainImage/a.npy", "train"),
        ("imagesTs/a.npy", "test"),
        ("train_folder/img/a.npy", "train"),
        ("ACDC_training_slices/a.h5", None),
        ("images/train.npy", None),
    ],
)
def test_folders_state_the_split(path: str, split: str | None) -> None:
    assert split_of(path) == split


def test_equal_stems_in_two_splits_get_their_folder_as_a_part_of_the_id(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / split / "1.npz", image=PICTURE, label=PICTURE)

    assert [(item.id, item.split) for item in find(tmp_path).items] == [("train-1", "train"), ("val-1", "val")]


def test_two_files_never_share_an_id(tmp_path: Path) -> None:
    for name in ("a-b", "a/b", "c/b"):
        write(tmp_path / f"{name}.npz", image=PICTURE, label=PICTURE)

    found = find(tmp_path)

    assert ids(found) == ["a-b", "c-b"]
    assert reasons(found) == {"a-b": "has the id a-b as another file has; rename it"}


# -- damage and recognition


def test_damaged_files_are_refused_and_the_rest_stays(tmp_path: Path) -> None:
    write(tmp_path / "good.npz", image=PICTURE, label=PICTURE)
    whole = write(tmp_path / "cut.npz", image=PICTURE, label=PICTURE)
    whole.write_bytes(whole.read_bytes()[:100])
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "gone.npz").symlink_to(tmp_path / "nowhere.npz")
    write(tmp_path / "none.h5")

    found = find(tmp_path)

    assert ids(found) == ["good"]
    assert reasons(found) == {
        "cut": "is damaged: File is not a zip file; copy it again",
        "empty": "is empty (0 bytes); copy it again",
        "gone": "cannot be read (No such file or directory); check that it exists and its permissions",
        "none": "holds no arrays; save it again",
        "text": "is no npy, npz or HDF5 file; copy it again or check its ending",
    }
    assert {refusal.path for refusal in found.refusals} >= {str(tmp_path / "cut.npz"), str(tmp_path / "empty.h5")}


def test_a_single_file_is_a_source_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", image=VOLUME, label=VOLUME)
    write(tmp_path / "b.h5", image=VOLUME, label=VOLUME)

    assert arrays_reader.recognises(path)
    assert ids(find(path)) == ["a"]


def test_an_absent_source_is_reported(tmp_path: Path) -> None:
    assert not arrays_reader.recognises(tmp_path / "none")
    with pytest.raises(SourceError, match="none does not exist"):
        find(tmp_path / "none")


NAME = st.text(st.sampled_from("aB1_-. é/"), min_size=1, max_size=8).filter(
    lambda name: all(part.strip(". ") for part in name.split("/")) and "/." not in f"/{name}"
)


@settings(max_examples=40, deadline=None)
@given(names=st.sets(NAME, min_size=1, max_size=4))
def test_whatever_files_are_called_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    """Each file is an item or a refusal, and ids differ."""
    source = tmp_path_factory.mktemp("names")
    for name in names:
        write(source / f"{name}.npz", image=PICTURE, label=PICTURE)

    found = find(source)

    stated = {item.image.paths[0] for item in found.items} | {refusal.path for refusal in found.refusals}
    assert stated == {str(source / f"{name}.npz") for name in names}
    assert len(set(ids(found))) == len(found.items)


def test_a_note_says_that_planes_of_an_array_are_of_one_patient(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.npz", image=VOLUME, label=VOLUME)
    write(tmp_path / "c.npz", image=PICTURE, label=PICTURE)

    assert find(tmp_path).notes[-1] == (
        "2 arrays of several planes taken as volumes, each of one patient; "
        "for stacks of independent pictures there is --stacks pictures"
    )
