"""The loader snippets of the card are run as they stand, and others' loaders read the shards."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import members_of

COLOURS = ("rgb", "grey")
FORMS = ("npy", "pair", "png")
SETS = (*COLOURS, *FORMS)
"""RGB and grey pictures with soft labels as npz, and RGB pictures with other forms of soft labels."""
FORMATS = ("webdataset", "parquet", "folder")

# Runs in a process of its own, in the folder of each dataset: what loaders leave in memory and in threads stays there.
PROGRAM = '''
import hashlib, json, os, sys
import torch

class Watched(torch.nn.Module):
    """Counts the pictures that it sees by their pixels, with the soft labels that lie beside them."""

    def __init__(self, channels):
        super().__init__()
        self.layer = torch.nn.Conv2d(channels, 3, 1)
        self.seen = []

    def forward(self, images):
        pixels = (images * 255).round().to(torch.uint8).movedim(1, -1).contiguous().numpy()
        labels = names["soft"].to(torch.float16).contiguous().numpy()
        for picture, label in zip(pixels, labels, strict=True):
            self.seen.append([hashlib.sha256(array.tobytes()).hexdigest() for array in (picture, label)])
        return self.layer(images)

results, given = {}, json.load(sys.stdin)
for folder, snippets in given["snippets"].items():
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
for folder in given["read"]:
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

    def soft_labels(self, name: str) -> dict[str, bytes]:
        """Return the (C, H, W) float16 bytes of each training sample of a set, from the npz of its colour's files."""
        root = self.outputs[name if name in COLOURS else "rgb"] / "folder" / "soft"
        return {path.stem: np.load(path)["soft"].tobytes() for path in root.glob("train-*.npz")}

    def pictures(self, colour: str) -> dict[str, tuple[Pillow.Image, Pillow.Image]]:
        """Return image and mask of each training sample, read from the tar files."""
        found = members_of(self.outputs[colour])
        return {
            key: (Pillow.open(io.BytesIO(members["image.png"])), Pillow.open(io.BytesIO(members["mask.png"])))
            for key, members in found.items()
            if key.startswith("train-")
        }


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Make the datasets and run everything over them, offline."""
    folder = tmp_path_factory.mktemp("snippets")
    outputs = {}
    for name in SETS:
        colour = "grey" if name == "grey" else "rgb"
        source = folder / f"{colour}-source"
        if not source.is_dir():
            make_source(source, train=6, grey=name == "grey")
        outputs[name] = folder / name
        made = ("--copies", 2, "--shards", 4, *(word for form in FORMATS for word in ("--format", form)))
        label = ("--soft-encoding", name) if name in FORMS else ()
        run_cli("run", source, outputs[name], *TINY, *made, *label, "--cache", folder / f"{colour}-cache")
    given = {
        "snippets": {str(output): snippets_of(output) for output in outputs.values()},
        "read": [str(outputs[colour]) for colour in COLOURS],
    }
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
    found = re.findall(r"^### (\w+)\n\n```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    return {name: text for name, text in found if name in FORMATS}


@pytest.mark.parametrize("name", SETS)
def test_card_has_a_snippet_for_each_format(loaded: Loaded, name: str) -> None:
    """Were there none, the tests below would run nothing; what spoils masks is named beside them."""
    assert snippets_of(loaded.outputs[name]).keys() == set(FORMATS)
    assert '`.decode("torchrgb")`' in (loaded.outputs[name] / "README.md").read_text()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", SETS)
def test_snippet_trains_on_every_sample_exactly_once(loaded: Loaded, name: str, form: str) -> None:
    """The model sees the stored pixels with their labels, each sample once an epoch, also over several workers."""
    answer = loaded.answers["snippets"][f"{loaded.outputs[name]} {form}"]
    labels = loaded.soft_labels(name)
    stored = [
        (hashlib.sha256(np.asarray(image).tobytes()).hexdigest(), hashlib.sha256(labels[key]).hexdigest())
        for key, (image, _) in loaded.pictures(name).items()
    ]

    assert len(stored) == 12
    assert Counter(map(tuple, answer["seen"])) == Counter(stored)
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
