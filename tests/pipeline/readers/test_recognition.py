"""A layout is recognised by names alone, and by its own reader only where several are alike."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.registry import readers
from tests.pipeline.readers.layouts import GLAS, MONUSEG, MONUSEG_TRAIN, SLIDE, columns, lay, release, warwick

READERS = readers()
MODALITIES = [f"data/p/p_{kind}.nii.gz" for kind in ("flair", "t1", "t1ce", "t2", "seg")]
WHOLE: dict[str, tuple[list[str], ...]] = {
    "isic": (
        *(release(year, "Training", "ISIC_0000001") for year in ("2016", "2017", "2018")),
        ["ISIC_0000001.jpg", "ISIC_0000001_segmentation.png"],
        [f"challenge/{path}" for path in release("2017", "Training", "ISIC_0000001")],
        [*release("2017", "Training", "ISIC_0000001"), "splits/train.txt", "papers/a.pdf"],
        ["train/images/ISIC_0000001.jpg", "train/masks/ISIC_0000001_segmentation.png", "test/images/ISIC_0000002.jpg"],
    ),
    "glas": (
        warwick("train_1"),
        warwick("testB_20", folder=f"{GLAS}/"),
        warwick("testB_20", folder=f"glas/{GLAS}/"),
        ["Train_1.PNG", "Train_1_ANNO.PNG"],
        columns("Train_Folder", "1"),
        [*columns("train", "1"), *columns("val", "2"), "README.md"],
        ["img/1.png", "labelcol/1.png"],
        columns("GlaS/Train_Folder", "1"),
    ),
    "monuseg": (
        MONUSEG,
        MONUSEG[:4],
        MONUSEG[4:],
        [path.removeprefix(f"{MONUSEG_TRAIN}/") for path in MONUSEG[:4]],
        [path.rpartition("/")[2] for path in MONUSEG[4:]],
        [f"data/{path}" for path in MONUSEG],
        [f"MoNuSegTrainingData/{kind}/{SLIDE}.png" for kind in ("Tissue_Images", "Binary_masks")],
        [f"{part}/{kind}/{SLIDE}.png" for part in ("Train_Folder", "Test_Folder") for kind in ("img", "labelcol")],
    ),
    "brats": (MODALITIES,),
    "msd": (
        ["imagesTr/a.nii.gz", "labelsTr/a.nii.gz"],
        # Numbered labels of numbered images are no channels.
        [f"{kind}/a_{number:04d}.nii.gz" for kind in ("imagesTr", "labelsTr") for number in (0, 1)],
    ),
    "nnunet": (
        ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"],
        ["Dataset1/imagesTr/a_0000.png", "Dataset1/labelsTr/a.png"],
    ),
    "arrays": (["a.npz"], ["x/y/a.npy.h5", "readme.txt"], ["A.NPY"]),
    "folder": (["list.csv"],),
}
NOT: dict[str, tuple[list[str], ...]] = {
    "isic": (
        ["images/a.jpg", "masks/a_segmentation.png"],
        ["ISIC_0000001.jpg"],
        ["ISIC_0000001.jpg", "ISIC_0000001_superpixels.png"],
        ["ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000001_attribute_globules.png"],
        # A folder of several data sets, of which one would be read and the others lost in silence.
        [*(f"isic/{path}" for path in release("2017", "Training", "ISIC_0000001")), "polyps/images/a.png"],
    ),
    "glas": (
        ["a.bmp", "a_anno.bmp"],
        ["img/1.png", "masks/1.png"],
        ["train_1.bmp"],
        columns("Train_Folder", SLIDE),  # nuclei in img and labelcol are no glands
        [*warwick("train_1", folder=f"glas/{GLAS}/"), "polyps/images/a.png"],
    ),
    "monuseg": (
        ["images/a.tif", "masks/a.png"],
        ["JPEGImages/a.jpg", "Annotations/a.xml"],
        ["a.tif", "a.xml"],
        [f"{SLIDE}.tif"],
        [f"{SLIDE}.xml"],
        ["img/1.png", "labelcol/1.png"],
        [*(f"monuseg/{path}" for path in MONUSEG), "polyps/images/a.png"],
    ),
    "brats": (
        ["images/a.png", "masks/a.png"],
        ["imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz"],
        ["imagesTr/BRATS_001_0000.nii.gz", "labelsTr/BRATS_001.nii.gz"],
        ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz"],
        ["ms/p1_flair.nii.gz", "ms/p1_t1.nii.gz", "ms/p1_seg.nii.gz"],
        ["brats_t1.txt", "brats_seg.txt"],
    ),
    **dict.fromkeys(
        ("msd", "nnunet"),
        (
            ["images/a.png", "labels/a.png"],
            ["imagesTr/a.nii.gz"],
            ["imagesTr/a.nii.gz", "labelsTr/b.nii.gz"],
            ["imagesTr/a.nii.gz", "labelsTs/a.nii.gz"],
            ["x/imagesTr/a_0000.nii.gz", "x/labelsTr/a.nii.gz", "y/imagesTr/a.nii.gz"],
            ["images/a_0001.png", "labels/a.png"],
            ["imagesTr/a.txt", "labelsTr/a.txt"],
        ),
    ),
    "synapse": (["train/a.npz", "train_npz"],),
    "arrays": (["a.txt"], ["masks/a.npy", "images/a.png"], ["a.npz", "a.nii.gz"], [".hidden/a.npz"]),
    "dicom": (["a.png"], ["a.dcm"], ["a"], ["a.nii.gz"]),
}


def rows(table: dict[str, tuple[list[str], ...]]) -> list[tuple[str, list[str]]]:
    return [(name, paths) for name, several in table.items() for paths in several]


@pytest.mark.parametrize(("name", "paths"), rows(WHOLE))
def test_a_layout_is_recognised_by_its_names(tmp_path: Path, name: str, paths: list[str]) -> None:
    lay(tmp_path, *paths)

    assert next(reader for reader in READERS if READERS[reader].recognises(tmp_path)) == name


@pytest.mark.parametrize(("name", "paths"), rows(NOT))
def test_other_folders_are_not_recognised(tmp_path: Path, name: str, paths: list[str]) -> None:
    assert not READERS[name].recognises(lay(tmp_path, *paths))


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"folder"}))
def test_neither_a_file_of_a_layout_nor_nothing_is_recognised(tmp_path: Path, name: str) -> None:
    """The readers of tables, shards and arrays take single files, but whole ones."""
    for path in ("ISIC_0000001_segmentation.png", "train_1_anno.bmp", f"{SLIDE}.xml", "brats_t1.nii.gz", "train_npz"):
        assert not READERS[name].recognises(lay(tmp_path, path) / path)
    assert not READERS[name].recognises(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert not READERS[name].recognises(tmp_path / "empty")
