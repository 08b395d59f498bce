"""ClassMix: half of the classes of B stand in A."""

import numpy as np

from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import collapse
from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.randomness import permutation


class ClassMix(Method):
    """Hard mixing by classes of B's mask, background among them.

    Of an odd number the larger half is taken. A mask of one class alone gives B itself. The classes of a multi-label
    mask are its innermost channels, and background.
    """

    paper = (
        "Olsson et al., ClassMix: Segmentation-Based Data Augmentation for Semi-Supervised Learning, WACV 2021, "
        "doi:10.1109/WACV48630.2021.00141, arXiv:2007.07936"
    )
    modes = ("hard",)
    formula = "M = 1 where y_B is one of ceil(|C| / 2) classes drawn from the set C of those in y_B"

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel of B is of a drawn class."""
        ids = collapse(pair.b.mask)
        present = np.flatnonzero(np.bincount(ids.ravel(), minlength=IGNORE + 1)[:IGNORE])
        order = permutation(pair.generator("classes"), len(present))
        is_drawn = np.zeros(IGNORE + 1, dtype=bool)
        is_drawn[present[order[: (len(present) + 1) // 2]]] = True
        return Weights(is_drawn[ids])


METHOD = ClassMix()
