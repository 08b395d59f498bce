"""The loader snippets of the card are run as they stand, and others' loaders read the shards."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
from PIL import Image as Pillow

COLOURS = ("rgb", "grey")

# Runs in a process of its own, in the folder of each dataset: what loaders leave in memory and in threads stays there.
PROGRAM = '''
import hashlib, json, os, sys
import torch

class Watched(torch.nn.Module):
    """Counts the pictures that it sees by their pixels."""

    def __init__(self, channels):
        super().__init__()
        self.layer = torch.nn.Conv2d(channels, 3, 1)
        self.seen = []

    def forward(self, images):
        pixels = (images * 255).round().to(torch.uint8).movedim(1, -1).contiguous().numpy()
        self.seen += [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pixels]
        return self.layer(images)

results = {}
for folder, snippets in json.load(sys.stdin).items():
    os.chdir(folder)
    for form, snippet in snippets.items():
        torch.manual_seed(0)
        model = Watched(json.load(open("dataset.json"))["channels"])
        names = {"model": model, "__name__": "__main__"}
        exec(compile(snippet, form, "exec"), names)
        results[folder + " " + form] = {
            "seen": model.seen,
            "loss": names["loss"].item(),
            "labels": list(names["soft"].shape[1:]),
            "has_gradient": bool(model.layer.weight.grad.abs().sum() > 0),
        }
    os.chdir("/")

from datasets import get_dataset_config_names, load_dataset

def by_card(folder, name):
    """Return the splits and the number of validation samples of a configuration of the card, or what went wrong."""
    try:
        splits = load_dataset(folder, name, streaming=True)
        return [sorted(splits), sum(1 for _ in splits["validation"])]
    except Exception as error:
        return [type(error).__name__, str(error)]

def pixels(picture):
    return [picture.mode, hashlib.sha256(picture.tobytes()).hexdigest()]

read = {}
for folder in sorted({name.rpartition(" ")[0] for name in results}):
    tables = dict(path="parquet", data_files={"train": folder + "/parquet/train-*.parquet"}, split="train")
    tars = dict(path="webdataset", data_files={"train": folder + "/webdataset/train-*.tar"}, split="train")
    read[folder] = {
        "parquet map": {row["key"]: pixels(row["image"]) + pixels(row["mask"]) for row in load_dataset(**tables)},
        "parquet streaming": {
            row["key"]: pixels(row["image"]) + pixels(row["mask"]) for row in load_dataset(**tables, streaming=True)
        },
        "webdataset map": {
            row["__key__"]: pixels(row["image.png"]) + pixels(row["mask.png"]) for row in load_dataset(**tars)
        },
        "card": {name: by_card(folder, name) for name in get_dataset_config_names(folder)},
    }
json.dump({"snippets": results, "read": read}, sys.stdout)
'''


@dataclass(frozen=True)
class Loaded:
    """What loaders made of the datasets, by folder."""

    outputs: dict[str, Path]
    answers: dict[str, Any]

    def pictures(self, colour: str) -> dict[str, tuple[Pillow.Image, Pillow.Image]]:
        """Return image and mask of each training sample, read from the tar files."""
        found: dict[str, dict[str, Pillow.Image]] = {}
        for path in sorted((self.outputs[colour] / "webdataset").glob("train-*.tar")):
            with tarfile.open(path) as tar:
                for info in tar:
                    key, _, member = info.name.partition(".")
                    file = tar.extractfile(info)
                    if file is not None and member.endswith(".png"):
                        found.setdefault(key, {})[member] = Pillow.open(io.BytesIO(file.read()))
        return {key: (members["image.png"], members["mask.png"]) for key, members in found.items()}


@pytest.fixture(scope="module")
def loaded(
    make_source: Callable[..., Path],
    run_cli: Callable[..., click.testing.Result],
    tiny: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Loaded:
    """Make an RGB and a grey dataset and run everything over them, offline."""
    folder = tmp_path_factory.mktemp("snippets")
    outputs = {}
    for colour in COLOURS:
        source = make_source(folder / f"{colour}-source", train=6, grey=colour == "grey")
        outputs[colour] = folder / colour
        made = ("--copies", 2, "--shards", 4, "--format", "webdataset", "--format", "parquet")
        result = run_cli("run", source, outputs[colour], *tiny, *made)
        assert result.exit_code == 0, result.stderr
    given = {str(output): snippets_of(output) for output in outputs.values()}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HF_DATASETS_CACHE": str(folder / "hf" / "sets")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(given),
        env={**os.environ, **offline, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Loaded(outputs, json.loads(done.stdout.splitlines()[-1]))


def snippets_of(output: Path) -> dict[str, str]:
    """Return the Python blocks under the headings of the card."""
    card = (output / "README.md").read_text()
    return dict(re.findall(r"^### (\w+)\n\n```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("colour", COLOURS)
def test_card_has_a_snippet_for_each_format(loaded: Loaded, colour: str) -> None:
    """Were there none, the tests below would run nothing."""
    assert snippets_of(loaded.outputs[colour]).keys() == {"webdataset", "parquet"}


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
@pytest.mark.parametrize("colour", COLOURS)
def test_snippet_trains_on_every_sample_exactly_once(loaded: Loaded, colour: str, form: str) -> None:
    """The model sees the stored pixels, each sample once an epoch, also over several worker processes."""
    answer = loaded.answers["snippets"][f"{loaded.outputs[colour]} {form}"]
    stored = [np.asarray(image) for image, _ in loaded.pictures(colour).values()]

    assert len(stored) == 12
    assert Counter(answer["seen"]) == Counter(hashlib.sha256(image.tobytes()).hexdigest() for image in stored)
    assert answer["labels"] == [3, 48, 64]
    assert np.isfinite(answer["loss"])
    assert answer["has_gradient"]


@pytest.mark.parametrize("way", ["parquet map", "parquet streaming", "webdataset map"])
@pytest.mark.parametrize("colour", COLOURS)
def test_hugging_face_datasets_decode_the_pictures(loaded: Loaded, colour: str, way: str) -> None:
    """Columns are pictures by themselves, in the mode and with the pixels of the tar files."""
    read = loaded.answers["read"][str(loaded.outputs[colour])][way]

    assert read == {
        key: [part for picture in pair for part in (picture.mode, hashlib.sha256(picture.tobytes()).hexdigest())]
        for key, pair in loaded.pictures(colour).items()
    }
    assert {modes[0] for modes in read.values()} == {"RGB" if colour == "rgb" else "L"}


@pytest.mark.parametrize("colour", COLOURS)
def test_header_of_the_card_leads_hugging_face_to_the_files(loaded: Loaded, colour: str) -> None:
    """`load_dataset(FOLDER, CONFIG)` finds splits and samples by the card's header alone, for each of its configs."""
    found = loaded.answers["read"][str(loaded.outputs[colour])]["card"]

    assert found
    assert list(found.values()) == [[["test", "train", "validation"], 1]] * len(found)
