"""Seeded splits that keep groups (patients, slides) together."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import SPLITS, Split
from hsmix_gen.stages.randomness import derive_key, generator_for

DEFAULT_RATIO = (0.8, 0.1, 0.1)
_ROUNDING = 1e-6
"""What shares may lack of 1, as thirds in decimals do."""


def parse_ratio(text: str) -> tuple[float, float, float] | None:
    """Return TRAIN/VAL/TEST of a text such as ``0.8/0.1/0.1``, or in parts ``8/1/1``, as shares of 1, or None.

    Raises
    ------
    ConfigError
        If it is three numbers that cannot be shares.
    """
    numbers = _numbers(text)
    if numbers is None:
        return None
    if len(numbers) != 3 or not np.isfinite(numbers).all() or min(numbers) < 0 or numbers[0] <= 0:
        raise ConfigError(f"--split must be TRAIN/VAL/TEST with a positive TRAIN, got {text}; for example 0.8/0.1/0.1")
    total = sum(numbers)
    return numbers[0] / total, numbers[1] / total, numbers[2] / total


def is_in_shares(text: str) -> bool:
    """Return whether a ratio sums to 1, so that each number is a share; others are parts."""
    numbers = _numbers(text)
    return numbers is not None and abs(sum(numbers) - 1) <= _ROUNDING


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.replace(":", "/").split("/")]
    except ValueError:
        return None


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


def draw_groups(groups: Sequence[str], count: int, *, seed: int) -> set[str]:
    """Draw some of the groups; those of a smaller count are among those of a larger one.

    The draw depends on the seed and the names alone, not on their order.

    Raises
    ------
    SourceError
        If there are fewer groups than that.
    """
    names = sorted(set(groups))
    if count > len(names):
        raise SourceError(
            f"subset asks for {count} groups (patients) and the training split has {len(names)}; lower --subset"
        )
    return set(sorted(names, key=lambda name: generator_for(seed, "subset", name).random())[:count])


def deal_folds(groups: Sequence[str], strata: Sequence[int], k: int, *, seed: int) -> list[int]:
    """Return the fold of each image, 0 to `k` - 1; whole groups, with the strata spread evenly.

    The folds are those of scikit-learn's ``StratifiedGroupKFold``, shuffled. They do not depend on the order of
    the input.

    Parameters
    ----------
    groups : sequence of str
        Group of each image.
    strata : sequence of int
        What should be as frequent in each fold, for example a number for the set of classes an image holds.
        Strata of fewer than `k` images are taken together.
    k : int
        Number of folds, at least 2.
    seed : int

    Raises
    ------
    SourceError
        If there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second to import

    names = np.asarray(groups, dtype=str)
    n_groups = len(np.unique(names))
    if n_groups < k:
        raise SourceError(f"{k} folds need as many groups (patients), got {n_groups}; lower --folds or see --group-by")
    order = np.argsort(names, kind="stable")
    # scikit-learn takes 32 bits; the run's seed may be longer.
    dealer = StratifiedGroupKFold(k, shuffle=True, random_state=derive_key(seed, "folds") % 2**32)
    folds = np.empty(len(names), dtype=np.int64)
    for fold, (_, held) in enumerate(dealer.split(names[order], _frequent(np.asarray(strata), k)[order], names[order])):
        folds[order[held]] = fold
    return [int(fold) for fold in folds]


def deal_further(groups: Sequence[str], known: Mapping[str, int], k: int) -> list[int]:
    """Return the fold of each image where folds were dealt before: groups keep theirs, others fill the emptiest.

    Parameters
    ----------
    groups : sequence of str
        Group of each image.
    known : mapping
        Fold of the groups that have one.
    k : int
        Number of folds.
    """
    sizes = Counter(groups)
    folds = {group: known[group] for group in sizes if group in known}
    filled = [sum(sizes[group] for group, fold in folds.items() if fold == number) for number in range(k)]
    for group in sorted(sizes.keys() - folds.keys(), key=lambda group: (-sizes[group], group)):
        folds[group] = filled.index(min(filled))
        filled[folds[group]] += sizes[group]
    return [folds[group] for group in groups]


def _frequent(strata: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """Return strata of at least `k` images each, numbered from 0: rare ones become one, or join the largest."""
    _, number, counts = np.unique(strata, return_inverse=True, return_counts=True)
    rare = counts[number] < k
    joined = -1 if rare.sum() >= k else int(counts.argmax())
    return np.where(rare, joined, number)
