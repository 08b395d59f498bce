"""The plan of samples without end: copy after copy of all images, each sample planned when it is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import Mode, SamplePlan, SourceRecord, Split
from hsmix_gen.stages.planning.appearance import Looks
from hsmix_gen.stages.planning.guided import Maps
from hsmix_gen.stages.planning.pairing import kind_of_pair, method_of_pair, named_kind, pair_key, planned_sample
from hsmix_gen.stages.planning.partners import partners_by_copy

_PAIRED: tuple[Mode, Mode] = ("hard", "soft")


class EndlessPlan:
    """The samples of one split by copy and number, those that `make_plan` plans for any number of copies.

    Parameters
    ----------
    sources : sequence of SourceRecord
        All rows; refused ones are left out.
    mix : MixConfig
        Policy and probabilities; its number of copies does not matter.
    split : {"train", "val", "test"}
        Images of the last two are passed through, the same in all copies.
    seed : int
    other_group : bool
        Whether both parents must be of different groups.
    looks : Looks, Maps or None
        Of all sources, where only images that look alike are mixed, or those whose saliency overlaps least.

    Raises
    ------
    ConfigError
        If the policy is ``per-batch``, whose modes follow from the order of a finite dataset.
    SourceError
        If there is nothing to mix an image with.
    """

    def __init__(
        self,
        sources: Sequence[SourceRecord],
        mix: MixConfig,
        split: Split,
        *,
        seed: int,
        other_group: bool,
        looks: Looks | Maps | None = None,
    ) -> None:
        if mix.policy == "per-batch":
            raise ConfigError(
                "policy per-batch orders a finite dataset, which samples without end are not; "
                "take per-sample or paired, or generate a dataset"
            )
        self._sources, self._mix, self._split, self._seed = sources, mix, split, seed
        usable = [row for row, source in enumerate(sources) if source.split == split and source.refusal is None]
        self._rows = np.array(usable, dtype=np.int64)
        self._of_copy: Callable[[int], npt.NDArray[np.int64]] | None = None
        if split == "train":
            self._of_copy = partners_by_copy(self._rows, sources, seed=seed, other_group=other_group, looks=looks)
        self._partners: tuple[int, npt.NDArray[np.int64]] | None = None
        if self._of_copy is not None:
            self._partners_of(0)  # refuses what cannot be mixed, before training begins

    def __len__(self) -> int:
        """Return the samples of a copy."""
        return len(self._rows) * (len(_PAIRED) if self._is_paired else 1)

    def sample(self, copy: int, number: int) -> SamplePlan:
        """Return a sample of a copy; samples follow their images, of a pair the hard one comes first."""
        place, twin = divmod(number, len(_PAIRED)) if self._is_paired else (number, 0)
        row = int(self._rows[place])
        pair = pair_key(self._split, self._sources[row].id, copy)
        mode, method = self._kind(pair, twin)
        sample = planned_sample(pair, self._split, mode, self._mix.policy, seed=self._seed, method=method)
        partner = None if mode == "none" else int(self._partners_of(copy)[place])
        return replace(sample, row_a=row, row_b=partner, index=number)

    def _kind(self, pair: str, twin: int) -> tuple[Mode, str | None]:
        """Return mode and method of a sample."""
        if self._of_copy is None:
            return "none", None
        if self._is_paired:
            return _PAIRED[twin], self._mix.methods[method_of_pair(pair, self._mix, seed=self._seed)]
        return named_kind(*kind_of_pair(pair, self._mix, seed=self._seed), self._mix.methods)

    @property
    def _is_paired(self) -> bool:
        return self._mix.policy == "paired" and self._of_copy is not None

    def _partners_of(self, copy: int) -> npt.NDArray[np.int64]:
        """Return the partners of a copy; those of the last one are kept."""
        if self._partners is None or self._partners[0] != copy:
            assert self._of_copy is not None
            self._partners = copy, self._of_copy(copy)
        return self._partners[1]
