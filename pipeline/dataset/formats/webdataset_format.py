"""WebDataset: plain tar files, members of a sample beside each other, and the index that ``wids`` reads."""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hsmix_gen.pipeline.dataset.formats.base import (
    Columns,
    FileShard,
    Format,
    Members,
    SampleReader,
    Stored,
    TableForm,
    Written,
    naming_sample,
)
from hsmix_gen.pipeline.dataset.formats.snippets import IMPORTS, SAMPLE, TORCH_LOOP
from hsmix_gen.pipeline.dataset.soft_encoding import PAIR_NAMES
from hsmix_gen.schemas.errors import OutputError

_TAR_MODE = 0o444
_TAR_BLOCK = 512
_TAR_NAME = 100
_TAR_SIZE = slice(124, 136)
_TAR_SUM = slice(148, 156)
_TAR_MOST = 8**11 - 1
_ZIP_REACH = 2**16 + 22
"""Bytes before the end of a file in which the end of a zip archive is looked for."""
_Places = dict[str, tuple[int, int]]
"""First byte and size of each member of a sample."""


class TarShard(FileShard):
    """An uncompressed USTAR file without times or owners."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = self._temporary.open("wb")
        self._holds_zip = False

    def add(self, key: str, members: Members, columns: Columns) -> None:  # noqa: ARG002
        """Add the members of one sample, contiguous and in the order of their names."""
        for name in sorted(members):
            data = members[name]
            self._holds_zip |= name.endswith(".npz")
            self._file.write(b"".join([_tar_header(f"{key}.{name}", len(data)), data, bytes(-len(data) % _TAR_BLOCK)]))

    def close(self) -> None:
        """Write the end of the archive: two empty blocks at least, and what a record lacks."""
        if not self._file.closed:
            with self._file:
                # An npz file is a zip archive: near the end, zipfile.is_zipfile takes the whole shard for one, and
                # mlcroissant unpacks the last label instead of the samples.
                self._file.write(bytes(2 * _TAR_BLOCK + (_ZIP_REACH if self._holds_zip else 0)))
                self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))

    def md5(self) -> str:
        """Return what ``wids`` knows a shard by, no protection against anybody."""
        with self._temporary.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class TarReader(SampleReader):
    """Members of a sample lie together, so that one read fetches them."""

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample."""
        path, key = self._files[shard], self._keys[shard][index]
        with naming_sample(path, key):
            places = _places_by_key(path).get(key)
            if places is None:
                raise OutputError("is not in it")
            with path.open("rb", buffering=0) as file:
                return _members(file, places)


class WebdatasetFormat(Format):
    """Shards of tar files."""

    reader = TarReader
    rank, plain_rank, hub_rank = 0, 1, 1
    hub_files = "webdataset/{}-*.tar"
    stream = f"""\
import glob, io
{IMPORTS}import webdataset as wds
from PIL import Image

{SAMPLE}shards = sorted(glob.glob("webdataset/train-*.tar"))
dataset = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=wds.split_by_node).shuffle(500).map(sample)
loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2)    # at most one worker per shard
"""
    snippet = f"{stream}{TORCH_LOOP}"
    plain = f"""\
import glob, io, tarfile
{IMPORTS}from PIL import Image

{SAMPLE}class Samples(torch.utils.data.Dataset):
    def __init__(self, pattern):
        self.places = {{}}
        for path in sorted(glob.glob(pattern)):
            with tarfile.open(path) as tar:
                for info in tar:
                    key, _, member = info.name.partition(".")
                    self.places.setdefault(key, {{}})[member] = path, info.offset_data, info.size
        self.keys = sorted(self.places)

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, number):
        entry = {{}}
        for member, (path, start, size) in self.places[self.keys[number]].items():
            with open(path, "rb") as file:
                file.seek(start)
                entry[member] = file.read(size)
        return sample(entry)

dataset = Samples("webdataset/train-*.tar")
loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2)
"""

    def writer(self, root: Path, split: str, number: int, total: int, form: TableForm) -> TarShard:  # noqa: ARG002
        """Return what writes a shard."""
        return TarShard(root / "webdataset" / f"{split}-{number:06d}.tar")

    def in_order(self, root: Path, file: str, described: Mapping[str, Any]) -> Iterator[Stored]:
        """Yield the samples of a shard in order."""
        with (root / file).open("rb") as opened:
            for index, (key, places) in enumerate(_samples(opened)):
                with naming_sample(file, key):
                    lacking = next((name for name in described["members"] if name not in places), None)
                    if lacking:
                        raise OutputError(f"has no member {lacking}")
                    members = _members(opened, places)
                yield Stored(key, file, index, members)

    def indexes(self, dataset: Mapping[str, Any], shards: Sequence[Written]) -> dict[str, Any]:
        """Return for each split where its shards are, how many samples they hold, and their checksums."""
        found = {}
        for split in dataset["splits"]:
            listed = [
                {
                    "url": PurePosixPath(file.path).name,
                    "nsamples": len(shard.keys),
                    "md5sum": file.md5,
                    "filesize": file.bytes,
                }
                for shard in shards
                for file in shard.files
                if shard.split == split and file.path.startswith("webdataset/")
            ]
            found[f"webdataset/{split}-index.json"] = {
                "__kind__": "wids-shard-index-v1",
                "wids_version": 1,
                "name": f"{dataset['name']}-{split}",
                "shardlist": listed,
            }
        return found

    def hub_columns(self, dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return how members are decoded; json is left out, the manifest holds the same.

        Else columns have the types of five samples of the last split, in which second parents are null.
        """
        if dataset.get("eval_size") == "native":  # arrays of several sizes have no type of their own there
            return []
        height, width = dataset["size"]
        pixels = (height, width, dataset["channels"]), dataset["dtype"]
        labels = (len(dataset["classes"]), height, width), "float16"
        types = {
            "image.npy": _array(*pixels),
            "soft.npy": _array(*labels),
            "soft.npz": _struct({"soft": _array(*labels)}),
            "pair.npz": _struct({name: _array((height, width), "uint8") for name in PAIR_NAMES}),
        }
        members = [name for name in dataset["members"] if name != "json"]
        columns = [{"name": name, **types.get(name, {"dtype": "image"})} for name in members]
        return [{"name": "__key__", "dtype": "string"}, *columns]


FORMAT = WebdatasetFormat()


def _array(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    return {"dtype": {f"array{len(shape)}_d": {"shape": list(shape), "dtype": dtype}}}


def _struct(arrays: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"struct": [{"name": name, **array} for name, array in arrays.items()]}


@lru_cache(maxsize=10_000)
def _places_by_key(path: Path) -> dict[str, _Places]:
    with path.open("rb", buffering=0) as file:
        try:
            return dict(_samples(file))
        except ValueError as error:
            raise OutputError(f"cannot be found: {error}") from None


def _tar_header(name: str, size: int) -> bytes:
    """Return the header of a file as `tarfile` makes it, in a fifth of the time."""
    header, entry = bytearray(_HEADER), name.encode()
    if len(entry) > _TAR_NAME or size > _TAR_MOST:
        raise ValueError(f"{name} of {size} bytes has no place in a USTAR file")
    header[: len(entry)] = entry
    header[_TAR_SIZE] = b"%011o\0" % size
    header[_TAR_SUM] = b" " * 8
    header[_TAR_SUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def _plain_header() -> bytes:
    """Return the header of an empty file without a name, a time or an owner."""
    info = tarfile.TarInfo()
    info.mode = _TAR_MODE
    return info.tobuf(tarfile.USTAR_FORMAT)


_HEADER = _plain_header()


def _samples(file: IO[bytes]) -> list[tuple[str, _Places]]:
    """Return the key of each sample and where its members lie, in order; of a file that is cut off what is whole.

    Ours are plain USTAR files. ``tarfile`` would take as long for this as decoding a tenth of the samples.
    """
    found: list[tuple[str, _Places]] = []
    while (header := file.read(_TAR_BLOCK)).rstrip(b"\0"):
        if len(header) < _TAR_BLOCK:
            break
        if sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ") != _octal(header[_TAR_SUM]):
            raise ValueError(f"byte {file.tell() - _TAR_BLOCK} of the file begins no tar header")
        prefix, name = (header[begin:end].partition(b"\0")[0].decode() for begin, end in ((345, 500), (0, 100)))
        key, _, member = (f"{prefix}/{name}" if prefix else name).partition(".")
        size = _octal(header[_TAR_SIZE])
        if not found or found[-1][0] != key:
            found.append((key, {}))
        found[-1][1][member] = (file.tell(), size)
        file.seek(-(-size // _TAR_BLOCK) * _TAR_BLOCK, os.SEEK_CUR)
    return found


def _members(file: IO[bytes], places: _Places) -> Members:
    first = min(offset for offset, _ in places.values())
    last = max(offset + size for offset, size in places.values())
    file.seek(first)
    block = file.read(last - first)
    if len(block) < last - first:
        raise OutputError(f"is cut off: it ends at byte {last}, the file at {first + len(block)}")
    return {name: block[at - first : at - first + size] for name, (at, size) in places.items()}


def _octal(digits: bytes) -> int:
    """Return a number of a tar header; -1 where there is none."""
    text = digits.rstrip(b" \0")
    return int(text, 8) if text.isdigit() else -1
