"""Trees as benchmarks and tools lay them out are read as they are; what is no mask of an image is left alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsmix_gen.pipeline.readers import folder_reader
from hsmix_gen.pipeline.readers.paths.benchmark_trees import VOC_LABELS
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from tests.pipeline.readers.layouts import masks, pairs, reasons, splits
from tests.pipeline.readers.plain_folders import find

VOC = ("SegmentationClass", "SegmentationObject")


def test_voc_takes_classes_and_leaves_objects(tmp_path: Path) -> None:
    """Both folders say "segmentation"; all images were refused as having several masks."""
    found = find(tmp_path, "JPEGImages/a.jpg", *(f"{folder}/a.png" for folder in VOC))

    assert pairs(tmp_path, found) == {"a": ("JPEGImages/a.jpg", "SegmentationClass/a.png")}
    assert found.notes == (
        "SegmentationClass holds the masks; 1 files in SegmentationObject and the like were left alone",
    )


def test_voc_keeps_the_splits_of_its_lists(tmp_path: Path) -> None:
    names = ["2007_000001", "2007_000002", "2007_000003", "2008_000004"]
    lists = tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(f"{names[0]}\n{names[1]}\n")
    (lists / "val.txt").write_text(f"{names[2]}\n")
    (lists / "trainval.txt").write_text("\n".join(names[:3]))

    found = find(
        tmp_path,
        *(f"VOC2012/JPEGImages/{name}.jpg" for name in names),
        *(f"VOC2012/{folder}/{name}.png" for folder in VOC for name in names[:3]),
    )

    assert splits(found) == dict(zip(names[:3], ("train", "train", "val"), strict=True))
    assert found.refusals == ()
    assert "1 images that ImageSets does not list have no mask and were left alone" in found.notes
    assert found.labelling == VOC_LABELS


def test_an_image_that_two_splits_list_has_none_by_them(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\nb\n")
    (lists / "val.txt").write_text("a\n")

    found = find(
        tmp_path, *(path for name in "ab" for path in (f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png"))
    )

    assert splits(found) == {"a": None, "b": "train"}


def test_a_list_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    """Its images would be drawn into other splits without a word."""
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").symlink_to("/proc/self/mem")  # a file that nobody can read from its start

    with pytest.raises(SourceError, match=r"val\.txt cannot be read \(Input/output error\)"):
        find(tmp_path, "JPEGImages/a.jpg", "SegmentationClass/a.png")


def test_a_listed_image_without_mask_is_refused(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("a\nb\n")

    found = find(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg", "SegmentationClass/a.png")

    assert list(pairs(tmp_path, found)) == ["a"]
    assert "image has no mask" in reasons(found)["b"]
    assert splits(found) == {"a": None}


def test_cvat_masks_have_the_colours_of_their_label_map(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncyto:250,50,83::\nnuc:61,61,245::\n"
    )
    for folder in VOC:
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4), (250, 50, 83)).save(tmp_path / folder / "a.png")

    found = find(tmp_path, "JPEGImages/a.jpg")

    assert masks(tmp_path, found) == {"a": ("colours", ("SegmentationClass/a.png",))}
    assert found.labelling.classes == ("background", "cyto", "nuc")


def test_ph2_takes_lesions_and_leaves_regions_of_colour(tmp_path: Path) -> None:
    root = "PH2 Dataset images"
    names = ("IMD002", "IMD003")

    found = find(
        tmp_path,
        *(f"{root}/{n}/{n}_Dermoscopic_Image/{n}.bmp" for n in names),
        *(f"{root}/{n}/{n}_lesion/{n}_lesion.bmp" for n in names),
        *(f"{root}/{n}/{n}_roi/{n}_R{k}_Label{k}.bmp" for n in names for k in (1, 2)),
    )

    assert pairs(tmp_path, found) == {
        n: (f"{root}/{n}/{n}_Dermoscopic_Image/{n}.bmp", f"{root}/{n}/{n}_lesion/{n}_lesion.bmp") for n in names
    }
    assert (found.refusals, found.notes) == ((), ("4 masks of regions of colour (_roi) were left alone",))


def test_montgomery_has_a_class_for_each_lung(tmp_path: Path) -> None:
    names = ("MCUCXR_0001_0", "MCUCXR_0002_1")
    sides = ("leftMask", "rightMask")

    found = find(
        tmp_path,
        *(f"MontgomerySet/CXR_png/{n}.png" for n in names),
        *(f"MontgomerySet/ManualMask/{side}/{n}.png" for side in sides for n in names),
        *(f"MontgomerySet/ClinicalReadings/{n}.txt" for n in names),
    )

    assert masks(tmp_path, found) == {
        n: ("classes", tuple(f"MontgomerySet/ManualMask/{side}/{n}.png" for side in sides)) for n in names
    }
    assert found.labelling.classes == ("background", "left", "right")
    assert found.refusals == ()


def test_chase_takes_the_first_observer(tmp_path: Path) -> None:
    names = ("Image_01L", "Image_01R")

    found = find(tmp_path, *(f"{n}{end}" for n in names for end in (".jpg", "_1stHO.png", "_2ndHO.png")))

    assert pairs(tmp_path, found) == {n: (f"{n}.jpg", f"{n}_1stHO.png") for n in names}
    assert found.notes == ("masks are those of the first observer; 2 of the second were left alone",)


def test_hrf_leaves_the_field_of_view(tmp_path: Path) -> None:
    found = find(tmp_path, "images/01_dr.JPG", "manual1/01_dr.tif", "mask/01_dr_mask.tif")

    assert pairs(tmp_path, found) == {"01_dr": ("images/01_dr.JPG", "manual1/01_dr.tif")}
    assert found.refusals == ()


def test_stare_takes_one_observer(tmp_path: Path) -> None:
    found = find(tmp_path, "stare-images/im0001.ppm", "labels-ah/im0001.ah.ppm", "labels-vk/im0001.vk.ppm")

    assert pairs(tmp_path, found) == {"im0001": ("stare-images/im0001.ppm", "labels-ah/im0001.ah.ppm")}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{split}/{name}.png", "{split}annot/{name}.png"),
        ("{split}/{name}.png", "{split}_labels/{name}_L.png"),
        ("701_StillsRaw_full/{name}.png", "LabeledApproved_full/{name}_L.png"),
    ],
    ids=["SegNet", "Kaggle", "original"],
)
def test_every_camvid_is_read(tmp_path: Path, image: str, mask: str) -> None:
    names = {"0001TP_006690": "train", "0001TP_006720": "val", "0001TP_006750": "test"}
    expected = {
        name: tuple(form.format(split=split, name=name) for form in (image, mask)) for name, split in names.items()
    }

    found = find(tmp_path, *(path for pair in expected.values() for path in pair))

    assert pairs(tmp_path, found) == expected
    if "{split}" in image:
        assert splits(found) == names


def picture(path: Path, colours: int, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = (np.arange(32 * 32) % colours).reshape(32, 32).astype(np.uint8)
    Image.fromarray(values).convert(mode).save(path)


def test_folders_of_images_and_masks_that_were_swapped_are_recognised(tmp_path: Path) -> None:
    """Each mask was refused as coloured, or each grey value became a class."""
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png", 2)
        picture(tmp_path / "masks" / f"{name}.jpg", 200, "RGB")

    with pytest.raises(SourceError) as refused:
        folder_reader.find(tmp_path, SourceConfig())

    assert str(refused.value) == (
        f"{tmp_path} has images and masks the wrong way round: images/a.png has at most 4 colours, and masks/a.jpg, "
        "its mask, more than 64; swap the names of their folders"
    )


@pytest.mark.parametrize(("of_image", "of_mask"), [(200, 2), (2, 2), (200, 200)])
def test_folders_that_may_be_right_are_read(tmp_path: Path, of_image: int, of_mask: int) -> None:
    picture(tmp_path / "images" / "a.png", of_image)
    picture(tmp_path / "masks" / "a.png", of_mask)

    assert len(folder_reader.find(tmp_path, SourceConfig()).items) == 1


def test_one_pair_that_looks_swapped_says_nothing(tmp_path: Path) -> None:
    for name, colours in (("a", (2, 200)), ("b", (200, 2))):
        picture(tmp_path / "images" / f"{name}.png", colours[0])
        picture(tmp_path / "masks" / f"{name}.png", colours[1])

    assert len(folder_reader.find(tmp_path, SourceConfig()).items) == 2


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/001.png", "masks/lesion_001.png"),
        ("images/ISIC_12.png", "masks/seg-of-ISIC_12x.png"),
        ("images/patient_07_img.png", "masks/p7.png"),
        ("images/abcdef.png", "masks/abcdeg.png"),
    ],
)
def test_the_nearest_name_is_shown(tmp_path: Path, image: str, mask: str) -> None:
    found = find(tmp_path, image, mask, "images/zzz.png", "masks/qqq.png")

    stated = {Path(refusal.path).relative_to(tmp_path).as_posix(): refusal.reason for refusal in found.refusals}
    assert stated[image].endswith(f"the nearest name is {mask}, rename one of them")
    assert stated[mask].endswith(f"the nearest name is {image}, rename one of them")
    assert "nearest" not in stated["images/zzz.png"]


def test_a_partner_in_a_folder_of_another_name_is_not_to_be_renamed(tmp_path: Path) -> None:
    """TNBC has Slide_01 and GT_01: their files have equal names."""
    found = find(tmp_path, *(f"{kind}_0{n}/0{n}_1.png" for kind in ("Slide", "GT") for n in (1, 2)))

    assert (
        "; Slide_01/01_1.png has its name, in a folder that is called otherwise; move both" in found.refusals[0].reason
    )


def test_a_volume_without_mask_is_not_its_own_reason(tmp_path: Path) -> None:
    found = find(tmp_path, "a/t2.nii.gz", "a/t2_mask.nii.gz", "a/adc.nii.gz")

    assert reasons(found)["adc"].endswith("with a suffix such as _mask")


def test_a_number_inside_of_another_is_not_near(tmp_path: Path) -> None:
    found = find(tmp_path, "images/7.png", "masks/17_lesion.png", "masks/7_lesion_b.png", "masks/x7.png")

    assert "the nearest name is masks/7_lesion_b.png" in reasons(found)["7"]


@pytest.mark.parametrize(
    ("ending", "way"),
    [(".svs", "export regions of the slide"), (".heic", "convert it to PNG"), (".mat", "as npz"), (".HEIC", "convert")],
)
def test_an_image_that_is_not_read_is_named(tmp_path: Path, ending: str, way: str) -> None:
    found = find(tmp_path, f"images/a{ending}", f"images/b{ending}", "masks/a.png", "masks/b.png")

    assert reasons(found)["a"].startswith("mask has no image; ")
    assert f"images/a{ending} is not read, " in reasons(found)["a"]
    assert way in reasons(found)["a"]


def test_masks_in_folders_of_classes_are_masks_where_no_image_is_read(tmp_path: Path) -> None:
    """JSRT has its images as raw numbers: the masks were called images without a mask."""
    found = find(tmp_path, "All/J1.IMG", "fold1/masks/heart/J1.gif", "fold1/masks/left lung/J1.gif")

    assert {refusal.reason for refusal in found.refusals} == {
        "mask has no image; add it or remove the mask; All/J1.IMG is not read, convert it to PNG or TIFF, or volumes "
        "to NIfTI"
    }


@pytest.mark.parametrize(
    ("ending", "stated"),
    [
        (".mha", "is not read, convert it and its mask to NIfTI"),
        (".nii.gz", "is a volume, whose mask has to be a volume too"),
        (".npy", "is no picture, name the pairs in a list with columns image and mask"),
        (".dcm", "is DICOM, whose mask is DICOM-SEG or NIfTI"),
    ],
)
def test_images_that_are_no_pictures_are_named_beside_their_picture_masks(
    tmp_path: Path, ending: str, stated: str
) -> None:
    """Without them the masks would be the only pictures, and taken for images that lack a mask."""
    found = find(tmp_path, f"images/a{ending}", f"images/b{ending}", "masks/a.png", "masks/b.png")

    assert reasons(found)["a"] == f"mask has no image; add it or remove the mask; images/a{ending} {stated}" + (
        "; or convert it to PNG or TIFF" if ending == ".dcm" else ""
    )
