"""Work on a finished dataset with its cache: samples made again."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, fold_outputs, read_run
from hsmix_gen.pipeline.features.cache_description import FeatureSet, Prepared, feature_options, load, of_options
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.store_paths import is_address, location
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.mixing.make_shard import Made, make_one
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError, OutputError
from hsmix_gen.schemas.records import MODES, SPLITS, ManifestRow, Mode, SamplePlan, Split


@dataclass(frozen=True)
class Reopened:
    """A finished dataset with the cache that it was made from."""

    root: Path
    prepared: Prepared
    config: RunConfig

    def row_of(self, key: str) -> ManifestRow:
        """Return the manifest row of a sample.

        Raises
        ------
        OutputError
            If the dataset has no such sample.
        """
        if key not in self._rows:
            example = next(iter(self._rows), "")
            raise OutputError(f"{self.root} has no sample {key}; keys stand in {MANIFEST} and look like {example}")
        return self._rows[key]

    @cached_property
    def _rows(self) -> dict[str, ManifestRow]:
        return {row.key: row for row in read_manifest(self.root / MANIFEST)}

    def plan_of(self, row: ManifestRow) -> SamplePlan:
        """Return the plan of the sample of a manifest row.

        Raises
        ------
        OutputError
            If the row names a mode, a method, a split or a source that there is not.
        """
        by_id = {record.id: i for i, record in enumerate(self.prepared.records)}
        wrong = [f"source {name}" for name in (row.source_a, row.source_b) if name is not None and name not in by_id]
        methods = (None, *self.config.mix.methods)
        named = (("mode", row.mode, MODES), ("method", row.method, methods), ("split", row.split, SPLITS))
        wrong += [f"{what} {name}" for what, name, known in named if name not in known]
        if wrong:
            raise OutputError(
                f"{self.root / MANIFEST} gives {row.key} the unknown {wrong[0]}; run the same command again"
            )
        row_a, row_b = by_id[row.source_a], None if row.source_b is None else by_id[row.source_b]
        split, mode = cast(Split, row.split), cast(Mode, row.mode)
        return SamplePlan(row.key, split, mode, row_a, row_b, row.seed, row.shard, row.index, row.method)

    def make_again(self, row: ManifestRow) -> Made:
        """Make the sample of a manifest row again, from its provenance alone.

        Raises
        ------
        OutputError
            If the row names a mode, a method, a split or a source that there is not.
        """
        plan, records, layers = self.plan_of(row), self.prepared.records, self.prepared.layers
        # A part of a cache may be divided into other splits and folds than all of it.
        sources = {
            i: replace(records[i], split=plan.split, fold=row.fold) for i in (plan.row_a, plan.row_b) if i is not None
        }
        return make_one(FeatureCache(layers.root), layers, plan, sources, self.config.mix, self.config.output)


def reopen(root: Path, cache: Path | None = None) -> Reopened:
    """Open a finished dataset with its cache.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    cache : Path or None
        Folder of the cache, if it was moved since.

    Raises
    ------
    OutputError
        If the dataset is not finished.
    CacheError
        If the cache is missing or holds other features now.
    """
    run = read_run(root)
    named = run["cache"]  # an address or a path of its own, or relative to the dataset
    folder = cache or (location(named) if is_address(named) or Path(named).is_absolute() else root / named)
    if not folder.is_dir():
        raise CacheError(f"cache {folder} of {root} is not there; give its place with --cache DIR")
    made = load(folder, lambda cache, sets: _made_from(root, cache, sets, run))
    return Reopened(root, _folds_like(made, run)[0], RunConfig.model_validate(run["config"]))


def _made_from(root: Path, cache: Path, sets: list[FeatureSet], run: dict[str, Any]) -> FeatureSet:
    """Return the set of features that a dataset was made from."""
    config = RunConfig.model_validate(run["config"])
    made = [one for one in sets if _folds_like(one, run)]
    if made:
        same = [one for one in made if one.options == feature_options(config)]
        return (same or made)[0]
    now = of_options(cache, sets, config).folds[0].layers.names
    changed = next((name for name in now if now[name] != run["layers"][name]), next(iter(now)))
    raise CacheError(
        f"cache {cache} holds {now[changed]} now, {root} was made from {run['layers'][changed]}; "
        "run prepare again with the options of run.json"
    )


def _folds_like(made: FeatureSet, run: dict[str, Any]) -> list[Prepared]:
    """Return the folds of a set with the features of a dataset, that of its own number first."""
    found = [fold for fold in made.folds if fold.layers.names == run["layers"]]
    return sorted(found, key=lambda fold: fold.fold != run["fold"])


def config_of(root: Path) -> RunConfig:
    """Return the configuration that a finished dataset, or each fold of one, was made with.

    Raises
    ------
    OutputError
        If it is not finished.
    """
    folds = [] if (root / MANIFEST).is_file() else fold_outputs(root)
    return RunConfig.model_validate(read_run(folds[0] if folds else root)["config"])


def replay_sample(root: Path, key: str, *, target: Path, cache: Path | None) -> list[Path]:
    """Make one sample again and write its members into a folder; return their paths.

    Raises
    ------
    OutputError
        If the dataset has no such sample.
    """
    opened = reopen(root, cache)
    made = opened.make_again(opened.row_of(key))
    paths = []
    for name, data in made.members.items():
        path = target / f"{key}.{name}"
        atomic_files.write_whole(path, data)
        paths.append(path)
    return paths
