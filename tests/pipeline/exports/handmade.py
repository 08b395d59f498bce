"""Finished outputs made by hand, without the program: every pixel of an export can be compared with what was put in."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.exports.export import Exported, export_output
from hsmix_gen.schemas.records import ManifestRow
from hsmix_gen.schemas.tables import MANIFEST_SCHEMA, SOURCES_SCHEMA
from tests.written import npy, png

SIZE = (6, 9)
"""Neither square nor a power of two, so that every wrong turn shows."""


@dataclass(frozen=True)
class Put:
    """A sample that is put into an output."""

    key: str
    image: npt.NDArray[Any]
    mask: npt.NDArray[np.uint8]
    soft: npt.NDArray[np.float16]
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """The split stands first in a key."""
        return self.key.partition("-")[0]


def soft_of(mask: npt.NDArray[np.uint8], n_classes: int, rng: np.random.Generator) -> npt.NDArray[np.float16]:
    """Return a soft label with the mask as its argmax: the class has 128 to 255 parts of 255, the next one the rest."""
    rest = rng.integers(0, 128, mask.shape)
    shares = np.zeros((n_classes, *mask.shape), dtype=np.int64)
    for class_id in range(n_classes):
        shares[class_id] += np.where(mask == class_id, 255 - rest, 0)
        shares[class_id] += np.where((mask + 1) % n_classes == class_id, rest, 0)
    shares[:, mask == 255] = 0
    return (shares / 255).astype(np.float16)


def draw(
    key: str, *, channels: int = 3, dtype: str = "uint8", n_classes: int = 3, ignore: bool = False, **row: Any
) -> Put:
    """Return a random sample."""
    rng = np.random.default_rng(list(key.encode()))
    shape = (*SIZE, channels)
    if dtype == "float32":
        image = rng.uniform(0, 1, shape).astype(np.float32)
    else:
        image = rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    mask = rng.integers(0, n_classes, SIZE).astype(np.uint8)
    if ignore:
        mask[0, :2] = 255
    return Put(key, image, mask, soft_of(mask, n_classes, rng), row)


def make_output(
    root: Path, samples: list[Put], *, planes: Mapping[str, tuple[str, int]] | None = None, **stated: Any
) -> Path:
    """Write a finished output with one tar file for each split."""
    (root / "webdataset").mkdir(parents=True)
    first = samples[0]
    is_png = str(first.image.dtype) == "uint8" and first.image.shape[-1] in (1, 3)
    member = "image.png" if is_png else "image.npy"
    rows, files, splits = [], [], {}
    for split in sorted({put.split for put in samples}):
        chosen = [put for put in samples if put.split == split]
        splits[split] = {"samples": len(chosen), "images": len(chosen), "shards": 1}
        path = root / "webdataset" / f"{split}-000000.tar"
        with tarfile.open(path, "w") as tar:
            for index, put in enumerate(chosen):
                image = png(put.image) if is_png else npy(put.image)
                row = row_of(put, index, image)
                rows.append(asdict(row))
                members = {
                    member: image,
                    "json": json.dumps(row.provenance()).encode(),
                    "mask.png": png(put.mask),
                    "soft.npz": npz(put.soft),
                }
                for name, data in members.items():
                    info = tarfile.TarInfo(f"{put.key}.{name}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        files.append({"path": f"webdataset/{path.name}", "bytes": len(data), "sha256": digest, "split": split})
    rows.sort(key=lambda row: str(row["key"]))
    described = {
        "name": "twin",
        "classes": [f"class_{i}" if i else "background" for i in range(len(first.soft))],
        "label_mode": "exclusive",
        "ignore": 255,
        "size": list(first.image.shape[:2]),
        "channels": first.image.shape[-1],
        "dtype": str(first.image.dtype),
        "intensity": {"kind": "window" if first.image.dtype == np.float32 else "none"},
        "members": [member, "json", "mask.png", "soft.npz"],
        "soft": {"array": "soft", "shape": list(first.soft.shape), "dtype": "float16", "encoding": "npz"},
        "splits": splits,
        "formats": {"webdataset": files},
        "config_digest": "0123456789ab",
    }
    (root / "dataset.json").write_text(json.dumps(described | stated))
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA), root / "manifest.parquet")
    if planes is not None:
        write_sources(root / ".hsmix" / "sources.parquet", samples, planes)
    return root


def row_of(put: Put, index: int, image: bytes) -> ManifestRow:
    """Return the manifest row of a sample; of training samples A and B are two sources of their own."""
    mixed = put.split == "train"
    values: dict[str, Any] = {
        "key": put.key, "split": put.split, "fold": None, "mode": "soft" if mixed else "none",
        "source_a": f"{put.key}-a", "source_b": f"{put.key}-b" if mixed else None,
        "group_a": f"{put.key}-p", "group_b": f"{put.key}-q" if mixed else None,
        "variant_a": None, "variant_b": None, "transform_a": 0, "transform_b": 0 if mixed else None, "seed": 7,
        "select_p": 0.2, "area_b": 0.0, "lambda_min": None, "lambda_mean": None, "lambda_max": None, "regions": None,
        "flags": (), "shard": f"{put.split}-000000", "index": index, "bytes": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
    }  # fmt: skip
    return ManifestRow(**{**values, **put.row})


def write_sources(path: Path, samples: list[Put], planes: Mapping[str, tuple[str, int]]) -> None:
    """Write what a run keeps of its sources: the volume and plane of each key."""
    path.parent.mkdir()
    rows = []
    for put in samples:
        volume, plane = planes.get(put.key, (put.key, 0))
        uri = f"{volume}#plane={plane}" if plane else volume
        rows.append(
            {
                "id": f"{put.key}-a", "group": "p", "split": put.split, "fold": None, "image": uri, "mask": uri,
                "image_sha256": "", "mask_sha256": "", "height": 6, "width": 9, "plane": plane, "spacing": None,
                "refusal": None,
            }
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=SOURCES_SCHEMA), path)


def npz(soft: npt.NDArray[Any]) -> bytes:
    """Return a soft label as npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, soft=soft)
    return buffer.getvalue()


def export(root: Path, dest: Path, kind: str, options: Any = None) -> Exported:
    """Export without a word."""
    return export_output(root, dest, kind, Reporter(SilentDisplay()), options)
