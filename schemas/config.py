"""The configuration of a run: typed, frozen, checked, in sections; one place for every default and every option."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)
from pydantic.fields import FieldInfo

from hsmix_gen.schemas.families import AUGMENTATIONS, BACKENDS, EXPORTS, FORMATS, METHODS, READERS, SUPERPIXELS, nearest
from hsmix_gen.schemas.options import flag_of, key, option
from hsmix_gen.schemas.presets import CONTROLS, PROFILES
from hsmix_gen.schemas.records import MODES, Mode

if TYPE_CHECKING:
    Layout = str
    RegionKind = str
    Backend = str
    Augmentation = str
    Form = str
    ExportName = str
    Profile = str
    Control = str
else:
    Layout = Literal[("auto", *READERS.names)]
    RegionKind = Literal[SUPERPIXELS.names]
    Backend = Literal[("none", *BACKENDS.names)]
    Augmentation = Literal[("none", *AUGMENTATIONS.names)]
    Form = Literal[FORMATS.names]
    ExportName = Literal[EXPORTS.names]
    Profile = Literal[tuple(PROFILES)]
    Control = Literal[tuple(CONTROLS)]

SoftEncoding = Literal["npz", "npy", "pair", "png"]
"""Forms of stored soft labels; each is known to ``pipeline.dataset.soft_encoding``."""

_NOW_NAMED = {"superpixel": "hsmix"}
"""Names that mixing methods had when datasets were made: configurations may use them, and digests keep them."""

Probability = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(ge=0.25, le=4)]
HeightWidth = Annotated[
    tuple[PositiveInt, PositiveInt], BeforeValidator(lambda given: (given, given) if isinstance(given, int) else given)
]
"""A height and a width, or one number that is both."""


Selection = Literal["bernoulli", "connected", "object", "object-mask"]
"""Ways to choose what of B stands in A; each is known to ``stages.mixing.selection``."""
Partners = Literal["auto", "any", "other-group", "similar", "guided"]


def _names_now(text: Any) -> Any:
    """Return methods as they are called now, each once, without blanks: ``hsmix,cutmix``.

    Raises
    ------
    ValueError
        Naming the first that is not known or stands twice.
    """
    if not isinstance(text, str):
        return text
    names = [_NOW_NAMED.get(name.strip(), name.strip()) for name in text.split(",")]
    for place, name in enumerate(names):
        if name not in METHODS.names:
            known = METHODS.names
            raise ValueError(
                f"{named_key('mix.method')} must be one of {', '.join(known)}, got {name}{nearest(name, known)}"
            )
        if name in names[:place]:
            raise ValueError(f"{named_key('mix.method')} must name each method once, got {name} twice in {text}")
    return ",".join(names)


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused and values cannot change later."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)
    title: ClassVar[str] = ""
    """Heading of its options in the help."""

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with values that depend on each other; each field has been checked by itself."""
        yield from ()

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield fields that have no effect with what the others say, each with the reason and the way out."""
        yield from ()

    @model_validator(mode="after")
    def _without_faults(self) -> Self:
        for fault in self.faults():
            raise ValueError(fault)
        return self


class SourceConfig(Section):
    """What is read, and who belongs where."""

    title = "Source"
    # fmt: off
    layout: Layout = option("auto", f"Reader of the source: auto (the first that recognises it), {READERS.listed}.")
    root: str | None = option(None, "Folder that the paths of a list may not leave.", "DIR", path="any", otherwise="that of the list")
    image_key: str | None = option(None, "Array or column of images in npz, h5 and Parquet files.", "NAME", otherwise="the usual names")
    mask_key: str | None = option(None, "Array or column of masks.", "NAME", otherwise="the usual names")
    stacks: Literal["volumes", "pictures"] = option("volumes", "Arrays of several planes are volumes, all of one patient, or stacks of pictures that have nothing in common.")
    image_suffix: str = option("", "End of the stem of image files, such as _img; it is no part of the id.")
    mask_suffix: str = option("", "End of the stem of mask files, such as _mask.", otherwise="the usual ones")
    mask_values: dict[int, int] | None = option(None, "Mask value or range to class id, such as 0=0,128=1,255=2 or 0-127=0,128-255=1; 255 as class is ignore.", "V=C,…", otherwise="understood from the files")
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = option(None, "Cut masks with soft edges, or probabilities: T and more is class 1, less is background.", "T")
    classes: tuple[str, ...] | None = option(None, "Names of the classes by id, background first (of the channels with --labels multilabel).", "NAME,…")
    colours: str | None = option(None, "Colour table of coloured masks, background first.", "FILE|#RRGGBB=NAME,…", otherwise="class_dict.csv, labelmap.txt or label_colors.txt in SOURCE")
    instances: bool | None = option(None, "Mask values are numbers of objects, all of class 1.", otherwise="as the layout has it")
    ignore: Annotated[int, Field(ge=0)] | None = option(None, "Mask value of pixels that belong to no class.", "V")
    labels: Literal["auto", "exclusive", "multilabel"] = option("auto", "exclusive: a pixel has one class; multilabel: each class has a channel of its own; auto: as the layout has it.")
    label_regions: dict[str, tuple[int, ...]] | None = option(None, "Channels of multi-label and their mask values, outer first: WT=1+2+4,TC=1+4,ET=4.", "NAME=V+V,…")
    ids: Literal["auto", "names", "hashed"] = option("auto", "Ids are names of files, hashed, or auto: hashed for DICOM.")
    id_key: str | None = option(None, "A secret that keys hashed ids, so that nobody without it can try guesses.", "FILE", path="local")
    split: str = option("auto", "Folder with train.txt, val.txt, test.txt, a file of ID SPLIT, or TRAIN/VAL/TEST in shares or parts, such as 0.8/0.1/0.1 or 8/1/1.", "FILE|RATIO", otherwise="SOURCE/splits, else the source's own, else 0.8/0.1/0.1", common=True)
    group_by: str | None = option(None, "Names the patient or slide in the id, or none: each image its own group; groups are never torn between splits.", "REGEX|none", otherwise="as the layout has it, else as names such as p1_slice_02 or folders show", common=True)
    folds: Annotated[int, Field(ge=2, le=100)] | None = option(None, "Cross-validation: K datasets, fold-0 to fold-(K-1), whole groups in one fold.", "K")
    turn_masks: bool = option(False, "Masks were drawn on the pixels as stored: turn them by the EXIF orientation of their images.")
    resize_masks: bool = option(False, "Bring masks that are off by a pixel or two, or by a factor, to the size of their images (nearest pixel).")
    trust_voxels: bool = option(False, "NIfTI labels of as many voxels as their image lie on these voxels, whatever their affine says.")
    limit: PositiveInt | None = option(None, "Only N pairs or volumes, evenly spread over the sorted ids (a trial run).", common=True)
    subset: PositiveInt | None = option(None, "Train on N groups only (patients, or images where each is its own group), drawn by --subset-seed; a larger N holds a smaller one. Validation and test stay whole.", "N")
    subset_seed: NonNegativeInt = option(0, "Seed of the draw of --subset; the split keeps its own.", "S")
    max_pixels: PositiveInt = key(200_000_000, "Larger images are refused before they are decoded (decompression bombs).")
    max_voxels: PositiveInt = key(1_000_000_000, "Larger volumes, over all channels, are refused before they are decoded.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield two ways to classes, and draws that have no effect."""
        for other in ("mask_values", "colours", "instances", "ignore", "label_regions"):
            if self.threshold is not None and getattr(self, other) is not None:
                yield (
                    f"--threshold cuts masks into two classes, so that {named_key(f'source.{other}')} has no meaning; "
                    "leave one of them away"
                )
        if self.subset is None and self.subset_seed:
            yield f"--subset-seed {self.subset_seed} draws nothing without a subset; add --subset N"
        if self.subset is not None and self.folds is not None:
            yield "--subset draws from one training split, and --folds makes several; leave out one of them"

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield the secret of hashed ids where ids are names."""
        if self.ids == "names":
            yield "id_key", "--ids names hashes nothing; drop one of them"


class VolumeConfig(Section):
    """How volumes are cut into images."""

    title = "Images"
    # fmt: off
    axis: Literal["auto", "axial", "coronal", "sagittal"] = option("auto", "Slicing axis of volumes: axial, coronal, sagittal, or auto: across voxels at least twice as thick, else axial.")
    min_foreground: NonNegativeInt = option(1, "Leave slices of volumes with fewer foreground pixels in their mask out of training; 0 keeps all. Validation and test keep every slice.")
    every: PositiveInt = option(1, "Train on every K-th slice of volumes; validation and test keep every slice.", "K")
    # fmt: on


class ImageConfig(Section):
    """The one size and form that every image and mask is brought to."""

    title = "Images"
    # fmt: off
    size: HeightWidth = option((224, 224), "Height and width of all images in pixels; one number is both.", "H W", common=True)
    fit: Literal["stretch", "pad", "crop"] = option("stretch", "stretch to the size, pad (aspect kept, background beside it), or crop the middle without scaling.")
    eval_size: Literal["same", "native"] = option("same", "Validation and test images: same, of the size above, or native: of their own size, as metrics of whole cases need them.")
    tiles: HeightWidth | None = option(None, "Cut images into tiles first; one number is both.", "H W")
    overlap: NonNegativeInt = option(0, "Pixels that neighbouring tiles share.")
    channels: Literal["auto", "1", "3"] = option("auto", "Grey or RGB of pictures; auto: RGB if any has colour. Volumes keep their modalities.")
    intensity: Literal["auto", "none", "window", "percentile", "zscore"] = option("auto", "Of volumes and arrays: window, percentile, zscore, none, or auto: a window for CT, else percentiles.")
    window: tuple[FiniteFloat, FiniteFloat] | None = option(None, "Window in the units of the file (HU of CT), or the two percentiles.", "LOW HIGH")
    per_channel: bool = key(True, "Whether each channel is scaled by its own percentiles or mean and deviation, or all alike.")
    dtype: Literal["auto", "uint8", "uint16", "float32"] = option("auto", "Stored as uint8, uint16, float32, or auto: pictures as most are, windows as uint16, percentiles as uint8, z-scores as float32.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield sizes and tiles without room, and windows without an extent."""
        if min(self.size) < 16:
            yield f"--size must be at least 16 16, got {self.size[0]} {self.size[1]}"
        if self.tiles is None and self.overlap:
            yield f"--overlap {self.overlap} needs tiles; add --tiles H W"
        if self.tiles is not None and self.overlap >= min(self.tiles):
            yield f"--overlap must be below the tiles {self.tiles[0]} {self.tiles[1]}, got {self.overlap}"
        if self.window is not None and self.window[0] >= self.window[1]:
            yield f"--window must be LOW HIGH with LOW below HIGH, got {self.window[0]:g} {self.window[1]:g}"
        if self.intensity == "window" and self.window is None:
            yield "--intensity window needs its ends; add --window LOW HIGH"
        if (
            self.intensity == "percentile"
            and self.window is not None
            and not 0 <= self.window[0] < self.window[1] <= 100
        ):
            yield f"--window of percentiles must lie in 0 to 100, got {self.window}"

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield what the chosen intensity does not read."""
        if self.intensity == "zscore":
            yield "window", "--intensity zscore takes mean and deviation of each volume; drop one of them"
        if self.intensity in ("none", "window"):
            yield "per_channel", f"--intensity {self.intensity} measures no channel; drop one of them"


class SuperpixelsConfig(Section):
    """Regions in several granularities per image."""

    title = "Superpixels and saliency"
    # fmt: off
    method: RegionKind = option("slic", f"How images are cut: {SUPERPIXELS.listed}. hierarchical joins the regions of one fine SLIC step by step: nested, of exact numbers, closer to contours; watershed and felzenszwalb are known alternatives; precomputed takes maps that you bring; grid is the square-grid control.", "NAME", name="superpixels")
    folder: str | None = option(None, "Label maps for precomputed: PNG of 8 or 16 bits, TIFF, npy or NIfTI, named by the id of the picture or volume; a sub-folder for each granularity.", "DIR", name="regions_dir", path="local")
    regions: tuple[PositiveInt, PositiveInt] = option((50, 200), "Superpixels asked for, drawn evenly over the range.", "MIN MAX")
    variants: PositiveInt = option(4, "Granularities kept per image, one drawn from each stratum of the range; of precomputed as many as there are.", "G")
    compactness: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = option(None, "Weight of space against colour in SLIC.", "C", otherwise="10 for RGB, 0.1 for grey")
    sigma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = option(1.0, "Gaussian smoothing before SLIC in pixels.", "S")
    body: Literal["auto", "all"] = key("auto", "auto: where background voxels are 0 only the body is cut, the rest is one region; all: everything.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield maps that are missing, and an empty range of numbers."""
        if self.method == "precomputed" and self.folder is None:
            yield "--superpixels precomputed needs the folder of its label maps; add --regions-dir DIR"
        low, high = self.regions
        if not 2 <= low <= high <= 65535:
            yield f"--regions must hold 2 <= MIN <= MAX <= 65535, got {low} {high}"

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield what another kind of superpixels reads; the grid, as their control, leaves aside what they are given."""
        if self.method == "precomputed":
            for name in ("variants", "compactness", "sigma", "body"):
                yield name, "--superpixels precomputed takes the maps as they are; drop one of them"
        elif self.method != "grid":
            yield "folder", f"it is used by --superpixels precomputed only, got {self.method}; drop one of them"
            read = signature(SUPERPIXELS.module(self.method).segment).parameters
            for name in ("compactness", "sigma"):
                if name not in read:
                    yield name, f"--superpixels {self.method} does not read it; drop one of them"


class SaliencyConfig(Section):
    """What decides how strongly each region is blended in soft mixing."""

    title = "Superpixels and saliency"
    # fmt: off
    backend: Backend = option("gradcam", f"How saliency is found: {BACKENDS.listed}; none makes no maps, as run does where no sample reads any.", "BACKEND", name="saliency", common=True)
    folder: str | None = option(None, "Grey maps for the precomputed backend, one per source, named by its id.", "DIR", name="saliency_dir", path="any")
    model: str | None = option(None, "Makes your network for Grad-CAM.", "MODULE:CALLABLE", otherwise="a small U-Net is fitted on the training split")
    weights: str | None = option(None, "Weights of --model; no code in them is run.", "FILE", path="any")
    layer: str | None = option(None, "Dotted name of the network's layer for Grad-CAM.", "NAME", otherwise="candidates are measured, the best is taken")
    output_key: str | None = option(None, "Entry of the network's output (a dict, list or tuple) that holds the logits.", "NAME")
    cam: Literal["gradcam", "gradcam++", "layercam", "hirescam", "xgradcam", "eigengradcam", "elementwise"] = key("gradcam", "How gradients and activations become a map.")
    target: Literal["predicted", "truth", "all"] = key("predicted", "Pixels whose foreground logits are summed.")
    side: PositiveInt | None = key(None, "Longest side of the network's input in pixels; none: the image size for --model, less for the U-Net.")
    batch: PositiveInt = key(8, "Images per forward pass; halved when the GPU's memory is short.")
    probe_images: PositiveInt = key(24, "Training images on which candidate layers are measured.")
    fit_steps: PositiveInt = key(100, "Optimiser steps, at most, of the U-Net that is fitted when no --model is given: it ends earlier where its maps, measured every 20 steps, agree with the masks.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield what the backend lacks."""
        for name in () if self.backend == "none" else BACKENDS.module(self.backend).BACKEND.required:
            if getattr(self, name) is None:
                yield f"--saliency {self.backend} needs a value of {named_key(f'saliency.{name}')}; add it"
        if self.weights is not None and self.model is None:
            yield "--weights need the network they belong to; add --model MODULE:CALLABLE"

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield what other backends read, and the steps of a fit where a network is given."""
        own = {name: BACKENDS.module(name).BACKEND.options for name in BACKENDS.names}
        for name in dict.fromkeys(name for options in own.values() for name in options):
            using = [known for known, options in own.items() if name in options]
            if self.backend not in using:
                yield name, f"it is used by --saliency {' or '.join(using)} only, got {self.backend}; drop one of them"
        if self.model is not None:
            yield "fit_steps", "--model is taken as it is, not fitted; drop one of them"


_BY_SALIENCY = "in soft samples whose lambda follows saliency"
_READ = {
    "selection": "where it chooses superpixels",
    "small_object_guard": "where it chooses superpixels",
    "select": "with --selection bernoulli",
    "grown_area": "with another --selection than bernoulli",
    "small_object_ratio": "with mix.small_object_guard=true",
    "area": "in soft samples with mix.weight=random",
    "weight": "in soft samples",
    "lambda_range": "in soft samples",
    "aggregate": _BY_SALIENCY,
    "zero_ratio": _BY_SALIENCY,
}
"""When methods that read these fields of mixing do; the others are read always."""


class MixConfig(Section):
    """How samples are made from cached features."""

    title = "Mixing"
    # fmt: off
    copies: PositiveInt = option(5, "Samples per training image (pairs under --policy paired); by --probabilities a third of them stays unmixed, a third is mixed hard and a third soft.", "K", common=True)
    partners: Partners = option("auto", "Who is mixed with an image: any other, other-group, or auto: other-group for volumes, tiles and images that names group; similar: as auto, and only images that look alike; guided: as auto, and those whose saliency overlaps least.")
    policy: Literal["per-sample", "per-batch", "paired"] = option("per-sample", "per-sample, per-batch or paired.")
    method: Annotated[str, BeforeValidator(_names_now)] = option("hsmix", f"Mixing method, or several as a,b,c, of which each mixed sample draws one: {METHODS.listed}. hsmix-gen methods shows them.", "NAME,…", common=True)
    probabilities: tuple[Probability, Probability, Probability] = option((1 / 3, 1 / 3, 1 / 3), "Chance of each mode; brought to sum 1.", "NONE HARD SOFT", otherwise="1/3 each")
    selection: Selection = option("bernoulli", "What hsmix takes of B: bernoulli draws each superpixel; connected grows one piece of neighbours; object takes the superpixels over one object of B's mask, object-mask the object itself.")
    select: Probability = option(0.2, "Chance of each superpixel of B to be taken (--selection bernoulli), and the share that cam-superpixels take.", "P")
    grown_area: tuple[Probability, Probability] = key((0.1, 0.5), "Least and greatest share of the image that --selection connected grows to, drawn evenly.")
    weight: Literal["saliency", "random"] = key("saliency", "What lambda follows in soft mixing; random draws it per superpixel of B (a control).")
    aggregate: Literal["sum", "mean"] = option("sum", "Relative saliency of a region: published area-weighted sum, or mean.")
    lambda_range: tuple[Probability, Probability] = key((0.0, 1.0), "Lambda, the weight of B, is kept inside this range.")
    zero_ratio: Literal["half", "zero"] = key("half", "Relative saliency where both maps are 0: one half, or the published 0 (which favours A).")
    area: Literal["own", "matched"] = key("own", "How much of B a control takes: own: as published; matched: what hsmix takes of the same pair (cutmix, mixup and fmix the area of its superpixels, a random weight the mean of its lambda).")
    scale_range: tuple[Scale, Scale] = key((1.0, 1.0), "Least and greatest factor by which copy-paste scales B before it copies objects.")
    edge_sigma: Annotated[float, Field(gt=0, le=100)] = key(3.0, "Gaussian blur in pixels of the edge of objects that soft-cp pastes.")
    small_object_guard: bool = key(False, "Take small objects of B whole, and cover or spare those of A.")
    small_object_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = key(2.0, "An object is small below so many mean superpixel areas.")
    geometry: Literal["flips", "none"] = key("flips", "Joint right-angle turns and flips per parent; none keeps the orientation.")
    augment: Augmentation = option("none", f"Augment each training sample once it is mixed: none, {AUGMENTATIONS.listed}. flips are right-angle turns of any image; trivial and randaugment also turn, shear and shift image and labels together, augmix changes the image alone, all three for pictures of 8 bits; medical adds what scanners do to any image.")
    batch_size: PositiveInt = key(8, "Samples of one mode that stay together under --policy per-batch.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield chances of nothing, empty ranges, and modes that methods lack."""
        if sum(self.probabilities) <= 0:
            yield "--probabilities must hold one positive number, got 0 0 0"
        for name in ("lambda_range", "grown_area", "scale_range"):
            low, high = getattr(self, name)
            if low > high:
                yield f"{named_key(f'mix.{name}')} must be ordered, got {(low, high)}"
        yield from self._faults_of_modes()

    def _faults_of_modes(self) -> Iterator[str]:
        own = [set(METHODS.module(name).METHOD.modes) for name in self.methods]
        for mode, number, use in (("hard", 1, "NONE 0 SOFT"), ("soft", 2, "NONE HARD 0")):
            if self.probabilities[number] > 0 and not any(mode in modes for modes in own):
                yield f"{self.method} has no {mode} form; use --probabilities {use}"
        idle = [name for name in self.methods if not self.modes_of(name)]
        if idle and self.probabilities[0] < sum(self.probabilities):
            mode = "soft" if self.probabilities[1] else "hard"
            yield f"{idle[0]} has {mode} samples only; give them a chance by --probabilities, or leave it out"
        for name, modes in zip(self.methods, own, strict=True):
            if self.policy == "paired" and len(modes) < 2:
                yield f"--policy paired emits hard and soft samples, {name} has only one of them; choose another policy"

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield what no sample depends on: by its method, its mode, and the other options."""
        if self.policy != "per-batch":
            yield "batch_size", f"it is used by --policy per-batch only, got {self.policy}; drop one of them"
        if self.policy == "paired":
            yield "probabilities", "--policy paired mixes every pair hard and soft; drop one of them"
        known = {name: METHODS.module(name).METHOD for name in METHODS.names}
        drawn = [(known[name], mode) for name in self.methods for mode in self.drawn_modes(name)]
        used = {field for method, mode in drawn for field in method.options_of(mode, self)}
        for field in dict.fromkeys(field for method in known.values() for field in method.options):
            having = [name for name, method in known.items() if field in method.options]
            own = [name for name in self.methods if name in having]
            if field not in used and not drawn:
                yield field, "no sample is mixed; drop it, or give mixing a chance by --probabilities"
            elif field not in used and own:
                yield field, f"{own[0]} reads it {_READ.get(field, 'with other options')} only; drop one of them"
            elif field not in used:
                using = " and ".join(having)
                yield field, f"it is used by {using} only, got --method {self.method}; drop one of them"

    @property
    def methods(self) -> tuple[str, ...]:
        """The mixing methods, of which each mixed sample has one."""
        return tuple(self.method.split(","))

    def modes_of(self, name: str) -> tuple[Mode, ...]:
        """Return the modes of a method that have a chance, by rising number."""
        chances = dict(zip(MODES, self.probabilities, strict=True))
        return tuple(mode for mode in METHODS.module(name).METHOD.modes if chances[mode] > 0)

    def drawn_modes(self, name: str) -> tuple[Mode, ...]:
        """Return the modes of a method that samples have: those with a chance, or both of each pair."""
        both: tuple[Mode, ...] = METHODS.module(name).METHOD.modes
        return both if self.policy == "paired" else self.modes_of(name)

    @property
    def names_methods(self) -> bool:
        """Whether samples state how they were mixed; where nothing is said it is hsmix by the Bernoulli draw."""
        return self.method != "hsmix" or self.selection != "bernoulli"


def chances_for(modes: Collection[str], chances: Sequence[float]) -> tuple[float, ...]:
    """Return the chances of no, hard and soft mixing where all mixed samples have one mode: as many stay unmixed.

    Other than one mode changes nothing.
    """
    if len(modes) != 1:
        return tuple(chances)
    unmixed, mixed = chances[0], sum(chances[1:])
    most = max(1.0, mixed)
    return (unmixed / most, *(mixed / most * (mode in modes) for mode in MODES[1:]))


def modes_of_methods(methods: str) -> set[str]:
    """Return the modes that some methods, separated by commas, have together; unknown ones have none."""
    names = [_NOW_NAMED.get(name.strip(), name.strip()) for name in methods.split(",")]
    return {mode for name in names if name in METHODS.names for mode in METHODS.module(name).METHOD.modes}


def values_of_method(method: Any) -> dict[str, Any]:
    """Return the values by ``section.key`` that come with methods: where all lack a mode, the chances of modes.

    As many samples stay unmixed as by default.
    """
    modes = modes_of_methods(method) if isinstance(method, str) else set()
    default = MixConfig.model_fields["probabilities"].default
    return {"mix.probabilities": chances_for(modes, default)} if len(modes) == 1 else {}


class OutputConfig(Section):
    """What is written."""

    title = "Output"
    # fmt: off
    formats: tuple[Form, ...] = option(("webdataset",), f"{FORMATS.listed} (files with an MSD datalist); repeat it for several.", "NAME", name="format", repeats=True, common=True)
    soft_encoding: SoftEncoding = option("npz", "Soft labels as npz, npy (large, fastest), pair (two classes and a weight) or png (8 bit).")
    mask_palette: bool = option(False, "Colours in mask.png for viewers. Pillow, HF datasets and MONAI still give class ids, but cv2, scikit-image and WebDataset's decoders colours.")
    parquet_preview: bool = option(False, "A column with a small coloured picture of each sample, for viewers of Parquet.")
    shards: PositiveInt | None = option(None, "Training shards.", otherwise="at least 32 if there are as many samples, none above 256 MiB")
    ranks: PositiveInt = option(1, "Processes that will train: equal shards, a multiple of R times W.", "R")
    workers_per_rank: PositiveInt = option(1, "Loader workers of each of them.", "W")
    name: str = key("hsmix", "Name of the dataset in its card.")
    # fmt: on

    @property
    def readers(self) -> int:
        """Workers of all ranks together, each of which reads shards of its own."""
        return self.ranks * self.workers_per_rank

    def faults(self) -> Iterator[str]:
        """Yield formats that stand twice, previews without a table, and shards that readers cannot share."""
        if not self.formats or len(set(self.formats)) != len(self.formats):
            yield f"--format must name each format once, got {list(self.formats)}"
        if self.parquet_preview and "parquet" not in self.formats:
            yield f"--parquet-preview needs --format parquet, got {', '.join(self.formats)}; add it"
        if self.shards is not None and self.shards % self.readers:
            yield (
                f"--shards must be a multiple of --ranks x --workers-per-rank = {self.readers}, got {self.shards}; "
                "change one of them, or leave --shards away"
            )


class ExecutionConfig(Section):
    """Where and by whom the work is done; nothing here changes a byte of the result."""

    title = "Running"
    # fmt: off
    backend: Literal["ray", "serial"] = option("ray", "Who runs the units of work.")
    address: str | None = option(None, "A running Ray cluster.", "ADDRESS", otherwise="Ray is started here")
    workers: PositiveInt | None = option(None, "Units at work at once.", otherwise="all processors of this machine, or of the cluster")
    id_map: str | None = option(None, "Write which hashed id stands for which name; keep it apart from the dataset.", "FILE", path="local", title="Source")
    exports: tuple[ExportName, ...] = option((), f"Refuse, before the work, what these exports could not hold: {EXPORTS.listed}.", "NAME,…", name="for", title="Output")
    cache: str | None = option(None, "Feature cache, shared by runs on the same source.", "DIR", path="any", title="Output", otherwise="OUTPUT/.hsmix/cache", common=True)
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = key(1800.0, "Seconds that one unit of work may take on Ray; then its process is killed and the unit tried again elsewhere, then its parts one by one.")
    check_space: bool = key(True, "Whether a run is refused for which its disks seem too small; the need is an estimate.")
    license: str | None = option(None, "Licence of the dataset in card and metadata, such as an SPDX name or an address.", "TEXT", title="Output")
    citation: str | None = option(None, "How the dataset is cited, in card and metadata.", "TEXT", title="Output")
    creator: str | None = option(None, "Who made the dataset, in card and metadata.", "TEXT", title="Output")
    max_errors: NonNegativeInt | None = option(None, "Exit with 1 if more sources and samples were refused.", otherwise="no limit")
    # fmt: on

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield what Ray alone reads."""
        if self.backend == "serial":
            for name in ("address", "timeout_s"):
                yield name, "it is used by --backend ray only, got serial; drop one of them"


class RunConfig(Section):
    """Everything that a run depends on."""

    # fmt: off
    preset: str | None = option(None, "Values for a known dataset; see hsmix-gen presets.", "NAME", title="Configuration", common=True)
    profile: Profile = option("paper", "paper: the published formulas; robust: mean, lambda at most 0.5, small objects kept whole; tuned: connected pieces, hard, as trainings chose.", title="Mixing", common=True)
    control: Control | None = option(None, f"For ablations: {', '.join(CONTROLS)}.", title="Mixing")
    seed: NonNegativeInt = option(0, "Seed of every draw.", title="Configuration")
    source: SourceConfig = Field(default_factory=SourceConfig)
    volume: VolumeConfig = Field(default_factory=VolumeConfig)
    image: ImageConfig = Field(default_factory=ImageConfig)
    superpixels: SuperpixelsConfig = Field(default_factory=SuperpixelsConfig)
    saliency: SaliencyConfig = Field(default_factory=SaliencyConfig)
    mix: MixConfig = Field(default_factory=MixConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
    run: ExecutionConfig = Field(default_factory=ExecutionConfig)
    # fmt: on

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return self.model_dump(mode="json")

    def flat(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values by ``section.key``."""
        flat: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            flat |= {f"{name}.{key}": entry for key, entry in value.items()} if name in SECTIONS else {name: value}
        return flat

    def idle_keys(self) -> dict[str, str]:
        """Return the keys that have no effect with what the others say, as ``section.key``, with reason and way out."""
        return {f"{name}.{key}": why for name in SECTIONS for key, why in getattr(self, name).idle()}

    def of_bytes(self) -> dict[str, Any]:
        """Return the part that decides the bytes of a dataset: all but ``run``, by ``section.key``."""
        first_names = {now: first for first, now in _NOW_NAMED.items()}
        flat = {name: value for name, value in self.flat().items() if not name.startswith("run.")}
        return flat | {"mix.method": ",".join(first_names.get(name, name) for name in self.mix.methods)}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by ``section.key`` as the schema takes them: keys inside their sections."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        section, dot, inner = name.partition(".")
        if dot:
            found.setdefault(section, {})[inner] = value
        else:
            found[section] = value
    return found


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in RunConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
"""Kind of each section, by its name."""


def fields() -> Iterator[tuple[str, FieldInfo, str]]:
    """Yield every key of the configuration as ``section.key``, its field and the title of its section."""
    for name, field in RunConfig.model_fields.items():
        if name not in SECTIONS:
            yield name, field, ""
            continue
        for inner, entry in SECTIONS[name].model_fields.items():
            yield f"{name}.{inner}", entry, SECTIONS[name].title


def named_key(key: str) -> str:
    """Return a key as messages name it, with its option where it has one: ``mix.copies (--copies)``."""
    flag = next((flag_of(name, field) for name, field, _ in fields() if name == key), "")
    return f"{key} ({flag})" if flag else key
