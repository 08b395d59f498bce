"""A twin of every layout of pictures goes through the whole job; what is stored is what the test wrote into files."""

import csv
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.pipeline.twins import HALF, AnyTwin, Cli, Made, assert_sound, innermost_of, run_twin, soft_of

Picture = npt.NDArray[np.uint8]
SIZE = (20, 28)


@dataclass(frozen=True)
class Twin(AnyTwin):
    """What a run on a source has to give; its pictures have so many channels."""

    channels: int = 3


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
    told = {"splits": {"train": 3, "val": 1, "test": 1}, "groups": 5}
    return Twin("isic", images, masks, ("background", "lesion"), told, ())


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
    told = {"splits": {"train": 3, "val": 0, "test": 2}, "groups": 4}
    return Twin("glas", images, masks, ("background", "gland"), told, ())


def write_labelcol(root: Path) -> Twin:
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
    images, masks = write_slides(root, SIZE)
    told = {"splits": {"train": 3, "val": 0, "test": 1}, "groups": 3}
    return Twin("monuseg", images, masks, ("background", "nucleus"), told, ())


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
    told = {"pairs": 4, "images": 16, "splits": {"train": 12, "val": 0, "test": 4}, "groups": 3}
    options = ("--tiles", 20, 28, "--overlap", 4)
    return Twin("monuseg", images, masks, ("background", "nucleus"), told, options)


def write_greys(root: Path) -> Twin:
    """Grey images, class ids as they are, and pixels that nobody labelled."""
    images, masks = {}, {}
    for number in range(6):
        name = f"scan_{number}"
        images[name] = save(root / "images" / f"{name}.png", draw_image(number)[..., 0])[..., None]
        mask = draw_mask(number, 1, 2, 254)
        save(root / "masks" / f"{name}.png", mask)
        masks[name] = np.where(mask == 254, 255, mask).astype(np.uint8)
    told = {"label_mode": "exclusive", "mask_values": {"0": 0, "1": 1, "2": 2, "254": 255}}
    names = ("background", "vessel", "lesion")
    options = (*HALF, "--ignore", 254, "--classes", ",".join(names))
    return Twin("folder", images, masks, names, told, options, channels=1)


def write_class_folders(root: Path, *, overlap: bool) -> tuple[dict[str, Picture], dict[str, Picture]]:
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
    images, channels = write_class_folders(root, overlap=False)
    masks = {name: mask[..., 0] + 2 * mask[..., 1] for name, mask in channels.items()}
    return Twin("folder", images, masks, ("background", "liver", "tumour"), {"label_mode": "exclusive"})


def write_channels(root: Path) -> Twin:
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
    """Breast ultrasound: some images have two masks, told apart by a number, that overlap."""
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


def in_colours(mask: Picture) -> Picture:
    return np.array(list(COLOURS.values()), np.uint8)[mask]


def write_colour_table(root: Path) -> None:
    lines = [f"{name},{r},{g},{b}\n" for name, (r, g, b) in COLOURS.items()]
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "".join(lines))


def write_colours(root: Path) -> Twin:
    write_colour_table(root)
    images, masks = {}, {}
    for number in range(6):
        name = f"frame_{number}"
        images[name] = save(root / "images" / f"{name}.png", draw_image(number))
        masks[name] = draw_mask(number, 1, 2)
        save(root / "masks" / f"{name}.png", in_colours(masks[name]))
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
    told = {"splits": {"train": 4, "val": 2, "test": 0}}
    return Twin("coco", images, masks, ("background", "gland", "nucleus"), told, ())


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
    told = {"splits": {"train": 3, "val": 1, "test": 1}, "groups": 4}
    return Twin("list", images, masks, ("background", "foreground"), told, ())


def write_coloured_list(root: Path) -> Twin:
    """Masks have the colours of a table whose path is relative to the list."""
    write_colour_table(root)
    images, masks, lines = {}, {}, ["id,image,mask,split\n"]
    for number, split in enumerate(("train", "train", "train", "val", "test")):
        name = f"exam{number}"
        images[name] = save(root / f"{number}.png", draw_image(number))
        masks[name] = draw_mask(number, 1, 2)
        save(root / f"drawn{number}.png", in_colours(masks[name]))
        lines.append(f"{name},{number}.png,drawn{number}.png,{split}\n")
    (root / "pairs.csv").write_text("".join(lines))
    told = {"splits": {"train": 3, "val": 1, "test": 1}}
    return Twin("list", images, masks, tuple(COLOURS), told, ("--colours", "class_dict.csv"))


def as_png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


CLASSES = ("background", "class_1", "class_2")


def write_parquet(root: Path, store: Callable[[Picture], Picture] = np.asarray) -> Twin:
    """Tables of Hugging Face: cells of bytes and path, a file a split."""
    images, masks = {}, {}
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    (root / "data").mkdir()
    for split, numbers in {"train": (0, 1, 2), "validation": (3,), "test": (4,)}.items():
        cells: dict[str, list[dict[str, Any]]] = {"image": [], "label": []}
        for row, number in enumerate(numbers):
            name = f"{split}-00000-of-00001-{row:06d}"
            images[name], masks[name] = draw_image(number), draw_mask(number, 1, 2)
            cells["image"].append({"bytes": as_png(images[name]), "path": None})
            cells["label"].append({"bytes": as_png(store(masks[name])), "path": None})
        columns = [pa.array(values, cell) for values in cells.values()]
        pq.write_table(pa.table(columns, names=list(cells)), root / "data" / f"{split}-00000-of-00001.parquet")
    told = {"splits": {"train": 3, "val": 1, "test": 1}}
    return Twin("parquet", images, masks, CLASSES, told, ())


def write_coloured_parquet(root: Path) -> Twin:
    """An option tells the colours."""
    given = ",".join(f"#{r:02X}{g:02X}{b:02X}={name}" for name, (r, g, b) in COLOURS.items())
    return replace(write_parquet(root, in_colours), names=tuple(COLOURS), options=("--colours", given))


def write_webdataset(root: Path, store: Callable[[Picture], Picture] = np.asarray) -> Twin:
    images, masks = {}, {}
    for split, numbers in {"train": (0, 1, 2), "val": (3,), "test": (4,)}.items():
        with tarfile.open(root / f"{split}-000000.tar", "w") as archive:
            for number in numbers:
                name = f"s{number}"
                images[name], masks[name] = draw_image(number), draw_mask(number, 1, 2)
                for member, data in (
                    ("png", as_png(images[name])),
                    ("cls", b"1"),
                    ("seg.png", as_png(store(masks[name]))),
                ):
                    info = tarfile.TarInfo(f"{name}.{member}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    told = {"splits": {"train": 3, "val": 1, "test": 1}}
    return Twin("webdataset", images, masks, CLASSES, told, ())


def write_coloured_webdataset(root: Path) -> Twin:
    """A table beside the shards tells the colours."""
    write_colour_table(root)
    return replace(write_webdataset(root, in_colours), names=tuple(COLOURS))


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
    "list-colours": write_coloured_list,
    "parquet": write_parquet,
    "parquet-colours": write_coloured_parquet,
    "webdataset": write_webdataset,
    "webdataset-colours": write_coloured_webdataset,
}


@pytest.fixture(scope="module", params=list(WRITERS))
def made(
    request: pytest.FixtureRequest, run_cli: Cli, quick: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Made[Twin]:
    """The dataset of each twin, in both formats."""
    return run_twin(WRITERS[request.param], tmp_path_factory.mktemp("twin"), run_cli, "--size", *SIZE, *quick)


def test_inspect_tells_layout_classes_and_splits_as_written(
    made: Made[Twin], inspected: Callable[..., dict[str, Any]]
) -> None:
    twin = made.twin

    found = inspected(made.source, *twin.options)

    assert (found["layout"], found["problems"], found["volumes"]) == (twin.layout, [], False)
    assert (found["usable"], found["channels"], found["dtype"]) == (len(twin.images), twin.channels, "uint8")
    assert found["sizes"]["most_common"] == [[*SIZE, len(twin.images)]]
    soft = sum(soft_of(mask, len(twin.names)).astype(int).sum(axis=(1, 2)) for mask in twin.masks.values())
    classes = [(entry["name"], entry["pixels"]) for entry in found["classes"] if entry["name"] != "ignore"]
    assert classes == list(zip(twin.names, np.asarray(soft).tolist(), strict=True))
    assert {key: found[key] for key in twin.told} == twin.told


def test_images_that_are_not_mixed_are_stored_as_written(
    made: Made[Twin], read_samples: Callable[[Path], dict[str, Any]]
) -> None:
    """All that is validated or tested on, and what of the training images was drawn to stay, not turned."""
    twin, checked = made.twin, set()

    for sample in read_samples(made.output).values():
        row = sample.provenance
        if row["mode"] == "none" and row["transform_a"] == 0:
            name = row["source_a"]
            assert np.array_equal(sample.image, twin.images[name]), name
            assert np.array_equal(sample.mask, innermost_of(twin.masks[name])), name
            assert np.array_equal(sample.soft, soft_of(twin.masks[name], len(twin.names))), name
            checked.add((row["split"], name))

    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    assert {row["source_a"] for row in rows} == twin.images.keys()
    assert checked >= {(row["split"], row["source_a"]) for row in rows if row["split"] != "train"} != set()


def test_the_dataset_is_sound_and_made_again(made: Made[Twin], run_cli: Cli) -> None:
    assert_sound(made.output, run_cli)


# One source, further manners


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Picture], dict[str, Picture]]:
    """Slides of 36 x 50 pixels with their masks."""
    root = tmp_path_factory.mktemp("slides")
    return root, *write_slides(root, (36, 50))


Slides = tuple[Path, dict[str, Picture], dict[str, Picture]]


def test_tiles_without_overlap_are_the_whole_image_again(
    slides: Slides, run_cli: Cli, quick: tuple[str, ...], read_samples: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """18 x 25 divides 36 x 50, so that the tiles of a slide are its image and mask, each pixel once."""
    source, images, masks = slides
    unmixed = ("--control", "none", "-o", "mix.geometry=none")

    result = run_cli("run", source, tmp_path, "--tiles", 18, 25, "--size", 18, 25, *quick, *unmixed)

    assert result.exit_code == 0, result.stderr
    whole = {name: np.full((*image.shape[:2], 4), 99, np.uint8) for name, image in images.items()}
    for sample in read_samples(tmp_path).values():
        name, top, left = sample.provenance["source_a"].rsplit("-", 2)
        place = (slice(int(top[1:]), int(top[1:]) + 18), slice(int(left[1:]), int(left[1:]) + 25))
        whole[name][place] = np.dstack([sample.image, sample.mask])
    for name, image in images.items():
        assert np.array_equal(whole[name], np.dstack([image, masks[name]])), name


def test_partners_of_tiles_are_of_another_patient(
    slides: Slides, run_cli: Cli, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """Two slides are of one patient: neither their own tiles nor those of the other are mixed."""
    options = ("--tiles", 18, 25, "--size", 18, 25, "--copies", 4, "--control", "hard-only")

    result = run_cli("run", slides[0], tmp_path, *quick, *options)

    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    mixed = [row for row in rows if row["source_b"] is not None]
    assert len(mixed) == 4 * 3 * 4
    assert [row["key"] for row in mixed if row["group_a"] == row["group_b"]] == []


def samples_with(
    fit: str, size: tuple[int, int], slides: Slides, run_cli: Cli, quick: tuple[str, ...], output: Path
) -> None:
    unmixed = ("--control", "none", "-o", "mix.geometry=none")
    result = run_cli("run", slides[0], output, "--fit", fit, "--size", *size, *quick, *unmixed)
    assert result.exit_code == 0, result.stderr


def test_pad_puts_the_whole_image_into_the_middle(
    slides: Slides, run_cli: Cli, quick: tuple[str, ...], read_samples: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """36 x 50 in 50 x 50: 7 rows of background above and below, nothing scaled."""
    samples_with("pad", (50, 50), slides, run_cli, quick, tmp_path)

    for sample in read_samples(tmp_path).values():
        name = sample.provenance["source_a"]
        assert np.array_equal(sample.image, np.pad(slides[1][name], ((7, 7), (0, 0), (0, 0))))
        assert np.array_equal(sample.mask, np.pad(slides[2][name], ((7, 7), (0, 0))))


def test_crop_takes_the_middle_and_pads_what_is_too_small(
    slides: Slides, run_cli: Cli, quick: tuple[str, ...], read_samples: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    """36 x 50 to 40 x 30: 10 columns less on either side, 2 rows more above and below."""
    samples_with("crop", (40, 30), slides, run_cli, quick, tmp_path)

    for sample in read_samples(tmp_path).values():
        name = sample.provenance["source_a"]
        assert np.array_equal(sample.image, np.pad(slides[1][name][:, 10:40], ((2, 2), (0, 0), (0, 0))))
        assert np.array_equal(sample.mask, np.pad(slides[2][name][:, 10:40], ((2, 2), (0, 0))))


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_our_own_output_is_a_source_again(
    form: str,
    run_cli: Cli,
    quick: tuple[str, ...],
    inspected: Callable[..., dict[str, Any]],
    read_samples: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
) -> None:
    """Each sample of the first dataset is an image of the second, in the split it had, unchanged."""
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    first, second, formats = tmp_path / "first", tmp_path / "second", ("--format", "webdataset", "--format", "parquet")
    assert run_cli("run", tmp_path / "source", first, "--size", *SIZE, *quick, *formats).exit_code == 0
    moved = shutil.copytree(first / form, tmp_path / "moved")

    told = inspected(moved)
    unmixed = ("--control", "none", "-o", "mix.geometry=none")
    result = run_cli("run", moved, second, "--size", *SIZE, *quick, *unmixed)

    assert result.exit_code == 0, result.stderr
    assert (told["layout"], told["splits"]) == (form, {"train": 3, "val": 1, "test": 1})
    before, after = read_samples(first), read_samples(second)
    again = {sample.provenance["source_a"]: sample for sample in after.values()}
    assert again.keys() == before.keys()
    for key, sample in before.items():
        assert np.array_equal(again[key].image, sample.image)
        assert np.array_equal(again[key].mask, sample.mask)
        assert again[key].provenance["split"] == sample.provenance["split"]


def test_the_folder_around_our_own_output_leads_to_its_samples(
    run_cli: Cli, quick: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    output = tmp_path / "output"
    assert run_cli("run", tmp_path / "source", output, "--size", *SIZE, *quick).exit_code == 0

    result = run_cli("inspect", output)

    assert result.exit_code == 1
    assert f"give {output / 'webdataset'} to read its samples" in result.stderr


def test_overlapping_channels_go_through_grad_cam(run_cli: Cli, quick: tuple[str, ...], tmp_path: Path) -> None:
    """The network is fitted on ids collapsed from the channels."""
    (tmp_path / "source").mkdir()
    twin = write_channels(tmp_path / "source")
    fitted = ("--saliency", "gradcam", "-o", "saliency.fit_steps=2", "-o", "saliency.probe_images=2")

    result = run_cli("run", tmp_path / "source", tmp_path / "output", "--size", 32, 48, *quick, *twin.options, *fitted)

    assert result.exit_code == 0, result.stderr
    assert run_cli("verify", tmp_path / "output", "--replay", 3).exit_code == 0
    dataset = json.loads((tmp_path / "output" / "dataset.json").read_text())
    assert (dataset["label_mode"], dataset["classes"]) == ("multilabel", ["liver", "tumour"])
