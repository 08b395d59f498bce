"""Odd members of each kind of source among good ones: one run refuses each of them by name, and loses nothing else.

What a decoder or a reader refuses, and in which words, is tested beside it; here each kind goes through once.
"""

import csv
import gzip
import json
import os
import pickle
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow
from pydicom import dcmread

from tests import written
from tests.command_line import QUICK, error_of, run_cli
from tests.pipeline.jobs.twins.volume_twins import (
    draw_labels,
    draw_voxels,
    write_nifti,
    write_nifti_mask,
    write_series,
)
from tests.written import png

Array = npt.NDArray[Any]

GOOD = ("good_0", "good_1", "good_2")
HEIGHT, WIDTH = 18, 26
HUGE = 300_000


def image_of(name: str) -> Array:
    """Return the image of a name, (H, W) uint8, unlike all others."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def labels() -> Array:
    """Return the mask of every image."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:10, 8:18] = 1
    return mask


def put(path: Path, data: bytes) -> Path:
    """Write a file into a folder that may have to be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Spy:
    """Makes a folder where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def pictures(source: Path) -> None:
    """Plain folders, whose files may be torn, lack their partner or stand in two splits."""
    wide, odd_value = labels()[:, :20], labels()
    odd_value[0, :5] = 77
    odd = ("cut", "size", "value", "orphan", "empty", "hollow", "twice", "text", "link", "twin")
    for name in (*GOOD, *odd, "lonely"):
        put(source / "images" / f"{name}.png", png(image_of("good_2" if name == "twin" else name)))
        if name != "lonely":
            put(source / "masks" / f"{name}.png", png({"size": wide, "value": odd_value}.get(name, labels())))
    for name in ("cut", "orphan", "link"):
        (source / "images" / f"{name}.png").unlink()
    for name in ("cut", "twice"):
        Pillow.fromarray(image_of(name)).save(source / "images" / f"{name}.jpg")
    os.truncate(source / "images" / "cut.jpg", (source / "images" / "cut.jpg").stat().st_size * 2 // 3)
    put(source / "images" / "empty.png", b"")
    put(source / "masks" / "hollow.png", b"")
    put(source / "images" / "text.png", b"this is no picture")
    (source / "images" / "link.png").symlink_to(source / "nowhere.png")
    # The bytes of a validation image: the training side is given up.
    put(source / "splits" / "train.txt", "\n".join((*GOOD[:2], *odd, "lonely")).encode())
    put(source / "splits" / "val.txt", b"good_2")


def volumes(source: Path) -> None:
    """NIfTI, in which a header may lie about what follows it."""
    for number, name in enumerate((*GOOD, "scaled", "cut", "bomb", "sheared", "halves", "hollow", "alone")):
        image, mask = source / "imagesTr" / f"{name}.nii.gz", source / "labelsTr" / f"{name}.nii.gz"
        write_nifti(image, draw_voxels(number))
        data = bytearray(gzip.decompress(image.read_bytes()))
        if name == "scaled":
            struct.pack_into("<2f", data, 112, 0.5, -3.0)  # slope and intercept
        if name == "bomb":
            struct.pack_into("<4h", data, 40, 3, 30000, 30000, 30000)  # sizes
        if name == "sheared":
            struct.pack_into("<f", data, 288, 1.5)  # of the affine
        image.write_bytes(gzip.compress(bytes(data))[: -60 if name == "cut" else None])
        if name != "alone":
            write_nifti(mask, draw_labels(number, 1, 1) * np.float32({"halves": 0.5, "hollow": 0}.get(name, 1)))


def arrays(source: Path) -> None:
    """Files of npz and HDF5, which may lead elsewhere or run code."""
    for name in (*GOOD, "cut", "wide"):
        np.savez(source / f"{name}.npz", image=image_of(name), label=labels()[: 10 if name == "wide" else None])
    put(source / "cut.npz", (source / "cut.npz").read_bytes()[:-90])
    np.savez(source / "objects.npz", image=np.full((HEIGHT, WIDTH), Spy(source / "unpickled")), label=labels())
    (source / "pickle.npy").write_bytes(pickle.dumps(Spy(source / "unpickled")))
    np.save(source / "alone.npy", image_of("alone"))
    for name in ("whole", "bomb", "link", "foreign"):
        with h5py.File(source / f"{name}.h5", "w") as file:
            size = (HUGE, HUGE) if name == "bomb" else (HEIGHT, WIDTH)
            file.create_dataset("label", size, np.uint8, data=None if name == "bomb" else labels(), chunks=(9, 9))
            if name == "link":
                file["image"] = h5py.ExternalLink(str(source / "whole.h5"), "image")
            elif name == "foreign":
                file.create_dataset("image", size, np.uint8, external=[("/etc/passwd", 0, HEIGHT * WIDTH)])
            else:
                file.create_dataset("image", size, np.uint8, chunks=(9, 9))


def listed(source: Path) -> Path:
    """Rows of a table, whose paths may lead out of its folder."""
    for name in (*GOOD, "odd"):
        put(source / f"{name}.png", png(image_of(name)))
        put(source / f"{name}_m.png", png(labels()))
    put(source.parent / "outside.png", png(image_of("outside")))
    (source / "link.png").symlink_to(source.parent / "outside.png")
    (source / "inner.png").symlink_to(source / "odd.png")
    rows = [*GOOD, "../outside", "/etc/passwd", "link", "absent", "inner"]
    lines = ["image,mask", *(f"{name}.png,{name if name in GOOD else 'odd'}_m.png" for name in rows), "odd.png,"]
    return put(source / "list.csv", "\n".join(lines).encode())


def tar(source: Path) -> Path:
    """Members of an archive, whose names and links may lead out of it."""
    members = {f"{name}.png": png(image_of(name)) for name in (*GOOD, "cut", "lone", "../../outer")}
    members["cut.png"] = members["cut.png"][:90]
    members |= {f"{name}.mask.png": png(labels()) for name in (*GOOD, "cut", "link", "../../outer")}
    with tarfile.open(written.tar(source / "shard.tar", members), "a") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return source / "shard.tar"


def table(source: Path) -> Path:
    """Rows of Parquet, whose cells may be empty or damaged."""
    names = [*GOOD, "null", "cut"]
    images: list[bytes | None] = [png(image_of(name)) for name in names]
    masks = [png(labels())] * len(names)
    images[3], masks[4] = None, masks[4][:60]
    pq.write_table(pa.table({"id": names, "image": images, "mask": masks}), source / "table.parquet")
    return source / "table.parquet"


def coco(source: Path) -> None:
    """Annotations, whose runs may reach beyond the image."""
    odd: dict[str, dict[str, Any]] = {
        "runs": {"counts": [150, 300, 18]},
        "early": {"counts": [150, 3, 6]},
        "below": {"counts": [-5, HEIGHT * WIDTH + 5]},
        "huge": {"size": [HUGE, HUGE], "counts": [0, HUGE * HUGE]},
    }
    names = [*GOOD, *odd, "taller", "../../outer"]
    for name in names:
        put(source / "images" / f"{name}.png", png(image_of(name)))
    images = [{"id": i, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH} for i, name in enumerate(names)]
    images[-2]["height"] = 99
    annotations = [
        {
            "id": i,
            "image_id": i,
            "category_id": 1,
            "segmentation": {"size": [HEIGHT, WIDTH], **odd[name]} if name in odd else [[8, 4, 18, 4, 18, 10, 8, 10]],
        }
        for i, name in enumerate(names)
    ]
    said = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "gland"}]}
    put(source / "annotations.json", json.dumps(said).encode())


CORNERS = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ((8, 4), (18, 4), (18, 10), (8, 10)))
OUTLINES = (
    f"<Annotations><Annotation><Regions><Region><Vertices>{CORNERS}</Vertices></Region></Regions></Annotation>"
    "</Annotations>"
)
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BILLION = f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><Annotations>&l9;</Annotations>'
SLIDES = {
    **{f"TCGA-18-559{number}-01Z-00-DX1": OUTLINES.encode() for number in range(3)},
    "TCGA-ZF-A9R1-01A-01-TS1": BILLION.encode(),
    "TCGA-ZF-A9R2-01A-01-TS1": f'<?xml version="1.0"?>{BILLION}'.encode("utf-16"),
    "TCGA-ZF-A9R3-01A-01-TS1": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Annotations>&x;</Annotations>',
    "TCGA-ZF-A9R4-01A-01-TS1": OUTLINES[:90].encode(),
    "TCGA-ZF-A9R5-01A-01-TS1": OUTLINES.replace('X="8"', 'X="nan"', 1).encode(),
}


def slides(source: Path) -> None:
    """Outlines in XML, which may grow without end or name other files."""
    for name, outlines in SLIDES.items():
        put(source / "Tissue Images" / f"{name}.tif", b"")
        Pillow.fromarray(image_of(name)).save(source / "Tissue Images" / f"{name}.tif")
        put(source / "Annotations" / f"{name}.xml", outlines)


def series(source: Path) -> None:
    """DICOM, of which one file decides for its whole series."""
    for number, name in enumerate((*GOOD, "cut", "empty", "huge", "gap")):
        path = write_series(source / name, draw_voxels(number), f"P{number}")[-1]
        write_nifti_mask(source / name / "mask.nii.gz", draw_labels(number, 1, 1))
        data = dcmread(path)
        if name == "empty":
            del data.PixelData
        elif name == "huge":
            data.Rows = data.Columns = 65535
        elif name == "gap":
            data.ImagePositionPatient[2] += 3
        data.save_as(path)
        if name == "cut":
            path.write_bytes(path.read_bytes()[:-40])


@dataclass(frozen=True)
class Kind:
    """What writes a folder, what its reasons have to say by id, the ids of what is used, and options."""

    write: Callable[[Path], Path | None]
    refused: dict[str, str | tuple[str, ...]]
    used: tuple[str, ...] = GOOD
    options: tuple[str, ...] = ()


PICTURES = Kind(
    pictures,
    {
        "cut": ("cut.jpg", "truncated", "copy it again"),
        "size": ("size.png", "20 x 18", "26 x 18", "export"),
        "value": ("value.png", "77", "0, 1", "--mask-values"),
        "lonely": ("no mask", "add one"),
        "orphan": ("no image", "add it or remove"),
        "empty": ("empty.png", "0 bytes", "copy it again"),
        "hollow": ("hollow.png", "0 bytes", "copy it again"),
        "twice": ("twice.jpg", "twice.png", "rename or remove"),
        "text": ("text.png", "no image"),
        "link": ("link.png", "cannot be read"),
        "twin": ("same bytes", "leakage", "remove one"),
    },
)
KINDS = (
    PICTURES,
    Kind(
        volumes,
        {
            "cut": "cut.nii.gz is damaged: ",
            "bomb": "has 30000 x 30000 x 30000 voxels, more than source.max_voxels",
            "sheared": "has a sheared affine",
            "halves": "has the label 0.5, expected whole numbers",
            "hollow": "lower --min-foreground",
            "alone": "has no label",
        },
        (*GOOD, "scaled"),
    ),
    Kind(
        arrays,
        {
            "cut": "is damaged: ",
            "wide": "its mask (10, 26)",
            "objects": "holds Python objects, which are never unpickled",
            "pickle": "is no npy, npz or HDF5 file",
            "alone": "image has no mask",
            "bomb": "more than source.max_pixels",
            "link": "which is not followed",
            "foreign": "which is not followed",
        },
        (*GOOD, "whole"),
    ),
    Kind(
        listed,
        {
            "outside": "row 4 names ../outside.png, which is not in",
            "etc-passwd": "row 5 names /etc/passwd.png, which is not in",
            "link": "row 6 names link.png, which is not in",
            "absent": "absent.png cannot be read",
            "odd": "row 9 has no mask",
        },
        (*GOOD, "inner"),
    ),
    Kind(
        tar,
        {"cut": "shard.tar#cut.png is damaged: ", "link": "link.png is a link", "lone": "sample has no mask"},
        (*GOOD, "_-_-outer-a10423af"),
    ),
    Kind(table, {"null": "table.parquet#3;image is empty", "cut": "table.parquet#4;mask is damaged: "}),
    Kind(
        coco,
        {
            "early": "annotation 4 has runs that do not fill its image",
            "below": "annotation 5 has runs that do not fill its image",
            "huge": "annotation 6 has runs for a size of",
            "taller": "says that taller.png is 26 x 99, the picture is 26 x 18",
            "outer": "file_name ../../outer.png leaves",
        },
        (*GOOD, "runs"),
    ),
    Kind(
        slides,
        dict(
            zip(
                tuple(SLIDES)[3:],
                (*["declares a document type or entities"] * 3, "is damaged: ", "has a vertex at nan"),
                strict=True,
            )
        ),
        tuple(SLIDES)[:3],
    ),
    Kind(
        series,
        {
            "cut": "is damaged: ",
            "empty": "holds no pixels",
            "huge": "has 65535 x 65535 pixels",
            "gap": "between planes",
        },
        options=("--ids", "names"),
    ),
)


@dataclass(frozen=True)
class Whole:
    """A run over a folder of a kind."""

    kind: Kind
    folder: Path
    result: click.testing.Result

    @property
    def output(self) -> Path:
        """Where the dataset lies."""
        return self.folder / "output"


@pytest.fixture(scope="module", params=KINDS, ids=[kind.write.__name__ for kind in KINDS])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """One kind after the other."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "source").mkdir()
    source = request.param.write(folder / "source") or folder / "source"
    return Whole(
        request.param,
        folder,
        run_cli("run", source, folder / "output", *QUICK, "--size", 16, 24, *request.param.options),
    )


def test_each_odd_member_is_refused_by_name_in_one_line(whole: Whole) -> None:
    """Whoever mends the collection has only this line: which file, what is wrong, and what to do."""
    with (whole.output / "refused.csv").open(newline="") as file:
        rows = {row["id"].partition("-z0")[0]: row for row in csv.DictReader(file)}
    run = json.loads((whole.output / "run.json").read_text())

    assert rows.keys() == whole.kind.refused.keys()
    for name, stated in whole.kind.refused.items():
        reason = rows[name]["reason"]
        assert [part for part in ((stated,) if isinstance(stated, str) else stated) if part not in reason] == [], reason
        assert ";" in reason, f"no way out: {reason}"
        assert len(reason.splitlines()) == 1
        assert rows[name].keys() == {"id", "path", "stage", "reason"}
    assert run["refused"]["total"] == len(rows)
    assert Counter(row["stage"] for row in rows.values()) == run["refused"]["by_stage"]
    assert sum(run["refused"]["by_reason"].values()) == len(rows)
    assert not any("/" in reason for reason in run["refused"]["by_reason"])


def test_all_others_are_used(whole: Whole) -> None:
    """Good members stay; nothing is followed out of its file, and nothing is unpickled."""
    rows = pq.read_table(whole.output / "manifest.parquet", columns=["source_a"]).to_pylist()

    assert {row["source_a"].partition("-z0")[0] for row in rows} == set(whole.kind.used)
    assert not (whole.folder / "source" / "unpickled").exists()


def test_what_is_left_is_a_sound_dataset(whole: Whole) -> None:
    """It passes every check, also being made again."""
    result = run_cli("verify", whole.output, "--replay", 3)

    assert "Traceback" not in whole.result.output + result.output


@pytest.mark.parametrize("whole", [PICTURES], indirect=True, ids=["pictures"])
def test_inspect_states_the_same_problems_before_any_work(whole: Whole) -> None:
    """Every file is decoded once before any work begins."""
    result = run_cli("inspect", whole.folder / "source", "--size", 16, 24, "--json")

    problems = json.loads(result.stdout)["problems"]
    assert {problem["id"] for problem in problems} == whole.kind.refused.keys()
    assert all(Path(problem["path"]).is_relative_to(whole.folder / "source") for problem in problems)
    assert f"refused {len(problems)} of {len(problems) + 3} sources" in whole.result.stdout
    assert "refused.csv" in whole.result.stdout


@pytest.mark.parametrize("whole", [PICTURES], indirect=True, ids=["pictures"])
@pytest.mark.parametrize(("less", "status"), [(9, 1), (1, 1), (0, 0)])
def test_more_refusals_than_tolerated_are_an_exit_status(whole: Whole, less: int, status: int) -> None:
    """A job in a pipeline has to stop where half of its data is broken; the number is the user's."""
    count = len(whole.kind.refused)
    options = (*QUICK, "--size", 16, 24, "--max-errors", count - less)
    result = run_cli("run", whole.folder / "source", whole.output, *options, status=status)

    if status:
        line = error_of(result)
        for text in (str(count), f"more than --max-errors {count - less};", "refused.csv", "raise it"):
            assert text in line
