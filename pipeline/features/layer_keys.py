"""Names of the cache's layers: a digest of everything that their bytes depend on, and of nothing else."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.features import precomputed_maps
from hsmix_gen.pipeline.features.brought_regions import n_variants, regions_key
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files.atomic_files import sha256_of_file
from hsmix_gen.pipeline.files.local_mirror import here
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.sources.inventory import Inventory
from hsmix_gen.pipeline.sources.source_records import content_digest, is_evaluated, item_ids, native_pixels, per_fold
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.saliency.backend import backend_of

IMAGES_VERSION = 3
SUPERPIXELS_VERSION = 2
"""Raised whenever an algorithm of ours gives other bytes for the same input."""


def name_layers(
    root: Path,
    records: Sequence[SourceRecord],
    inventory: Inventory,
    config: RunConfig,
    *,
    gpu: bool,
    earlier: Sequence[Layers] | None = None,
) -> list[Layers]:
    """Return the layers of a cache folder that belong to some sources and a configuration, one set for each fold.

    Folds share images and superpixels, and saliency too where no network is fitted to their training images. The
    inventory may have more records than those that are named. `gpu` says whether Grad-CAM is computed on a GPU;
    `earlier` are the features of the sources before they were extended, one set for each fold, whose networks are kept.
    """
    facts = inventory.facts
    native = native_pixels(records, config)
    images = digest_of(
        {
            "version": IMAGES_VERSION,
            "content": content_digest(records),
            "facts": dataclasses.asdict(facts) | {"classes": len(facts.classes)},
            "libraries": versions.versions_of(versions.decoding(inventory.discovery.layout)),
            **({"native": [native, [is_evaluated(record) for record in records]]} if native else {}),
        }
    )
    # Of an earlier generation of sources the label maps of later ones are no part.
    known = set(item_ids(records))
    items = [place.item.id for place in inventory.places if place.item.id in known]
    unmixed = [record.id for record in records if not record.chosen]
    superpixels = digest_of(
        {
            "version": SUPERPIXELS_VERSION,
            "images": images,
            "config": regions_key(config.superpixels, items),
            "libraries": versions.versions_of(versions.SUPERPIXELS),
            **({"without": unmixed} if unmixed else {}),
        }
    )
    variants = n_variants(config.superpixels)
    folds = per_fold(records)
    befores: Sequence[Layers | None] = earlier or [None] * len(folds)
    return [
        Layers(
            root=root,
            images=f"images-{images}",
            superpixels=f"superpixels-{superpixels}",
            saliency="saliency-"
            + digest_of(
                {
                    "images": images,
                    **({"without": unmixed} if unmixed else {}),
                    **_saliency_key(seen, config, before, gpu=gpu),
                }
            ),
            facts=facts,
            n_rows=len(seen),
            variants=variants,
            native=native,
        )
        for seen, before in zip(folds, befores, strict=True)
    ]


def _saliency_key(
    records: Sequence[SourceRecord], config: RunConfig, earlier: Layers | None, *, gpu: bool
) -> dict[str, Any]:
    saliency, backend = config.saliency, backend_of(config.saliency)
    key: dict[str, Any] = {"version": backend.version, "backend": saliency.backend}
    if backend.libraries:
        key["libraries"] = versions.versions_of(backend.libraries)
    if backend.takes_maps:
        key["maps"] = precomputed_maps.folder_digest(location(saliency.folder or ""), [r.id for r in records])
    if not backend.has_network:
        return key
    # Bytes are promised between processors of one kind. Maps of a GPU agree with them, and with those of another size
    # of a batch, within some levels of 255: what was begun on one device is not finished on the other.
    key["device"] = "gpu" if gpu else "cpu"
    settings = saliency.model_dump(mode="json", exclude={"weights", "folder", "backend"})
    key |= {"config": settings, "seed": config.seed}
    if saliency.weights is not None:
        key["weights"] = sha256_of_file(here(location(saliency.weights)))
    if earlier is not None:
        return {**key, "network of": earlier.saliency}
    # The fitted network and the choice of the layer follow from the split.
    return {**key, "splits": [record.split for record in records]}
