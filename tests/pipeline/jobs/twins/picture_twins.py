"""Twins of every layout of pictures: their files, and what a run on them has to give."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from tests.pipeline.jobs.twins.twin import HALF, Twin
from tests.written import png, tar

Picture = npt.NDArray[np.uint8]
SIZE = (20, 28)


def draw_image(number: int, size: tuple[int, int] = SIZE) -> Picture:
    """Return an RGB picture with a lean of its own in each channel and noise."""
    rng = np.random.default_rng([31, number])
    rows, columns = np.mgrid[: size[0], : size[1]]
    planes = [30 * plane + columns * 2 + rows * (plane + 1) for plane in range(3)]
    noise = rng.integers(0, 60, (*size, 3))
    return (np.stack(planes, axis=-1) + noise).astype(np.uint8)


def draw_mask(number: int, *boxes: int, size: tuple[int, int] = SIZE) -> Picture:
    """Return boxes of the given values, one below the other, wider than high, each wider than the one above."""
    mask = np.zeros(size, np.uint8)
    for place, value in enumerate(boxes):
        mask[2 + 6 * place : 6 + 6 * place, 3 : 12 + number + 2 * place] = value
    return mask


def save(path: Path, picture: Picture, **options: Any) -> Picture:
    """Write a picture and return what Pillow reads from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(picture).save(path, **options)
    with Pillow.open(path) as opened:
        return np.asarray(opened)


def write_isic(root: Path) -> Twin:
    """Three parts of ISIC 2017; the maps of superpixels beside the photographs are no images."""
    images, masks = {}, {}
    for number, part in enumerate(("Training", "Training", "Training", "Validation", "Test_v2"), start=1):
        name = f"ISIC_000000{number}"
        images[name] = save(root / f"ISIC-2017_{part}_Data" / f"{name}.jpg", draw_image(number))
        save(root / f"ISIC-2017_{part}_Data" / f"{name}_superpixels.png", draw_image(90 + number))
        mask = draw_mask(number, 255)
        save(root / f"ISIC-2017_{part}_Part1_GroundTruth" / f"{name}_segmentation.png", mask)
        masks[name] = mask // 255
    stated = {"splits": {"train": 3, "val": 1, "test": 1}, "groups": 5}
    return Twin("isic", images, masks, ("background", "lesion"), stated, ())


def write_warwick(root: Path) -> Twin:
    """Values are numbers of glands; two training images are of one patient."""
    images, masks = {}, {}
    rows = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    patients = {"train_1": 1, "train_2": 1, "train_3": 2, "testA_1": 3, "testB_1": 4}
    for number, (name, patient) in enumerate(patients.items()):
        images[name] = save(root / f"{name}.bmp", draw_image(number))
        save(root / f"{name}_anno.bmp", draw_mask(number, 1, 2, 3))
        masks[name] = draw_mask(number, 1, 1, 1)
        rows.append(f"{name},{patient}, benign, adenomatous")
    (root / "Grade.csv").write_text("\r".join(rows), newline="")
    stated = {"splits": {"train": 3, "val": 0, "test": 2}, "groups": 4}
    return Twin("glas", images, masks, ("background", "gland"), stated, ())


def write_labelcol(root: Path) -> Twin:
    """A folder for each split, in it images and masks."""
    images, masks = {}, {}
    parts = {"Train_Folder": (1, 2, 3), "Val_Folder": (4,), "Test_Folder": (5,)}
    for folder, numbers in parts.items():
        for number in numbers:
            name = f"{folder.partition('_')[0].lower()}_{number}"
            images[name] = save(root / folder / "img" / f"{number}.png", draw_image(number))
            save(root / folder / "labelcol" / f"{number}.png", draw_mask(number, 255))
            masks[name] = draw_mask(number, 1)
    return Twin(
        "glas", images, masks, ("background", "gland"), {"splits": {"train": 3, "val": 1, "test": 1}, "groups": 5}, ()
    )


SLIDES = {
    "MoNuSeg 2018 Training Data/Tissue Images/TCGA-18-5592-01Z-00-DX1": "MoNuSeg 2018 Training Data/Annotations",
    "MoNuSeg 2018 Training Data/Tissue Images/TCGA-18-5592-01A-02-TSB": "MoNuSeg 2018 Training Data/Annotations",
    "MoNuSeg 2018 Training Data/Tissue Images/TCGA-E2-A1B5-01Z-00-DX1": "MoNuSeg 2018 Training Data/Annotations",
    "MoNuSegTestData/TCGA-ZF-A9R5-01A-01-TS1": "MoNuSegTestData",
}


def write_slides(root: Path, size: tuple[int, int]) -> tuple[dict[str, Picture], dict[str, Picture]]:
    """Outlines overlap, leave the image on two sides, and one is a mere line."""
    images, masks = {}, {}
    height, width = size
    for number, (slide, folder) in enumerate(SLIDES.items()):
        name = Path(slide).name
        images[name] = save(root / f"{slide}.tif", draw_image(number, size))
        boxes = [(3, 2, 11 + number, 7), (8, 5, 15, 9), (-4, height - 3, 5, height + 9), (width - 2, -3, width + 4, 4)]
        outlines = [*((x, y, x2, y, x2, y2, x, y2) for x, y, x2, y2 in boxes), (2, 12, 9, 12, 2, 12)]
        regions = "".join(
            f'<Region Id="{place}"><Vertices>'
            + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in zip(outline[::2], outline[1::2], strict=True))
            + "</Vertices></Region>"
            for place, outline in enumerate(outlines)
        )
        path = root / folder / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<Annotations><Annotation Id="1"><Regions>{regions}</Regions></Annotation></Annotations>')
        masks[name] = np.zeros(size, np.uint8)
        for x, y, x2, y2 in boxes:
            masks[name][max(y, 0) : y2, max(x, 0) : x2] = 1
    return images, masks


def write_monuseg(root: Path) -> Twin:
    """Slides of the training and test data, of three patients."""
    images, masks = write_slides(root, SIZE)
    stated = {"splits": {"train": 3, "val": 0, "test": 1}, "groups": 3}
    return Twin("monuseg", images, masks, ("background", "nucleus"), stated, ())


def write_tiled(root: Path) -> Twin:
    """36 x 50 pixels in tiles of 20 x 28 that share 4: the last of each line are shifted back to the border."""
    slides = write_slides(root, (36, 50))
    images, masks = (
        {
            f"{name}-y{top:04d}-x{left:04d}": picture[top : top + 20, left : left + 28]
            for name, picture in pictures.items()
            for top in (0, 16)
            for left in (0, 22)
        }
        for pictures in slides
    )
    stated = {"pairs": 4, "images": 16, "splits": {"train": 12, "val": 0, "test": 4}, "groups": 3}
    options = ("--tiles", 20, 28, "--overlap", 4)
    return Twin("monuseg", images, masks, ("background", "nucleus"), stated, options)


def write_greys(root: Path) -> Twin:
    """Grey images, class ids as they are, and pixels that nobody labelled."""
    images, masks = {}, {}
    for number in range(6):
        name = f"scan_{number}"
        images[name] = save(root / "images" / f"{name}.png", draw_image(number)[..., 0])[..., None]
        mask = draw_mask(number, 1, 2, 254)
        save(root / "masks" / f"{name}.png", mask)
        masks[name] = np.where(mask == 254, 255, mask).astype(np.uint8)
    stated = {"label_mode": "exclusive", "mask_values": {"0": 0, "1": 1, "2": 2, "254": 255}}
    names = ("background", "vessel", "lesion")
    options = (*HALF, "--ignore", 254, "--classes", ",".join(names))
    return Twin("folder", images, masks, names, stated, options)


def write_class_folders(root: Path, *, overlap: bool) -> tuple[dict[str, Picture], dict[str, Picture]]:
    """Write a mask of the liver and one of the tumour for each image; return images and channels."""
    images, channels = {}, {}
    for number in range(6):
        name = f"case_{number}"
        images[name] = save(root / "images" / f"{name}.png", draw_image(number))
        liver, tumour = draw_mask(number, 255), draw_mask(number, 0, 255)
        if overlap:
            tumour[3:5, 4:7] = 255
        save(root / "masks" / "liver" / f"{name}.png", liver)
        save(root / "masks" / "tumour" / f"{name}.png", tumour)
        channels[name] = np.stack([liver, tumour], axis=-1) // 255
    return images, channels


def write_classes(root: Path) -> Twin:
    """A folder for each class; no pixel is of two."""
    images, channels = write_class_folders(root, overlap=False)
    masks = {name: mask[..., 0] + 2 * mask[..., 1] for name, mask in channels.items()}
    return Twin("folder", images, masks, ("background", "liver", "tumour"), {"label_mode": "exclusive"})


def write_channels(root: Path) -> Twin:
    """A folder for each class; liver and tumour share pixels."""
    images, channels = write_class_folders(root, overlap=True)
    options = (*HALF, "--labels", "multilabel")
    return Twin("folder", images, channels, ("liver", "tumour"), {"label_mode": "multilabel"}, options)


def write_objects(root: Path) -> Twin:
    """The Data Science Bowl: a folder an image, in it a file a nucleus."""
    images, masks = {}, {}
    for number in range(6):
        name = f"{number}a5f"
        images[name] = save(root / name / "images" / f"{name}.png", draw_image(number))
        for place in range(3):
            alone = draw_mask(number, *(255 if k == place else 0 for k in range(3)))
            save(root / name / "masks" / f"{number}{place}c0.png", alone)
        masks[name] = draw_mask(number, 1, 1, 1)
    return Twin("folder", images, masks, ("background", "foreground"))


def write_several(root: Path) -> Twin:
    """Breast ultrasound: some images have two masks, distinguished by a number, that overlap."""
    images, masks = {}, {}
    for number in range(6):
        name = f"benign_{number}"
        images[name] = save(root / "benign" / f"{name}.png", draw_image(number))
        first, second = draw_mask(number, 255), draw_mask(number, 0, 255)
        second[4:7, 5:9] = 255
        save(root / "benign" / f"{name}_mask.png", first)
        save(root / "benign" / f"{name}_mask_1.png", second)
        masks[name] = np.maximum(first, second) // 255
    return Twin("folder", images, masks, ("background", "foreground"))


COLOURS = {"background": (0, 0, 0), "polyp": (200, 30, 60), "tool": (200, 60, 30)}


def write_colours(root: Path) -> Twin:
    """Masks have the colours of a table beside them."""
    lines = [f"{name},{r},{g},{b}\n" for name, (r, g, b) in COLOURS.items()]
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "".join(lines))
    images, masks = {}, {}
    for number in range(6):
        name = f"frame_{number}"
        images[name] = save(root / "images" / f"{name}.png", draw_image(number))
        masks[name] = draw_mask(number, 1, 2)
        save(root / "masks" / f"{name}.png", np.array(list(COLOURS.values()), np.uint8)[masks[name]])
    return Twin("folder", images, masks, tuple(COLOURS))


def write_jpegs(root: Path) -> Twin:
    """Borders of JPEG masks are grey; what is above the middle is the polyp."""
    images, masks = {}, {}
    for number in range(6):
        name = f"polyp_{number}"
        images[name] = save(root / "images" / f"{name}.jpg", draw_image(number))
        mask = draw_mask(number, 255)
        mask[6, 3:6], mask[6, 8:11] = 110, 145
        stored = save(root / "masks" / f"{name}.jpg", mask, quality=95)
        assert ((stored > 95) & (stored < 128)).any()
        assert ((stored > 127) & (stored < 160)).any()
        masks[name] = (stored > 127).astype(np.uint8)
    return Twin("folder", images, masks, ("background", "foreground"))


def write_coco(root: Path) -> Twin:
    """A gland as outline, above it a smaller nucleus as runs; ids of categories are neither from 0 nor without gap."""
    images, masks = {}, {}
    categories = [{"id": 7, "name": "nucleus"}, {"id": 3, "name": "gland"}]
    (root / "annotations").mkdir()
    for split, numbers in {"train": (1, 2, 3, 4), "val": (5, 6)}.items():
        entries, annotations = [], []
        for number in numbers:
            name = f"{number:012d}"
            images[name] = save(root / f"{split}2017" / f"{name}.png", draw_image(number))
            entries.append({"id": number, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]})
            nucleus = np.zeros(SIZE, np.uint8)
            nucleus[4:6, 5:8] = 1
            flat = nucleus.T.ravel().astype(int)
            edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
            runs = {"size": list(SIZE), "counts": np.diff(edges).tolist()}
            x, y, x2, y2 = 3, 2, 12 + number, 9
            outline = [x, y, x2, y, x2, y2, x, y2]
            annotations += [
                {"id": 2 * number, "image_id": number, "category_id": 7, "iscrowd": 1, "segmentation": runs},
                {"id": 2 * number + 1, "image_id": number, "category_id": 3, "segmentation": [outline]},
            ]
            masks[name] = np.zeros(SIZE, np.uint8)
            masks[name][y:y2, x:x2] = 1
            masks[name][nucleus == 1] = 2
        document = {"images": entries, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(document))
    stated = {"splits": {"train": 4, "val": 2, "test": 0}}
    return Twin("coco", images, masks, ("background", "gland", "nucleus"), stated, ())


def write_list(root: Path) -> Twin:
    """Paths are relative to the list; groups and splits are those of its columns."""
    images, masks = {}, {}
    with (root / "pairs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["split", "mask", "image", "id", "group"])
        for number, split in enumerate(("train", "train", "train", "valid", "testing")):
            name = f"exam{number}"
            images[name] = save(root / "far" / "off" / f"{number}.png", draw_image(number))
            save(root / "other" / f"{number}.gif", draw_mask(number, 255))
            masks[name] = draw_mask(number, 1)
            table.writerow([split, f"other/{number}.gif", f"far/off/{number}.png", name, f"p{max(number, 1)}"])
    stated = {"splits": {"train": 3, "val": 1, "test": 1}, "groups": 4}
    return Twin("list", images, masks, ("background", "foreground"), stated, ())


CLASSES = ("background", "class_1", "class_2")


def write_parquet(root: Path) -> Twin:
    """Tables of Hugging Face: cells of bytes and path, a file a split."""
    images, masks = {}, {}
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    (root / "data").mkdir()
    for split, numbers in {"train": (0, 1, 2), "validation": (3,), "test": (4,)}.items():
        cells: dict[str, list[dict[str, Any]]] = {"image": [], "label": []}
        for row, number in enumerate(numbers):
            name = f"{split}-00000-of-00001-{row:06d}"
            images[name], masks[name] = draw_image(number), draw_mask(number, 1, 2)
            cells["image"].append({"bytes": png(images[name]), "path": None})
            cells["label"].append({"bytes": png(masks[name]), "path": None})
        columns = [pa.array(values, cell) for values in cells.values()]
        pq.write_table(pa.table(columns, names=list(cells)), root / "data" / f"{split}-00000-of-00001.parquet")
    stated = {"splits": {"train": 3, "val": 1, "test": 1}}
    return Twin("parquet", images, masks, CLASSES, stated, ())


def write_stacks(root: Path) -> Twin:
    """All pictures in two arrays."""
    images = {f"all-{number:04d}": draw_image(number) for number in range(6)}
    masks = {f"all-{number:04d}": draw_mask(number, 1, 2) for number in range(6)}
    for folder, pictures in (("images", images), ("masks", masks)):
        (root / folder).mkdir()
        np.save(root / folder / "all.npy", np.stack(list(pictures.values())))
    return Twin("arrays", images, masks, CLASSES, {"groups": 6}, ("--stacks", "pictures"))


def write_webdataset(root: Path) -> Twin:
    """A tar file for each split; a class of the whole image beside its mask is no mask."""
    images, masks = {}, {}
    for split, numbers in {"train": (0, 1, 2), "val": (3,), "test": (4,)}.items():
        members: dict[str, bytes] = {}
        for number in numbers:
            name = f"s{number}"
            images[name], masks[name] = draw_image(number), draw_mask(number, 1, 2)
            members |= {f"{name}.png": png(images[name]), f"{name}.cls": b"1", f"{name}.seg.png": png(masks[name])}
        tar(root / f"{split}-000000.tar", members)
    stated = {"splits": {"train": 3, "val": 1, "test": 1}}
    return Twin("webdataset", images, masks, CLASSES, stated, ())


WRITERS: dict[str, Callable[[Path], Twin]] = {
    "isic": write_isic,
    "glas-warwick": write_warwick,
    "glas-labelcol": write_labelcol,
    "monuseg": write_monuseg,
    "monuseg-tiles": write_tiled,
    "folder-ignore": write_greys,
    "folder-classes": write_classes,
    "folder-multilabel": write_channels,
    "folder-objects": write_objects,
    "folder-several": write_several,
    "folder-colours": write_colours,
    "folder-jpeg": write_jpegs,
    "coco": write_coco,
    "list": write_list,
    "parquet": write_parquet,
    "arrays-stacks": write_stacks,
    "webdataset": write_webdataset,
}
