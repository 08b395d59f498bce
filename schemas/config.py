"""The configuration of a run: typed, frozen, checked, in sections; one place for every default."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, model_validator

Layout = Literal[
    "auto", "list", "isic", "glas", "monuseg", "synapse", "arrays", "brats", "msd", "nnunet", "coco", "dicom",
    "parquet", "webdataset", "folder",
]  # fmt: skip
"""Names of the readers; each is known to ``pipeline.readers.registry``."""

SoftEncoding = Literal["npz", "npy", "pair", "png"]
"""Forms of stored soft labels; each is known to ``pipeline.dataset.soft_encoding``."""

Probability = Annotated[float, Field(ge=0, le=1)]

OPTION_KEYS: dict[str, str] = {
    "layout": "source.layout",
    "root": "source.root",
    "image_key": "source.image_key",
    "mask_key": "source.mask_key",
    "colours": "source.colours",
    "stacks": "source.stacks",
    "instances": "source.instances",
    "ignore": "source.ignore",
    "labels": "source.labels",
    "label_regions": "source.label_regions",
    "folds": "source.folds",
    "image_suffix": "source.image_suffix",
    "mask_suffix": "source.mask_suffix",
    "mask_values": "source.mask_values",
    "classes": "source.classes",
    "split": "source.split",
    "group_by": "source.group_by",
    "ids": "source.ids",
    "id_key": "source.id_key",
    "id_map": "run.id_map",
    "limit": "source.limit",
    "size": "image.size",
    "fit": "image.fit",
    "tiles": "image.tiles",
    "overlap": "image.overlap",
    "channels": "image.channels",
    "intensity": "image.intensity",
    "window": "image.window",
    "dtype": "image.dtype",
    "axis": "volume.axis",
    "min_foreground": "volume.min_foreground",
    "every": "volume.every",
    "regions": "superpixels.regions",
    "variants": "superpixels.variants",
    "compactness": "superpixels.compactness",
    "sigma": "superpixels.sigma",
    "saliency": "saliency.backend",
    "saliency_dir": "saliency.folder",
    "model": "saliency.model",
    "weights": "saliency.weights",
    "layer": "saliency.layer",
    "output_key": "saliency.output_key",
    "copies": "mix.copies",
    "policy": "mix.policy",
    "probabilities": "mix.probabilities",
    "select": "mix.select",
    "aggregate": "mix.aggregate",
    "partners": "mix.partners",
    "format": "output.formats",
    "soft_encoding": "output.soft_encoding",
    "shards": "output.shards",
    "ranks": "output.ranks",
    "workers_per_rank": "output.workers_per_rank",
    "cache": "run.cache",
    "backend": "run.backend",
    "address": "run.address",
    "workers": "run.workers",
    "max_errors": "run.max_errors",
}
"""Option of the command line (also accepted at the top level of a YAML file) -> ``section.key``."""


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused and values cannot change later."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SourceConfig(Section):
    """What is read, and who belongs where."""

    layout: Layout = "auto"
    """Reader of the source; ``auto`` takes the first that recognises it."""
    root: str | None = None
    """Folder that the paths of a list may not leave; none: the folder of the list."""
    image_key: str | None = None
    """Name of the images' array or column in npz, h5 and Parquet files; none: the usual ones are tried."""
    mask_key: str | None = None
    """Name of the masks' array or column; none: the usual ones are tried."""
    stacks: Literal["volumes", "pictures"] = "volumes"
    """What an array of several planes is: a volume, all of one patient, or pictures that have nothing in common."""
    image_suffix: str = ""
    """End of the stem of image files, taken off before pairing (``_img`` for ``a_img.png``)."""
    mask_suffix: str = ""
    """End of the stem of mask files (``_mask`` for ``a_mask.png``); empty: the usual ones are tried."""
    mask_values: dict[int, int] | None = None
    """Pixel value in mask files -> class id (255 = ignore); none: understood from the files."""
    classes: tuple[str, ...] | None = None
    """Names of the classes by id, background first; of the channels where labels are multi-label."""
    colours: str | None = None
    """Colour table of coloured masks: a file, or ``#RRGGBB=NAME,...`` with the background first."""
    instances: bool | None = None
    """Whether values in masks are numbers of objects, all of class 1; none: as the layout has it."""
    ignore: Annotated[int, Field(ge=0)] | None = None
    """Value in mask files of pixels that belong to no class."""
    labels: Literal["auto", "exclusive", "multilabel"] = "auto"
    """Whether a pixel has one class, or each class a channel of its own."""
    label_regions: dict[str, tuple[int, ...]] | None = None
    """Multi-label: name of each channel and the mask values that belong to it, outer regions first."""
    ids: Literal["auto", "names", "hashed"] = "auto"
    """What ids are made of; ``auto``: names of files, hashes for DICOM."""
    id_key: str | None = None
    """File with a secret that keys hashed ids, so that nobody without it can try guesses."""
    split: str = "auto"
    """``auto``, a ratio TRAIN/VAL/TEST such as ``0.8/0.1/0.1``, or a file or folder with lists of ids."""
    group_by: str | None = None
    """Regular expression on the id; its first group (or the whole match) names the patient or slide."""
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Cross-validation: all but the test images are dealt into so many folds, whole groups at a time."""
    limit: PositiveInt | None = None
    """Only so many pairs or volumes, evenly spread over the sorted ids (a trial run)."""
    max_pixels: PositiveInt = 200_000_000
    """Larger images are refused before they are decoded (decompression bombs)."""
    max_voxels: PositiveInt = 1_000_000_000
    """Larger volumes, over all channels, are refused before they are decoded."""


class VolumeConfig(Section):
    """How volumes are cut into images."""

    axis: Literal["auto", "axial", "coronal", "sagittal"] = "auto"
    """Slicing axis; ``auto``: the axis across which voxels are at least twice as thick, else axial."""
    min_foreground: NonNegativeInt = 1
    """Slices with fewer foreground pixels in their mask are left out; 0 keeps all."""
    every: PositiveInt = 1
    """Every so many-th slice is looked at."""


class ImageConfig(Section):
    """The one size and form that every image and mask is brought to."""

    size: tuple[PositiveInt, PositiveInt] = (224, 224)
    """Height and width in pixels; images are resized antialiased, masks by area majority."""
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    """``stretch`` to the size; ``pad``: scaled to fit inside with the aspect kept, the rest is background;
    ``crop``: the middle as it is, without scaling, smaller images are padded."""
    tiles: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width of tiles that images are cut into first; none: images stay whole."""
    overlap: NonNegativeInt = 0
    """Pixels that neighbouring tiles share."""
    channels: Literal["auto", "1", "3"] = "auto"
    """Grey or RGB of pictures; ``auto``: RGB if any has colour. Volumes keep their modalities."""
    intensity: Literal["auto", "none", "window", "percentile", "zscore"] = "auto"
    """How numbers of volumes and arrays become pixels, see ``schemas.records.Intensity``; pictures stay as they are."""
    window: tuple[FiniteFloat, FiniteFloat] | None = None
    """Lower and upper end of the window (HU of CT); with ``percentile``, percentiles."""
    per_channel: bool = True
    """Whether each channel is scaled by its own percentiles or mean and deviation, or all alike."""
    dtype: Literal["auto", "uint8", "uint16", "float32"] = "auto"
    """How pixels are stored; ``auto``: pictures as most are, windows as uint16, percentiles as uint8, z-scores as
    float32."""

    @model_validator(mode="after")
    def _large_enough(self) -> Self:
        if min(self.size) < 16:
            raise ValueError(f"size must be at least 16 16, got {self.size[0]} {self.size[1]}")
        return self

    @model_validator(mode="after")
    def _tiles_advance(self) -> Self:
        if self.tiles is None and self.overlap:
            raise ValueError(f"overlap {self.overlap} needs tiles; add --tiles H W")
        if self.tiles is not None and self.overlap >= min(self.tiles):
            raise ValueError(f"overlap must be below the tiles {self.tiles[0]} {self.tiles[1]}, got {self.overlap}")
        return self

    @model_validator(mode="after")
    def _window_ordered(self) -> Self:
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError(f"window must be LOW HIGH with LOW below HIGH, got {self.window[0]:g} {self.window[1]:g}")
        if self.intensity == "window" and self.window is None:
            raise ValueError("intensity window needs its ends; add --window LOW HIGH")
        percentiles = self.window is not None and self.intensity == "percentile"
        if percentiles and not 0 <= self.window[0] < self.window[1] <= 100:  # type: ignore[index]
            raise ValueError(f"percentiles must lie in 0 to 100, got {self.window}")
        return self


class SuperpixelsConfig(Section):
    """SLIC in several granularities per image."""

    method: Literal["slic", "grid"] = "slic"
    """``grid`` is the square-grid control with the same region counts."""
    regions: tuple[PositiveInt, PositiveInt] = (50, 200)
    """Least and greatest number of regions asked of SLIC."""
    variants: PositiveInt = 4
    """Granularities kept per image, one drawn from each stratum of the range."""
    compactness: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """SLIC's weight of space against colour; none: 10 for RGB (Lab units), 0.1 for grey (0 to 1)."""
    sigma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Gaussian smoothing before SLIC in pixels."""
    body: Literal["auto", "all"] = "auto"
    """``auto``: where background voxels are 0 only the body is cut, the rest is one region; ``all``: everything."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.regions
        if not 2 <= low <= high <= 65535:
            raise ValueError(f"regions must hold 2 <= MIN <= MAX <= 65535, got {low} {high}")
        return self


class SaliencyConfig(Section):
    """What decides how strongly each region is blended in soft mixing."""

    backend: Literal["gradcam", "fine_grained", "spectral_residual", "precomputed", "uniform", "random"] = "gradcam"
    folder: str | None = None
    """Folder of grey maps for ``precomputed``, one per source, named by its id."""
    model: str | None = None
    """``MODULE:CALLABLE`` that makes the user's network; none: a small U-Net is fitted."""
    weights: str | None = None
    """Weights file of `model`, loaded without unpickling code."""
    layer: str | None = None
    """Dotted name of the layer for Grad-CAM; none: candidates are measured and the best is taken."""
    output_key: str | None = None
    """Entry of a dict, list or tuple output that holds the logits."""
    cam: Literal["gradcam", "gradcam++", "layercam", "hirescam"] = "gradcam"
    target: Literal["predicted", "truth", "all"] = "predicted"
    """Pixels whose foreground logits are summed."""
    side: PositiveInt | None = None
    """Longest side of the network's input in pixels; none: the image size for `model`, less for the U-Net."""
    batch: PositiveInt = 8
    """Images per forward pass; halved when the GPU's memory is short."""
    probe_images: PositiveInt = 24
    """Training images on which candidate layers are measured."""
    fit_steps: PositiveInt = 100
    """Optimiser steps of the U-Net that is fitted when no `model` is given."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.backend == "precomputed" and self.folder is None:
            raise ValueError("saliency precomputed needs a folder of maps; give --saliency-dir DIR")
        if self.folder is not None and self.backend != "precomputed":
            raise ValueError(
                f"saliency_dir is read by the precomputed backend only, got {self.backend}; add --saliency precomputed"
            )
        given = [name for name in ("model", "weights", "layer", "output_key") if getattr(self, name) is not None]
        if given and self.backend != "gradcam":
            raise ValueError(f"{given[0]} is used by Grad-CAM only, got saliency {self.backend}; drop one of them")
        if self.weights is not None and self.model is None:
            raise ValueError("weights need the network they belong to; add --model MODULE:CALLABLE")
        return self


class MixConfig(Section):
    """How samples are made from cached features."""

    copies: PositiveInt = 5
    """Mixed samples per training image (``paired``: pairs of one hard and one soft sample)."""
    policy: Literal["per-sample", "per-batch", "paired"] = "per-sample"
    probabilities: tuple[Probability, Probability, Probability] = (1 / 3, 1 / 3, 1 / 3)
    """Chance of none, hard and soft; brought to sum 1."""
    select: Probability = 0.2
    """Bernoulli probability with which each superpixel of B is taken."""
    partners: Literal["auto", "any", "other-group"] = "auto"
    """Who may be mixed with an image; ``auto``: slices of volumes and tiles only with those of another group."""
    method: Literal["superpixel", "cutmix", "mixup"] = "superpixel"
    """``cutmix`` and ``mixup`` are controls: one rectangle (hard), one lambda (soft)."""
    weight: Literal["saliency", "random"] = "saliency"
    """What lambda follows in soft mixing; ``random`` draws it per superpixel of B (a control)."""
    aggregate: Literal["sum", "mean"] = "sum"
    """Relative saliency of a region: the published area-weighted sum, or the mean."""
    lambda_range: tuple[Probability, Probability] = (0.0, 1.0)
    """Lambda, the weight of B, is kept inside this range."""
    zero_ratio: Literal["half", "zero"] = "half"
    """Relative saliency where both maps are 0: one half, or the published 0 (which favours A)."""
    small_object_guard: bool = False
    """Take small objects of B whole, and cover or spare those of A."""
    small_object_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    """An object is small below so many mean superpixel areas."""
    geometry: Literal["flips", "none"] = "flips"
    """Joint right-angle turns and flips per parent; ``none`` keeps the orientation."""
    batch_size: PositiveInt = 8
    """Samples of one mode that stay together under ``per-batch``."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(self.probabilities) <= 0:
            raise ValueError("probabilities must hold one positive number, got 0 0 0")
        if self.lambda_range[0] > self.lambda_range[1]:
            raise ValueError(f"lambda_range must be ordered, got {self.lambda_range}")
        _, hard, soft = self.probabilities
        if self.method == "cutmix" and soft > 0:
            raise ValueError("cutmix has no soft form; use --probabilities NONE HARD 0")
        if self.method == "mixup" and hard > 0:
            raise ValueError("mixup has no hard form; use --probabilities NONE 0 SOFT")
        if self.policy == "paired" and self.method != "superpixel":
            raise ValueError(f"policy paired emits hard and soft samples, {self.method} has only one of them")
        return self


class OutputConfig(Section):
    """What is written."""

    formats: tuple[Literal["webdataset", "parquet", "folder"], ...] = ("webdataset",)
    soft_encoding: SoftEncoding = "npz"
    """How soft labels are stored, see ``pipeline.dataset.soft_encoding``; all give the same labels."""
    shards: PositiveInt | None = None
    """Training shards; none: at least 32 where there are as many samples, and none above 256 MiB."""
    ranks: PositiveInt = 1
    """Processes of the training job; shards are a multiple of ranks times workers."""
    workers_per_rank: PositiveInt = 1
    """Loader workers of each of these processes."""
    name: str = "hsmix"
    """Name of the dataset in its card."""

    @property
    def readers(self) -> int:
        """Workers of all ranks together, each of which reads shards of its own."""
        return self.ranks * self.workers_per_rank

    @model_validator(mode="after")
    def _some_format(self) -> Self:
        if not self.formats or len(set(self.formats)) != len(self.formats):
            raise ValueError(f"formats must name each format once, got {list(self.formats)}")
        return self

    @model_validator(mode="after")
    def _shards_for_all_readers(self) -> Self:
        if self.shards is not None and self.shards % self.readers:
            raise ValueError(
                f"shards must be a multiple of ranks x workers_per_rank = {self.readers}, got {self.shards}; "
                "change one of them, or leave --shards away"
            )
        return self


class ExecutionConfig(Section):
    """Where and by whom the work is done; nothing here changes a byte of the result."""

    backend: Literal["ray", "serial"] = "ray"
    address: str | None = None
    """Address of a running Ray cluster; none: Ray is started for this run."""
    workers: PositiveInt | None = None
    """Units at work at once; none: the processors of this machine, or of the cluster."""
    id_map: str | None = None
    """File that tells which hashed id stands for which name; keep it apart from the dataset."""
    cache: str | None = None
    """Folder of the feature cache; none: ``.hsmix/cache`` in the output."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1800.0
    """Seconds that one unit of work may take on Ray; then its process is killed and the unit tried again elsewhere,
    then its parts one by one."""
    check_space: bool = True
    """Whether a run is refused for which its disks seem too small; the need is an estimate."""
    max_errors: NonNegativeInt | None = None
    """Refused sources and samples above which the exit status is 1; none: any number is tolerated."""


class RunConfig(Section):
    """Everything that a run depends on."""

    preset: str | None = None
    profile: Literal["paper", "robust"] = "paper"
    control: Literal["square-grid", "random-lambda", "cutmix", "mixup", "hard-only", "soft-only", "none"] | None = None
    seed: NonNegativeInt = 0
    source: SourceConfig = SourceConfig()
    volume: VolumeConfig = VolumeConfig()
    image: ImageConfig = ImageConfig()
    superpixels: SuperpixelsConfig = SuperpixelsConfig()
    saliency: SaliencyConfig = SaliencyConfig()
    mix: MixConfig = MixConfig()
    output: OutputConfig = OutputConfig()
    run: ExecutionConfig = ExecutionConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return self.model_dump(mode="json")

    def of_bytes(self) -> dict[str, Any]:
        """Return the part that decides the bytes of a dataset: all but ``run``, flattened to ``section.key``."""
        flat: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            if name == "run":
                continue
            if isinstance(value, dict):
                flat.update({f"{name}.{key}": entry for key, entry in value.items()})
            else:
                flat[name] = value
        return flat
