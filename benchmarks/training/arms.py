"""The arms: what a network is trained on, each named ``[LAYER+]METHOD[@K]`` after two tables of plain values.

``strong+hsmix@10`` is ten offline copies an image by HSMix, loaded by a trainer with strong augmentation of its own.
Without ``@K`` every exposure is a fresh sample. A new method or setting is a line in `METHODS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hsmix_gen.schemas.checking import checked
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.presets import CONTROLS, PROFILES
from training.layers import LAYERS

Values = Mapping[str, Any]

_UNMIXED = {"mix.probabilities": (1.0, 0.0, 0.0)}
_TWO_THIRDS_HARD = {"mix.probabilities": (1 / 3, 2 / 3, 0.0)}
_TWO_THIRDS_SOFT = {"mix.probabilities": (1 / 3, 0.0, 2 / 3)}
_HARD = {"mix.probabilities": (0.0, 1.0, 0.0)}
_SOFT = {"mix.probabilities": (0.0, 0.0, 1.0)}


def _hard(method: str) -> Values:
    """Return the values of a method of hard samples, all of them mixed."""
    return {"mix.method": method, **_HARD}


METHODS: dict[str, Values] = {
    "none": {**_UNMIXED, "mix.geometry": "none"},
    "flips": _UNMIXED,
    "cutmix": _hard("cutmix"),
    "mixup": {"mix.method": "mixup", **_SOFT},
    "hsmix": {},
    "hsmix-robust": PROFILES["robust"].values,
    "hsmix-hard": _HARD,
    "hsmix-soft": _SOFT,
    "hsmix-connected": {"mix.selection": "connected"},
    "hsmix-object": {"mix.selection": "object"},
    "hsmix-connected-hard": {"mix.selection": "connected", **_HARD},
    "hsmix-object-hard": {"mix.selection": "object", **_HARD},
    "hsmix-object-mask": {"mix.selection": "object-mask"},
    # Controls: squares for superpixels, chance for saliency, a rectangle as large as the superpixels.
    "hsmix-grid": CONTROLS["square-grid"].values,
    "hsmix-random": CONTROLS["random-lambda"].values,
    "cutmix-matched": {**CONTROLS["cutmix"].values, **_HARD},
    # One change each: a third is left unmixed as in HSMix, or the form of the soft weights.
    "cutmix-third": {"mix.method": "cutmix", **_TWO_THIRDS_HARD},
    "mixup-third": {"mix.method": "mixup", **_TWO_THIRDS_SOFT},
    "hsmix-hard-third": _TWO_THIRDS_HARD,
    "hsmix-soft-third": _TWO_THIRDS_SOFT,
    "hsmix-soft-mean": {**_SOFT, "mix.aggregate": "mean"},
    "hsmix-soft-half": {**_SOFT, "mix.lambda_range": (0.0, 0.5)},
    "hsmix-half": {"mix.select": 0.5},
    "hsmix-coarse": {"superpixels.regions": (20, 40)},
    # Best of the second rung of the search: with four granularities, as the profile has them, and as it was searched.
    "hsmix-tuned": PROFILES["tuned"].values,
    "hsmix-searched": {**PROFILES["tuned"].values, "superpixels.variants": 1},
    # Relatives.
    "classmix": _hard("classmix"),
    "copy-paste": _hard("copy-paste"),
    "carvemix": _hard("carvemix"),
    "soft-cp": {"mix.method": "soft-cp", **_SOFT},
    "guided": {"mix.method": "guided", **_SOFT},
    "cam-superpixels": _hard("cam-superpixels"),
    "fmix": _hard("fmix"),
    # What the harness has to find, see `make evidence-quick`.
    "planted-good": _UNMIXED,
}
"""Values by ``section.key`` on top of the defaults, by the name of what is mixed."""

WORDS: dict[str, str] = {
    "none": "the images as they are",
    "flips": "flips and right angles",
    "cutmix": "CutMix",
    "mixup": "Mixup",
    "hsmix": "HSMix (paper)",
    "hsmix-robust": "HSMix (robust)",
    "hsmix-hard": "HSMix, hard only",
    "hsmix-soft": "HSMix, soft only",
    "hsmix-connected": "HSMix, connected selection",
    "hsmix-object": "HSMix, object selection",
    "hsmix-connected-hard": "HSMix, connected selection, hard only",
    "hsmix-object-hard": "HSMix, object selection, hard only",
    "hsmix-grid": "HSMix on a square grid",
    "hsmix-random": "HSMix, random lambda",
    "hsmix-object-mask": "HSMix, object by its mask",
    "hsmix-hard-third": "HSMix, hard, a third unmixed",
    "hsmix-soft-third": "HSMix, soft, a third unmixed",
    "hsmix-soft-mean": "HSMix, soft only by means",
    "hsmix-soft-half": "HSMix, soft only, lambda to 0.5",
    "hsmix-half": "HSMix, half of the superpixels",
    "hsmix-coarse": "HSMix, 20 to 40 superpixels",
    "hsmix-tuned": "HSMix (tuned)",
    "hsmix-searched": "HSMix (tuned, one granularity)",
    "cutmix-third": "CutMix, a third unmixed",
    "cutmix-matched": "CutMix, area of HSMix",
    "mixup-third": "Mixup, a third unmixed",
}
"""Names for people; what is not listed is shown by its name."""

_MORE_IMAGES = {"planted-good": 4}
"""Arms that see so many times the images: a gain that is known to be there."""


@dataclass(frozen=True)
class Arm:
    """What a network is trained on.

    Attributes
    ----------
    name : str
        ``[LAYER+]METHOD[@K]``.
    config : RunConfig
        Of features and mixing; its number of copies does not matter.
    layer : str
        Augmentation of the trainer on top, a key of `layers.LAYERS`; empty: none.
    copies : int or None
        Offline copies of each image; None: a fresh sample at every exposure.
    more_images : int
        Factor on the number of training images; 1 but for the planted gain.
    """

    name: str
    config: RunConfig
    layer: str = ""
    copies: int | None = None
    more_images: int = 1


@cache
def arm_of(name: str) -> Arm:
    """Return the arm of a name.

    Raises
    ------
    ConfigError
        If the layer or the method is not in the tables, or this version of hsmix-gen lacks it.
    """
    rest, _, copies = name.partition("@")
    layer, _, method = rest.rpartition("+")
    for given, kind, known in ((layer or "strong", "layer", LAYERS), (method, "method", METHODS)):
        if given not in known:
            raise ConfigError(f"arm {name} names the {kind} {given}, known are {', '.join(known)}")
    if copies and not (copies.isdecimal() and int(copies) > 0):
        raise ConfigError(f"arm {name} must end with @K, K copies of 1 or more, got @{copies}")
    config = checked(METHODS[method])  # settings of the search have values that others make idle
    return Arm(name, config, layer, int(copies) if copies else None, _MORE_IMAGES.get(method, 1))


def is_available(name: str) -> bool:
    """Return whether this version of hsmix-gen has all that an arm names."""
    try:
        arm_of(name)
    except ConfigError:
        return False
    return True


def words_of(name: str) -> str:
    """Return what people read for an arm."""
    rest, _, copies = name.partition("@")
    layer, _, method = rest.rpartition("+")
    text = WORDS.get(method, method)
    if layer:
        text = f"{layer} augmentation alone" if method == "flips" else f"{layer} + {text}"
    return f"{text}, {copies} {'copy' if copies == '1' else 'copies'}" if copies else text
