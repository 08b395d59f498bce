"""The description of a finished cache: written when all layers are there, read by the CPU half."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.tables import read_sources, write_sources
from hsmix_gen.pipeline.sources.source_records import SOURCES_FILE, per_fold, refusals_of
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import DatasetFacts, Refusal, SourceRecord, record_of

FEATURES_FILE = "features.json"


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
    def fold(self) -> int | None:
        """Number of the fold, or None where there are no folds."""
        return next((record.fold for record in self.records if record.fold is not None), None)


def begin(layers: Sequence[Layers], records: Sequence[SourceRecord]) -> None:
    """Bind a new cache to its sources; withdraw the description of a cache that will hold something else."""
    root = layers[0].root
    sources, features = root / SOURCES_FILE, root / FEATURES_FILE
    if not sources.is_file():
        write_sources(sources, records)
    if features.is_file() and (
        _named_layers(features) != [fold.names for fold in layers] or _homes(read_sources(sources)) != _homes(records)
    ):
        features.unlink()


def _named_layers(features: Path) -> list[dict[str, str]]:
    """Return the layers of a description; none of a damaged one, which is written again at the end."""
    try:
        return [fold["layers"] for fold in atomic_files.read_json(features)["folds"]]
    except (ValueError, KeyError, TypeError):
        return []


def save(prepared: Sequence[Prepared], records: Sequence[SourceRecord], config: RunConfig) -> None:
    """Write the sources and the description of a finished cache, which `load` reads.

    Parameters
    ----------
    prepared : sequence of Prepared
        One for each fold.
    records : sequence of SourceRecord
        The sources, each with its own fold.
    config : RunConfig
    """
    root = prepared[0].layers.root
    write_sources(root / SOURCES_FILE, records)
    description = {
        "config": config.to_dict(),
        "facts": dataclasses.asdict(prepared[0].layers.facts),
        "folds": [{"layers": fold.layers.names, "saliency": fold.saliency} for fold in prepared],
        "unpaired": [dataclasses.asdict(refusal) for refusal in prepared[0].unpaired],
    }
    atomic_files.write_json(root / FEATURES_FILE, description)


def load(root: Path) -> tuple[list[Prepared], RunConfig]:
    """Return what `save` wrote: a finished cache, for each fold, and the configuration that it was made with.

    Raises
    ------
    CacheError
        If there is no finished cache.
    """
    try:
        raw = atomic_files.read_json(root / FEATURES_FILE)
        records = read_sources(root / SOURCES_FILE)
        config = RunConfig.model_validate(raw["config"])
        facts = record_of(DatasetFacts, raw["facts"])
        unpaired = record_of(tuple[Refusal, ...], raw["unpaired"])
        prepared = [
            Prepared(
                Layers(root, **fold["layers"], facts=facts, n_rows=len(records), variants=config.superpixels.variants),
                seen,
                unpaired,
                fold["saliency"],
                config.seed,
            )
            for fold, seen in zip(raw["folds"], per_fold(records), strict=True)
        ]
    except (FileNotFoundError, NotADirectoryError):
        raise CacheError(
            f"{root} holds no finished features; make them with hsmix-gen prepare SOURCE --cache {root}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{root / FEATURES_FILE} is damaged ({error}); run prepare again") from None
    return prepared, config


def _homes(records: Sequence[SourceRecord]) -> list[tuple[str, str, int | None]]:
    return [(record.split, record.group, record.fold) for record in records]
