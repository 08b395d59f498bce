"""What making the network behind Grad-CAM depends on, and where it lies in a cache; no torch is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.files.sealed_json import unsealed
from hsmix_gen.schemas.config import SaliencyConfig

SHORT_FIT = 40
"""Optimiser steps that are enough for most sets."""


@dataclass(frozen=True)
class NetworkTask:
    """What making or checking the network and choosing its network layer depends on; rows are of usable sources."""

    layers: Layers
    saliency: SaliencyConfig
    seed: int
    folder: Path
    train_rows: tuple[int, ...]
    val_rows: tuple[int, ...]


def budgets(most: int) -> tuple[int, ...]:
    """Return the numbers of steps that are tried one after the other, each from the beginning."""
    return (SHORT_FIT, most) if most > SHORT_FIT else (most,)


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
