"""Layouts of empty files, as readers use names only, and what they find in them."""

from pathlib import Path

from hsmix_gen.pipeline.readers.paths.ids import Found

GLAS = "Warwick QU Dataset (Released 2016_07_08)"
SLIDE, SECOND_SLIDE, TEST_SLIDE = "TCGA-18-5592-01Z-00-DX1", "TCGA-E2-A1B5-01Z-00-DX1", "TCGA-ZF-A9R5-01A-01-TS1"
MONUSEG_TRAIN, MONUSEG_TEST = "MoNuSeg 2018 Training Data", "MoNuSegTestData"
MONUSEG = [
    *(
        f"{MONUSEG_TRAIN}/{part}"
        for name in (SLIDE, SECOND_SLIDE)
        for part in (f"Tissue Images/{name}.tif", f"Annotations/{name}.xml")
    ),
    f"{MONUSEG_TEST}/{TEST_SLIDE}.tif",
    f"{MONUSEG_TEST}/{TEST_SLIDE}.xml",
]
ISIC_RELEASES = {
    "2016": ("ISBI2016_ISIC_Part1_{}_Data", "ISBI2016_ISIC_Part1_{}_GroundTruth", "_Segmentation"),
    "2017": ("ISIC-2017_{}_Data", "ISIC-2017_{}_Part1_GroundTruth", "_segmentation"),
    "2018": ("ISIC2018_Task1-2_{}_Input", "ISIC2018_Task1_{}_GroundTruth", "_segmentation"),
}


def release(year: str, part: str, *ids: str) -> list[str]:
    """Return photographs and masks of a part of ISIC."""
    data, truth, suffix = (name.format(part) for name in ISIC_RELEASES[year])
    return [path for name in ids for path in (f"{data}/{name}.jpg", f"{truth}/{name}{suffix}.png")]


def warwick(*names: str, folder: str = "") -> list[str]:
    """Return images and annotations of GlaS as Warwick publishes them."""
    return [f"{folder}{name}{suffix}.bmp" for name in names for suffix in ("", "_anno")]


def columns(part: str, *names: str) -> list[str]:
    """Return images and masks of GlaS as UCTransNet has them."""
    return [f"{part}/{kind}/{name}.png" for name in names for kind in ("img", "labelcol")]


def lay(source: Path, *paths: str) -> Path:
    """Write empty files and return their folder."""
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    return source


def pairs(source: Path, found: Found) -> dict[str, tuple[str, str]]:
    """Return image and mask of each item by id."""
    return {
        item.id: (
            Path(item.image.uri).relative_to(source).as_posix(),
            Path(item.mask.uri).relative_to(source).as_posix(),
        )
        for item in found.items
    }


def masks(source: Path, found: Found) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the format of each mask, and its files."""
    return {
        item.id: (
            item.mask.format,
            tuple(Path(path).relative_to(source).as_posix() if path else "" for path in item.mask.paths),
        )
        for item in found.items
    }


def splits(found: Found) -> dict[str, str | None]:
    """Return the split of each item by id."""
    return {item.id: item.split for item in found.items}


def reasons(found: Found) -> dict[str, str]:
    """Return why files are refused, by id."""
    return {refusal.id: refusal.reason for refusal in found.refusals}
