"""The description of a finished cache: written when all layers are there, read by the CPU half."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline import storage
from hsmix_gen.pipeline.features import Layers
from hsmix_gen.pipeline.sources import SOURCES_FILE, refusals_of
from hsmix_gen.pipeline.tables import read_sources, write_sources
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import DatasetFacts, Refusal, SourceRecord

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


def begin(layers: Layers, records: Sequence[SourceRecord]) -> None:
    """Bind a new cache to its sources; withdraw the description of a cache that will hold something else."""
    sources, features = layers.root / SOURCES_FILE, layers.root / FEATURES_FILE
    if not sources.is_file():
        write_sources(sources, records)
    homes = [(record.split, record.group) for record in records]
    if features.is_file() and (
        storage.read_json(features)["layers"] != layers.names
        or [(record.split, record.group) for record in read_sources(sources)] != homes
    ):
        features.unlink()


def save(prepared: Prepared, config: RunConfig) -> None:
    """Write the sources and the description of a finished cache, which `load` reads."""
    root = prepared.layers.root
    write_sources(root / SOURCES_FILE, prepared.records)
    description = {
        "config": config.to_dict(),
        "facts": dataclasses.asdict(prepared.layers.facts),
        "layers": prepared.layers.names,
        "saliency": prepared.saliency,
        "unpaired": [dataclasses.asdict(refusal) for refusal in prepared.unpaired],
    }
    storage.write_json(root / FEATURES_FILE, description)


def load(root: Path) -> tuple[Prepared, RunConfig]:
    """Return what `save` wrote: a finished cache and the configuration that it was made with.

    Raises
    ------
    CacheError
        If there is no finished cache.
    """
    try:
        raw = storage.read_json(root / FEATURES_FILE)
        records = read_sources(root / SOURCES_FILE)
        config = RunConfig.model_validate(raw["config"])
        facts = raw["facts"]
        layers = Layers(
            root=root,
            **raw["layers"],
            facts=DatasetFacts(
                size=tuple(facts["size"]),
                channels=facts["channels"],
                dtype=facts["dtype"],
                classes=tuple(facts["classes"]),
                mask_values=tuple((value, class_id) for value, class_id in facts["mask_values"]),
            ),
            n_rows=len(records),
            variants=config.superpixels.variants,
        )
    except (FileNotFoundError, NotADirectoryError):
        raise CacheError(
            f"{root} holds no finished features; make them with hsmix-gen prepare SOURCE --cache {root}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{root / FEATURES_FILE} is damaged ({error}); run prepare again") from None
    unpaired = tuple(Refusal(**refusal) for refusal in raw["unpaired"])
    return Prepared(layers, records, unpaired, raw["saliency"], config.seed), config
