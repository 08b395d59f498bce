"""Seeded splits that keep groups (patients, slides) together."""

from collections.abc import Sequence

import numpy as np

from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import SPLITS, Split
from hsmix_gen.stages.randomness import generator_for

DEFAULT_RATIO = (0.8, 0.1, 0.1)


def parse_ratio(text: str) -> tuple[float, float, float] | None:
    """Return TRAIN/VAL/TEST of a text such as ``0.8/0.1/0.1`` or ``80/10/10`` as shares of 1, or None.

    Raises
    ------
    ConfigError
        If it is three numbers that cannot be shares.
    """
    parts = text.replace(":", "/").split("/")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) != 3 or not np.isfinite(numbers).all() or min(numbers) < 0 or numbers[0] <= 0:
        raise ConfigError(f"split must be TRAIN/VAL/TEST with a positive TRAIN, got {text}; for example 0.8/0.1/0.1")
    total = sum(numbers)
    return numbers[0] / total, numbers[1] / total, numbers[2] / total


def split_groups(groups: Sequence[str], ratio: tuple[float, float, float], *, seed: int) -> dict[str, Split]:
    """Assign whole groups to splits so that the shares of images come near `ratio`.

    Groups are taken in an order drawn from the seed and the group's own name, so that it does not depend on the
    order of the input; each goes to the split that lacks most.

    Parameters
    ----------
    groups : sequence of str
        Group of each image.
    ratio : tuple of float
        Shares of train, val and test; they sum to 1.
    seed : int

    Returns
    -------
    dict
        Split of each group.
    """
    names, sizes = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    order = sorted(range(len(names)), key=lambda i: generator_for(seed, "split", str(names[i])).random())
    wanted = np.array(ratio) * len(groups)
    have = np.zeros(3)
    result: dict[str, Split] = {}
    for i in order:
        # A split of share 0 stays empty even where large groups overfill the others.
        choice = int(np.argmax(np.where(wanted > 0, wanted - have, -np.inf)))
        have[choice] += sizes[i]
        result[str(names[i])] = SPLITS[choice]
    return result
