"""Into how many shards samples are cut, and where."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import SourceError

DEFAULT_SHARDS = 32
SHARD_BYTES = 256 * 2**20
PASSED_THROUGH_PER_SHARD = 256

_Ints = npt.NDArray[np.int64]


def group_size(mix: MixConfig) -> int:
    """Return how many neighbouring samples stay in one shard."""
    return {"per-sample": 1, "per-batch": mix.batch_size, "paired": 2}[mix.policy]


def shard_count(n_samples: int, mix: MixConfig, *, shards: int | None, sample_bytes: int, readers: int = 1) -> int:
    """Return how many shards `n_samples` training samples are cut into: `shards`, or a number from their size.

    With several `readers` it is a multiple of their number: the least one that the size asks for, unless one up to
    twice as large, or a smaller one that the size allows too, makes all shards exactly equal.

    Raises
    ------
    SourceError
        If there are fewer groups of samples than readers.
    """
    if shards is not None:
        return shards
    by_size = -(-n_samples * sample_bytes // SHARD_BYTES)
    n_groups = -(-n_samples // group_size(mix))
    if readers == 1:
        return max(1, min(n_groups, max(DEFAULT_SHARDS, by_size)))
    largest = _largest(n_samples, mix, readers)
    asked = min(-(-max(DEFAULT_SHARDS, by_size) // readers), largest)
    allowed = min(-(-max(1, by_size) // readers), largest)
    candidates = [*range(asked, min(2 * asked, largest) + 1), *range(asked - 1, allowed - 1, -1)]
    return readers * next(_equal(candidates, n_samples, readers * group_size(mix)), asked)


def more_shards(n_samples: int, mix: MixConfig, *, per_shard: float, readers: int = 1) -> int:
    """Return how many shards hold the training samples that an extension adds: about as large as those before.

    With several `readers` it is a multiple of their number.

    Parameters
    ----------
    n_samples : int
    mix : MixConfig
    per_shard : float
        Samples of each shard that is there.
    readers : int

    Raises
    ------
    SourceError
        If there are fewer groups of samples than readers.
    """
    if not n_samples:
        return 0
    largest = _largest(n_samples, mix, readers)
    asked = max(1, min(largest, round(n_samples / (per_shard * readers))))
    candidates = sorted(range(-(-asked // 2), min(2 * asked, largest) + 1), key=lambda n: (abs(n - asked), n))
    return readers * next(_equal(candidates, n_samples, readers * group_size(mix)), asked)


def pass_through_shards(n_images: int, readers: int = 1) -> int:
    """Return how many shards hold images that are passed through: a multiple of the readers if there are as many."""
    n_shards = -(-n_images // PASSED_THROUGH_PER_SHARD)
    return min(-(-n_shards // readers), n_images // readers) * readers or n_shards


def _largest(n_samples: int, mix: MixConfig, readers: int) -> int:
    """Return the greatest number of shards for each reader."""
    n_groups = -(-n_samples // group_size(mix))
    if n_groups < readers:
        raise SourceError(
            f"--ranks x --workers-per-rank must not exceed the {n_groups} groups of samples, got {readers}; "
            "lower --ranks or --workers-per-rank, or raise --copies"
        )
    return n_groups // readers


def _equal(candidates: Iterable[int], n_samples: int, unit: int) -> Iterator[int]:
    """Yield the numbers of shards that make all of them exactly equal."""
    return (n for n in candidates if n_samples % (n * unit) == 0)


def cut(n_samples: int, n_shards: int, unit: int) -> _Ints:
    """Return the bounds of shards whose sizes differ by one unit at most; a unit is never cut."""
    n_units = -(-n_samples // unit)
    if n_units < n_shards:
        raise SourceError(
            f"--shards must not outnumber the {n_units} groups of samples, got {n_shards}; lower --shards"
        )
    bounds = np.arange(n_shards + 1) * n_units // max(1, n_shards)
    return np.minimum(bounds * unit, n_samples).astype(np.int64)
