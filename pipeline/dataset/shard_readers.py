"""Published shards as samples again, for checks."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hsmix_gen.pipeline.dataset.folder_format import folder_files
from hsmix_gen.schemas.errors import OutputError


@dataclass(frozen=True)
class Stored:
    """A sample as it lies in a shard.

    Of the folder format, which has no shards, `index` is 0 and `provenance` is empty: the manifest alone holds them.
    """

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
        A published shard; of the folder format a file, where that of the image stands for the sample and others
        for nothing.
    form : str
        Its format.
    members : sequence of str
        Members of each sample, as ``dataset.json`` names them.
    """
    name = f"{form}/{path.name}"
    image_member = next(member for member in members if member.startswith("image."))
    if form == "webdataset":
        yield from _tar_samples(path, name, image_member, soft_member_of(members))
    elif form == "folder":
        if path.parent.name == "images":
            yield _files_of(path, members)
    else:
        yield from _parquet_samples(path, name)


def soft_member_of(members: Sequence[str]) -> str:
    """Return which member holds the soft label."""
    return next(member for member in members if member.partition(".")[0] in ("soft", "pair"))


def _tar_samples(path: Path, name: str, image_member: str, soft_member: str) -> Iterator[Stored]:
    with path.open("rb") as file, tarfile.open(fileobj=file) as tar:
        for index, (key, infos) in enumerate(groupby(tar, key=lambda info: info.name.partition(".")[0])):
            members = {info.name.partition(".")[2]: _content(tar, info) for info in infos}
            try:
                yield Stored(
                    key, name, index, members[image_member], members["mask.png"], members[soft_member],
                    json.loads(members["json"]),
                )  # fmt: skip
            except KeyError as missing:
                raise OutputError(f"{name}: sample {key} has no member {missing.args[0]}; run again") from None


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file is not None else b""


def _files_of(image: Path, members: Sequence[str]) -> Stored:
    key, root = image.stem, image.parent.parent.parent
    paths = folder_files(key, members)
    image_member = next(member for member in members if member.startswith("image."))
    data = {}
    for name, file in paths.items():
        try:
            data[name] = (root / file).read_bytes()
        except FileNotFoundError:
            # Stores do not tell which file they miss.
            raise OutputError(f"sample {key} has no file {root / file}; run again") from None
    soft = data[soft_member_of(members)]
    return Stored(key, paths[image_member], 0, data[image_member], data["mask.png"], soft, {})


def _parquet_samples(path: Path, name: str) -> Iterator[Stored]:
    index = 0
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        for batch in file.iter_batches(batch_size=16):
            for row in batch.to_pylist():
                image, mask, soft = row.pop("image"), row.pop("mask"), row.pop("soft")
                picture = image["bytes"] if isinstance(image, dict) else image
                yield Stored(row["key"], name, index, picture, mask["bytes"], soft, row)
                index += 1
