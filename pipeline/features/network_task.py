"""What making the network behind Grad-CAM depends on, and where it lies in a cache; no torch is imported here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files.sealed_json import unsealed
from hsmix_gen.schemas.config import SaliencyConfig

ASK_EVERY = 20
"""Optimiser steps after which maps are measured."""
USUAL_ASKS = 2
"""How often they are measured before they are good enough, in most sets."""
ENOUGH_AUC = 0.95
"""Agreement of maps and masks on training images with which a fit ends."""
FAIR_AUC = 0.9
"""Agreement with which it ends where it has not grown since it was measured last."""


@dataclass(frozen=True)
class NetworkTask:
    """What making or checking the network and choosing its network layer depends on; rows are of usable sources."""

    layers: Layers
    saliency: SaliencyConfig
    seed: int
    folder: Path
    train_rows: tuple[int, ...]
    val_rows: tuple[int, ...]


def is_enough(aucs: Sequence[float | None]) -> bool:
    """Return whether a fit may end, given the agreement of its maps each time that they were measured.

    None is an agreement that cannot be measured, for want of foreground.
    """
    *earlier, last = aucs
    if last is None or last >= ENOUGH_AUC:
        return True
    return last >= FAIR_AUC and bool(earlier) and last <= (earlier[-1] or 0)


def record_path(layers: Layers) -> Path:
    """Return where the record of the network behind a saliency layer of the cache lies."""
    return layers.root / "networks" / f"{layers.saliency}.json"


def read_record(layers: Layers) -> dict[str, Any]:
    """Return what is recorded of the network.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no record, or it is damaged.
    """
    return unsealed(record_path(layers).read_bytes())


def is_recorded(layers: Layers) -> bool:
    """Return whether the network has a sound record; without it the network is made again."""
    try:
        read_record(layers)
    except (FileNotFoundError, ValueError):
        return False
    return True


def network_path(layers: Layers) -> Path:
    """Return where the fitted network behind a saliency layer of the cache lies."""
    return layers.root / "networks" / f"{layers.saliency}.pt"
