"""What a mixing method is given and what it returns; each is a module in `stages.mixing.methods`."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import MixConfig, RunConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import Mode
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.randomness import generator_for


@dataclass(frozen=True)
class Parent:
    """The features of one source, turned and flipped as drawn for one sample."""

    image: arrays.Image
    """(H, W, C)."""
    mask: arrays.AnyMask
    """(H, W) or (H, W, K) uint8; class ids, or the channels of a multi-label mask."""
    labels: arrays.Labels
    """(H, W) uint16; superpixels of the drawn variant; zeros where the method does not need them."""
    saliency: arrays.Saliency
    """(H, W) uint8; zeros where the method does not need it."""

    def turned(self, number: int) -> "Parent":
        """Return the same parent under transform `number`."""
        if number == 0:
            return self
        planes: tuple[Any, ...] = (self.image, self.mask, self.labels, self.saliency)
        return Parent(*(transform(array, number) for array in planes))


@dataclass(frozen=True)
class Pair:
    """The parents of a sample, already turned, and all else that their mix may depend on."""

    a: Parent
    b: Parent
    mode: Mode
    seed: int
    """Key of the sample's generators."""
    mix: MixConfig
    n_classes: int
    """Classes, background included, or the channels of a multi-label mask."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.a.mask.shape[:2]
        return height, width

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the sample's generator for a purpose; those of two purposes are independent."""
        return generator_for(self.seed, purpose)


@dataclass(frozen=True)
class Weights:
    """Where and how much of B enters, with what provenance keeps of it."""

    weight_b: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
    """(H, W) uint8 or bool; lambda, the weight of B, in 255ths; of hard mixing whether a pixel is B's."""
    flags: Collection[str] = ()
    """What is special about the sample."""
    n_regions: int | None = None
    """Regions that the mixed image has, of methods that have regions."""
    select_p: float | None = None
    """Chance with which each superpixel of B was taken, of methods that draw them."""
    selection: str | None = None
    """How superpixels of B were chosen, of methods with a choice."""
    moved_b: Parent | None = None
    """What stands in for B, where a method moves or scales it."""
    scale_b: float | None = None
    """Factor by which B was scaled about its middle."""


@dataclass(frozen=True)
class Needs:
    """What a method reads of the cache besides images and masks."""

    superpixels: bool = False
    saliency: bool = False


SELECTING = ("selection", "select", "grown_area", "small_object_guard", "small_object_ratio")
"""Fields of `MixConfig` that choose what hsmix takes of B."""


def selecting(mix: MixConfig) -> Collection[str]:
    """Return the fields of `SELECTING` that have an effect; where there is no object, a piece is grown for it."""
    drawn_by = "select" if mix.selection == "bernoulli" else "grown_area"
    guarded = ("small_object_ratio",) if mix.small_object_guard else ()
    return ("selection", drawn_by, "small_object_guard", *guarded)


class Method(ABC):
    """A way of mixing two images.

    Its module holds one as ``METHOD``; the first line of the module's docstring says what it does.
    """

    paper: ClassVar[str]
    """Authors, title and place, with DOI or arXiv number."""
    modes: ClassVar[tuple[Mode, ...]]
    """Of ``hard`` (each pixel is one parent's) and ``soft`` (blended)."""
    formula: ClassVar[str] = ""
    """Where and how much of B enters, in one line; M is 1 where B is taken, lambda the weight of B."""
    follows_weight: ClassVar[bool] = False
    """Whether ``mix.weight`` decides its lambda."""
    options: ClassVar[tuple[str, ...]] = ()
    """Fields of `MixConfig` that this method uses, and not all do."""

    def options_of(self, mode: Mode, mix: MixConfig) -> Collection[str]:  # noqa: ARG002 - most use the same in all modes
        """Return the fields of ``options`` that samples of a mode depend on; more where the area is of a selection."""
        return (*self.options, *(selecting(mix) if "area" in self.options and mix.area == "matched" else ()))

    def needs(self, mode: Mode, mix: MixConfig) -> Needs:  # noqa: ARG002 - most need the same in all modes
        """Return what the mix of a mode reads besides images and masks: superpixels where their area is matched."""
        return Needs(superpixels="area" in self.options and mix.area == "matched")

    @abstractmethod
    def weigh(self, pair: Pair) -> Weights:
        """Return the weights of a pair; equal pairs give equal weights, and the pair is not changed."""


@cache
def method_named(name: str) -> Method:
    """Return a method by its name."""
    method: Method = METHODS.module(name).METHOD
    return method


def needs(mode: Mode, mix: MixConfig, name: str | None = None) -> Needs:
    """Return what samples of a mode read of their parents; unmixed ones read neither superpixels nor saliency.

    Their method is the one that a plan names, else the first that a configuration names.
    """
    return Needs() if mode == "none" else method_named(name or mix.methods[0]).needs(mode, mix)


def check_maps(config: RunConfig) -> None:
    """Refuse a configuration whose samples read saliency maps, and which has none.

    Raises
    ------
    ConfigError
    """
    if config.saliency.backend == "none" and needs_of_all(config.mix).saliency:
        raise ConfigError(
            f"--saliency none makes no maps, which mixing by {config.mix.method} reads here; choose another "
            "--saliency, or mix without, such as by --profile tuned"
        )


def needs_of_all(mix: MixConfig) -> Needs:
    """Return what any sample of a configuration may read, or the choice of its partners."""
    found = [needs(mode, mix, name) for name in mix.methods for mode in mix.drawn_modes(name)]
    by_saliency = mix.partners == "guided"
    return Needs(any(one.superpixels for one in found), by_saliency or any(one.saliency for one in found))
