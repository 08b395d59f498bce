"""Work on a finished dataset with its cache: another preview, one sample made again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, Output, fold_outputs, read_run
from hsmix_gen.pipeline.features.cache_description import FeatureSet, Prepared, feature_options, load, of_options
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.store_paths import is_address, location
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.mixing.generate import written_plan
from hsmix_gen.pipeline.mixing.make_shard import Made, make_one
from hsmix_gen.pipeline.mixing.output_plan import plan_samples
from hsmix_gen.pipeline.mixing.preview import draw_preview
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError, OutputError
from hsmix_gen.schemas.records import MODES, ManifestRow, SamplePlan, Split


@dataclass(frozen=True)
class Reopened:
    """A finished dataset with the cache that it was made from."""

    root: Path
    prepared: Prepared
    config: RunConfig

    def make_again(self, row: ManifestRow) -> Made:
        """Make the sample of a manifest row again, from its provenance alone.

        Raises
        ------
        OutputError
            If the row names a mode or a source that there is not.
        """
        records = self.prepared.records
        by_id = {record.id: i for i, record in enumerate(records)}
        unknown = [name for name in (row.source_a, row.source_b) if name is not None and name not in by_id]
        if unknown or row.mode not in MODES:
            wrong = f"source {unknown[0]}" if unknown else f"mode {row.mode}"
            raise OutputError(f"{self.root / MANIFEST} gives {row.key} the unknown {wrong}; run the same command again")
        row_a = by_id[row.source_a]
        row_b = by_id[row.source_b] if row.source_b is not None else None
        split: Split = records[row_a].split
        plan = SamplePlan(row.key, split, row.mode, row_a, row_b, row.seed, row.shard, row.index)
        sources = {i: records[i] for i in (row_a, row_b) if i is not None}
        return make_one(
            FeatureCache(self.prepared.layers.root),
            self.prepared.layers,
            plan,
            sources,
            self.config.mix,
            self.config.output.soft_encoding,
        )


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
    folder = cache or _cache_of(root, run["cache"])
    if not folder.is_dir():
        raise CacheError(f"cache {folder} of {root} is not there; give its place with --cache DIR")
    prepared = load(folder, lambda cache, sets: _made_from(root, cache, sets, run)).folds[run["fold"] or 0]
    return Reopened(root, prepared, RunConfig.model_validate(run["config"]))


def _made_from(root: Path, cache: Path, sets: list[FeatureSet], run: dict[str, Any]) -> FeatureSet:
    """Return the set of features that a dataset was made from."""
    config = RunConfig.model_validate(run["config"])
    fold = run["fold"] or 0
    made = [one for one in sets if fold < len(one.folds) and one.folds[fold].layers.names == run["layers"]]
    if made:
        same = [one for one in made if one.options == feature_options(config)]
        return (same or made)[0]
    now = of_options(cache, sets, config).folds[0].layers.names
    changed = next((name for name in now if now[name] != run["layers"][name]), next(iter(now)))
    raise CacheError(
        f"cache {cache} holds {now[changed]} now, {root} was made from {run['layers'][changed]}; "
        "run prepare again with the options of run.json"
    )


def config_of(root: Path) -> RunConfig:
    """Return the configuration that a finished dataset, or each fold of one, was made with.

    Raises
    ------
    OutputError
        If it is not finished.
    """
    folds = [] if (root / MANIFEST).is_file() else fold_outputs(root)
    return RunConfig.model_validate(read_run(folds[0] if folds else root)["config"])


def _cache_of(root: Path, named: str) -> Path:
    """Return the cache that a dataset names: an address or a path of its own, or relative to the dataset."""
    return location(named) if is_address(named) or Path(named).is_absolute() else root / named


def preview_output(root: Path, *, rows: int, target: Path | None, cache: Path | None) -> Path:
    """Draw the contact sheet of a finished dataset and return where it is."""
    opened = reopen(root, cache)
    output = Output(root)
    plan = plan_samples(
        opened.prepared.layers.facts, opened.prepared.records, opened.config, output.bindings.read()[:-1]
    )
    records = {record.name: record for record in output.rows()}
    plan = written_plan(plan, records, opened.prepared.records)
    path = target or root / "preview.png"
    atomic_files.write_whole(path, draw_preview(opened.prepared, opened.config, plan, n_rows=rows))
    return path


def replay_sample(root: Path, key: str, *, target: Path, cache: Path | None) -> list[Path]:
    """Make one sample again and write its members into a folder; return their paths.

    Raises
    ------
    OutputError
        If the dataset has no such sample.
    """
    opened = reopen(root, cache)
    rows = {row.key: row for row in read_manifest(root / MANIFEST)}
    if key not in rows:
        example = next(iter(rows), "")
        raise OutputError(f"{root} has no sample {key}; keys stand in {MANIFEST} and look like {example}")
    made = opened.make_again(rows[key])
    paths = []
    for name, data in made.members.items():
        path = target / f"{key}.{name}"
        atomic_files.write_whole(path, data)
        paths.append(path)
    return paths
