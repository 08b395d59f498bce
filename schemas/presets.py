"""Named sets of values: profiles, controls for ablations, and dataset presets, each with its source."""

from dataclasses import dataclass, field
from typing import Any

PUBLISHED = "published code of HSMix (arXiv 2511.17614)"
OURS = "ours, measured on repaired inputs"


@dataclass(frozen=True)
class Preset:
    """Values by ``section.key``, and where each comes from."""

    summary: str
    values: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)


PROFILES: dict[str, Preset] = {
    "paper": Preset("the published formulas on correct inputs", {}),
    "robust": Preset(
        "area-free aggregation, lambda at most one half, small objects kept whole",
        {
            "mix.aggregate": "mean",
            "mix.lambda_range": (0.0, 0.5),
            "mix.small_object_guard": True,
        },
    ),
}

CONTROLS: dict[str, Preset] = {
    "square-grid": Preset("squares instead of superpixels, equal count", {"superpixels.method": "grid"}),
    "random-lambda": Preset("a uniform lambda per superpixel of B", {"mix.weight": "random"}),
    "cutmix": Preset("one rectangle", {"mix.method": "cutmix", "mix.probabilities": (0.0, 1.0, 0.0)}),
    "mixup": Preset("one lambda per image", {"mix.method": "mixup", "mix.probabilities": (0.0, 0.0, 1.0)}),
    "hard-only": Preset("every sample is mixed hard", {"mix.probabilities": (0.0, 1.0, 0.0)}),
    "soft-only": Preset("every sample is mixed soft", {"mix.probabilities": (0.0, 0.0, 1.0)}),
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
            "mix.select": 0.2,
            "source.classes": ("background", "lesion"),
        },
        {
            "image.size": PUBLISHED,
            "superpixels.regions": PUBLISHED,
            "superpixels.compactness": f"{OURS} (published: 8)",
            "superpixels.sigma": f"{OURS} (published: 0)",
            "mix.select": PUBLISHED,
            "source.classes": "ISIC 2017 challenge, part 1",
        },
    ),
}
