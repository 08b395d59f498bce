"""The options of the command line, in groups that commands share; defaults stand in `schemas.config`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from hsmix_gen.pipeline.cli.help_sections import SectionOption
from hsmix_gen.pipeline.files.store_paths import is_address, is_remote, location
from hsmix_gen.schemas.errors import HsmixError

_Command = TypeVar("_Command", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A path made absolute, so that workers with another working directory find it."""

    def __init__(self) -> None:
        super().__init__(resolve_path=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse addresses of object stores, which would be taken for a relative path."""
        if is_address(str(value)):
            self.fail("must be a local or mounted path here, got an address of a store", param, ctx)
        return super().convert(value, param, ctx)


class Location(LocalPath):
    """A local path made absolute, or an address in an object store; with `as_text` an address stays a text."""

    def __init__(self, *, as_text: bool = False) -> None:
        super().__init__()
        self._as_text = as_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check an address without any request."""
        if is_remote(value):
            return value
        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        try:
            address = location(str(value))
        except HsmixError as error:
            self.fail(str(error), param, ctx)
        return str(address) if self._as_text else address


LOCAL_PATH = LocalPath()
LOCATION = Location()
LOCATION_TEXT = Location(as_text=True)
"""For values of the configuration, which is plain text."""


# fmt: off

def _options(*decorators: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _section(title: str) -> Callable[..., Callable[[_Command], _Command]]:
    """Return what makes options of a section, as `click.option` does."""
    return partial(click.option, cls=SectionOption, section=title)


_of_source = _section("Source")
_of_images = _section("Images")
_of_features = _section("Superpixels and saliency")
_of_mixing = _section("Mixing")
_of_output = _section("Output")
_of_configuration = _section("Configuration")
_of_running = _section("Running")

source_options = _options(
    _of_source(
        "--layout",
        metavar="NAME",
        help="Reader of the source: isic, glas, monuseg, synapse, arrays, brats, msd, nnunet, coco, dicom, parquet, webdataset, list, folder, or auto: recognised.  [default: auto]",
    ),
    _of_source("--root", type=LOCATION_TEXT, metavar="DIR", help="Folder that the paths of a list may not leave.  [default: that of the list]"),
    _of_source("--image-key", metavar="NAME", help="Array or column of images in npz, h5 and Parquet files.  [default: the usual names]"),
    _of_source("--mask-key", metavar="NAME", help="Array or column of masks.  [default: the usual names]"),
    _of_source("--stacks", metavar="volumes|pictures", help="Arrays of several planes are volumes, or stacks of pictures that have nothing in common.  [default: volumes]"),
    _of_source("--image-suffix", metavar="TEXT", help="End of the stem of image files, such as _img."),
    _of_source(
        "--mask-suffix",
        metavar="TEXT",
        help="End of the stem of mask files, such as _mask.  [default: the usual ones]",
    ),
    _of_source(
        "--mask-values",
        metavar="V=C,…",
        help="Mask value to class id, such as 0=0,128=1,255=2; 255 as class is ignore.  [default: understood from the files]",
    ),
    _of_source("--classes", metavar="NAME,…", help="Names of the classes by id, background first (of the channels with --labels multilabel)."),
    _of_source("--colours", metavar="FILE|#RRGGBB=NAME,…", help="Colour table of coloured masks.  [default: class_dict.csv or labelmap.txt in SOURCE]"),
    _of_source("--instances/--no-instances", default=None, help="Mask values are numbers of objects, all of class 1.  [default: as the layout has it]"),
    _of_source("--ignore", type=int, metavar="V", help="Mask value of pixels that belong to no class."),
    _of_source("--labels", metavar="MODE", help="exclusive: a pixel has one class; multilabel: each class has a channel of its own; auto: as the layout has it.  [default: auto]"),
    _of_source("--label-regions", metavar="NAME=V+V,…", help="Channels of multi-label and their mask values, outer first: WT=1+2+4,TC=1+4,ET=4."),
    _of_source(
        "--split",
        metavar="FILE|RATIO",
        help="Folder with train.txt, val.txt, test.txt, a file of ID SPLIT, or TRAIN/VAL/TEST.  [default: SOURCE/splits, else the source's own, else 0.8/0.1/0.1]",
    ),
    _of_source(
        "--group-by",
        metavar="REGEX",
        help="Names the patient or slide in the id; groups are never torn between splits.",
    ),
    _of_source("--ids", metavar="NAME", help="Ids are names of files, hashed, or auto: hashed for DICOM.  [default: auto]"),
    _of_source("--id-key", type=LOCAL_PATH, metavar="FILE", help="A secret that keys hashed ids."),
    _of_source("--id-map", type=LOCAL_PATH, metavar="FILE", help="Write which hashed id stands for which name; keep it apart."),
    _of_source("--folds", type=int, metavar="K", help="Cross-validation: K datasets, fold-0 to fold-(K-1), whole groups in one fold."),
    _of_source("--limit", type=int, metavar="N", help="Only N pairs or volumes, evenly spread (a trial run)."),
    _of_images("--axis", metavar="NAME", help="Slicing axis of volumes: auto (the coarsest), axial, coronal or sagittal.  [default: auto]"),
    _of_images("--min-foreground", type=int, metavar="N", help="Leave out slices of volumes with fewer foreground pixels; 0 keeps all.  [default: 1]"),
    _of_images("--every", type=int, metavar="K", help="Take every K-th slice of volumes.  [default: 1]"),
    _of_images(
        "--size",
        nargs=2,
        type=int,
        metavar="H W",
        help="Height and width of all images in pixels.  [default: 224 224]",
    ),
    _of_images("--fit", metavar="NAME", help="stretch to the size, pad (aspect kept), or crop the middle without scaling.  [default: stretch]"),
    _of_images("--tiles", nargs=2, type=int, metavar="H W", help="Cut images into tiles first."),
    _of_images("--overlap", type=int, metavar="N", help="Pixels that neighbouring tiles share.  [default: 0]"),
    _of_images("--channels", metavar="auto|1|3", help="Grey or RGB of pictures.  [default: auto]"),
    _of_images("--intensity", metavar="NAME", help="Of volumes and arrays: window, percentile, zscore, none, or auto: a window for CT, else percentiles.  [default: auto]"),
    _of_images("--window", nargs=2, type=float, metavar="LOW HIGH", help="Window in the units of the file (HU of CT), or the two percentiles."),
    _of_images("--dtype", metavar="NAME", help="Stored as uint8, uint16, float32, or auto: by the intensity.  [default: auto]"),
)
feature_options = _options(
    _of_features(
        "--regions",
        nargs=2,
        type=int,
        metavar="MIN MAX",
        help="Superpixels asked of SLIC, drawn evenly over the range.  [default: 50 200]",
    ),
    _of_features("--variants", type=int, metavar="G", help="Granularities kept per image.  [default: 4]"),
    _of_features(
        "--compactness",
        type=float,
        metavar="C",
        help="Weight of space against colour in SLIC.  [default: 10 for RGB, 0.1 for grey]",
    ),
    _of_features("--sigma", type=float, metavar="S", help="Smoothing before SLIC in pixels.  [default: 1]"),
    _of_features(
        "--saliency",
        metavar="BACKEND",
        help="gradcam, fine_grained, spectral_residual, precomputed, uniform or random.  [default: gradcam]",
    ),
    _of_features(
        "--saliency-dir",
        type=LOCATION_TEXT,
        metavar="DIR",
        help="Maps for the precomputed backend, one per source, named by its id.",
    ),
    _of_features(
        "--model",
        metavar="MODULE:CALLABLE",
        help="Makes your network for Grad-CAM.  [default: a small U-Net is fitted on the training split]",
    ),
    _of_features("--weights", type=LOCATION_TEXT, metavar="FILE", help="Weights of --model; no code in them is run."),
    _of_features(
        "--layer",
        metavar="NAME",
        help="Layer for Grad-CAM.  [default: candidates are measured, the best is taken]",
    ),
    _of_features("--output-key", metavar="NAME", help="Entry of the network's output that holds the logits."),
)
mix_options = _options(
    _of_mixing("--copies", type=int, metavar="K", help="Mixed samples per training image (pairs under --policy paired).  [default: 5]"),
    _of_mixing("--partners", metavar="NAME", help="Who is mixed with an image: any other, other-group, or auto: other-group for volumes and tiles.  [default: auto]"),
    _of_mixing("--policy", metavar="NAME", help="per-sample, per-batch or paired.  [default: per-sample]"),
    _of_mixing("--probabilities", nargs=3, type=float, metavar="NONE HARD SOFT", help="Chance of each mode.  [default: 1/3 each]"),
    _of_mixing("--select", type=float, metavar="P", help="Chance of each superpixel of B to be taken.  [default: 0.2]"),
    _of_mixing("--aggregate", metavar="sum|mean", help="Saliency of a region: published area-weighted sum, or mean.  [default: sum]"),
    _of_mixing("--profile", metavar="paper|robust", help="paper: the published formulas; robust: mean, lambda at most 0.5, small objects kept whole.  [default: paper]"),
    _of_mixing("--control", metavar="NAME", help="For ablations: square-grid, random-lambda, cutmix, mixup, hard-only, soft-only or none."),
    _of_output("--format", multiple=True, metavar="NAME", help="webdataset, parquet or folder (files with an MSD datalist); repeat it for several.  [default: webdataset]"),
    _of_output("--soft-encoding", metavar="NAME", help="Soft labels as npz, npy (large, fastest), pair (two classes and a weight) or png (8 bit).  [default: npz]"),
    _of_output("--shards", type=int, metavar="N", help="Training shards.  [default: at least 32 if there are as many samples]"),
    _of_output("--ranks", type=int, metavar="R", help="Processes that will train: equal shards, a multiple of R times W.  [default: 1]"),
    _of_output("--workers-per-rank", type=int, metavar="W", help="Loader workers of each of them.  [default: 1]"),
)
job_options = _options(
    _of_configuration("--preset", metavar="NAME", help="Values for a known dataset; see hsmix-gen presets."),
    _of_configuration("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with the same names."),
    _of_configuration("-o", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Set any key of the configuration; repeat it for more."),
    _of_configuration("--seed", type=int, metavar="N", help="Seed of every draw.  [default: 0]"),
    _of_running("--backend", metavar="ray|serial", help="Who runs the units of work.  [default: ray]"),
    _of_running("--address", metavar="ADDRESS", help="A running Ray cluster.  [default: Ray is started here]"),
    _of_running("--workers", type=int, metavar="N", help="Units at work at once.  [default: all processors]"),
    _of_running("--max-errors", type=int, metavar="N", help="Exit with 1 if more sources were refused.  [default: no limit]"),
    _of_running("--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", help="Bars, lines or nothing on stderr."),
    _of_running("--log-format", type=click.Choice(["text", "json"]), default="text", help="json: one object a line on stderr."),
    _of_running("-q", "--quiet", is_flag=True, help="Warnings and errors only."),
    _of_running("-v", "--verbose", is_flag=True, help="Show a traceback also for errors that you can mend."),
)
cache_option = _of_output(
    "--cache",
    type=LOCATION_TEXT,
    metavar="DIR",
    help="Feature cache, shared by runs on the same source.  [default: OUTPUT/.hsmix/cache]",
)
new_cache_option = _of_output("--cache", required=True, type=LOCATION, metavar="DIR", help="Where the features go.")
finished_cache_option = _of_source(
    "--cache", required=True, type=LOCATION, metavar="DIR", help="A cache that prepare finished."
)
fresh_option = _of_output("--fresh", is_flag=True, help="Remove what an earlier run left in OUTPUT first.")
extend_option = _of_output(
    "--extend",
    is_flag=True,
    help="Add more --copies or new sources to a finished OUTPUT, in new shards; those that are there stay as they are.",
)
dry_run_option = _of_running(
    "--dry-run", is_flag=True, help="Only tell counts, bytes and time (measured on a few images)."
)
