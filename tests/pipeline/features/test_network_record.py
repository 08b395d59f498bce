"""Maps and the record of the network that made them belong together."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.feature_cache import ArraySpec, FeatureCache
from hsmix_gen.pipeline.features.gradcam_stage import GradCamStage
from hsmix_gen.pipeline.features.network_task import record_path
from hsmix_gen.pipeline.files.sealed_json import write_sealed
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import BlockRecord
from tests.pipeline.jobs.plans import layers_in


@pytest.mark.parametrize(
    ("record", "blocks", "kept"), [("sound", 1, 1), ("damaged", 1, 0), ("missing", 1, 0), ("damaged", 2, 2)]
)
def test_some_maps_of_a_network_that_is_fitted_anew_are_made_again(
    record: str, blocks: int, kept: int, tmp_path: Path
) -> None:
    layers = layers_in(tmp_path, rows=20)
    cache, layer = FeatureCache(tmp_path), layers.saliency
    cache.create(layer, [ArraySpec("a", (1,), "uint8")], n_rows=20, block=layers.block)
    for number in range(blocks):
        cache.commit(BlockRecord(layer, number, ()))
    path = record_path(layers)
    path.parent.mkdir()
    if record != "missing":
        write_sealed(path, {"layer": "up"})
    if record == "damaged":
        path.write_bytes(path.read_bytes().replace(b"up", b"UP"))

    units = GradCamStage(layers, RunConfig(), Reporter(SilentDisplay())).network_units([])

    assert len(units) == (record != "sound")
    assert len(cache.records(layer)) == kept
