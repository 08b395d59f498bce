"""`--augment`: shards, fresh samples and replays agree, the manifest states what was done, other splits are left."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.loading import HsmixDataset, HsmixFresh
from hsmix_gen.pipeline.mixing.preview import Painter, Shown
from hsmix_gen.pipeline.verification.reopened import reopen
from tests.command_line import run_cli
from tests.fixture_types import Maker


def test_augmented_shards_are_those_of_fresh_samples_and_of_replays(make_sharded: Maker, tmp_path: Path) -> None:
    plain = make_sharded("webdataset")
    cache = plain / ".hsmix" / "cache"
    options = ("--copies", 2, "--shards", 2, "--augment", "trivial", "--format", "webdataset", "--format", "parquet")
    run_cli("generate", "--cache", cache, tmp_path / "out", *options, "--backend", "serial")

    run_cli("verify", tmp_path / "out", "--replay", 6)
    rows = {row["key"]: row for row in pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()}
    assert all((row["augment"] is not None) == (row["split"] == "train") for row in rows.values())
    assert len({row["augment"] for row in rows.values()}) > 8
    before = {sample["key"]: sample for sample in HsmixDataset(plain, raw=True)}  # type: ignore[attr-defined]
    stored = {sample["key"]: sample for sample in HsmixDataset(tmp_path / "out", raw=True)}  # type: ignore[attr-defined]
    fresh = HsmixFresh(cache, augment="trivial", raw=True)
    for number in range(len(fresh)):
        sample = fresh[number]
        assert all(np.array_equal(sample[part], stored[sample["key"]][part]) for part in ("image", "mask", "soft"))
        assert sample["json"] == stored[sample["key"]]["json"] == before[sample["key"]]["json"]
    changed = [key for key in stored if not np.array_equal(stored[key]["image"], before[key]["image"])]
    assert len(changed) > len(stored) / 2
    assert (
        "Each was augmented afterwards. TrivialAugment: one operation" in (tmp_path / "out" / "README.md").read_text()
    )
    assert_preview_states_it(tmp_path / "out")
    table = pq.read_table(plain / "manifest.parquet", columns=["augment"])
    assert table["augment"].null_count == len(table)


def assert_preview_states_it(root: Path) -> None:
    """The caption of a sample does; the large pair is the mix before, whose seams are where they are drawn."""
    opened = reopen(root)
    cache = FeatureCache(opened.prepared.layers.root)
    row = next(row for row in read_manifest(root / "manifest.parquet") if row.mode == "hard")
    without = opened.config.model_copy(update={"mix": opened.config.mix.model_copy(update={"augment": "none"})})
    painter, plain = (Painter(cache, opened.prepared, config) for config in (opened.config, without))
    plan = opened.plan_of(row)

    assert painter.small(Shown(plan, "worst")).caption.endswith(f"; worst; then {row.augment}")
    assert plain.small(Shown(plan)).caption.endswith(row.source_b or "")
    for mine, theirs in zip(painter.large(plan)[0].pictures, plain.large(plan)[0].pictures, strict=True):
        np.testing.assert_array_equal(mine, theirs)
