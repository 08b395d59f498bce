"""The worst samples by each measure, and a drawn sample of all: what a person should see."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.reporting.evidence import Columns
from hsmix_gen.pipeline.reporting.findings import cut_share, seam_gain
from hsmix_gen.pipeline.sources.splits import spread
from hsmix_gen.schemas.records import Mode

WORST = 24
DRAWN = 300


@dataclass(frozen=True)
class Worst:
    """Samples in rising order of soundness."""

    measure: str
    title: str
    numbers: tuple[int, ...]
    """Places in the manifest."""
    values: tuple[float, ...]


def _class_change(samples: Columns) -> npt.NDArray[np.float64]:
    """Return how far the foreground of a sample is from that of its first parent, as minus the greater ratio."""
    found = np.full(len(samples["key"]), np.nan)
    for number, (before, after) in enumerate(zip(samples["pixels_a"], samples["pixels"], strict=True)):
        if before is not None and after is not None and len(before) > 1:
            a, b = float(before[1:].sum()) + 1, float(after[1:].sum()) + 1
            found[number] = -max(a / b, b / a)
    return found


_MEASURES: dict[str, tuple[str, Callable[[Columns], npt.NDArray[np.float64]], float]] = {
    "cut": ("largest share of objects cut", lambda samples: -cut_share(samples), 0),
    "fragments": ("most new fragments", lambda samples: samples["fragments_before"] - samples["fragments"], 0),
    "seam": ("smallest share of the seam on contours, above chance", seam_gain, math.inf),
    "appearance": ("largest distance of parents in looks", lambda samples: -samples["appearance"], 0),
    "auc": ("lowest AUC of a parent's saliency", lambda samples: np.fmin(samples["auc_a"], samples["auc_b"]), 1),
    "lambda": ("lowest deviation of lambda", lambda samples: samples["lambda_std"], math.inf),
    "foreground": ("largest factor of change of the foreground", _class_change, -1),
}
"""Name -> title with what the number is; numbers by sample, the lowest the worst, NaN where it does not apply; and the
number of a sample of which nothing bad can be said."""


def worst_samples(samples: Columns, count: int = WORST, mode: Mode | None = None) -> list[Worst]:
    """Return the worst mixed training samples, of one mode or all, by each measure by which some are not sound."""
    if not samples:
        return []
    mixed = (samples["mode"] != "none") & (samples["split"] == "train")
    if mode is not None:
        mixed &= samples["mode"] == mode
    found = []
    for name, (title, numbers_of, sound) in _MEASURES.items():
        numbers = np.where(mixed, np.asarray(numbers_of(samples), np.float64), np.nan)
        order = np.argsort(numbers, kind="stable")[: int(np.count_nonzero(numbers < sound))][:count]
        if len(order):
            values = tuple(round(abs(float(numbers[i])) if name != "seam" else float(numbers[i]), 4) for i in order)
            found.append(Worst(name, title, tuple(map(int, order)), values))
    return found


def drawn_samples(samples: Columns) -> list[int]:
    """Return the places of `DRAWN` samples, evenly spread over modes and keys: as many of each mode as there are."""
    modes = sorted(set(samples["mode"].tolist())) if samples else []
    found: list[int] = []
    for mode in modes:
        found += spread(np.flatnonzero(samples["mode"] == mode).tolist(), -(-DRAWN // len(modes)))
    return sorted(found)


def replay_command(root: Path, key: str) -> str:
    """Return the command that makes a sample again."""
    return f"hsmix-gen replay {root} {key} --to sample/"
