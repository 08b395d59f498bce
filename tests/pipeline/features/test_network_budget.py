"""The network is fitted in few steps where they are enough, and in all that are allowed where they are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmix_gen.pipeline.features.feature_cache import FeatureCache, block_rows
from hsmix_gen.pipeline.features.network_task import SHORT_FIT, NetworkTask, budgets, record_path
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.config import SaliencyConfig
from tests.pipeline.jobs.plans import layers_in


@pytest.mark.parametrize(("most", "tried"), [(100, (40, 100)), (41, (40, 41)), (40, (40,)), (3, (3,))])
def test_few_steps_are_tried_first(most: int, tried: tuple[int, ...]) -> None:
    assert budgets(most) == tried


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
    config = SaliencyConfig(fit_steps=SHORT_FIT + 1, side=32, probe_images=4)

    make_network(NetworkTask(layers, config, 0, tmp_path, tuple(range(8)), ()))

    record = atomic_files.read_json(record_path(layers))
    assert (record["steps"], record["layer_auc"] >= 0.9) == ((40, True) if is_learnable else (41, False))
