"""`--partners guided`: shards and fresh samples have the partners whose saliency overlaps least; verify knows them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr

from hsmix_gen.pipeline.loading import HsmixDataset, HsmixFresh
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source


def test_partners_conflict_less_in_shards_and_fresh_samples(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", train=9, val=1, test=0)
    options = (*TINY, "--probabilities", 0, 1, 1, "--copies", 2, "--shards", 2)
    for name, more in (("plain", ()), ("guided", ("--partners", "guided"))):
        run_cli("run", source, tmp_path / name, *options, "--cache", tmp_path / "cache", *more)
    run_cli("verify", tmp_path / "guided", "--replay", 5)

    layer = json.loads((tmp_path / "guided" / "run.json").read_text())["layers"]["saliency"]
    maps = np.asarray(zarr.open_array(str(tmp_path / "cache" / f"{layer}.zarr"), path="saliency", mode="r")).astype(
        float
    )
    row_of = {row["id"]: i for i, row in enumerate(pq.read_table(tmp_path / "cache" / "sources.parquet").to_pylist())}

    def turned(name: str, number: int) -> Any:
        one = np.rot90(maps[row_of[name]] / maps[row_of[name]].sum(), number % 4)
        return one[:, ::-1] if number >= 4 else one

    overlap = {}
    for name in ("plain", "guided"):
        rows = [row for row in pq.read_table(tmp_path / name / "manifest.parquet").to_pylist() if row["source_b"]]
        assert all(row["source_a"] != row["source_b"] for row in rows)
        overlap[name] = np.mean(
            [(turned(r["source_a"], r["transform_a"]) * turned(r["source_b"], r["transform_b"])).sum() for r in rows]
        )
    assert overlap["guided"] < overlap["plain"]

    stored = {sample["key"]: sample["json"] for sample in HsmixDataset(tmp_path / "guided", parts=())}  # type: ignore[attr-defined]
    fresh = HsmixFresh(tmp_path / "cache", parts=(), partners="guided", probabilities=(0, 0.5, 0.5))
    made = [fresh.read(number, epoch) for epoch in (0, 1) for number in range(9)]
    assert {sample["key"]: sample["json"] for sample in made} == stored
