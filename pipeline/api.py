"""The Python interface: the commands as functions, for notebooks and workflow managers.

They take the options of the command line as keywords with the same names (``size=(224, 224)``, ``copies=5``), return
what was done, raise a child of `HsmixError` for what a user can mend, and neither print nor end the process. Notes and
warnings go to the logger ``hsmix_gen`` unless a `progress` callback takes them.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Display, Reporter
from hsmix_gen.pipeline.features.feature_choice import resolve_on_cache
from hsmix_gen.pipeline.files.store_paths import is_address, is_remote, location
from hsmix_gen.pipeline.jobs.inspect_source import inspect_source
from hsmix_gen.pipeline.jobs.run import Finished, run_all, run_generate, run_prepare
from hsmix_gen.pipeline.reporting.report import Reported, report_output
from hsmix_gen.pipeline.verification.report import Depth
from hsmix_gen.pipeline.verification.verify import verify_output
from hsmix_gen.schemas.config import RunConfig

if TYPE_CHECKING:
    from hsmix_gen.pipeline.loading.torch_datasets import HsmixDataset

_LOG = logging.getLogger("hsmix_gen")


@dataclass(frozen=True)
class Progress:
    """How far a job is, or what it has to say.

    Attributes
    ----------
    event : {"start", "progress", "note", "warning"}
    stage : str
        Name of the stage, of the first two kinds.
    done, total : int
        Things finished, and in all.
    rate : float
        Things a second.
    text : str
        Of a note or a warning.
    """

    event: Literal["start", "progress", "note", "warning"]
    stage: str = ""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    text: str = ""


OnProgress = Callable[[Progress], None]
Place = str | Path
"""A local path, or an address in a store such as ``s3://bucket/key``."""


@dataclass(frozen=True)
class Inspection:
    """What was understood of a source.

    Attributes
    ----------
    layout : str
    images, usable, groups : int
    classes : tuple of str
        Names by class id, background first, or of the channels.
    splits : dict
        Usable images of each split.
    problems : tuple of dict
        ``id``, ``path``, ``stage`` and ``reason`` of each.
    details : dict
        All of it, as ``hsmix-gen inspect --json`` prints it.
    """

    layout: str
    images: int
    usable: int
    groups: int
    classes: tuple[str, ...]
    splits: dict[str, int]
    problems: tuple[dict[str, str], ...]
    details: dict[str, Any]


@dataclass(frozen=True)
class PreparedCache:
    """A finished cache.

    Attributes
    ----------
    cache : Path
    images, refused, folds : int
        Images with features, sources left out, and folds (1 without folds).
    """

    cache: Path
    images: int
    refused: int
    folds: int


@dataclass(frozen=True)
class Made:
    """A finished dataset; of several folds the numbers are those of all.

    Attributes
    ----------
    output, cache : Path
    samples, shards, bytes : int
    refused, refused_samples : int
        Sources and planned samples that were left out.
    folds : tuple of Path
        The dataset of each fold; the output alone without folds.
    """

    output: Path
    cache: Path
    samples: int
    shards: int
    bytes: int
    refused: int
    refused_samples: int
    folds: tuple[Path, ...]


@dataclass(frozen=True)
class Verification:
    """What a check of a dataset found.

    Attributes
    ----------
    sound : bool
    depth : {"names", "checksums", "samples"}
    checked : dict
        How many things of each kind were checked.
    problems : tuple of str
    """

    sound: bool
    depth: Depth
    checked: dict[str, int]
    problems: tuple[str, ...]


def inspect(
    source: Place,
    *,
    config: Place | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Inspection:
    """Return what is understood of a source; no work is done.

    Parameters
    ----------
    source : path or address
    config : path or None
        A YAML file of options, or the ``run.json`` of a dataset.
    settings : mapping
        Values by ``section.key``, as ``-o`` takes them: ``{"mix.zero_ratio": "zero"}``.
    progress : callable or None
        Is given a `Progress` for whatever happens.
    **options
        Options of the command by their names, with underscores.

    Raises
    ------
    HsmixError
        Saying in one line what to mend.
    """
    reporter = _reporter(progress)
    found = inspect_source(_place(source), _resolved(config, settings, options, mixes=False), reporter)
    return Inspection(
        layout=found["layout"],
        images=found["images"],
        usable=found["usable"],
        groups=found["groups"],
        classes=tuple(entry["name"] for entry in found["classes"] if entry["name"] != "ignore"),
        splits=found["splits"],
        problems=tuple(found["problems"]),
        details=found,
    )


def prepare(
    source: Place,
    cache: Place,
    *,
    config: Place | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> PreparedCache:
    """Compute the features of a source into a cache (the GPU half); see `inspect` for the other parameters."""
    resolved = _resolved(config, settings, options, mixes=False)
    prepared = run_prepare(_place(source), _place(cache), resolved, _reporter(progress))
    usable = sum(record.refusal is None for record in prepared[0].records)
    return PreparedCache(_place(cache), usable, len(prepared[0].refusals), len(prepared))


def generate(
    cache: Place,
    output: Place,
    *,
    fresh: bool = False,
    extend: bool = False,
    config: Place | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Made:
    """Mix from a finished cache (the CPU half); see `run` for the parameters."""
    target = Output(_place(output))
    resolved = resolve_on_cache(
        _place(cache), lambda base: _resolved(config, settings, options, base), {} if fresh else target.options
    )
    return _made(run_generate(_place(cache), target, resolved, _reporter(progress), fresh=fresh, extend=extend))


def run(
    source: Place,
    output: Place,
    *,
    fresh: bool = False,
    extend: bool = False,
    config: Place | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Made:
    """Do the whole job; called again after any stop, it finishes what is missing.

    Parameters
    ----------
    source, output : path or address
    fresh : bool
        Remove what an earlier run left in the output, once the new dataset is planned.
    extend : bool
        Add copies and sources to a finished dataset; its shards stay as they are.
    config, settings, progress, **options
        See `inspect`.

    Raises
    ------
    HsmixError
        Saying in one line what to mend.
    """
    resolved = _resolved(config, settings, options)
    return _made(
        run_all(_place(source), Output(_place(output)), resolved, _reporter(progress), fresh=fresh, extend=extend)
    )


def verify(output: Place, *, depth: Depth = "samples", replay: int = 0, cache: Place | None = None) -> Verification:
    """Check a finished dataset.

    Parameters
    ----------
    output : path or address
    depth : {"names", "checksums", "samples"}
        How deep to look.
    replay : int
        So many samples are made again and compared byte for byte.
    cache : path or None
        The cache, if it was moved.
    """
    found = verify_output(_place(output), depth=depth, replays=replay, cache=_place(cache) if cache else None)
    return Verification(not found.problems, found.depth, dict(found.checked), tuple(found.problems))


def report(
    output: Place,
    other: Place | None = None,
    *,
    to: Place | None = None,
    cache: Place | None = None,
    progress: OnProgress | None = None,
) -> Reported:
    """Write ``report.html`` and ``report.json`` of a dataset or a cache, or of two side by side.

    Parameters
    ----------
    output : path or address
        A finished dataset or a cache.
    other : path or None
        A second one, to compare with.
    to : path or None
        Folder for both files; None: `output`, or of two the current folder.
    cache : path or None
        The cache of `output`, if it was moved.
    progress : callable or None
    """
    return report_output(
        _place(output),
        _reporter(progress),
        other=_place(other) if other else None,
        target=_place(to) if to else None,
        cache=_place(cache) if cache else None,
    )


def load(output: Place, split: str = "train", **options: Any) -> "HsmixDataset":
    """Return a split of a finished dataset as a torch dataset; see `HsmixDataset` for the options."""
    # torch takes seconds to import, and the other functions do without it.
    from hsmix_gen.pipeline.loading.torch_datasets import HsmixDataset

    return HsmixDataset(_place(output), split, **options)


class _CallbackDisplay(Display):
    """Hands everything to a callback."""

    def __init__(self, call: OnProgress) -> None:
        self._call = call

    def start(self, stage: str, total: int, done: int) -> None:
        self._call(Progress("start", stage, done, total))

    def advance(self, stage: str, done: int, total: int, rate: float) -> None:
        self._call(Progress("progress", stage, done, total, rate))

    def note(self, text: str) -> None:
        self._call(Progress("note", text=text))

    def warn(self, text: str) -> None:
        self._call(Progress("warning", text=text))


class _LogDisplay(Display):
    """Notes and warnings in the log."""

    def note(self, text: str) -> None:
        _LOG.info("%s", text)

    def warn(self, text: str) -> None:
        _LOG.warning("%s", text)


def _reporter(progress: OnProgress | None) -> Reporter:
    return Reporter(_LogDisplay() if progress is None else _CallbackDisplay(progress))


def _place(value: Place) -> Path:
    """Return a path that workers with another working directory find, or an address."""
    if is_remote(value):
        return value
    return location(str(value)) if is_address(str(value)) else Path(value).resolve()


def _resolved(
    config: Place | None,
    settings: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
    *,
    mixes: bool = True,
) -> RunConfig:
    given = {**options, **(settings or {})}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return resolve(file=None if config is None else Path(config), options=plain, base=base, mixes=mixes)


def _made(finished: Finished) -> Made:
    outcomes = [outcome for _, outcome in finished.outcomes]
    return Made(
        output=finished.output.root,
        cache=finished.cache,
        samples=sum(outcome.samples for outcome in outcomes),
        shards=sum(outcome.shards for outcome in outcomes),
        bytes=sum(outcome.bytes for outcome in outcomes),
        refused=outcomes[0].refused,
        refused_samples=sum(outcome.refused_samples for outcome in outcomes),
        folds=tuple(output.root for output, _ in finished.outcomes),
    )
