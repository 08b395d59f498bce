"""The dataset card: README.md of an output, with a header that the HF hub reads and loader snippets."""

from typing import Any

import yaml

WEBDATASET_SNIPPET = """\
import glob, io
import numpy as np
import torch
import webdataset as wds
from PIL import Image

def sample(entry):
    image = np.array({image})
    soft = np.load(io.BytesIO(entry["soft.npz"]))["soft"]        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}).float(){scaled}, torch.from_numpy(soft).float()

shards = sorted(glob.glob("webdataset/train-*.tar"))
dataset = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=wds.split_by_node).shuffle(500).map(sample)
loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2)    # at most one worker per shard
for images, soft in loader:
    logits = model(images)                                       # (B, C, H, W)
    loss = torch.nn.functional.{loss}(logits, soft)  # takes probabilities
    loss.backward()
"""

DATASETS_SNIPPET = """\
import io
import numpy as np
import torch
from datasets import load_dataset

rows = load_dataset("parquet", data_files="parquet/train-*.parquet", split="train", streaming=True)

def collate(batch):
    images = np.stack([np.array({hf_image}){hf_axis} for row in batch])
    soft = np.stack([np.load(io.BytesIO(row["soft"])) for row in batch])
    return torch.from_numpy(images).movedim(-1, 1).float(){scaled}, torch.from_numpy(soft).float()

loader = torch.utils.data.DataLoader(rows.shuffle(seed=0, buffer_size=500), batch_size=8, collate_fn=collate)
for images, soft in loader:
    loss = torch.nn.functional.{loss}(model(images), soft)
    loss.backward()
"""


def snippets(dataset: dict[str, Any]) -> dict[str, str]:
    """Return the loader snippet of each format in a dataset, ready to run in its folder with a ``model``."""
    is_png = "image.png" in dataset["members"]
    white = {"uint8": 255, "uint16": 65535}.get(dataset["dtype"])
    # torch has no operations on uint16, and floats are taken as they are.
    wider = "" if white is None else ".astype(np.int32)"
    grey = is_png and dataset["channels"] == 1
    multilabel = dataset["label_mode"] == "multilabel"
    values = {
        "image": 'Image.open(io.BytesIO(entry["image.png"]))' if is_png else 'np.load(io.BytesIO(entry["image.npy"]))',
        "channels_first": ("image[None]" if grey else "image.transpose(2, 0, 1)") + (wider or ".copy()"),
        "hf_image": 'row["image"]' if is_png else 'np.load(io.BytesIO(row["image"]))',
        "hf_axis": ("[..., None]" if grey else "") + wider,
        "scaled": "" if white is None else f" / {white}",
        "soft_rule": "channels of their own" if multilabel else "channels sum to 1",
        "loss": "binary_cross_entropy_with_logits" if multilabel else "cross_entropy",
    }
    templates = {"webdataset": WEBDATASET_SNIPPET, "parquet": DATASETS_SNIPPET}
    found = {}
    for form in dataset["formats"]:
        text = templates[form]
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        found[form] = text
    return found


def card_text(dataset: dict[str, Any], run: dict[str, Any]) -> str:
    """Return the card of a dataset from its ``dataset.json`` and ``run.json``."""
    header = yaml.safe_dump(_header(dataset), sort_keys=False, allow_unicode=True)
    loaders = "\n".join(f"### {form}\n\n```python\n{text}```\n" for form, text in snippets(dataset).items())
    return f"---\n{header}---\n\n{_body(dataset, run)}\n## Loading\n\n{loaders}\n{_PITFALLS}\n{_CITATION}"


def _header(dataset: dict[str, Any]) -> dict[str, Any]:
    form = "parquet" if "parquet" in dataset["formats"] else next(iter(dataset["formats"]))
    return {
        "pretty_name": dataset["name"],
        "task_categories": ["image-segmentation"],
        "tags": ["medical", "augmentation", "superpixels", "hsmix"],
        "size_categories": [_size_category(sum(split["samples"] for split in dataset["splits"].values()))],
        # One builder serves all configurations of a folder on the hub, so a single format can be named.
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": {"val": "validation"}.get(split, split), "path": f"{form}/{split}-*"}
                    for split in dataset["splits"]
                ],
            }
        ],
    }


def _body(dataset: dict[str, Any], run: dict[str, Any]) -> str:
    mix = run["config"]["mix"]
    height, width = dataset["size"]
    rows = "\n".join(
        f"| {name} | {split['images']} | {split['samples']} | {split['shards']} |"
        for name, split in dataset["splits"].items()
    )
    classes = ", ".join(dataset["classes"])
    members = ", ".join(f"`{name}`" for name in dataset["members"])
    modes = ", ".join(f"{count} {mode}" for mode, count in run["modes"].items())
    return f"""# {dataset["name"]}

Images and masks mixed by superpixels and saliency with hsmix-gen {run["versions"]["hsmix-gen"]}.
Training samples are mixed ({modes}); validation and test images are passed through. ![preview](preview.png)

| split | images | samples | shards |
|---|---|---|---|
{rows}

- {height} x {width} pixels, {dataset["channels"]} channel(s), {dataset["dtype"]}; classes: {classes}.
- Members of a sample: {members}.
  {_label_text(dataset)}
- Profile {run["config"]["profile"]}, policy {mix["policy"]}, {mix["copies"]} copies,
  selection probability {mix["select"]}, saliency {run["saliency"]["backend"]}, seed {run["seed"]}.
  Everything else stands in `run.json`; each sample's parents and draws in `manifest.parquet`.
- {run["refused"]["total"]} of {run["sources"]} sources were refused; see `refused.csv`.
"""


def _label_text(dataset: dict[str, Any]) -> str:
    if dataset["label_mode"] == "multilabel":
        return (
            "`soft.npz` holds the soft label `soft`, (C, H, W) float16, a channel of its own for each class, without\n"
            "  background; `mask.png` the last class that holds at least one half of a pixel, counted from 1 "
            f"(0 = none, {dataset['ignore']} = ignore)."
        )
    return (
        f"`mask.png` holds class ids (argmax of the soft label, {dataset['ignore']} = ignore), `soft.npz` the soft\n"
        "  label `soft`, (C, H, W) float16, channel 0 is background."
    )


def _size_category(count: int) -> str:
    for limit, name in (
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (1_000_000, "100K<n<1M"),
    ):
        if count < limit:
            return name
    return "1M<n<10M"


_PITFALLS = """## Pitfalls

- Use losses that accept probabilities: `cross_entropy` with float targets (`binary_cross_entropy_with_logits` where
  each class has a channel of its own), MONAI `DiceLoss(soft_label=True)`.
  `ignore_index` does not work with float targets; ignored pixels are all zero in the soft label.
- Never resize or average class ids; interpolate the soft label and renormalise it.
- `mask.png` has small integers: do not divide it by 255.
"""

_CITATION = """## Citation

Sun, Dornaika, Barrena: HSMix: Hard and Soft Mixing Data Augmentation for Medical Image Segmentation.
Information Fusion, doi:10.1016/j.inffus.2024.102741, arXiv:2511.17614.
"""
