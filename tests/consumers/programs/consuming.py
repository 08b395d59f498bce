"""What all programs of this folder share: they keep what their reader gave, fit a network to it, and report both."""

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

STEPS = 12
PARTS = ("image", "mask", "soft")


@dataclass
class Report:
    """What a reader gave, in the order in which it came, and the losses of a fit.

    Attributes
    ----------
    keys : list of str
    parts : dict
        Arrays by part, one for each key, as the trainer gets them.
    losses : list of float
        One a step, of the same batch.
    facts : dict
        Anything else that the test reads, as arrays.
    """

    keys: list[str] = field(default_factory=list)
    parts: dict[str, list[Any]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, **parts: Any) -> None:
        """Keep a sample."""
        self.keys.append(key)
        for name, array in parts.items():
            self.parts.setdefault(name, []).append(np.array(array))

    def add_batch(self, batch: Mapping[str, Any]) -> None:
        """Keep the samples of a batch that holds ``key`` and some of image, mask and soft."""
        for number, key in enumerate(batch["key"]):
            self.add(key, **{name: batch[name][number] for name in PARTS if name in batch})

    def save(self, path: Path) -> None:
        """Write everything as one npz file."""
        arrays = {f"part {name}": np.stack(found) for name, found in self.parts.items()}
        arrays |= {f"fact {name}": np.asarray(fact) for name, fact in self.facts.items()}
        np.savez(path, keys=np.asarray(self.keys, dtype=str), losses=np.asarray(self.losses), **arrays)

    def fit(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch.nn.functional.cross_entropy,
        *,
        n_outputs: int | None = None,
    ) -> None:
        """Take some steps on one batch, (B, C, H, W) in [0, 1], and keep the losses."""
        torch.manual_seed(0)
        torch.set_num_threads(1)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(images.shape[1], 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, n_outputs or targets.shape[1], 1),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(STEPS):
            optimizer.zero_grad()
            value = loss(model(images), targets)
            value.backward()
            optimizer.step()
            self.losses.append(value.item())


def main(consume: Callable[[Path], dict[str, Report]]) -> None:
    """Call a program, ``python PROGRAM FOLDER RESULTS``: one file for each report."""
    folder, results = map(Path, sys.argv[1:])
    random.seed(0)  # trainers shuffle by the global generators
    torch.manual_seed(0)
    for name, report in consume(folder).items():
        report.save(results / f"{name}.npz")
