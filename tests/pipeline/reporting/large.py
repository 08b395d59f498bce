"""A dataset whose manifest names each of its shards many times: as many samples as one likes, without their pixels."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_large(dataset: Path, folder: Path, count: int) -> Path:
    """Write a dataset of at least `count` samples, which names the training shards of another again and again."""
    folder.mkdir()
    for name in ("run.json", "webdataset"):
        copy = shutil.copytree if (dataset / name).is_dir() else shutil.copy
        copy(dataset / name, folder / name)
    run = json.loads((folder / "run.json").read_text())
    cache = Path(run["cache"])
    run["cache"] = str(cache if cache.is_absolute() else dataset / cache)
    (folder / "run.json").write_text(json.dumps(run))
    table = pq.read_table(dataset / "manifest.parquet")
    train = table.filter(pa.array([split == "train" for split in table["split"].to_pylist()]))
    shards = train["shard"].to_pylist()
    parts, place = [table], train.schema.get_field_index("shard")
    while sum(part.num_rows for part in parts) < count:
        names = pa.array([f"{shard}-{len(parts)}" for shard in shards])
        parts.append(train.set_column(place, train.schema.field("shard"), names))
    described = json.loads((dataset / "dataset.json").read_text())
    listed = described["formats"]["webdataset"]
    again = [file for file in listed if file["split"] == "train"]
    # In the order of the names of shards, which readers take.
    order = sorted((name, file["path"]) for part in (train, *parts[1:]) for name, file in _pairs(part, again))
    others = [file for file in listed if file["split"] != "train"]
    described["formats"]["webdataset"] = others + [{"path": path, "split": "train"} for _, path in order]
    (folder / "dataset.json").write_text(json.dumps(described))
    pq.write_table(pa.concat_tables(parts), folder / "manifest.parquet")
    return folder


def _pairs(part: pa.Table, files: list[dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
    return list(zip(sorted(set(part["shard"].to_pylist())), files, strict=True))
