"""A new reader, mixing method, saliency backend or export is one new module; nothing else of the product changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

ROOT = Path(__file__).parents[1]
SIDE = 32

# One module each, by its place in the product.
NEW = {
    "stages/mixing/methods/left_half.py": '''"""Left half: the left half of B stands in A."""

import numpy as np

from hsmix_gen.stages.mixing.method import Method, Needs, Weights


class LeftHalf(Method):
    """Hard mixing by one straight cut."""

    paper = "Nobody, Halves, Journal of Toys, arXiv:0000.00000"
    modes = ("hard",)

    def needs(self, mode, mix):
        """Return that saliency is read."""
        return Needs(saliency=True)

    def weigh(self, pair):
        """Return the half, and whether the backend's map of B came along."""
        from_b = np.zeros(pair.size, dtype=bool)
        from_b[:, : pair.size[1] // 2] = True
        return Weights(from_b, ["saw_saliency"] if pair.b.saliency.any() else [])


METHOD = LeftHalf()
''',
    "stages/saliency/backends/brightness.py": '''"""Brightness: bright pixels are salient."""

from hsmix_gen.stages.saliency.backend import Backend


def map_of(subject):
    """Return the mean of the channels."""
    return (subject.image().mean(axis=2) / 255).astype("float32")


BACKEND = Backend(map_of, version=7)
''',
    "pipeline/readers/twins_reader.py": '''"""Reader of NAME.photo.png beside NAME.truth.png."""

from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.records import SourceItem, picture


OPTIONS = frozenset()
TRIED = 5
READS = "photographs and truths"
RECOGNISED_BY = "`.photo.png`"
REFUSES = "nothing"


def recognises(source):
    """Return whether there is a photograph."""
    return source.is_dir() and any(source.glob("*.photo.png"))


def find(source, config):
    """Return all photographs."""
    found = []
    for photo in sorted(source.glob("*.photo.png")):
        name = photo.name.partition(".")[0]
        found.append(SourceItem(name, picture(str(photo)), picture(str(source / f"{name}.truth.png"))))
    return Found(tuple(found))
''',
    "pipeline/exports/keys_export.py": '''"""A list of the keys of all samples."""

from hsmix_gen.pipeline.exports.base import Export


class KeysExport:
    """Writes keys.txt."""

    guide = "keys.txt has a key a line."

    def __init__(self, folder, datasets, options):
        self._file = folder / "keys.txt"
        self._keys = []

    def add(self, sample):
        """Note the key."""
        self._keys.append(sample.key)

    def finish(self):
        """Write the list."""
        self._file.write_text("\\\\n".join(self._keys))
        return []


EXPORT = Export(KeysExport)
'''.replace("\\\\", "\\"),
}

# All in one process: it is the imports that take time.
PROGRAM = """
import json, sys
from click.testing import CliRunner
from hsmix_gen.pipeline.cli.commands import cli

source, out, dest = sys.argv[1:]
run = ["run", source, out, "--method", "left-half", "--saliency", "brightness", "--size", "32", "32", "--copies", "2",
       "--regions", "4", "6", "--variants", "1", "--backend", "serial", "--progress", "none"]
calls = {
    "run help": ["run", "--help-all"],
    "export help": ["export", "--help"],
    "inspect": ["inspect", source, "--json", "--backend", "serial", "--progress", "none"],
    "run": run,
    "verify": ["verify", out, "--replay", "2"],
    "export": ["export", out, dest, "--to", "keys", "--progress", "none"],
}
json.dump({name: [(done := CliRunner().invoke(cli, call)).exit_code, done.output] for name, call in calls.items()},
          sys.stdout)
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the product and the new modules."""
    copy = tmp_path_factory.mktemp("product")
    for folder in ("schemas", "stages", "pipeline"):
        shutil.copytree(ROOT / folder, copy / "hsmix_gen" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for place, text in NEW.items():
        assert not (copy / "hsmix_gen" / place).exists()
        (copy / "hsmix_gen" / place).write_text(text)
    return copy


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    rng = np.random.default_rng(0)
    for number in range(10):
        photo = rng.integers(1, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        truth = np.full((SIDE, SIDE), 255 * (number % 2), np.uint8)
        truth[:4] = 255
        truth[-4:] = 0
        Pillow.fromarray(photo).save(folder / f"case{number}.photo.png")
        Pillow.fromarray(truth).save(folder / f"case{number}.truth.png")
    return folder


@pytest.fixture(scope="module")
def answers(product: Path, source: Path) -> dict[str, Any]:
    """Return status and output of each command of the copy."""
    environment = {**os.environ, "PYTHONPATH": str(product)}
    command = [sys.executable, "-c", PROGRAM, str(source), str(product / "out"), str(product / "dest")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_command_succeeds(answers: dict[str, Any]) -> None:
    assert {name: text for name, (status, text) in answers.items() if status} == {}


def test_help_lists_them(answers: dict[str, Any]) -> None:
    of_run, of_export = (" ".join(answers[name][1].split()) for name in ("run help", "export help"))

    assert all(name in of_run for name in ("left-half", "brightness", "twins"))
    assert "keys A list of the keys of all samples" in of_export


def test_the_reader_is_tried_at_its_place(answers: dict[str, Any]) -> None:
    found = json.loads(answers["inspect"][1])

    assert (found["layout"], found["problems"]) == ("twins", [])


def test_the_samples_are_mixed_by_the_method_and_seen_by_the_backend(product: Path, answers: dict[str, Any]) -> None:
    run = json.loads((product / "out" / "run.json").read_text())

    assert answers["run"][0] == 0
    assert (run["config"]["mix"]["method"], run["saliency"]) == ("left-half", {"backend": "brightness"})
    assert run["modes"]["hard"] > 0
    assert "soft" not in run["modes"]
    flags = pq.read_table(product / "out" / "manifest.parquet", columns=["mode", "flags"]).to_pylist()
    assert {tuple(row["flags"]) for row in flags if row["mode"] == "hard"} == {("saw_saliency",)}


def test_card_and_verify_name_them(product: Path, answers: dict[str, Any]) -> None:
    card = (product / "out" / "README.md").read_text()

    assert "mixed by `left-half`" in card
    assert "Left half: the left half of B stands in A." in card
    assert "saliency brightness" in card
    assert "Journal of Toys" in card
    assert "mixed by left-half" in answers["verify"][1]


def test_the_export_is_written(product: Path, answers: dict[str, Any]) -> None:
    keys = (product / "dest" / "keys.txt").read_text().splitlines()

    assert f"exported {len(keys)} samples" in answers["export"][1]
    assert (product / "dest" / "README.txt").read_text().count("keys.txt has a key a line.") == 1
