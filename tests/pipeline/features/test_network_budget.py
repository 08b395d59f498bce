"""The fit ends where the maps find the objects, and takes all steps that are allowed where they do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmix_gen.pipeline.features.feature_cache import FeatureCache, block_rows
from hsmix_gen.pipeline.features.network_task import ASK_EVERY, ENOUGH_AUC, NetworkTask, is_enough, record_path
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.config import SaliencyConfig
from tests.pipeline.jobs.plans import layers_in


@pytest.mark.parametrize(
    ("aucs", "ends"),
    [
        ([0.95], True),
        ([0.94], False),
        ([0.7, 0.94], False),
        ([0.94, 0.94], True),
        ([0.94, 0.93], True),
        ([0.94, 0.93, 0.935], False),
        ([0.94, 0.89], False),
        ([0.8, 0.8], False),
        ([None], True),
    ],
)
def test_a_fit_ends_where_maps_are_good_or_fair_and_no_longer_better(aucs: list[float | None], ends: bool) -> None:
    assert is_enough(aucs) == ends


@pytest.mark.slow
@pytest.mark.parametrize("is_learnable", [True, False])
def test_all_steps_are_taken_where_the_maps_find_nothing(tmp_path: Path, is_learnable: bool) -> None:
    """Masks that the images show are found at once; masks drawn at random are never found."""
    from hsmix_gen.pipeline.features.gradcam_units import make_network

    layers = layers_in(tmp_path)
    layers = replace(layers, n_rows=8)
    rng = np.random.default_rng(0)
    shape = (8, *layers.facts.size)
    masks = np.zeros(shape, np.uint8)
    for number, mask in enumerate(masks):
        mask[5 + 2 * number : 17 + 2 * number, 10:30] = 1
    images = (40 + 150 * masks[..., None] + rng.integers(0, 20, (*shape, layers.facts.channels))).astype(np.uint8)
    if not is_learnable:
        masks = (rng.random(shape) < 0.2).astype(np.uint8)
    cache = FeatureCache(tmp_path)
    cache.create(layers.images, layers.arrays(layers.images), n_rows=8, block=layers.block)
    for block in range(layers.n_blocks):
        rows = block_rows(block, layers.block, 8)
        part = slice(rows.start, rows.stop)
        cache.write_block(layers.images, block, rows, {"image": images[part], "mask": masks[part]})
    config = SaliencyConfig(fit_steps=ASK_EVERY + 1, side=32, probe_images=4)

    make_network(NetworkTask(layers, config, 0, tmp_path, tuple(range(8)), ()))

    record = atomic_files.read_json(record_path(layers))
    assert (record["steps"], record["layer_auc"] >= ENOUGH_AUC) == (
        (ASK_EVERY, True) if is_learnable else (ASK_EVERY + 1, False)
    )
