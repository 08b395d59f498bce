"""Parquet: a row for each sample, which HF ``datasets`` decodes by itself."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.dataset.formats.base import (
    Columns,
    FileShard,
    Format,
    Members,
    SampleReader,
    Stored,
    TableForm,
    naming_sample,
)
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import UNSAID
from hsmix_gen.schemas.tables import shard_schema

ROW_GROUP = 100
"""Most samples of a row group: readers fetch one group at a time."""
GROUP_BYTES = 100_000_000
"""Most bytes of a row group before compression, unless one sample alone has more."""
_PICTURES = {"image.bytes", "image.path", "mask.bytes", "mask.path", "preview.bytes", "preview.path", "image"}
_BATCH = 16


class ParquetShard(FileShard):
    """A Parquet file; pictures are stored as they are, the rest as zstd."""

    def __init__(self, path: Path, form: TableForm) -> None:
        super().__init__(path)
        self._is_png = form.image_is_png
        self._schema = shard_schema(**asdict(form))
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            compression={leaf: "NONE" if leaf in _PICTURES else "ZSTD" for leaf in _leaves(self._schema)},
            use_dictionary=False,
            write_page_index=True,
        )

    def add(self, key: str, members: Members, columns: Columns) -> None:
        """Add one sample as a row."""
        if self._is_png:
            image: Any = {"bytes": members["image.png"], "path": f"{key}.image.png"}
        else:
            image = members["image.npy"]
        mask = {"bytes": members["mask.png"], "path": f"{key}.mask.png"}
        soft = columns["soft"]()
        n_bytes = sum(len(data) for name, data in members.items() if name.startswith(("image.", "mask."))) + len(soft)
        if self._bytes + n_bytes > GROUP_BYTES:
            self._flush()
        row = {**json.loads(members["json"]), "image": image, "mask": mask, "soft": soft}
        if "preview" in columns:
            row["preview"] = {"bytes": columns["preview"](), "path": f"{key}.preview.png"}
        self._rows.append(row)
        self._bytes += n_bytes
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
            self._bytes = 0


class RowReader(SampleReader):
    """Row groups that were read last are kept, as many as `keep` asks for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._groups: OrderedDict[tuple[int, int], _Rows] = OrderedDict()
        self._count = 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_groups": OrderedDict()}

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample."""
        path, key = self._files[shard], self._keys[shard][index]
        with naming_sample(path, key):
            return self._row(shard, index, key)

    def _row(self, shard: int, index: int, key: str) -> Members:
        ends = _row_group_ends(self._files[shard])
        number = int(np.searchsorted(ends, index, side="right"))
        if number == len(ends):
            raise OutputError(f"is row {index} of a file that has {ends[-1] if number else 0}")
        group = self._groups.get((shard, number))
        if group is None:
            with _opened(self._files[shard]) as file:
                wanted = [name for name in file.schema_arrow.names if name != "preview"]
                group = _Rows(file.read_row_group(number, wanted, use_threads=False), self._described)
            self._groups[shard, number] = group
        self._groups.move_to_end((shard, number))
        # Neighbours lie in whole groups and in parts of one before and one after.
        while sum(map(len, self._groups.values())) - 2 * len(group) >= self._count:
            self._groups.popitem(last=False)
        row = index - int(ends[number]) + len(group)
        if group.keys[row] != key:
            raise OutputError(f"is expected in a row that holds {group.keys[row]}")
        return group.members(row)

    def keep(self, count: int) -> None:
        """Keep groups for `count` neighbours in any order."""
        self._count = count


class ParquetFormat(Format):
    """Shards of Parquet files."""

    reader = RowReader
    rank, plain_rank, hub_rank = 1, 2, 0
    hub_files = "parquet/{}-*.parquet"
    snippet = """\
import io
import datasets
import numpy as np
import torch
from PIL import Image

# Columns that are not named would be read and decoded as well.
rows = datasets.load_dataset(
    "parquet", data_files="parquet/train-*.parquet", split="train", streaming=True, columns=["image", "soft"]
){hf_encoded}
# Samples were shuffled when they were made; in this buffer labels are large.
rows = rows.shuffle(seed=0, buffer_size=32)

{decoder}def collate(batch):
    images = np.stack([np.array({row_image}, np.float32){hf_axis} for row in batch])
    soft = np.stack([{column_soft} for row in batch])
    return torch.from_numpy(images).movedim(-1, 1){scaled}, torch.from_numpy(soft).float()

loader = torch.utils.data.DataLoader(rows, batch_size=8, collate_fn=collate)
for images, soft in loader:
    loss = torch.nn.functional.{loss}(model(images), soft)
    loss.backward()
"""
    stream = """\
import glob, io, random
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

{decoder}def sample(row):
    image = np.array({row_image})
    soft = {column_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

class Samples(torch.utils.data.IterableDataset):
    def __init__(self, pattern):
        self.paths = sorted(glob.glob(pattern))

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        paths = self.paths[worker.id :: worker.num_workers] if worker else list(self.paths)
        random.shuffle(paths)
        for path in paths:
            for rows in pq.ParquetFile(path).iter_batches(64, columns=["image", "soft"]):
                yield from map(sample, rows.to_pylist())

dataset = Samples("parquet/train-*.parquet")
loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2)
"""
    plain = stream

    def writer(self, root: Path, split: str, number: int, total: int, form: TableForm) -> ParquetShard:
        """Return what writes a shard."""
        return ParquetShard(root / "parquet" / f"{split}-{number:05d}-of-{total:05d}.parquet", form)

    def in_order(self, root: Path, file: str, described: Mapping[str, Any]) -> Iterator[Stored]:
        """Yield the samples of a shard in order."""
        index = 0
        with _opened(root / file) as opened:
            for batch in opened.iter_batches(_BATCH, use_threads=False):
                rows = _Rows(pa.Table.from_batches([batch]), described)
                for row, key in enumerate(rows.keys):
                    with naming_sample(file, key):
                        members = rows.members(row)
                    yield Stored(key, file, index, members)
                    index += 1

    def stored(self, members: Members, columns: Columns) -> Members:
        """Return the members of a sample, the soft label as the column holds it: pages are compressed already."""
        found = {"soft.npy" if name == "soft.npz" else name: data for name, data in members.items()}
        if "soft.npz" in members:
            found["soft.npy"] = columns["soft"]()
        return {**found, "preview.png": columns["preview"]()} if "preview" in columns else found


FORMAT = ParquetFormat()


class _Rows:
    """Rows in memory: what is encoded as Arrow buffers, the rest as JSON."""

    def __init__(self, table: pa.Table, described: Mapping[str, Any]) -> None:
        table = table.combine_chunks()
        soft = described["soft"]
        member = {"npy": "soft.npy"}.get(soft.get("parquet", "npy"), soft.get("member", "soft.npz"))
        self._encoded = {member: _column(table, "soft"), "mask.png": _column(table, "mask").field("bytes")}
        image = _column(table, "image")
        if "preview" in table.column_names:
            self._encoded["preview.png"] = _column(table, "preview").field("bytes")
        is_npy = pa.types.is_binary(image.type)
        self._encoded["image.npy" if is_npy else "image.png"] = image if is_npy else image.field("bytes")
        encoded = {"image", "mask", "soft", "preview"}
        plain = table.select([name for name in table.column_names if name not in encoded]).to_pylist()
        # What is null there is not said by samples.
        rows = [{name: v for name, v in row.items() if v is not None or name not in UNSAID} for row in plain]
        self.keys: Sequence[str] = [row["key"] for row in rows]
        self._rows = [canonical_json(row).encode() for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def members(self, row: int) -> Members:
        encoded = {name: column[row].as_py() for name, column in self._encoded.items()}
        missing = next((name for name, data in encoded.items() if data is None), None)
        if missing:
            raise OutputError(f"has a null where its {missing} belongs")
        return {**encoded, "json": self._rows[row]}


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    if is_remote(path):
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:
            yield file
    else:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file


@lru_cache(maxsize=10_000)
def _row_group_ends(path: Path) -> npt.NDArray[np.int64]:
    """Return the number of the first row after each row group."""
    with pq.ParquetFile(path) as file:
        counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    return np.cumsum(counts, dtype=np.int64)


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].chunk(0)


def _leaves(schema: pa.Schema) -> list[str]:
    leaves = []
    for field in schema:
        if pa.types.is_struct(field.type):
            leaves += [f"{field.name}.{child.name}" for child in field.type]
        elif pa.types.is_list(field.type):
            leaves.append(f"{field.name}.list.element")
        else:
            leaves.append(field.name)
    return leaves
