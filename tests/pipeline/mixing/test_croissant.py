"""The metadata of a dataset, read by the library of its format, and the dataset made again from it."""

import importlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.mixing.croissant import BLANK
from tests.command_line import TINY, run_cli
from tests.conftest import Finished
from tests.written import shard_digests

# Of the libraries below mlcroissant, not of the metadata.
_KINDS = ("DeprecationWarning", "FutureWarning", "ResourceWarning", "pytest.PytestUnraisableExceptionWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in _KINDS]
STATED = ("--license", "CC0-1.0", "--citation", "A. Body, Photos, 2026", "--creator", "A. Body")


@pytest.fixture(scope="module")
def mlcroissant(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the library, which reads the place of its cache when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROISSANT_CACHE", str(tmp_path_factory.mktemp("croissant")))
        return importlib.import_module("mlcroissant")


def test_mlcroissant_finds_no_error_and_no_warning(
    mlcroissant: Any, finished: Callable[..., Finished], caplog: pytest.LogCaptureFixture
) -> None:
    path = finished("--copies", 1).output / "croissant.json"
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(jsonld=str(path)).metadata
    assert (set(metadata.ctx.issues.errors), set(metadata.ctx.issues.warnings)) == (set(), set())
    assert not caplog.records


def test_mlcroissant_reads_records_from_the_tar(mlcroissant: Any, finished: Callable[..., Finished]) -> None:
    root = finished("--copies", 1).output
    dataset = mlcroissant.Dataset(jsonld=str(root / "croissant.json"))
    samples = {row["samples/key"].decode(): row for row in dataset.records("samples")}
    images = {row["images/key"].decode(): row["images/image"] for row in dataset.records("images")}

    assert images.keys() == samples.keys() and len(images) == 8
    assert np.asarray(images[min(images)]).shape == (48, 64, 3)
    assert {row["sources/id"] for row in dataset.records("sources")} == {f"case_{n:02d}" for n in range(8)}


def test_what_only_the_owner_can_say_is_a_named_blank(finished: Callable[..., Finished]) -> None:
    content = json.loads((finished("--copies", 1).output / "croissant.json").read_text())
    for name, option in (("license", "--license"), ("citeAs", "--citation")):
        assert content[name].startswith(BLANK) and option in content[name]
    assert content["creator"]["name"].startswith(BLANK)
    assert content["rai:dataBiases"].startswith(BLANK)
    assert content["rai:hasSyntheticData"] is True


def test_options_fill_blanks_of_a_finished_dataset_too(finished: Callable[..., Finished], tmp_path: Path) -> None:
    """They describe only: no byte of a sample changes, and the same command with them is no other dataset."""
    made = finished("--copies", 1)
    shutil.copytree(made.output, tmp_path / "out")
    run_cli("run", made.source, tmp_path / "out", *TINY, "--copies", 1, *STATED)

    content = json.loads((tmp_path / "out/croissant.json").read_text())
    card = (tmp_path / "out/README.md").read_text()
    assert (content["license"], content["citeAs"], content["creator"]["name"]) == STATED[1::2]
    assert all(text in card for text in STATED[1::2])
    assert shard_digests(tmp_path / "out") == shard_digests(made.output)


def test_a_dataset_is_made_again_from_its_metadata(finished: Callable[..., Finished], tmp_path: Path) -> None:
    made = finished("--copies", 1)
    moved = shutil.copytree(made.source, tmp_path / "elsewhere")
    said = run_cli("rebuild", made.output / "croissant.json", moved, tmp_path / "again", "--progress", "none")
    assert said.stdout.splitlines()[-1].endswith("checksums are equal")
    assert shard_digests(tmp_path / "again") == shard_digests(made.output)


def test_a_changed_pixel_a_missing_and_a_new_image_are_named(finished: Callable[..., Finished], tmp_path: Path) -> None:
    made = finished("--copies", 1)
    source = shutil.copytree(made.source, tmp_path / "source")
    pixels = np.array(Pillow.open(source / "images/case_02.png"))
    pixels[0, 0, 0] ^= 1
    Pillow.fromarray(pixels).save(source / "images/case_02.png")
    said = run_cli(
        "rebuild", made.output / "croissant.json", source, tmp_path / "again", "--progress", "none", status=1
    )

    assert "the image of case_02" in said.stderr and "has changed" in said.stderr
    assert not (tmp_path / "again").exists()


def test_a_file_that_differs_is_named(finished: Callable[..., Finished], tmp_path: Path) -> None:
    made = finished("--copies", 1)
    content = json.loads((made.output / "croissant.json").read_text())
    content["distribution"][1]["sha256"] = "0" * 64
    (tmp_path / "croissant.json").write_text(json.dumps(content))
    said = run_cli(
        "rebuild", tmp_path / "croissant.json", made.source, tmp_path / "again", "--progress", "none", status=1
    )
    assert content["distribution"][1]["@id"] in said.stderr


def test_options_that_give_other_bytes_are_refused_before_the_work(
    finished: Callable[..., Finished], tmp_path: Path
) -> None:
    made = finished("--copies", 1)
    said = run_cli("rebuild", made.output / "croissant.json", made.source, tmp_path / "again", "--seed", 5, status=1)

    assert said.stderr == "error: seed (--seed) is 0 of what is made again, got 5; leave it out\n"
    assert not (tmp_path / "again").exists()


NO_GENERATIONS = json.dumps(
    {
        "prov:wasGeneratedBy": {"configuration": {"values": {}, "fold": None}, "versions": {}},
        "recordSet": [{"@id": "sources", "data": []}],
        "distribution": [],
    }
)
ODD_ROWS = NO_GENERATIONS.replace('"data": []', '"data": ["a"]')


@pytest.mark.parametrize("text", ["{}", "no json", '{"prov:wasGeneratedBy": 3}', ODD_ROWS, NO_GENERATIONS])
def test_other_files_are_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "croissant.json").write_text(text)
    said = run_cli("rebuild", tmp_path / "croissant.json", tmp_path, tmp_path / "again", status=1)
    assert said.stderr.startswith(f"error: {tmp_path / 'croissant.json'} is no croissant.json of hsmix-gen (")
    assert said.stderr.endswith("); name the croissant.json of a dataset\n") and len(said.stderr.splitlines()) == 1


def test_a_folder_is_asked_for_its_file(tmp_path: Path) -> None:
    said = run_cli("rebuild", tmp_path, tmp_path, tmp_path / "again", status=1)
    assert said.stderr == f"error: {tmp_path} is a folder; name the croissant.json of a dataset\n"
