"""Every kind of superpixels goes through a whole job."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.families import SUPERPIXELS
from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.superpixels.grid_regions import square_grid
from hsmix_gen.stages.superpixels.label_maps import region_count, stratified_counts
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("kinds") / "source", train=4, val=1, test=1)


def maps_of(source: Path, output: Path, kind: str) -> np.ndarray:
    """Run a job with one kind, check its output, and return its maps (image, variant, H, W)."""
    run_cli("run", source, output, *TINY, "--superpixels", kind, "--copies", 3)
    for command in (("verify", output, "--replay", 4), ("preview", output)):
        run_cli(*command)
    (layer,) = (output / ".hsmix" / "cache").glob("superpixels-*.zarr")
    return np.asarray(zarr.open_array(layer / "labels", mode="r"))


def test_kinds_are_the_modules_of_the_folder() -> None:
    assert SUPERPIXELS.names == ("felzenszwalb", "grid", "hierarchical", "precomputed", "slic", "watershed")
    assert RunConfig().superpixels.method == "slic"


def test_nested_maps_have_the_numbers_that_were_drawn(source: Path, tmp_path: Path) -> None:
    maps = maps_of(source, tmp_path / "out", "hierarchical")

    for few, many in maps:
        assert 6 <= region_count(few) < region_count(many) <= 20
        assert len(np.unique(many.astype(int) * 1000 + few)) == region_count(many)
    counts = {stratified_counts(6, 20, 2, generator_for(0, "regions", f"case_{i:02d}")) for i in range(6)}
    assert {tuple(region_count(labels) for labels in pair) for pair in maps} == counts


def test_the_grid_is_that_of_the_numbers_that_were_drawn(source: Path, tmp_path: Path) -> None:
    for labels in maps_of(source, tmp_path / "out", "grid").reshape(-1, 48, 64):
        assert np.array_equal(labels, square_grid((48, 64), n_regions=region_count(labels)))


def test_an_unknown_kind_is_refused_with_those_there_are(source: Path, tmp_path: Path) -> None:
    result = run_cli("run", source, tmp_path / "output", "--superpixels", "hexagons", status=1)

    assert (
        f"superpixels.method (--superpixels) must be one of {', '.join(SUPERPIXELS.names)}, got hexagons"
        in result.stderr
    )
