"""Named sets of values: profiles, controls for ablations, and dataset presets, each with its source."""

from dataclasses import dataclass, field
from typing import Any, Literal

PUBLISHED = "published code of HSMix (arXiv 2511.17614)"
OURS = "ours, measured on repaired inputs"


@dataclass(frozen=True)
class Preset:
    """Values by ``section.key``, and where each comes from.

    Attributes
    ----------
    mixed : {"", "hard", "soft"}
        The mode of all mixed samples, if they have one; as many samples stay unmixed as without it.
    """

    summary: str
    values: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)
    mixed: Literal["", "hard", "soft"] = ""


_HSMIX = {"mix.method": "hsmix", "mix.selection": "bernoulli"}

PROFILES: dict[str, Preset] = {
    "paper": Preset("the published formulas on correct inputs", {**_HSMIX}),
    "robust": Preset(
        "area-free aggregation, lambda at most one half, small objects kept whole",
        {
            **_HSMIX,
            "mix.aggregate": "mean",
            "mix.lambda_range": (0.0, 0.5),
            "mix.small_object_guard": True,
        },
    ),
}

_HARD, _SOFT = (1 / 3, 2 / 3, 0.0), (1 / 3, 0.0, 2 / 3)
"""Chances of no, hard and soft mixing by default, where all mixed samples have one mode."""

CONTROLS: dict[str, Preset] = {
    "square-grid": Preset("squares instead of superpixels, equal count", {"superpixels.method": "grid"}),
    "random-lambda": Preset(
        "a drawn lambda per region, with the mean that saliency gives",
        {"mix.weight": "random", "mix.area": "matched"},
    ),
    "cutmix": Preset(
        "one rectangle, as large as the superpixels of hsmix",
        {"mix.method": "cutmix", "mix.area": "matched", "mix.probabilities": _HARD},
        mixed="hard",
    ),
    "mixup": Preset(
        "one lambda per image, the share of the superpixels of hsmix",
        {"mix.method": "mixup", "mix.area": "matched", "mix.probabilities": _SOFT},
        mixed="soft",
    ),
    "hard-only": Preset("every mixed sample is mixed hard", {"mix.probabilities": _HARD}, mixed="hard"),
    "soft-only": Preset("every mixed sample is mixed soft", {"mix.probabilities": _SOFT}, mixed="soft"),
    "none": Preset("copies with flips only", {"mix.probabilities": (1.0, 0.0, 0.0)}),
}

PRESETS: dict[str, Preset] = {
    "isic2017": Preset(
        "ISIC 2017 skin lesions, RGB photographs, two classes",
        {
            "image.size": (224, 224),
            "superpixels.regions": (30, 80),
            "superpixels.compactness": 10.0,
            "superpixels.sigma": 1.0,
            **_HSMIX,
            "mix.select": 0.2,
            "source.classes": ("background", "lesion"),
        },
        {
            "image.size": PUBLISHED,
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": f"{OURS} (published: 8)",
            "superpixels.sigma": f"{OURS} (published: 0)",
            **dict.fromkeys(_HSMIX, PUBLISHED),
            "mix.select": PUBLISHED,
            "source.classes": "ISIC 2017 challenge, part 1",
        },
    ),
    "glas": Preset(
        "GlaS (Warwick-QU) glands in H&E, instance ids, two classes",
        {
            "image.size": (224, 224),
            "superpixels.regions": (200, 400),
            "superpixels.compactness": 10.0,
            "superpixels.sigma": 1.0,
            **_HSMIX,
            "mix.select": 0.5,
            "image.intensity": "none",
            "source.instances": True,
            "source.classes": ("background", "gland"),
        },
        {
            "image.size": PUBLISHED,
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": f"{OURS} (published: 8)",
            "superpixels.sigma": f"{OURS} (published: 0)",
            **dict.fromkeys(_HSMIX, PUBLISHED),
            "mix.select": f"{PUBLISHED}; it cuts nine glands in ten, 0.2 spares more",
            "image.intensity": "photographs, 8 bit",
            "source.instances": "GlaS challenge: masks number the glands (doi:10.1016/j.media.2016.08.008)",
            "source.classes": "GlaS challenge",
        },
    ),
    "monuseg": Preset(
        "MoNuSeg 2018 nuclei in H&E, polygons, cut into tiles, two classes",
        {
            "image.size": (256, 256),
            "image.tiles": (256, 256),
            "image.overlap": 8,
            "superpixels.regions": (300, 500),
            "superpixels.compactness": 10.0,
            "superpixels.sigma": 1.0,
            **_HSMIX,
            "mix.select": 0.5,
            "image.intensity": "none",
            "source.classes": ("background", "nucleus"),
        },
        {
            "image.size": f"{OURS} (published: 1000 x 1000 stretched to 224, where nuclei are a few pixels)",
            "image.tiles": "ours: 16 tiles of each image at its own resolution",
            "image.overlap": "ours: four tiles of 256 then end with the 1000 pixels",
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": f"{OURS} (published: 8)",
            "superpixels.sigma": f"{OURS} (published: 0)",
            **dict.fromkeys(_HSMIX, PUBLISHED),
            "mix.select": PUBLISHED,
            "image.intensity": "photographs, 8 bit",
            "source.classes": "MoNuSeg challenge (doi:10.1109/TMI.2019.2947628)",
        },
    ),
    "synapse": Preset(
        "Synapse abdominal CT as TransUNet prepares it, nine classes",
        {
            "image.size": (224, 224),
            "image.intensity": "window",
            "image.window": (0.0, 1.0),
            "image.dtype": "uint16",
            "superpixels.regions": (200, 400),
            "superpixels.compactness": 0.1,
            "superpixels.sigma": 1.0,
            **_HSMIX,
            "mix.select": 0.2,
            "mix.partners": "other-group",
            "source.labels": "exclusive",
        },
        {
            "image.size": PUBLISHED,
            "image.intensity": "TransUNet: HU -125 to 275 scaled to 0 to 1; of raw CT give --window -125 275",
            "image.window": "TransUNet's slices, see image.intensity",
            "image.dtype": "ours: the window keeps its 400 HU apart",
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": PUBLISHED,
            "superpixels.sigma": f"{OURS} (published: 0)",
            **dict.fromkeys(_HSMIX, PUBLISHED),
            "mix.select": PUBLISHED,
            "mix.partners": "ours: slices of one patient are near copies",
            "source.labels": "TransUNet: aorta to stomach, 1 to 8",
        },
    ),
    "brats2018": Preset(
        "BraTS 2018 brain tumours, four modalities, nested regions WT, TC, ET",
        {
            "image.size": (224, 224),
            "image.fit": "crop",
            "image.intensity": "zscore",
            "image.dtype": "float32",
            "superpixels.regions": (50, 150),
            "superpixels.compactness": 0.1,
            "superpixels.sigma": 1.0,
            "superpixels.body": "auto",
            **_HSMIX,
            "mix.select": 0.2,
            "mix.partners": "other-group",
            "volume.min_foreground": 1,
            "source.labels": "multilabel",
        },
        {
            "image.size": PUBLISHED,
            "image.fit": PUBLISHED,
            "image.intensity": f"{PUBLISHED}, without its clipping; background stays 0 (published: -9)",
            "image.dtype": PUBLISHED,
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": PUBLISHED,
            "superpixels.sigma": f"{OURS} (published: 0)",
            "superpixels.body": "ours: superpixels of the brain, not of the air (maskSLIC, arXiv:1606.09518)",
            **dict.fromkeys(_HSMIX, PUBLISHED),
            "mix.select": PUBLISHED,
            "mix.partners": "ours: slices of one patient are near copies",
            "volume.min_foreground": PUBLISHED,
            "source.labels": "BraTS: whole tumour, tumour core, enhancing tumour (arXiv:1811.02629)",
        },
    ),
}
