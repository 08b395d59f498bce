"""Odd names, links, pipes and folders: each file that there is gets used or refused, and nothing hangs."""

import csv
import json
import os
import re
import shutil
import socket
import tempfile
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.extra.numpy as hnp
import nibabel
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from PIL import Image as Pillow

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.decoders.stack import ReadOptions
from hsmix_gen.pipeline.sources.discovery import Discovery, discover
from hsmix_gen.pipeline.sources.scan import ScanOptions, scan
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import ScanResult
from tests.command_line import TINY, run_cli

nib: Any = nibabel  # its functions bear no types
Array = npt.NDArray[Any]

GOOD = 3
SIZE = (10, 14)
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
COMPOSED = unicodedata.normalize("NFC", "Läsion é")
NAMES = {
    "dots": "case.1.2.840.113",
    "dot at the end": "case.",
    "blanks": "left eye 3",
    "blanks around": "  case  ",
    "letters of another script": "病例-三",
    "letters from right to left": "מקרה",
    "emoji": "\N{MICROSCOPE}\N{ZERO WIDTH JOINER}\N{DNA DOUBLE HELIX}",
    "250 bytes": "n" * 250,
    "250 bytes of accents": "é" * 125,
    "dash in front": "-rf",
    "option": "--size=3",
    "quotes": "a\"b'c`d",
    "newline": "two\nlines",
    "carriage return": "two\r\nlines",
    "tabulator": "a\tb",
    "line separator": "a\u2028b",
    "escape": "a\x1b[31mred",
    "backslash": "a\\b",
    "hash": "a#b=1",
    "commas": "a,b;c",
    "variable": "$HOME",
    "percent": "%s%d",
    "star": "a*b?[c]",
    "braces": "{a}{0}",
    "drive": "c:case",
    "ending twice": "case.png",
    "composed": COMPOSED,
    "decomposed": unicodedata.normalize("NFD", COMPOSED),
}


def picture_of(name: str) -> Array:
    """Return the picture of a name, unlike all others."""
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogateescape")))
    return rng.integers(0, 256, SIZE, dtype=np.uint8)


def labels() -> Array:
    """Return the mask of every pair."""
    mask = np.zeros(SIZE, np.uint8)
    mask[2:5, 3:9] = 255
    return mask


def save(path: Path, array: Array) -> None:
    """Write a PNG whatever its name; Pillow would refuse some."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Pillow.fromarray(array).save(file, "PNG")


def add_pair(source: Path, name: str) -> None:
    """Write a good pair."""
    save(source / "images" / f"{name}.png", picture_of(name))
    save(source / "masks" / f"{name}.png", labels())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of good pairs."""
    folder = tmp_path / "source"
    for number in range(GOOD):
        add_pair(folder, f"good_{number}")
    return folder


def inspected(source: Path) -> dict[str, Any]:
    """Return what ``inspect --json`` reports of a source; all of it is fit to be read."""
    result = run_cli("inspect", source, "--json", "--progress", "none")
    stated: dict[str, Any] = json.loads(result.stdout)
    for problem in stated["problems"]:
        assert ID.fullmatch(problem["id"])
        assert len(problem["reason"].splitlines()) == 1, problem["reason"]
        assert ";" in problem["reason"], f"no way out: {problem['reason']}"
    return stated


def test_run_over_all_odd_names_is_complete(source: Path, tmp_path: Path) -> None:
    """Names are the business of those who gave them: tables, lists and messages take each, of damaged files as well."""
    for name in NAMES.values():
        add_pair(source, name)
        bad = f"bad {name}"[:120]
        add_pair(source, bad)
        (source / "masks" / f"{bad}.png").write_bytes(b"")
    output = tmp_path / "output"

    result = run_cli("run", source, output, *TINY, "--copies", 1)

    assert "Traceback" not in result.output
    with (output / "refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(NAMES)
    for row in rows:
        assert ID.fullmatch(row["id"])
        assert "0 bytes" in row["reason"]
        assert len(row["reason"].splitlines()) == 1
    parents = {row["source_a"] for row in pq.read_table(output / "manifest.parquet").to_pylist()}
    assert len(parents) == GOOD + len(NAMES)
    run_cli("verify", output, "--replay", 3)


def test_pairs_of_odd_names_are_read_from_their_own_files(source: Path) -> None:
    for name in NAMES.values():
        add_pair(source, name)

    items = {item.image.paths[0]: item for item in discover(source, RunConfig()).items}

    assert all(ID.fullmatch(item.id) for item in items.values())
    for name in NAMES.values():
        image, mask = open_pair(items[str(source / "images" / f"{name}.png")], ReadOptions())
        assert np.array_equal(image.plane(0)[..., 0], picture_of(name)), name
        assert np.array_equal(mask.plane(0), labels()), name


def test_names_that_are_nearly_one_are_one_pair_or_refused(source: Path) -> None:
    """Some file systems decompose accents: the image came from one, the mask from another.

    Ids of names that differ in capitals alone would be one file on some systems: neither is taken for the other. A
    link to a folder above would give every file again without end.
    """
    save(source / "images" / f"{COMPOSED}.png", picture_of("odd"))
    save(source / "masks" / f"{NAMES['decomposed']}.png", labels())
    add_pair(source, "Case")
    add_pair(source, "case")
    for kind in ("images", "masks"):
        (source / kind / "again").symlink_to(source, target_is_directory=True)

    stated = inspected(source)

    assert stated["usable"] == GOOD + 1
    assert [problem["path"].rpartition("/")[2] for problem in stated["problems"]] == ["Case.png", "case.png"]
    assert all("rename" in problem["reason"] for problem in stated["problems"])


def test_name_that_is_no_text_is_refused(source: Path, tmp_path: Path) -> None:
    """Bytes of another encoding can stand in no table: both sides are reported, and the rest is made."""
    add_pair(source, os.fsdecode(b"L\xe4sion"))

    stated = inspected(source)
    run_cli("run", source, tmp_path / "output", *TINY, "--copies", 1)

    assert stated["usable"] == GOOD
    assert sorted(problem["path"].removeprefix(f"{source}/") for problem in stated["problems"]) == [
        r"images/L\xe4sion.png",
        r"masks/L\xe4sion.png",
    ]
    assert all("no UTF-8" in problem["reason"] for problem in stated["problems"])


# -- what is no plain file


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.png")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    # Addresses are short: one of a name relative to the folder is.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(before)


def folder(path: Path) -> None:
    path.mkdir()


NO_FILES = {
    dangling_link: "cannot be read",
    link_to_itself: "cannot be read",
    pipe: "no file",
    unix_socket: "no file",
    folder: "add",
}
"""What stands where a file is expected, and what is said of it."""


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_refused(source: Path) -> None:
    """A pipe would be waited for without end; a link to a picture is one."""
    stated = {f"{make.__name__}-{side}": (make, side) for make in NO_FILES for side in ("images", "masks")}
    for name, (make, side) in stated.items():
        add_pair(source, name)
        (source / side / f"{name}.png").unlink()
        make(source / side / f"{name}.png")
    add_pair(source, "linked")
    (source / "images" / "linked.png").rename(source.parent / "elsewhere.png")
    (source / "images" / "linked.png").symlink_to(source.parent / "elsewhere.png")

    found = inspected(source)

    assert found["usable"] == GOOD + 1
    reasons = {problem["id"]: problem["reason"] for problem in found["problems"]}
    assert reasons.keys() == stated.keys()
    assert [name for name, (make, _) in stated.items() if NO_FILES[make] not in reasons[name]] == []


PIPES = (
    "images/x.png", "images/x.tif", "images/x.nii.gz", "images/x.npz", "images/x.npy", "images/x.h5", "images/x.dcm",
    "images/x", "x.json", "x.xml", "x.csv", "x.parquet", "x.tar", "dataset.json", "annotations/instances_train.json",
    "class_dict.csv", "labelmap.txt", "Grade.csv", "splits/train.txt", "splits/val.txt", "train.txt", "folds.json",
    "ISIC_GroundTruth.csv",
)  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_of_any_name_stops_nothing(source: Path, name: str) -> None:
    """No reader waits for it, and the good pairs are used."""
    (source / name).parent.mkdir(exist_ok=True)
    os.mkfifo(source / name)

    result = run_cli("inspect", source, "--json", "--progress", "none", status=None)

    if result.exit_code:
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert Path(name).name in result.stderr
    else:
        assert json.loads(result.stdout)["usable"] == GOOD


def save_nifti(path: Path, name: str, *, mask: bool) -> None:
    values = np.repeat((labels() // 255 if mask else picture_of(name))[..., None], 2, axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 3.0, 1.0])), path)


def niftis(folder: Path, name: str) -> Path:
    save_nifti(folder / "imagesTr" / f"{name}.nii.gz", name, mask=False)
    save_nifti(folder / "labelsTr" / f"{name}.nii.gz", name, mask=True)
    return folder / "imagesTr" / f"{name}.nii.gz"


def arrays(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", image=picture_of(name), label=labels() // 255)
    return folder / f"{name}.npz"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pair", [niftis, arrays])
def test_volume_that_is_no_plain_file_is_refused(tmp_path: Path, pair: Callable[[Path, str], Path]) -> None:
    """As with pictures."""
    for number in range(GOOD):
        pair(tmp_path / "source", f"good_{number}")
    for make in NO_FILES:
        path = pair(tmp_path / "source", make.__name__)
        path.unlink()
        make(path)

    found = inspected(tmp_path / "source")

    assert found["usable"] == GOOD * (2 if pair is niftis else 1)
    # An empty folder among arrays is a folder like any other.
    expected = {make.__name__ for make in NO_FILES if not (make is folder and pair is arrays)}
    assert {problem["id"] for problem in found["problems"]} == expected


ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything whatever its permissions")


@ROOT
def test_what_may_not_be_read_is_refused(source: Path) -> None:
    """What lies in a folder is not known, and that is known; a file of somebody else costs itself."""
    add_pair(source, "closed/odd")
    for name, side in (("north", "images"), ("south", "masks")):
        add_pair(source, name)
        (source / side / f"{name}.png").chmod(0)
    (source / "images" / "closed").chmod(0)
    try:
        stated = inspected(source)
    finally:
        (source / "images" / "closed").chmod(0o700)

    assert stated["usable"] == GOOD
    reasons = {problem["id"]: problem["reason"] for problem in stated["problems"]}
    assert "permissions" in reasons["north"]
    assert "permissions" in reasons["south"]
    assert any("folder cannot be read" in reason for reason in reasons.values())


# -- any name, any shape

# Hidden files are left out, as everywhere; names of masks and of superpixels mean something.
stems = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda stem: not stem.startswith(".") and len(stem.encode()) <= 240
)
# Surrogates as Python shows bytes that are no UTF-8.
bytes_of_no_text = st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), min_size=1, max_size=8)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(), (3,), (4,)]))


def seen(source: Path) -> tuple[Discovery, list[ScanResult]]:
    """Return what is found in a source and what each image shows."""
    discovery = discover(source, RunConfig())
    results = [result for found in scan(discovery.items, ScanOptions(ReadOptions())) for result in found]
    ids = [item.id for item in discovery.items]
    assert len({name.casefold() for name in ids}) == len(ids)
    assert all(ID.fullmatch(name) for name in [*ids, *(refusal.id for refusal in discovery.refusals)])
    assert [result.id for result in results] == ids
    return discovery, results


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(
        st.tuples(st.one_of(stems, bytes_of_no_text), shapes, st.booleans()),
        max_size=4,
        unique_by=lambda x: os.fsencode(x[0]),
    )
)
def test_pair_of_any_name_and_shape_is_used_or_refused_once(pairs: list[tuple[str, Any, bool]]) -> None:
    """No name and no size of a picture makes discovery or the scan raise, and nothing is lost or taken twice."""
    source = Path(tempfile.mkdtemp())
    try:
        add_pair(source, "good_0")
        fitting = {"good_0": True}
        for drawn, (height, width, channels), fits in pairs:
            name = os.fsdecode(os.fsencode(drawn))
            try:
                save(source / "images" / f"{name}.png", np.zeros((height, width, *channels), np.uint8))
            except OSError:  # what the file system does not take
                hypothesis.reject()
            save(source / "masks" / f"{name}.png", np.zeros((height + (not fits), width), np.uint8))
            fitting[name] = fits
        discovery, results = seen(source)
        refused = [refusal.path for refusal in discovery.refusals]
        items = {item.image.paths[0]: (item, result) for item, result in zip(discovery.items, results, strict=True)}
        for name, fits in fitting.items():
            image = str(source / "images" / f"{name}.png")
            if name.encode(errors="replace").decode() != name:
                image = os.fsencode(image).decode(errors="backslashreplace")
            assert (image in items) + refused.count(image) == 1
            if image in items:
                item, result = items[image]
                assert item.mask.paths == (str(source / "masks" / f"{name}.png"),)
                assert (result.problem is None) == fits
    finally:
        shutil.rmtree(source)


numbers = st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=3), hnp.byte_string_dtypes(max_len=3))
any_array = hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=12))


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(any_array, any_array, st.booleans())
def test_arrays_of_any_type_and_shape_are_used_or_refused_once(image: Array, mask: Array, alike: bool) -> None:
    """Whatever lies in an npz, it is an item or one refusal, and a used one has a value for each pixel."""
    source = Path(tempfile.mkdtemp())
    try:
        arrays(source, "good_0")
        np.savez(source / "odd.npz", image=image, label=np.zeros(image.shape, mask.dtype) if alike else mask)
        discovery = discover(source, RunConfig())
        (*found,) = scan(discovery.items, ScanOptions(ReadOptions()))
        refused = [refusal.id for refusal in discovery.refusals]
        assert sorted([item.id for item in discovery.items] + refused) == ["good_0", "odd"]
        for results in found:
            for result in results:
                if result.problem is None:
                    assert sum(count for _, count in result.mask_counts) == result.height * result.width > 0
                else:
                    assert len(result.problem.splitlines()) == 1
    finally:
        shutil.rmtree(source)
