"""Named sets of values: profiles, controls for ablations, and dataset presets, each with its source."""

from dataclasses import dataclass, field
from typing import Any, Literal

PUBLISHED = "published code of HSMix (arXiv 2511.17614)"
OURS = "ours, measured on repaired inputs"


@dataclass(frozen=True)
class Preset:
    """Values by ``section.key``, and where each comes from."""

    summary: str
    values: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)
    mixed: Literal["", "hard", "soft"] = ""
    """The mode of all mixed samples, if they have one; as many samples stay unmixed as without it."""


_HSMIX = {"mix.method": "hsmix", "mix.selection": "bernoulli"}

_HARD, _SOFT = (1 / 3, 2 / 3, 0.0), (1 / 3, 0.0, 2 / 3)
"""Chances of no, hard and soft mixing by default, where all mixed samples have one mode."""

PROFILES: dict[str, Preset] = {
    "paper": Preset("the published formulas on correct inputs", {**_HSMIX}),
    "robust": Preset(
        "area-free aggregation, lambda at most one half, small objects kept whole",
        {**_HSMIX, "mix.aggregate": "mean", "mix.lambda_range": (0.0, 0.5), "mix.small_object_guard": True},
    ),
    "tuned": Preset(
        "one connected piece of superpixels, hard, a third unmixed: best of 36 settings",
        {**_HSMIX, "mix.selection": "connected", "mix.probabilities": _HARD},
    ),
}

CONTROLS: dict[str, Preset] = {
    "square-grid": Preset("squares instead of superpixels, equal count", {"superpixels.method": "grid"}),
    "random-lambda": Preset(
        "a drawn lambda per region, with the mean that saliency gives", {"mix.weight": "random", "mix.area": "matched"}
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

_PUBLISHED_HSMIX = {name: (value, PUBLISHED) for name, value in _HSMIX.items()}
_SIZE = {"image.size": ((224, 224), PUBLISHED)}
_SIGMA = {"superpixels.sigma": (1.0, f"{OURS} (published: 0)")}
_OF_COLOURS = {"superpixels.compactness": (10.0, f"{OURS} (published: 8)"), **_SIGMA}
_OF_GREY = {"superpixels.compactness": (0.1, PUBLISHED), **_SIGMA}
_PHOTOGRAPHS = {"image.intensity": ("none", "photographs, 8 bit")}
_OTHER_PATIENTS = {"mix.partners": ("other-group", "ours: slices of one patient are near copies")}


def _sourced(summary: str, values: dict[str, tuple[Any, str]]) -> Preset:
    return Preset(
        summary,
        {name: value for name, (value, _) in values.items()},
        {name: source for name, (_, source) in values.items()},
    )


PRESETS: dict[str, Preset] = {
    "isic2017": _sourced(
        "ISIC 2017 skin lesions, RGB photographs, two classes",
        {
            **_SIZE,
            "superpixels.regions": ((30, 80), PUBLISHED),
            **_OF_COLOURS,
            **_PUBLISHED_HSMIX,
            "mix.select": (0.2, PUBLISHED),
            "source.classes": (("background", "lesion"), "ISIC 2017 challenge, part 1"),
        },
    ),
    "glas": _sourced(
        "GlaS (Warwick-QU) glands in H&E, instance ids, two classes",
        {
            **_SIZE,
            "superpixels.regions": ((200, 400), PUBLISHED),
            **_OF_COLOURS,
            **_PUBLISHED_HSMIX,
            "mix.select": (0.5, f"{PUBLISHED}; it cuts nine glands in ten, 0.2 spares more"),
            **_PHOTOGRAPHS,
            "source.instances": (True, "GlaS challenge: masks number the glands (doi:10.1016/j.media.2016.08.008)"),
            "source.classes": (("background", "gland"), "GlaS challenge"),
        },
    ),
    "monuseg": _sourced(
        "MoNuSeg 2018 nuclei in H&E, polygons, cut into tiles, two classes",
        {
            "image.size": (
                (256, 256),
                f"{OURS} (published: 1000 x 1000 stretched to 224, where nuclei are a few pixels)",
            ),
            "image.tiles": ((256, 256), "ours: 16 tiles of each image at its own resolution"),
            "image.overlap": (8, "ours: four tiles of 256 then end with the 1000 pixels"),
            "superpixels.regions": ((300, 500), PUBLISHED),
            **_OF_COLOURS,
            **_PUBLISHED_HSMIX,
            "mix.select": (0.5, PUBLISHED),
            **_PHOTOGRAPHS,
            "source.classes": (("background", "nucleus"), "MoNuSeg challenge (doi:10.1109/TMI.2019.2947628)"),
        },
    ),
    "synapse": _sourced(
        "Synapse abdominal CT as TransUNet prepares it, nine classes",
        {
            **_SIZE,
            "image.intensity": (
                "window",
                "TransUNet: HU -125 to 275 scaled to 0 to 1; of raw CT give --window -125 275",
            ),
            "image.window": ((0.0, 1.0), "TransUNet's slices, see image.intensity"),
            "image.dtype": ("uint16", "ours: the window keeps its 400 HU apart"),
            "superpixels.regions": ((200, 400), PUBLISHED),
            **_OF_GREY,
            **_PUBLISHED_HSMIX,
            "mix.select": (0.2, PUBLISHED),
            **_OTHER_PATIENTS,
            "source.labels": ("exclusive", "TransUNet: aorta to stomach, 1 to 8"),
        },
    ),
    "brats2018": _sourced(
        "BraTS 2018 brain tumours, four modalities, nested regions WT, TC, ET",
        {
            **_SIZE,
            "image.fit": ("crop", PUBLISHED),
            "image.intensity": ("zscore", f"{PUBLISHED}, without its clipping; background stays 0 (published: -9)"),
            "image.dtype": ("float32", PUBLISHED),
            "superpixels.regions": ((50, 150), PUBLISHED),
            **_OF_GREY,
            "superpixels.body": ("auto", "ours: superpixels of the brain, not of the air (maskSLIC, arXiv:1606.09518)"),
            **_PUBLISHED_HSMIX,
            "mix.select": (0.2, PUBLISHED),
            **_OTHER_PATIENTS,
            "volume.min_foreground": (1, PUBLISHED),
            "source.labels": ("multilabel", "BraTS: whole tumour, tumour core, enhancing tumour (arXiv:1811.02629)"),
        },
    ),
}
