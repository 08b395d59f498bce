"""Odd members of arrays, lists, archives and tables among good ones: used, or refused in one line; none is lost."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
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

Array = npt.NDArray[Any]

GOOD = 3
SIZE = (9, 13)
FOREGROUND = 15
HUGE = 300_000


def image_of(name: str) -> Array:
    """Return the image of a pair, (H, W) uint8."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, SIZE, dtype=np.uint8)


def labels() -> Array:
    """Return the mask of every pair."""
    mask = np.zeros(SIZE, np.uint8)
    mask[2:5, 4:9] = 1
    return mask


def png(array: Array) -> bytes:
    """Return an array as PNG."""
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def npy(array: Array) -> bytes:
    """Return an array as npy."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return an npy of four bytes whose header claims more."""
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4)


@dataclass(frozen=True)
class Case:
    """An odd source: what makes it, how its one refusal reads (nothing where all is used), and options."""

    make: Callable[[Path], Path | None]
    told: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the test is called."""
        return self.make.__name__


CASES: list[Case] = []


def case(*told: str, options: tuple[str, ...] = ()) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Add a case; it returns the source if that is not the folder."""

    def add(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
        CASES.append(Case(make, told, options))
        return make

    return add


class Spy:
    """What would tell of being unpickled by a file that it makes."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


# -- arrays


def good_arrays(source: Path) -> None:
    """Write good npz files."""
    for number in range(GOOD):
        np.savez(source / f"good_{number}.npz", image=image_of(f"good_{number}"), label=labels())


@case("0 bytes", "copy it again")
def npz_empty(source: Path) -> None:
    good_arrays(source)
    (source / "odd.npz").write_bytes(b"")


@case("is damaged", "copy it again")
def npz_cut(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=labels())
    (source / "odd.npz").write_bytes((source / "odd.npz").read_bytes()[:-90])


@case("is damaged", "copy it again")
def npz_with_flipped_bytes(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=labels())
    data = bytearray((source / "odd.npz").read_bytes())
    data[200:204] = bytes(255 - value for value in data[200:204])
    (source / "odd.npz").write_bytes(data)


@case("is no npy, npz or HDF5 file", "check its ending")
def npz_of_text(source: Path) -> None:
    good_arrays(source)
    (source / "odd.npz").write_text("no arrays here")


@case("announces", "copy it again")
def npz_claiming_too_much(source: Path) -> None:
    good_arrays(source)
    with zipfile.ZipFile(source / "odd.npz", "w") as packed:
        packed.writestr("image.npy", claiming((HUGE, HUGE)))
        packed.writestr("label.npy", claiming((HUGE, HUGE)))


@case(
    "more than source.max_pixels = 1000000",
    "raise it if the file is genuine",
    options=("-o", "source.max_pixels=1000000"),
)
def npz_bomb(source: Path) -> None:
    good_arrays(source)
    zeros = np.zeros((4000, 5000), np.uint8)
    np.savez_compressed(source / "odd.npz", image=zeros, label=zeros)
    assert (source / "odd.npz").stat().st_size < 60_000


@case("has no mask array", "got image, other", "--mask-key")
def npz_without_mask(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), other=labels())


@case("holds no arrays")
def npz_without_arrays(source: Path) -> None:
    good_arrays(source)
    with zipfile.ZipFile(source / "odd.npz", "w") as packed:
        packed.writestr("readme.txt", "nothing")


@case("Python objects, which are never unpickled", "save it as numbers")
def npz_of_objects(source: Path) -> None:
    good_arrays(source)
    spies = np.full(SIZE, Spy(source / "unpickled"), dtype=object)
    np.savez(source / "odd.npz", image=spies, label=labels())
    # The trap works: who unpickles makes the folder.
    with np.load(source / "odd.npz", allow_pickle=True) as loaded:
        assert loaded["image"].shape == SIZE
    (source / "unpickled").rmdir()


@case("is no npy, npz or HDF5 file")
def npy_that_is_a_pickle(source: Path) -> None:
    good_arrays(source)
    (source / "odd.npy").write_bytes(pickle.dumps(Spy(source / "unpickled")))


@case("NaN or infinite pixels", "replace them")
def npz_with_nan(source: Path) -> None:
    good_arrays(source)
    image = image_of("odd").astype(np.float32)
    image[0, 0], image[1, 1] = np.nan, np.inf
    np.savez(source / "odd.npz", image=image, label=labels())


@case()
def npz_of_float_labels(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=labels().astype(np.float64))


@case("label 0.25", "whole numbers", "without interpolation")
def npz_of_soft_labels(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=labels() * 0.25)


@case("one channel per class", "numpy.argmax")
def npz_one_hot(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=np.stack([1 - labels(), labels()]))


@case("mask (8, 13)", "export the mask at the size of the image")
def npz_of_two_sizes(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd"), label=labels()[:8])


@case("there are no pixels")
def npz_of_no_pixels(source: Path) -> None:
    good_arrays(source)
    np.savez(source / "odd.npz", image=image_of("odd")[:, :0], label=labels()[:, :0])


@case("image has no mask", "add one")
def npy_alone(source: Path) -> None:
    good_arrays(source)
    np.save(source / "odd.npy", image_of("odd"))


# -- HDF5


@case()
def h5_among_npz(source: Path) -> None:
    good_arrays(source)
    with h5py.File(source / "odd.h5", "w") as file:
        file["image"], file["label"] = image_of("odd"), labels()


@case("copy it again")
def h5_cut(source: Path) -> None:
    h5_among_npz(source)
    (source / "odd.h5").write_bytes((source / "odd.h5").read_bytes()[:900])


@case("more than source.max_pixels = 200000000", "raise it if the file is genuine")
def h5_bomb(source: Path) -> None:
    good_arrays(source)
    with h5py.File(source / "odd.h5", "w") as file:
        for name in ("image", "label"):
            file.create_dataset(name, (HUGE, HUGE), np.uint8, chunks=(100, 100), compression="gzip")


@case("link", "not followed", "copy the values into this file")
def h5_link_out_of_the_file(source: Path) -> None:
    good_arrays(source)
    with h5py.File(source / "odd.h5", "w") as file:
        file["label"] = labels()
        file["image"] = h5py.ExternalLink(str(source / "other.h5"), "image")


@case("not followed")
def h5_bytes_of_another_file(source: Path) -> None:
    good_arrays(source)
    with h5py.File(source / "odd.h5", "w") as file:
        file["label"] = labels()
        file.create_dataset("image", SIZE, np.uint8, external=[("/etc/passwd", 0, 117)])


# -- lists


def write_list(source: Path, row: str) -> Path:
    """Write pictures, and a list of good rows and one more."""
    for name in ("good_0", "good_1", "good_2", "odd"):
        (source / f"{name}.png").write_bytes(png(image_of(name)))
        (source / f"{name}_m.png").write_bytes(png(labels()))
    rows = [f"good_{number}.png,good_{number}_m.png" for number in range(GOOD)]
    (source / "list.csv").write_text("\n".join(["image,mask", *rows, row]) + "\n")
    return source / "list.csv"


@case("row 4", "../outside.png", "is not in", "--root DIR")
def row_leaving_by_dots(source: Path) -> Path:
    return write_list(source, "../outside.png,odd_m.png")


@case("row 4", "/etc/passwd.png", "is not in", "--root DIR")
def row_leaving_by_an_absolute_path(source: Path) -> Path:
    return write_list(source, "/etc/passwd.png,odd_m.png")


@case("row 4", "link.png", "is not in", "--root DIR")
def row_leaving_by_a_link(source: Path) -> Path:
    outside = source.parent / "outside.png"
    outside.write_bytes(png(image_of("odd")))
    (source / "link.png").symlink_to(outside)
    return write_list(source, "link.png,odd_m.png")


@case()
def row_of_a_link_inside(source: Path) -> Path:
    listed = write_list(source, "link.png,odd_m.png")
    (source / "link.png").symlink_to(source / "odd.png")
    return listed


@case("row 4", "has no mask", "fill it in")
def row_without_mask(source: Path) -> Path:
    return write_list(source, "odd.png,")


@case("row 4", "odd.docx", "unknown ending", "expected one of")
def row_of_unknown_ending(source: Path) -> Path:
    return write_list(source, "odd.docx,odd_m.png")


@case("absent.png", "cannot be read", "check that it exists")
def row_of_a_file_that_is_not_there(source: Path) -> Path:
    return write_list(source, "absent.png,odd_m.png")


# -- tar


def write_tar(source: Path, members: dict[str, bytes], link: str = "") -> Path:
    """Write a shard of good samples and what is odd."""
    good = {f"good_{number}.png": png(image_of(f"good_{number}")) for number in range(GOOD)}
    good |= {f"good_{number}.mask.png": png(labels()) for number in range(GOOD)}
    with tarfile.open(source / "shard.tar", "w") as tar:
        for name, data in (good | members).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return source / "shard.tar"


@case("odd.png", "link")
def tar_with_a_link(source: Path) -> Path:
    return write_tar(source, {"odd.mask.png": png(labels())}, link="odd.png")


@case()
def tar_of_names_that_leave_the_folder(source: Path) -> Path:
    return write_tar(source, {"../../odd.png": png(image_of("odd")), "../../odd.mask.png": png(labels())})


@case("odd.png", "copy it again")
def tar_with_a_cut_picture(source: Path) -> Path:
    return write_tar(source, {"odd.png": png(image_of("odd"))[:90], "odd.mask.png": png(labels())})


@case("mask")
def tar_with_a_sample_without_mask(source: Path) -> Path:
    return write_tar(source, {"odd.png": png(image_of("odd"))})


# -- Parquet


def write_table(source: Path, image: bytes | None, mask: bytes | None) -> Path:
    """Write a table of good rows and an odd one."""
    names = [f"good_{number}" for number in range(GOOD)]
    columns = {
        "id": [*names, "odd"],
        "image": [*(png(image_of(name)) for name in names), image],
        "mask": [*(png(labels()) for _ in names), mask],
    }
    pq.write_table(pa.table(columns), source / "table.parquet")
    return source / "table.parquet"


@case("table.parquet#3;image is empty", "put them into the table")
def parquet_with_a_null_image(source: Path) -> Path:
    return write_table(source, None, png(labels()))


@case("copy it again")
def parquet_with_a_cut_mask(source: Path) -> Path:
    return write_table(source, png(image_of("odd")), png(labels())[:60])


# -- COCO


def write_coco(source: Path, odd: Any, **entry: Any) -> None:
    """Write pictures and a file of annotations, that of the last picture odd."""
    names = [*(f"good_{number}" for number in range(GOOD)), "odd"]
    outline = [[4, 2, 9, 2, 9, 5, 4, 5]]
    (source / "images").mkdir()
    for name in names:
        (source / "images" / f"{name}.png").write_bytes(png(image_of(name)))
    images = [{"id": i, "file_name": f"{name}.png", "height": 9, "width": 13} for i, name in enumerate(names)]
    images[-1] |= entry
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "segmentation": odd if name == "odd" else outline}
        for i, name in enumerate(names)
    ]
    told = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "gland"}]}
    (source / "annotations.json").write_text(json.dumps(told))


@case()
def coco_of_runs(source: Path) -> None:
    # Columns of 9: three pixels in each of columns 4 to 8.
    write_coco(source, {"size": [9, 13], "counts": [38, 3, 6, 3, 6, 3, 6, 3, 6, 3, 40]})


@case("annotations.json", "117")
def coco_of_runs_that_end_early(source: Path) -> None:
    write_coco(source, {"size": [9, 13], "counts": [38, 3, 6]})


@case("annotations.json")
def coco_of_runs_of_text(source: Path) -> None:
    write_coco(source, {"size": [9, 13], "counts": "\u00e9\x00~~~~~~~~~~~~"})


@case("annotations.json")
def coco_of_runs_below_zero(source: Path) -> None:
    write_coco(source, {"size": [9, 13], "counts": [-5, 122]})


@case("annotations.json")
def coco_of_runs_of_huge_size(source: Path) -> None:
    write_coco(source, {"size": [HUGE, HUGE], "counts": [0, HUGE * HUGE]})


@case("13 x 99", "13 x 9", "annotate the picture as it is")
def coco_of_another_size(source: Path) -> None:
    write_coco(source, [[4, 2, 9, 2, 9, 5]], height=99)


@case("../../odd.png")
def coco_leaving_the_folder(source: Path) -> None:
    write_coco(source, [[4, 2, 9, 2, 9, 5]], file_name="../../odd.png")


# -- XML of MoNuSeg

OUTLINE = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ((4, 2), (9, 2), (9, 5), (4, 5)))
REGION = f"<Region><Vertices>{OUTLINE}</Vertices></Region>"
GOOD_XML = f"<Annotations><Annotation><Regions>{REGION}</Regions></Annotation></Annotations>"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def write_xml(source: Path, odd: str) -> None:
    """Write slides and their outlines."""
    for name in (*(f"TCGA-18-559{number}-01Z-00-DX1" for number in range(GOOD)), "TCGA-ZF-A9R5-01A-01-TS1"):
        for folder, ending, data in (
            ("Tissue Images", "tif", None),
            ("Annotations", "xml", odd if "ZF" in name else GOOD_XML),
        ):
            path = source / folder / f"{name}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                Pillow.fromarray(image_of(name)).save(path)
            else:
                path.write_text(data)


@case("TCGA-ZF", "entit")
def xml_of_a_billion_laughs(source: Path) -> None:
    write_xml(source, f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><Annotations>&l9;</Annotations>')


@case("TCGA-ZF", "entit")
def xml_of_an_external_entity(source: Path) -> None:
    write_xml(source, '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Annotations>&x;</Annotations>')


@case("TCGA-ZF", "entit")
def xml_of_a_billion_laughs_in_utf_16(source: Path) -> None:
    write_xml(source, "")
    told = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><Annotations>&l9;</Annotations>'
    (source / "Annotations" / "TCGA-ZF-A9R5-01A-01-TS1.xml").write_bytes(told.encode("utf-16"))


@case("TCGA-ZF", "copy it again")
def xml_cut(source: Path) -> None:
    write_xml(source, GOOD_XML[:90])


@case("TCGA-ZF")
def xml_with_a_corner_that_is_nan(source: Path) -> None:
    write_xml(source, GOOD_XML.replace('X="4"', 'X="nan"'))


NAMES = [case.name for case in CASES]


@pytest.mark.parametrize("odd", CASES, ids=NAMES)
def test_odd_member_is_used_or_refused_in_one_line(
    odd: Case, run_cli: Callable[..., click.testing.Result], tmp_path: Path
) -> None:
    """What is odd costs itself; nothing is followed out of its file, and nothing is unpickled."""
    source = tmp_path / "source"
    source.mkdir()
    source = odd.make(source) or source

    result = run_cli("inspect", source, *odd.options, "--json", "--progress", "none")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert not (tmp_path / "source" / "unpickled").exists()
    assert told["usable"] == GOOD + (not odd.told)
    assert told["classes"][1]["pixels"] == FOREGROUND * (GOOD + (not odd.told))
    assert len(told["problems"]) == bool(odd.told)
    for problem in told["problems"]:
        text = f"{problem['path']} {problem['reason']}"
        assert len(text.splitlines()) == 1
        assert [part for part in odd.told if part not in text] == [], text
        assert ";" in problem["reason"], f"no way out: {text}"


def test_there_are_as_many_odd_members_as_promised() -> None:
    """Each case is one of its own."""
    assert len(set(NAMES)) == len(NAMES) >= 40
