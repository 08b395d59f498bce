"""What holds of every export: whole or absent, checked, counted, the same every time."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.signals import Terminated
from hsmix_gen.pipeline.exports import base
from hsmix_gen.pipeline.exports.export import export_output
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import EXPORTS
from tests.command_line import QUICK, run_cli
from tests.pipeline.exports.handmade import draw, export, make_output
from tests.small_sources import make_source
from tests.written import contents

BUILT_IN = ("nnunet", "synapse", "perclass", "medsam", "zarr")
"""Kinds that need no package of others."""
KEYS = ("train-a", "train-b", "train-c", "val-d", "test-e")


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """An output that every kind can hold."""
    return make_output(tmp_path / "out", [draw(key, channels=1) for key in KEYS])


@pytest.mark.parametrize("kind", BUILT_IN)
def test_export_is_the_same_every_time(grey: Path, tmp_path: Path, kind: str) -> None:
    """No clock and no path gets into a file."""
    export(grey, tmp_path / "first", kind)
    export(grey, tmp_path / "elsewhere" / "second", kind)

    assert contents(tmp_path / "first") == contents(tmp_path / "elsewhere" / "second")


@pytest.mark.parametrize("kind", BUILT_IN)
def test_export_counts_all_samples_and_keeps_their_provenance(grey: Path, tmp_path: Path, kind: str) -> None:
    """The summary and export.json say what the manifest has; keys lead to parents, and README.txt says so."""
    found = export(grey, tmp_path / "dest", kind)

    assert found.samples == {"train": 3, "val": 1, "test": 1}
    assert json.loads((tmp_path / "dest" / "export.json").read_text())["samples"] == found.samples
    assert f"exported 5 samples (3 train, 1 val, 1 test) as {kind}" in found.text()
    rows = pq.read_table(tmp_path / "dest" / "manifest.parquet").to_pylist()
    assert {row["key"]: row["source_b"] for row in rows if row["split"] == "train"} == {
        f"train-{name}": f"train-{name}-b" for name in "abc"
    }
    assert "source_a" in (tmp_path / "dest" / "README.txt").read_text()


@pytest.mark.parametrize("kind", ["nnunet", "synapse", "perclass", "imglabel", "medsam", "monai"])
def test_what_the_commands_of_the_guide_name_is_there(grey: Path, tmp_path: Path, kind: str) -> None:
    """README.txt is for copying: its paths exist, and where a patch is not taken nothing is trained."""
    export(grey, tmp_path / "dest", kind, base.Options(side=64))

    guide = (tmp_path / "dest" / "README.txt").read_text()
    assert "export DATA=$PWD" in guide
    named = re.findall(r"\$(?:DATA|nnUNet_raw)/([\w./-]+\w)", guide)
    assert [path for path in named if not (tmp_path / "dest" / path).exists()] == []
    commands = [part.replace("\\\n", " ") for part in guide.split("\n\n") if "git apply" in part]
    assert all(
        re.fullmatch(r" +git checkout -q \w{7} && git apply [^;\n]+ (\w+=\S+ )?python train[^;\n]+", c)
        for c in commands
    )
    assert len(commands) == {"synapse": 5, "nnunet": 0, "monai": 0}.get(kind, 1)


def test_an_empty_folder_may_be_given(grey: Path, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    export(grey, tmp_path / "dest", "perclass")

    assert (tmp_path / "dest" / "train" / "images" / "train-a.png").is_file()


def test_a_folder_that_holds_something_is_refused(grey: Path, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine.txt").write_text("keep")

    with pytest.raises(OutputError, match="dest must be a new or empty folder"):
        export(grey, tmp_path / "dest", "perclass")
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["mine.txt"]


def test_an_unfinished_output_is_refused(grey: Path, tmp_path: Path) -> None:
    (grey / "manifest.parquet").unlink()

    with pytest.raises(OutputError, match="no finished dataset"):
        export(grey, tmp_path / "dest", "zarr")
    assert not (tmp_path / "dest").exists()


def test_a_flipped_bit_is_found_and_nothing_is_left(grey: Path, tmp_path: Path) -> None:
    """Files are compared with their checksums before they are read."""
    path = grey / "webdataset" / "val-000000.tar"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)

    with pytest.raises(OutputError, match=r"val-000000.tar is missing or does not match"):
        export(grey, tmp_path / "dest", "perclass")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_an_image_that_is_not_the_manifests_is_found(tmp_path: Path) -> None:
    """A file that matches dataset.json may still be of another run than the manifest."""
    root = make_output(tmp_path / "out", [draw("train-a"), draw("train-b", sha256="0" * 64)])

    with pytest.raises(OutputError, match=r"image of sample train-b is not in manifest.parquet"):
        export(root, tmp_path / "dest", "perclass")


def test_a_sample_that_the_shards_lack_is_found(tmp_path: Path) -> None:
    root = make_output(tmp_path / "out", [draw("train-a"), draw("val-b")])
    described = json.loads((root / "dataset.json").read_text())
    described["formats"]["webdataset"] = described["formats"]["webdataset"][:1]
    (root / "dataset.json").write_text(json.dumps(described))

    with pytest.raises(OutputError, match=r"lacks 1 samples of manifest.parquet, first val-b"):
        export(root, tmp_path / "dest", "perclass")


class Stopping(SilentDisplay):
    """Ends the process by a signal at the second sample."""

    def __init__(self, number: int) -> None:
        self._number = number

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:  # noqa: ARG002 - counts alone
        if done == 2:
            os.kill(os.getpid(), self._number)


def test_an_export_does_not_go_into_its_dataset(grey: Path) -> None:
    with pytest.raises(OutputError, match=r"lies in the dataset .*; choose a folder beside it"):
        export_output(grey, grey / "exports" / "zarr", "zarr", Reporter(SilentDisplay()))

    assert not (grey / "exports").exists()


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interrupted_export_leaves_nothing(
    grey: Path, tmp_path: Path, number: int, error: type[BaseException]
) -> None:
    """Neither under the final name nor beside it, and SIGTERM works as before."""
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(error):
        export_output(grey, tmp_path / "dest", "perclass", Reporter(Stopping(number)))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_killed_export_left_is_removed_by_the_next(grey: Path, tmp_path: Path) -> None:
    """Only what belongs to this destination."""
    (tmp_path / ".hsmix-tmp-0123456789ab-dest").mkdir()
    (tmp_path / ".hsmix-tmp-0123456789ab-other").mkdir()
    export(grey, tmp_path / "dest", "perclass")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".hsmix-tmp-0123456789ab-other", "dest", "out"]


def test_folds_are_named_where_a_kind_has_no_place_for_them(tmp_path: Path) -> None:
    for fold in range(2):
        make_output(tmp_path / "out" / f"fold-{fold}", [draw("train-a"), draw("val-b")])

    with pytest.raises(OutputError, match=r"holds 2 folds and zarr has no place for them; .*fold-0"):
        export(tmp_path / "out", tmp_path / "dest", "zarr")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a small output with a real run: ``made(name, *options)``."""
    folder = tmp_path_factory.mktemp("made")
    source = make_source(folder / "source", train=3)

    def make(name: str, *options: str) -> Path:
        if not (folder / name).exists():
            run_cli("run", source, folder / name, *QUICK, "--size", 48, 64, *options)
        return folder / name

    return make


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "parquet"),
        ("--format", "folder"),
        ("--soft-encoding", "npy"),
        ("--soft-encoding", "pair"),
        ("--soft-encoding", "png"),
        ("--format", "parquet", "--soft-encoding", "pair"),
    ],
    ids=" ".join,
)
def test_every_format_gives_the_same_export(
    made: Callable[..., Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """However samples are stored, an export has the same bytes: soft labels lose nothing on the way."""
    export(made("tar"), tmp_path / "first", "perclass")
    export(made("-".join(options).replace("--", ""), *options), tmp_path / "second", "perclass")

    first, second = (contents(tmp_path / name) for name in ("first", "second"))
    for name in ("export.json", "manifest.parquet"):  # these say what they were made from
        del first[name], second[name]
    assert len(first) > 15
    assert first == second


def test_command_exports_and_says_how_to_read(grey: Path, tmp_path: Path) -> None:
    """The summary is what a person can check; progress goes to stderr."""
    result = run_cli(
        "export", grey, tmp_path / "dest", "--to", "nnunet", "--name", "skin", "--dataset-id", 7, "--progress", "plain"
    )

    assert result.stdout.splitlines() == [
        f"exported 5 samples (3 train, 1 val, 1 test) as nnunet to {tmp_path / 'dest'}",
        f"how to read it stands in {tmp_path / 'dest' / 'README.txt'}",
    ]
    assert "export: 5/5" in result.stderr
    assert (tmp_path / "dest" / "Dataset007_skin" / "splits_final.json").is_file()


def test_the_kinds_are_those_that_were_promised() -> None:
    assert set(EXPORTS.names) >= {"nnunet", "synapse", "perclass", "medsam", "mds", "litdata", "zarr"}
    assert [name for name in EXPORTS.names if EXPORTS.module(name).EXPORT.takes_folds] == ["nnunet"]


def test_the_help_says_what_each_kind_is() -> None:
    """Names such as mds say nothing to who does not know them."""
    shown = run_cli("export", "--help").stdout.partition("Layouts:\n")[2]

    assert {line.split()[0] for line in shown.splitlines() if re.match(r"  \w", line)} == set(EXPORTS.names)
    assert "MosaicML Streaming" in shown
