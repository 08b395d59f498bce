"""Published shards as samples again, for checks."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hsmix_gen.schemas.errors import OutputError


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
    with tarfile.open(path) as tar:
        for index, (key, infos) in enumerate(groupby(tar, key=lambda info: info.name.partition(".")[0])):
            members = {info.name.partition(".")[2]: _content(tar, info) for info in infos}
            try:
                yield Stored(
                    key, name, index, members[image_member], members["mask.png"], members["soft.npz"],
                    json.loads(members["json"]),
                )  # fmt: skip
            except KeyError as missing:
                raise OutputError(f"{name}: sample {key} has no member {missing.args[0]}; run again") from None


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file is not None else b""


def _parquet_samples(path: Path, name: str) -> Iterator[Stored]:
    index = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=16):
            for row in batch.to_pylist():
                image, mask, soft = row.pop("image"), row.pop("mask"), row.pop("soft")
                picture = image["bytes"] if isinstance(image, dict) else image
                yield Stored(row["key"], name, index, picture, mask["bytes"], soft, row)
                index += 1
