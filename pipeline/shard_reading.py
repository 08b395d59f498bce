"""Published shards as samples again, for checks."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

_N_MEMBERS = 4


@dataclass(frozen=True)
class Stored:
    """A sample as it lies in a shard."""

    key: str
    file: str
    index: int
    image: bytes
    mask: bytes
    soft: bytes
    provenance: dict[str, Any]


def read_samples(path: Path, form: str, members: Sequence[str]) -> Iterator[Stored]:
    """Yield the samples of a shard in order.

    Parameters
    ----------
    path : Path
        A published shard.
    form : str
        Its format.
    members : sequence of str
        Members of each sample, as ``dataset.json`` names them.
    """
    name = f"{form}/{path.name}"
    image_member = next(member for member in members if member.startswith("image."))
    if form == "webdataset":
        yield from _tar_samples(path, name, image_member)
    else:
        yield from _parquet_samples(path, name)


def _tar_samples(path: Path, name: str, image_member: str) -> Iterator[Stored]:
    members: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        for index, info in enumerate(tar):
            key, _, member = info.name.partition(".")
            file = tar.extractfile(info)
            assert file is not None
            members[member] = file.read()
            if len(members) == _N_MEMBERS:
                yield Stored(
                    key, name, index // _N_MEMBERS, members[image_member], members["mask.png"], members["soft.npz"],
                    json.loads(members["json"]),
                )  # fmt: skip
                members = {}


def _parquet_samples(path: Path, name: str) -> Iterator[Stored]:
    index = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=16):
            for row in batch.to_pylist():
                image, mask, soft = row.pop("image"), row.pop("mask"), row.pop("soft")
                picture = image["bytes"] if isinstance(image, dict) else image
                yield Stored(row["key"], name, index, picture, mask["bytes"], soft, row)
                index += 1
