"""The options of the command line, in groups that commands share; defaults stand in `schemas.config`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hsmix_gen.pipeline.locations import is_address, is_remote, location
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


source_options = _options(
    click.option(
        "--layout",
        metavar="NAME",
        help="Reader of the source: isic, glas, monuseg, synapse, arrays, brats, msd, nnunet, coco, dicom, parquet, webdataset, list, folder, or auto: recognised.  [default: auto]",
    ),
    click.option("--root", type=LOCATION_TEXT, metavar="DIR", help="Folder that the paths of a list may not leave.  [default: that of the list]"),
    click.option("--image-key", metavar="NAME", help="Array or column of images in npz, h5 and Parquet files.  [default: the usual names]"),
    click.option("--mask-key", metavar="NAME", help="Array or column of masks.  [default: the usual names]"),
    click.option("--image-suffix", metavar="TEXT", help="End of the stem of image files, such as _img."),
    click.option(
        "--mask-suffix",
        metavar="TEXT",
        help="End of the stem of mask files, such as _mask.  [default: the usual ones]",
    ),
    click.option(
        "--mask-values",
        metavar="V=C,…",
        help="Mask value to class id, such as 0=0,128=1,255=2; 255 as class is ignore.  [default: understood from the files]",
    ),
    click.option("--classes", metavar="NAME,…", help="Names of the classes by id, background first (of the channels with --labels multilabel)."),
    click.option("--colours", metavar="FILE|#RRGGBB=NAME,…", help="Colour table of coloured masks.  [default: class_dict.csv or labelmap.txt in SOURCE]"),
    click.option("--instances/--no-instances", default=None, help="Mask values are numbers of objects, all of class 1.  [default: as the layout has it]"),
    click.option("--ignore", type=int, metavar="V", help="Mask value of pixels that belong to no class."),
    click.option("--labels", metavar="MODE", help="exclusive: a pixel has one class; multilabel: each class has a channel of its own; auto: as the layout has it.  [default: auto]"),
    click.option("--label-regions", metavar="NAME=V+V,…", help="Channels of multi-label and their mask values, outer first: WT=1+2+4,TC=1+4,ET=4."),
    click.option(
        "--split",
        metavar="FILE|RATIO",
        help="Folder with train.txt, val.txt, test.txt, a file of ID SPLIT, or TRAIN/VAL/TEST.  [default: SOURCE/splits, else the source's own, else 0.8/0.1/0.1]",
    ),
    click.option(
        "--group-by",
        metavar="REGEX",
        help="Names the patient or slide in the id; groups are never torn between splits.",
    ),
    click.option("--ids", metavar="NAME", help="Ids are names of files, hashed, or auto: hashed for DICOM.  [default: auto]"),
    click.option("--id-key", type=LOCAL_PATH, metavar="FILE", help="A secret that keys hashed ids."),
    click.option("--id-map", type=LOCAL_PATH, metavar="FILE", help="Write which hashed id stands for which name; keep it apart."),
    click.option("--folds", type=int, metavar="K", help="Cross-validation: K datasets, fold-0 to fold-(K-1), whole groups in one fold."),
    click.option("--limit", type=int, metavar="N", help="Only N pairs or volumes, evenly spread (a trial run)."),
    click.option("--axis", metavar="NAME", help="Slicing axis of volumes: auto (the coarsest), axial, coronal or sagittal.  [default: auto]"),
    click.option("--min-foreground", type=int, metavar="N", help="Leave out slices of volumes with fewer foreground pixels; 0 keeps all.  [default: 1]"),
    click.option("--every", type=int, metavar="K", help="Take every K-th slice of volumes.  [default: 1]"),
    click.option(
        "--size",
        nargs=2,
        type=int,
        metavar="H W",
        help="Height and width of all images in pixels.  [default: 224 224]",
    ),
    click.option("--fit", metavar="NAME", help="stretch to the size, pad (aspect kept), or crop the middle without scaling.  [default: stretch]"),
    click.option("--tiles", nargs=2, type=int, metavar="H W", help="Cut images into tiles first."),
    click.option("--overlap", type=int, metavar="N", help="Pixels that neighbouring tiles share.  [default: 0]"),
    click.option("--channels", metavar="auto|1|3", help="Grey or RGB of pictures.  [default: auto]"),
    click.option("--intensity", metavar="NAME", help="Of volumes and arrays: window, percentile, zscore, none, or auto: a window for CT, else percentiles.  [default: auto]"),
    click.option("--window", nargs=2, type=float, metavar="LOW HIGH", help="Window in the units of the file (HU of CT), or the two percentiles."),
    click.option("--dtype", metavar="NAME", help="Stored as uint8, uint16, float32, or auto: by the intensity.  [default: auto]"),
)
feature_options = _options(
    click.option(
        "--regions",
        nargs=2,
        type=int,
        metavar="MIN MAX",
        help="Superpixels asked of SLIC, drawn evenly over the range.  [default: 50 200]",
    ),
    click.option("--variants", type=int, metavar="G", help="Granularities kept per image.  [default: 4]"),
    click.option(
        "--compactness",
        type=float,
        metavar="C",
        help="Weight of space against colour in SLIC.  [default: 10 for RGB, 0.1 for grey]",
    ),
    click.option("--sigma", type=float, metavar="S", help="Smoothing before SLIC in pixels.  [default: 1]"),
    click.option(
        "--saliency",
        metavar="BACKEND",
        help="gradcam, fine_grained, spectral_residual, precomputed, uniform or random.  [default: gradcam]",
    ),
    click.option(
        "--saliency-dir",
        type=LOCATION_TEXT,
        metavar="DIR",
        help="Maps for the precomputed backend, one per source, named by its id.",
    ),
    click.option(
        "--model",
        metavar="MODULE:CALLABLE",
        help="Makes your network for Grad-CAM.  [default: a small U-Net is fitted on the training split]",
    ),
    click.option("--weights", type=LOCATION_TEXT, metavar="FILE", help="Weights of --model; no code in them is run."),
    click.option(
        "--layer",
        metavar="NAME",
        help="Layer for Grad-CAM.  [default: candidates are measured, the best is taken]",
    ),
    click.option("--output-key", metavar="NAME", help="Entry of the network's output that holds the logits."),
)
mix_options = _options(
    click.option("--copies", type=int, metavar="K", help="Mixed samples per training image (pairs under --policy paired).  [default: 5]"),
    click.option("--partners", metavar="NAME", help="Who is mixed with an image: any other, other-group, or auto: other-group for volumes and tiles.  [default: auto]"),
    click.option("--policy", metavar="NAME", help="per-sample, per-batch or paired.  [default: per-sample]"),
    click.option("--probabilities", nargs=3, type=float, metavar="NONE HARD SOFT", help="Chance of each mode.  [default: 1/3 each]"),
    click.option("--select", type=float, metavar="P", help="Chance of each superpixel of B to be taken.  [default: 0.2]"),
    click.option("--aggregate", metavar="sum|mean", help="Saliency of a region: published area-weighted sum, or mean.  [default: sum]"),
    click.option("--profile", metavar="paper|robust", help="paper: the published formulas; robust: mean, lambda at most 0.5, small objects kept whole.  [default: paper]"),
    click.option("--control", metavar="NAME", help="For ablations: square-grid, random-lambda, cutmix, mixup, hard-only, soft-only or none."),
    click.option("--format", multiple=True, metavar="NAME", help="webdataset, parquet or folder (files with an MSD datalist); repeat it for several.  [default: webdataset]"),
    click.option("--soft-encoding", metavar="NAME", help="Soft labels as npz, npy (large, fastest), pair (two classes and a weight) or png (8 bit).  [default: npz]"),
    click.option("--shards", type=int, metavar="N", help="Training shards.  [default: at least 32 if there are as many samples]"),
    click.option("--ranks", type=int, metavar="R", help="Processes that will train: equal shards, a multiple of R times W.  [default: 1]"),
    click.option("--workers-per-rank", type=int, metavar="W", help="Loader workers of each of them.  [default: 1]"),
)
job_options = _options(
    click.option("--preset", metavar="NAME", help="Values for a known dataset; see hsmix-gen presets."),
    click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with the same names."),
    click.option("-o", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Set any key of the configuration; repeat it for more."),
    click.option("--seed", type=int, metavar="N", help="Seed of every draw.  [default: 0]"),
    click.option("--backend", metavar="ray|serial", help="Who runs the units of work.  [default: ray]"),
    click.option("--address", metavar="ADDRESS", help="A running Ray cluster.  [default: Ray is started here]"),
    click.option("--workers", type=int, metavar="N", help="Units at work at once.  [default: all processors]"),
    click.option("--max-errors", type=int, metavar="N", help="Exit with 1 if more sources were refused.  [default: no limit]"),
    click.option("--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", help="Bars, lines or nothing on stderr."),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="json: one object a line on stderr."),
    click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only."),
    click.option("-v", "--verbose", is_flag=True, help="Show a traceback also for errors that you can mend."),
)
cache_option = click.option(
    "--cache",
    type=LOCATION_TEXT,
    metavar="DIR",
    help="Feature cache, shared by runs on the same source.  [default: OUTPUT/.hsmix/cache]",
)
fresh_option = click.option("--fresh", is_flag=True, help="Remove what an earlier run left in OUTPUT first.")
extend_option = click.option(
    "--extend",
    is_flag=True,
    help="Add more --copies or new sources to a finished OUTPUT, in new shards; those that are there stay as they are.",
)
