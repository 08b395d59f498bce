"""The dataset card: README.md of an output, with a header that the HF hub reads and loader snippets."""

from typing import Any

import yaml

from hsmix_gen.pipeline.dataset.formats.base import best_format, format_of
from hsmix_gen.pipeline.dataset.formats.snippets import TORCH_LOOP
from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS, soft_encoding_of
from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.schemas.config import MixConfig, RunConfig
from hsmix_gen.schemas.families import AUGMENTATIONS, METHODS
from hsmix_gen.schemas.records import MODES
from hsmix_gen.stages.augmentation.augment import augmentation_of
from hsmix_gen.stages.mixing.method import method_named, needs_of_all

PAIR_DECODER = """\
def soft_label(data):
    pair = np.load(io.BytesIO(data))
    a, b, weight = pair["class_a"], pair["class_b"], pair["weight_b"]    # class 255 = ignore
    shares = [(a == c) * (255 - weight) + (b == c) * weight for c in range({classes})]
    return np.stack(shares) / np.float32(255)

"""

PNG_DECODER = """\
def soft_label(data):
    return np.array(Image.open(io.BytesIO(data))).reshape({classes}, {height}, {width}) / np.float32(255)

"""

MONAI_LOOP = """\
from monai.losses import DiceLoss

dice = DiceLoss({activation}=True, soft_label=True)    # without soft_label the minimum lies elsewhere; no to_onehot_y
for images, soft in loader:
    logits = model(images)                                       # (B, C, H, W)
    loss = dice(logits, soft) + torch.nn.functional.{loss}(logits, soft)
    loss.backward()
"""

LIGHTNING_LOOP = """\
import lightning
import segmentation_models_pytorch as smp

class Segmentation(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = smp.Unet("resnet18", encoder_weights=None, in_channels={channels}, classes={n_classes})
        self.dice = smp.losses.DiceLoss("multilabel", from_logits=False)    # "multiclass" takes class ids only

    def training_step(self, batch, number):
        images, soft = batch
        logits = self.model(images)                              # (B, C, H, W)
        return torch.nn.functional.{loss}(logits, soft) + self.dice({probabilities}, soft)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)

# Or default_root_dir=..., for logs and checkpoints outside of the dataset.
trainer = lightning.Trainer(max_epochs=1, logger=False, enable_checkpointing=False)
trainer.fit(Segmentation(), loader)
"""


def snippets(dataset: dict[str, Any]) -> dict[str, str]:
    """Return the loader snippet of each format in a dataset, ready to run in its folder with a ``model``."""
    return _filled({form: format_of(form).snippet for form in dataset["formats"]}, dataset)


def trainer_snippets(dataset: dict[str, Any]) -> dict[str, str]:
    """Return a snippet for each trainer, over the format that suits it; that of Lightning makes its model itself."""
    forms = dataset["formats"]
    stream = format_of(best_format(forms)).stream
    plain = format_of(best_format(forms, "plain_rank")).plain
    found = {"torch": f"{plain}{TORCH_LOOP}", "lightning": f"{stream}\n{LIGHTNING_LOOP}"}
    if not any(format_of(form).is_for_monai for form in forms):
        found["monai"] = f"{stream}\n{MONAI_LOOP}"
    return _filled(found, dataset)


def _filled(templates: dict[str, str], dataset: dict[str, Any]) -> dict[str, str]:
    values = {**_image_words(dataset), **_soft_words(dataset)}
    found = dict(templates)
    for name, value in values.items():
        found = {title: text.replace("{" + name + "}", value) for title, text in found.items()}
    return found


def _image_words(dataset: dict[str, Any]) -> dict[str, str]:
    """Return what the snippets say of images."""
    is_png = "image.png" in dataset["members"]
    white = {"uint8": 255, "uint16": 65535}.get(dataset["dtype"])
    grey = is_png and dataset["channels"] == 1
    return {
        "image": 'Image.open(io.BytesIO(entry["image.png"]))' if is_png else 'np.load(io.BytesIO(entry["image.npy"]))',
        "channels_first": ("image[None]" if grey else "image.transpose(2, 0, 1)") + ".astype(np.float32)",
        "image_member": "image.png" if is_png else "image.npy",
        "channels": str(dataset["channels"]),
        "row_image": (
            'Image.open(io.BytesIO(row["image"]["bytes"]))' if is_png else 'np.load(io.BytesIO(row["image"]))'
        ),
        "hf_encoded": '.cast_column("image", datasets.Image(decode=False))' if is_png else "",
        "hf_axis": "[..., None]" if grey else "",
        "image_reader": "pictures" if is_png else "NumpyReader()",
        "channel_dim": '"no_channel"' if grey else "-1",
        "scaled": "" if white is None else f" / {white}",
    }


def _soft_words(dataset: dict[str, Any]) -> dict[str, str]:
    """Return what the snippets say of soft labels; the decoder comes first, as it has words of its own."""
    multilabel = dataset["label_mode"] == "multilabel"
    encoding = soft_encoding_of(dataset)
    member = SOFT_FORMS[encoding].member
    n_classes, height, width = dataset["soft"]["shape"] if encoding in ("pair", "png") else (0, 0, 0)
    expand = 'Lambdad("soft", lambda path: soft_label(Path(path).read_bytes()))'
    return {
        "decoder": {"pair": PAIR_DECODER, "png": PNG_DECODER}.get(encoding, ""),
        "classes": str(n_classes),
        "height": str(height),
        "width": str(width),
        "soft_member": member,
        "n_classes": str(len(dataset["classes"])),
        "probabilities": "logits.sigmoid()" if multilabel else "logits.softmax(1)",
        "member_soft": {
            "npz": 'np.load(io.BytesIO(entry["soft.npz"]))["soft"]',
            "npy": 'np.load(io.BytesIO(entry["soft.npy"]))',
        }.get(encoding, f'soft_label(entry["{member}"])'),
        "column_soft": (
            'np.load(io.BytesIO(row["soft"]))' if encoding in ("npz", "npy") else 'soft_label(row["soft"])'
        ),
        "file_soft": {
            "npz": 'LoadImaged("soft", reader=NumpyReader(npz_keys="soft"))',
            "npy": 'LoadImaged("soft", reader=NumpyReader())',
        }.get(encoding, expand),
        "soft_rule": "channels of their own" if multilabel else "channels sum to 1",
        "loss": "binary_cross_entropy_with_logits" if multilabel else "cross_entropy",
        "activation": "sigmoid" if multilabel else "softmax",
    }


def card_text(dataset: dict[str, Any], run: dict[str, Any]) -> str:
    """Return the card of a dataset from its ``dataset.json`` and ``run.json``."""
    header = yaml.safe_dump(_header(dataset), sort_keys=False, allow_unicode=True)
    loaders, trainers = (_blocks(texts) for texts in (snippets(dataset), trainer_snippets(dataset)))
    loading = f"## Loading\n\n{loaders}\n## Training\n\n{trainers}"
    return f"---\n{header}---\n\n{_body(dataset, run)}\n{_owner(run)}\n{loading}\n{_PITFALLS}\n{_citation(run)}"


def _owner(run: dict[str, Any]) -> str:
    """Return what only the owner can say: stated by options, or a blank."""
    stated = run["config"]["run"]
    words = {"Licence": "license", "Creator": "creator", "How to cite": "citation"}
    lines = [f"- {title}: {stated.get(name) or f'not stated (--{name})'}" for title, name in words.items()]
    return "\n".join(
        [
            "## What only the owner can say",
            "",
            *lines,
            "- Consent, bias and limits of the source images: not stated; write them here and into `croissant.json`.",
            "",
            "Hard and soft samples are synthetic: mixtures of two images that show nothing that exists. All others",
            "show one image of the source. `hsmix-gen rebuild croissant.json SOURCE OUT` makes this dataset again",
            "from its sources and compares every checksum.",
            "",
        ]
    )


def _blocks(texts: dict[str, str]) -> str:
    return "\n".join(f"### {title}\n\n```python\n{text}```\n" for title, text in texts.items())


def _header(dataset: dict[str, Any]) -> dict[str, Any]:
    form = format_of(best_format(dataset["formats"], "hub_rank"))
    columns = form.hub_columns(dataset)
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
                    {"split": {"val": "validation"}.get(split, split), "path": form.hub_files.format(split)}
                    for split in dataset["splits"]
                ],
            }
        ],
        **({"dataset_info": {"features": columns}} if columns else {}),
    }


def _body(dataset: dict[str, Any], run: dict[str, Any]) -> str:
    config = RunConfig.model_validate(run["config"])
    mix = config.mix
    height, width = dataset["size"]
    rows = "\n".join(
        f"| {name} | {split['images']} | {split['samples']} | {split['shards']} |"
        for name, split in dataset["splits"].items()
    )
    classes = ", ".join(dataset["classes"])
    members = ", ".join(f"`{name}`" for name in dataset["members"])
    return f"""# {dataset["name"]}

Images and masks mixed by {", ".join(f"`{name}`" for name in mix.methods)} with hsmix-gen \
{run["versions"]["hsmix-gen"]}.
{chr(10).join(f"{METHODS.summary(name)}." for name in mix.methods)}
Training: {training_text(dataset, run)}.{_augment_text(mix)}
Validation and test images are passed through. ![preview](preview.png)

| split | images | samples | shards |
|---|---|---|---|
{rows}

- {height} x {width} pixels, {counted(dataset["channels"], "channel")}, {dataset["dtype"]}; classes: {classes}.
- Members of a sample: {members}.
  {_label_text(dataset)}{_viewer_text(dataset)}
{_reader_text(dataset)}
- Method {mixed_by(config)}, policy {mix.policy}, {mix.copies} copies, seed {run["seed"]}\
{_features_text(mix, run)}.
  Everything else stands in `run.json`; each sample's parents and draws in `manifest.parquet`.
- {run["refused"]["total"]} of {run["sources"]} sources were refused; see `refused.csv`.
"""


def _augment_text(mix: MixConfig) -> str:
    """Return how training samples were augmented once they were mixed, if they were."""
    augmentation = augmentation_of(mix)
    if augmentation is None:
        return ""
    paper = f" ({augmentation.paper})" if augmentation.paper else ""
    return f"\nEach was augmented afterwards. {AUGMENTATIONS.summary(mix.augment)}{paper}."


def training_text(dataset: dict[str, Any], run: dict[str, Any]) -> str:
    """Return in words how many training samples were made of how many originals, and how they were mixed."""
    train = dataset["splits"]["train"]
    modes = {name: run["modes"].get(mode, 0) for mode, name in zip(MODES, ("unmixed", "hard", "soft"), strict=True)}
    return f"{train['images']} originals, {train['samples']} samples made of them: " + ", ".join(
        f"{count} {name}" for name, count in modes.items()
    )


def mixed_by(config: RunConfig) -> str:
    """Return in words what mixed the samples: methods, and what was chosen of them by profile, selection or control."""
    mix = config.mix
    words = [f"profile {config.profile}"] if "hsmix" in mix.methods else []
    if (selection := selection_of(mix)) is not None:
        words.append(f"selection {selection}")
    if config.control is not None:
        words.append(f"control {config.control}")
    return ", ".join(mix.methods) + (f" ({', '.join(words)})" if words else "")


def selection_of(mix: MixConfig) -> str | None:
    """Return how superpixels of B are chosen, None where no method has the choice."""
    has_choice = any(
        "selection" in method.options_of(mode, mix)
        for method in map(method_named, mix.methods)
        for mode in method.modes
    )
    return mix.selection if has_choice else None


def _features_text(mix: MixConfig, run: dict[str, Any]) -> str:
    """Return what the samples depend on besides images and masks."""
    is_drawn = selection_of(mix) == "bernoulli" or "cam-superpixels" in mix.methods
    is_mixed = mix.probabilities[0] < sum(mix.probabilities)
    select = f",\n  selection probability {mix.select}" if is_drawn and is_mixed else ""
    return select + (f", saliency {run['saliency']['backend']}" if needs_of_all(mix).saliency else "")


def _label_text(dataset: dict[str, Any]) -> str:
    encoding = soft_encoding_of(dataset)
    member = SOFT_FORMS[encoding].member
    stored = {
        "npz": f"`{member}` holds the soft label `soft`, (C, H, W) float16",
        "npy": f"`{member}` holds the soft label, (C, H, W) float16",
        "pair": f"`{member}` holds the soft label, (C, H, W), as `class_a`, `class_b` and `weight_b` in 255ths",
        "png": f"`{member}` holds the soft label, (C, H, W), as 8-bit planes one below the other, in 255ths",
    }[encoding]
    if dataset["label_mode"] == "multilabel":
        return (
            f"{stored}, a channel of its own for each class, without\n"
            "  background; `mask.png` the last class that holds at least one half of a pixel, counted from 1 "
            f"(0 = none, {dataset['ignore']} = ignore)."
        )
    return (
        f"`mask.png` holds class ids (argmax of the soft label, {dataset['ignore']} = ignore),\n"
        f"  {stored}, channel 0 is background."
    )


def _viewer_text(dataset: dict[str, Any]) -> str:
    """Return what viewers are given, and which readers it misleads."""
    if not dataset.get("mask_palette"):
        return ""
    return (
        "\n  `mask.png` has a palette for viewers: Pillow, HF `datasets` and MONAI still give class ids, but cv2, "
        "scikit-image,\n  imageio and WebDataset's `.decode()` give colours."
    )


def _reader_text(dataset: dict[str, Any]) -> str:
    """Return how training processes share the shards without waiting for each other."""
    least, most = dataset["splits"]["train"]["samples_per_shard"]
    sizes = f"{least}" if least == most else f"{least} to {most}"
    readers = dataset["readers"]
    ranks, workers, samples = readers["ranks"], readers["workers_per_rank"], readers["least_samples_per_worker"]
    order = f"- Training shards hold {sizes} samples, in an order that was shuffled once over the whole split."
    if ranks * workers == 1:
        return order
    return (
        f"{order}\n"
        f"  Each of {ranks} ranks with {workers} workers reads {readers['shards_per_worker']} of them; with WebDataset "
        f"`dataset.with_epoch({samples})`\n"
        f"  (samples of one worker) ends the epoch of all ranks after as many batches."
    )


def _citation(run: dict[str, Any]) -> str:
    methods = dict.fromkeys((*MixConfig.model_validate(run["config"]["mix"]).methods, _HSMIX))
    papers = "\n\n".join(f"{METHODS.module(name).METHOD.paper}." for name in methods)
    return f"## Citation\n\n{papers}\n"


def _size_category(count: int) -> str:
    names = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in names.items() if count < limit), "1M<n<10M")


_PITFALLS = """## Pitfalls

- Use losses that accept probabilities: `cross_entropy` with float targets (`binary_cross_entropy_with_logits` where
  each class has a channel of its own), MONAI `DiceLoss(soft_label=True)`.
  `ignore_index` does not work with float targets; ignored pixels are all zero in the soft label.
- Never resize or average class ids; interpolate the soft label and renormalise it.
- `mask.png` has small integers: do not divide it by 255. WebDataset's `.decode("torchrgb")` does, and makes three
  channels of it: decode members as above, or leave `mask.png` out.
- MONAI's `PILReader` exchanges rows and columns unless it is given `reverse_indexing=False`.
"""

_HSMIX = "hsmix"
"""The method that this program was made for; its paper is cited in all cards."""
