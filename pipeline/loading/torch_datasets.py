"""Datasets of plain torch over a finished output, for those who have no loader; nobody needs them.

`HsmixDataset` gives samples by their number; `HsmixStream` gives them in an order that is divided over ranks and
workers and can be taken up again. A sample is a dict that torch's default collate can stack:

- ``key``: str;
- ``image``: (C, H, W) float32, in [0, 1] where it is stored as whole numbers;
- ``mask``: (H, W) int64 class ids, 255 = ignore;
- ``soft``: (C, H, W) float32, all 0 where a pixel is ignored. torch's cross entropy takes no ``ignore_index`` with
  such a target and needs none: these pixels add nothing to its sum, they only count in its mean;
- ``json``: str, where the sample comes from.

Where you resize, interpolate ``soft``, never ``mask``: class ids cannot be averaged.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from hsmix_gen.pipeline.dataset.formats.base import best_format, format_of, naming_sample
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, read_dataset
from hsmix_gen.pipeline.dataset.sample_members import PARTS, WORDS, decoded, member_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.randomness import generator_for, permutation

Sample = dict[str, Any]


class Sharded(Dataset[Any], ABC):
    """Samples in shards, by their number, or as a stream divides them over ranks and workers."""

    def __init__(
        self, counts: list[int], transform: Callable[[Sample], Any] | None, parts: Sequence[str], *, raw: bool
    ) -> None:
        self.counts = counts
        """Samples of each shard."""
        self._ends = np.cumsum(counts)
        self._transform, self._parts, self._raw = transform, tuple(parts), raw

    @property
    def epoch(self) -> int:
        """The epoch of the samples by number, at which a stream begins; a stored dataset begins at the first."""
        return 0

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Any:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no sample {number} among {len(self)}")
        number %= len(self)
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return self.transformed(self.of_epoch(self.epoch)(shard, number - int(self._ends[shard]) + self.counts[shard]))

    @abstractmethod
    def of_epoch(self, epoch: int) -> Callable[[int, int], Sample]:
        """Return what reads a sample of an epoch, whichever is set, by shard and place in it, not transformed."""

    def transformed(self, sample: Sample) -> Any:
        """Return what the transform makes of a sample."""
        return self._transform(sample) if self._transform else sample

    def keep(self, count: int) -> None:
        """Expect that the next `count` samples of a shard are asked for in any order."""

    @abstractmethod
    def check_ranks(self, world_size: int) -> None:
        """Refuse more ranks than there are shards, as OutputError or CacheError."""


class HsmixDataset(Sharded):
    """The samples of a split by number, in the order of its shards.

    A sample of a tar file or a folder is read alone, one of a Parquet file with its row group: take these in order,
    or by `HsmixStream`, which knows what comes next.

    Parameters
    ----------
    root : path
        A finished output.
    split : str
        ``train``, ``val`` or ``test``.
    transform : callable or None
        From a sample to whatever the training needs.
    form : str or None
        Format to read; None takes the first of webdataset, parquet and folder that is there.
    parts : sequence of str
        What is decoded of image, mask and soft.
    raw : bool
        Leave image, mask and soft in the types in which they are stored.

    Raises
    ------
    OutputError
        If the output is not finished, or has no such split or format.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Any] | None = None,
        *,
        form: str | None = None,
        parts: Sequence[str] = PARTS,
        raw: bool = False,
    ) -> None:
        root = Path(root)
        self._described = read_dataset(root)
        formats = self._described["formats"]
        form = form or best_format(formats)
        for name, wanted, there in (("split", split, self._described["splits"]), ("format", form, formats)):
            if wanted not in there:
                raise OutputError(f"{root} has no {name} {wanted}; choose one of {', '.join(there)}")
        self._keys = keys = _keys_of_shards(root, split)
        files = [root / file["path"] for file in formats[form] if file["split"] == split]
        self._reader = format_of(form).reader(root, files, keys, self._described)
        super().__init__([len(shard) for shard in keys], transform, parts, raw=raw)

    def read(self, shard: int, index: int) -> Sample:
        """Return a sample of a shard, not transformed.

        Raises
        ------
        OutputError
            If it is damaged or lacks a part.
        """
        key, members = self._keys[shard][index], self._reader.read(shard, index)
        sample = {}
        for part in self._parts:
            with naming_sample(self._reader.file(shard, index, part), key, f"has a damaged {WORDS[part]}"):
                sample[part] = torch.from_numpy(decoded(part, members, self._described))
        with naming_sample(self._reader.file(shard, index), key, "has a damaged json"):
            text = member_of(members, "json").decode()
        floats = sample if self._raw else as_floats(sample)
        return {"key": key, **floats, "json": text}

    def keep(self, count: int) -> None:
        """Expect that the next `count` samples of a shard are asked for in any order."""
        self._reader.keep(count)

    def of_epoch(self, epoch: int) -> Callable[[int, int], Sample]:  # noqa: ARG002 - samples are the same in all epochs
        """Return what reads the samples of an epoch."""
        return self.read

    def check_ranks(self, world_size: int) -> None:
        """Refuse more ranks than there are shards.

        Raises
        ------
        OutputError
        """
        if len(self.counts) < world_size:
            raise OutputError(
                f"{len(self.counts)} shards cannot be divided over {world_size} ranks; "
                f"make the output again with --shards {world_size} or more"
            )


class HsmixStream(IterableDataset[Any]):
    """The samples of a dataset, each once an epoch over all ranks and workers; no shard is read by two of them.

    Ranks get equally many samples if the output was made for them (``--ranks R --workers-per-rank W``). If not, end
    each epoch after ``min(stream.counts()) // batch_size`` batches, as ranks that wait for others hang::

        stream = HsmixStream(HsmixDataset("output"), shuffle_seed=0)
        loader = DataLoader(stream, batch_size=8, num_workers=2)
        for epoch in range(stream.epoch, 100):
            stream.set_epoch(epoch)
            for batch in loader:
                ...
                stream.took(batch)                     # workers are ahead of this loop, so it has to report
                torch.save(stream.state_dict(), file)  # one for each rank; `load_state_dict` comes before the loop

    Samples hold besides ``position``, (3,) int64, by which `took` counts: a transform has to leave it in.

    Parameters
    ----------
    dataset : HsmixDataset or HsmixFresh
        What is read, with its transform.
    rank, world_size : int or None
        This process among how many; None takes torch.distributed's, else ``RANK`` and ``WORLD_SIZE``, else one.
    shuffle_seed : int or None
        Shuffle shards, and samples inside of a buffer, anew in each epoch; None keeps the order of the shards.
    buffer : int
        So many neighbours are shuffled among each other; more cost memory with Parquet only.

    Raises
    ------
    OutputError
        If there are fewer shards than ranks.
    """

    def __init__(
        self,
        dataset: Sharded,
        *,
        rank: int | None = None,
        world_size: int | None = None,
        shuffle_seed: int | None = None,
        buffer: int = 500,
    ) -> None:
        found_rank, found_size = _place()
        self._rank = found_rank if rank is None else rank
        self._world_size = found_size if world_size is None else world_size
        if not 0 <= self._rank < self._world_size:
            raise ValueError(f"rank must be 0 to {self._world_size - 1}, one less than world_size, got {self._rank}")
        dataset.check_ranks(self._world_size)
        self._dataset, self._seed, self._buffer = dataset, shuffle_seed, buffer
        dataset.keep(buffer if shuffle_seed is not None else 1)
        self._epoch = shared_number(dataset.epoch)
        self._taken: dict[int, int] = {}
        self._last_worker, self._n_workers = -1, 0
        self._loaded: Mapping[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """The epoch that is read."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; one in which `load_state_dict` has put this stream goes on at its position."""
        if epoch != self.epoch:
            self._epoch.fill_(epoch)
            self._taken, self._last_worker, self._loaded = {}, -1, None

    def counts(self) -> list[int]:
        """Return how many samples each rank gets in this epoch."""
        order = self._shards()
        size = self._world_size
        return [sum(self._dataset.counts[shard] for shard in order[rank::size]) for rank in range(size)]

    def took(self, batch: Sample) -> None:
        """Count a batch, or one sample, that has arrived in the training loop."""
        for worker, n_workers, count in batch["position"].reshape(-1, 3).tolist():
            self._note(worker, n_workers, max(count, self._taken.get(worker, 0)))

    def state_dict(self) -> dict[str, Any]:
        """Return the position of this rank; it is small and can be pickled, or written as JSON."""
        taken = [[worker, count] for worker, count in sorted(self._taken.items())]
        position = {"epoch": self.epoch, "taken": taken, "last_worker": self._last_worker, "workers": self._n_workers}
        return {**position, **self._order()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position: the next sample is the first that was not taken. Begin the loader after this.

        Raises
        ------
        OutputError
            If it is a position in another order.
        """
        for name, value in self._order().items():
            _check_same(name, state[name], value)
        self._epoch.fill_(state["epoch"])
        self._taken = {int(worker): int(count) for worker, count in state["taken"]}
        self._last_worker, self._n_workers = state["last_worker"], state["workers"]
        self._loaded = dict(state)

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        own, n_workers = (info.id, info.num_workers) if info else (0, 1)
        start = 0
        if self._loaded and self._loaded["epoch"] == self.epoch and self._loaded["taken"]:
            _check_same("workers", self._loaded["workers"], n_workers)
            # A loader asks its workers in turn, from the first on: that one is now the one whose turn it was.
            own = (own + self._loaded["last_worker"] + 1) % n_workers
            start = dict(self._loaded["taken"]).get(own, 0)
        read = self._dataset.of_epoch(self.epoch)
        for count, (shard, index) in enumerate(self._plan(own, n_workers)[start:].tolist(), start + 1):
            sample = read(shard, index)
            self._note(own, n_workers, count)
            yield self._dataset.transformed({**sample, "position": torch.tensor([own, n_workers, count])})

    def _note(self, worker: int, n_workers: int, count: int) -> None:
        self._taken[worker] = count
        self._last_worker, self._n_workers = worker, n_workers

    def _order(self) -> dict[str, Any]:
        """Return all that the order of samples depends on, epoch and workers apart."""
        return {
            "rank": self._rank,
            "world_size": self._world_size,
            "shuffle_seed": self._seed,
            "buffer": self._buffer,
            "samples": len(self._dataset),
        }

    def _shards(self) -> list[int]:
        """Return the numbers of all shards in the order of this epoch, the same in all ranks."""
        n_shards = len(self._dataset.counts)
        if self._seed is None:
            return list(range(n_shards))
        return permutation(generator_for(self._seed, "loaded shards", self.epoch), n_shards).tolist()

    def _plan(self, worker: int, n_workers: int) -> npt.NDArray[np.int64]:
        """Return what a worker of this rank reads in this epoch, (samples, 2): shard and number inside of it."""
        shards = self._shards()[self._rank :: self._world_size][worker::n_workers]
        counts = [self._dataset.counts[shard] for shard in shards]
        inside = [np.arange(count) for count in counts]
        plan = np.stack([np.repeat(shards, counts), np.concatenate([np.arange(0), *inside])], axis=1).astype(np.int64)
        if self._seed is None:
            return plan
        rng = generator_for(self._seed, "loaded samples", self.epoch, self._rank, worker)
        windows = [plan[first : first + self._buffer] for first in range(0, len(plan), self._buffer)]
        shuffled = [window[permutation(rng, len(window))] for window in windows]
        return np.concatenate([plan[:0], *shuffled])


def shared_number(value: int) -> torch.Tensor:
    """Return a whole number that workers share which outlive an epoch."""
    number = torch.tensor(value, dtype=torch.int64)
    number.share_memory_()  # type: ignore[no-untyped-call]
    return number


def as_floats(sample: Sample) -> Sample:
    """Return a sample or a batch with its stored types (``raw=True``) in those that networks and losses take.

    A batch of stored types is a quarter as large on its way from a worker, and to a device: call this after that.

    Parameters
    ----------
    sample : dict
        ``image``, ``mask`` and ``soft`` are tensors on any device; all else, such as ``key``, stays as it is.

    Returns
    -------
    dict
        ``image`` and ``soft`` float32, images of whole numbers divided by the greatest; ``mask`` int64.
    """
    return {part: _usable(part, value) if part in PARTS else value for part, value in sample.items()}


def _usable(part: str, tensor: torch.Tensor) -> torch.Tensor:
    if part == "mask":
        return tensor.long()
    white = {torch.uint8: 255, torch.uint16: 65535}.get(tensor.dtype)
    return tensor.float() if white is None else tensor.float().div_(white)


def _keys_of_shards(root: Path, split: str) -> list[list[str]]:
    """Return the keys of each shard of a split, in order."""
    try:
        with (root / MANIFEST).open("rb") as file:
            table = pq.read_table(file, columns=["key", "split", "shard", "index"], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise OutputError(f"{root / MANIFEST} cannot be read ({reason}); run the same command again") from None
    found: dict[str, list[str]] = {}
    rows = table.filter(pc.equal(table["split"], split)).sort_by([("shard", "ascending"), ("index", "ascending")])
    for shard, key in zip(rows["shard"].to_pylist(), rows["key"].to_pylist(), strict=True):
        found.setdefault(shard, []).append(key)
    return list(found.values())


def _place() -> tuple[int, int]:
    """Return rank and number of ranks of this process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _check_same(name: str, saved: Any, value: Any) -> None:
    if saved != value:
        raise OutputError(
            f"{name} must be as the position was saved, with {saved}, got {value}; make it so, or begin the epoch anew"
        )
