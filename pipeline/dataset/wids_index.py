"""The index of WebDataset shards that ``wids`` reads: where they are, how many samples they hold, their checksums."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hsmix_gen.schemas.records import FileRecord


@dataclass(frozen=True)
class IndexedShard:
    """A tar file and how many samples it holds."""

    file: FileRecord
    n_samples: int


def index_name(split: str) -> str:
    """Return the path in the dataset of the index of a split."""
    return f"webdataset/{split}-index.json"


def wids_index(name: str, split: str, shards: Sequence[IndexedShard]) -> dict[str, Any]:
    """Return the index of the shards of a split, with paths relative to it."""
    return {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": f"{name}-{split}",
        "shardlist": [
            {
                "url": PurePosixPath(shard.file.path).name,
                "nsamples": shard.n_samples,
                "md5sum": shard.file.md5,
                "filesize": shard.file.bytes,
            }
            for shard in shards
        ],
    }
