"""The descriptions of a cache, one for each set of features in it: written when all layers of a set are there."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution.human_units import text_of
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.sealed_json import unsealed, write_sealed
from hsmix_gen.pipeline.files.tables import read_sources, write_sources
from hsmix_gen.pipeline.sources.source_records import (
    SOURCES_FILE,
    bound_sources,
    check_same,
    native_pixels,
    per_fold,
    refusals_of,
)
from hsmix_gen.schemas.config import MixConfig, RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import CacheError, OutputError
from hsmix_gen.schemas.presets import CONTROLS, PRESETS
from hsmix_gen.schemas.records import DatasetFacts, Refusal, SourceRecord, record_of

_OLD_FILE = "features.json"
"""Description of caches that held one set of features."""
_FEATURES, _SOURCES = "features-", "sources-"
"""How the names of the two files of a set begin; a digest of its options follows."""
_PART_FILE = "part.json"
"""The ``--limit`` and ``--subset`` of the last run that used the cache, where they took a part of the sources."""
_OPTIONS = ("source.", "volume.", "image.", "superpixels.", "saliency.")
"""Sections whose keys decide features."""
HOMES = ("source.split", "source.folds", "source.limit", "source.subset", "source.subset_seed")
"""Keys that decide which sources are used, and for what; features are of all of them."""


@dataclass(frozen=True)
class Prepared:
    """A finished cache: its sources, its layers and how the saliency came about."""

    layers: Layers
    records: list[SourceRecord]
    unpaired: tuple[Refusal, ...]
    saliency: dict[str, Any]
    seed: int
    """Seed of the split and of the fitted network; the seed of the mixing may be another."""

    @property
    def refusals(self) -> list[Refusal]:
        """Everything that was left out so far."""
        return [*self.unpaired, *refusals_of(self.records)]

    @property
    def n_sources(self) -> int:
        """Number of the sources, refused ones too, of which nobody left out any."""
        return sum(not record.is_left_out for record in self.records) + len(self.unpaired)

    @property
    def fold(self) -> int | None:
        """Number of the fold, or None where there are no folds."""
        return next((record.fold for record in self.records if record.fold is not None), None)


@dataclass(frozen=True)
class FeatureSet:
    """A finished set of features."""

    folds: list[Prepared]
    """One for each fold."""
    config: RunConfig
    """The configuration that it was made with."""
    is_half: bool
    """Whether ``prepare`` made it, for ``generate`` to take over all of the configuration."""

    @property
    def options(self) -> dict[str, Any]:
        """What its features depend on besides the sources, by ``section.key``."""
        return feature_options(self.config)

    @property
    def inherited(self) -> RunConfig:
        """What ``generate`` takes over: all of what was prepared, of another run only features and preset."""
        config = self.config
        if self.is_half:
            return config
        named = PRESETS[config.preset].values if config.preset else {}
        control = CONTROLS[config.control].values if config.control else {}
        of_features = any(key.startswith(_OPTIONS) for key in control)
        mix = {key.removeprefix("mix."): value for key, value in named.items() if key.startswith("mix.")}
        return RunConfig(
            preset=config.preset,
            control=config.control if of_features else None,
            seed=config.seed,
            mix=MixConfig.model_validate(mix),
            **{name: getattr(config, name) for name in (*(name.rstrip(".") for name in _OPTIONS), "run")},
        )


def feature_options(config: RunConfig) -> dict[str, Any]:
    """Return what features depend on besides the sources, by ``section.key``; the seed is that of split and network."""
    return {key: value for key, value in config.flat().items() if key.startswith(_OPTIONS) or key == "seed"}


def begin(layers: Sequence[Layers], records: Sequence[SourceRecord], config: RunConfig) -> None:
    """Bind a cache to its sources, all of which a part may go before; withdraw the description of a set that changes.

    Raises CacheError if the cache belongs to other sources.
    """
    root = layers[0].root
    check_sources(root, records, config)
    _rename_old(root)
    if not (root / SOURCES_FILE).is_file() or _beside_part(root, records, config):
        _write_sources(root, records, config)
    features, sources = _files(root, config)
    known = _found(features, sources)
    wanted = [(fold.names, _homes(seen)) for fold, seen in zip(layers, per_fold(records), strict=True)]
    if known is None or [(fold.layers.names, _homes(fold.records)) for fold in known.folds] != wanted:
        features.unlink(missing_ok=True)


def check_sources(root: Path, records: Sequence[SourceRecord], config: RunConfig) -> None:
    """Refuse a cache that was made from other sources; a part of the sources and all of them are the same.

    Raises CacheError.
    """
    if not _beside_part(root, records, config):
        check_same(root, records)


def _beside_part(root: Path, records: Sequence[SourceRecord], config: RunConfig) -> bool:
    """Return whether these sources and those of the cache can be parts of the same, by ``--limit`` or ``--subset``.

    One is a part of the other; or both are parts, such as draws by two seeds, and share some sources, none of which
    has changed.
    """
    known = bound_sources(root)
    if known is None:
        return False
    before, now = ({r.id: (r.image_sha256, r.mask_sha256) for r in some} for some in (known, records))
    was_part, is_part, shared = (root / _PART_FILE).is_file(), _is_part(config), before.keys() & now.keys()
    if not shared or any(before[name] != now[name] for name in shared):
        return False
    return (
        (was_part and is_part) or (was_part and before.keys() < now.keys()) or (is_part and now.keys() < before.keys())
    )


def _is_part(config: RunConfig) -> bool:
    """Return whether a configuration takes a part of the sources alone."""
    return config.source.limit is not None or config.source.subset is not None


def _write_sources(root: Path, records: Sequence[SourceRecord], config: RunConfig) -> None:
    """Write the sources that were used last, after the mark of those that are a part."""
    if _is_part(config):
        atomic_files.write_json(root / _PART_FILE, {"limit": config.source.limit, "subset": config.source.subset})
    write_sources(root / SOURCES_FILE, records)
    if not _is_part(config):
        (root / _PART_FILE).unlink(missing_ok=True)


def _files(root: Path, config: RunConfig) -> tuple[Path, Path]:
    """Return where the description and the sources of a set lie."""
    digest = digest_of(feature_options(config))
    return root / f"{_FEATURES}{digest}.json", root / f"{_SOURCES}{digest}.parquet"


def _rename_old(root: Path) -> None:
    """Give the description of a cache that held one set of features the name of that set; forget a damaged one."""
    old = root / _OLD_FILE
    if not old.is_file():
        return
    found = _found(old, root / SOURCES_FILE)
    if found is not None:
        features, sources = _files(root, found.config)
        atomic_files.write_whole(sources, (root / SOURCES_FILE).read_bytes())
        atomic_files.write_whole(features, old.read_bytes())
    old.unlink()


def save(prepared: Sequence[Prepared], records: Sequence[SourceRecord], config: RunConfig, *, is_half: bool) -> None:
    """Write the sources and the description of a finished set of features, which `load` reads.

    There is one `prepared` for each fold, and each record has its own fold. `is_half` says whether ``prepare`` makes
    them; a ``run`` that shares them leaves what was prepared for ``generate``.
    """
    root = prepared[0].layers.root
    features, sources = _files(root, config)
    before = None if is_half else _found(features, sources)
    is_kept = before is not None and before.is_half
    description = {
        "config": (before.config if before and is_kept else config).to_dict(),
        "half": is_half or is_kept,
        "facts": dataclasses.asdict(prepared[0].layers.facts),
        "variants": prepared[0].layers.variants,
        "folds": [{"layers": fold.layers.names, "saliency": fold.saliency} for fold in prepared],
        "unpaired": [dataclasses.asdict(refusal) for refusal in prepared[0].unpaired],
    }
    _write_sources(root, records, config)
    write_sources(sources, records)
    write_sealed(features, description)


def load(root: Path, choose: Callable[[Path, list[FeatureSet]], FeatureSet] | None = None) -> FeatureSet:
    """Return a finished set of features in a cache.

    `choose` takes the cache and all sets in it; without it there has to be one alone. Raises CacheError if there is
    none, or a description is damaged.
    """
    found = [_read(path, _sources_of(path)) for path in descriptions(root)]
    if not found:
        raise CacheError(f"{root} holds no finished features; make them with hsmix-gen prepare SOURCE --cache {root}")
    return (choose or _the_only_one)(root, found)


def descriptions(root: Path) -> list[Path]:
    """Return the descriptions of the sets in a cache."""
    try:
        found = sorted(path for path in root.iterdir() if path.name.startswith(_FEATURES) and path.suffix == ".json")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [*found, root / _OLD_FILE] if (root / _OLD_FILE).is_file() else found


def _sources_of(features: Path) -> Path:
    is_old = features.name == _OLD_FILE
    return features.parent / (SOURCES_FILE if is_old else f"{_SOURCES}{features.stem.removeprefix(_FEATURES)}.parquet")


def of_options(root: Path, sets: list[FeatureSet], config: RunConfig) -> FeatureSet:
    """Return the set that was made with the options of a configuration, which may have another seed for the mixing.

    Raises CacheError if there is none, or if the seed has to say which.
    """
    wanted = feature_options(config)
    fitting = fitting_sets(sets, lambda _: wanted)
    seeded = [one for one in fitting if one.options["seed"] == wanted["seed"]]
    return _the_only_one(root, seeded or fitting or sets)


def fitting_sets(sets: Sequence[FeatureSet], wanted_of: Callable[[FeatureSet], dict[str, Any]]) -> list[FeatureSet]:
    """Return the sets that hold the features that options name, each for its own `wanted_of` them.

    Sets that were prepared with most of the splits, folds and parts that are wanted win over others; of those that are
    the same but for what is chosen anew the first stands for all.
    """
    fitting = [one for one in sets if not lacking(one, wanted_of(one))]
    kept = [[key for key in HOMES if one.options[key] == wanted_of(one)[key]] for one in fitting]
    most = max(map(len, kept), default=0)
    if most == len(HOMES):
        return [one for one, keys in zip(fitting, kept, strict=True) if len(keys) == most]
    different: dict[str, FeatureSet] = {}
    for one, keys in zip(fitting, kept, strict=True):
        if len(keys) == most:
            what = [fold.layers for fold in one.folds], {key: one.options[key] for key in (*keys, "seed")}
            different.setdefault(repr(what), one)
    return list(different.values())


def lacking(one: FeatureSet, wanted: Mapping[str, Any]) -> list[str]:
    """Return the keys of options in which a set cannot give what they want; mixing may have another seed."""
    beyond = [
        key
        for key in ("source.limit", "source.subset")
        if one.options[key] is not None and (wanted[key] is None or wanted[key] > one.options[key])
    ]
    if one.options["source.subset"] is not None and wanted["source.subset_seed"] != one.options["source.subset_seed"]:
        beyond.append("source.subset_seed")
    return beyond + [key for key in wanted if wanted[key] != one.options[key] and key not in (*HOMES, "seed")]


def sets_text(sets: Sequence[FeatureSet], *more: str) -> str:
    """Return in words in what the sets of a cache differ; keys of `more` are named too."""
    keys = sorted(
        {*more, *(key for one in sets for key, value in one.options.items() if value != sets[0].options[key])}
    )
    return "; ".join(
        f"({n}) " + ", ".join(f"{key} {text_of(one.options[key])}" for key in keys) for n, one in enumerate(sets, 1)
    )


def _the_only_one(root: Path, sets: list[FeatureSet]) -> FeatureSet:
    if len(sets) > 1:
        raise CacheError(
            f"cache {root} holds {len(sets)} sets of features: {sets_text(sets)}; "
            "name the values of one with -o KEY=VALUE"
        )
    return sets[0]


def _found(features: Path, sources: Path) -> FeatureSet | None:
    """Return a set of a cache; None of one that is not there or damaged, which is described anew in the end."""
    try:
        return _read(features, sources)
    except CacheError:
        return None


def _read(features: Path, sources: Path) -> FeatureSet:
    """Return what `save` wrote."""
    try:
        raw = unsealed(features.read_bytes())
        records = read_sources(sources)
        config = RunConfig.model_validate(raw["config"])
        facts = record_of(DatasetFacts, raw["facts"])
        unpaired = record_of(tuple[Refusal, ...], raw["unpaired"])
        folds = [
            Prepared(
                Layers(
                    features.parent,
                    **fold["layers"],
                    facts=facts,
                    n_rows=len(records),
                    variants=raw.get("variants", config.superpixels.variants),
                    native=native_pixels(records, config),
                ),
                seen,
                unpaired,
                fold["saliency"],
                config.seed,
            )
            for fold, seen in zip(raw["folds"], per_fold(records), strict=True)
        ]
    except FileNotFoundError:
        raise CacheError(f"{sources}, which belongs to {features.name}, is missing; run prepare again") from None
    except OutputError:
        raise CacheError(f"{sources}, which belongs to {features.name}, is damaged; run prepare again") from None
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{features} is damaged ({error}); run prepare again") from None
    return FeatureSet(folds, config, raw.get("half", True))


def _homes(records: Sequence[SourceRecord]) -> list[tuple[str, str, int | None]]:
    return [(record.split, record.group, record.fold) for record in records]
