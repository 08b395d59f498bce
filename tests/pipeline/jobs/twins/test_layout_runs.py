"""A twin of every layout of pictures goes through the whole job; what is stored is what the test wrote into files."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.fixture_types import Cli, Inspect, Options
from tests.pipeline.jobs.twins.picture_twins import SIZE, WRITERS, PictureTwin
from tests.pipeline.jobs.twins.twin import Made, Read, assert_sound, innermost_of, run_twin, soft_of


@pytest.fixture(scope="module", params=list(WRITERS))
def made(
    request: pytest.FixtureRequest, run_cli: Cli, quick: Options, tmp_path_factory: pytest.TempPathFactory
) -> Made[PictureTwin]:
    """The dataset of each twin, in both formats."""
    return run_twin(WRITERS[request.param], tmp_path_factory.mktemp("twin"), run_cli, "--size", *SIZE, *quick)


def test_inspect_states_layout_classes_and_splits_as_written(made: Made[PictureTwin], inspected: Inspect) -> None:
    twin = made.twin

    found = inspected(made.source, *twin.options)

    assert (found["layout"], found["problems"], found["volumes"]) == (twin.layout, [], False)
    assert (found["usable"], found["channels"], found["dtype"]) == (len(twin.images), twin.channels, "uint8")
    assert found["sizes"]["most_common"] == [[*SIZE, len(twin.images)]]
    soft = sum(soft_of(mask, len(twin.names)).astype(int).sum(axis=(1, 2)) for mask in twin.masks.values())
    classes = [(entry["name"], entry["pixels"]) for entry in found["classes"] if entry["name"] != "ignore"]
    assert classes == list(zip(twin.names, np.asarray(soft).tolist(), strict=True))
    assert {key: found[key] for key in twin.stated} == twin.stated


def test_images_that_are_not_mixed_are_stored_as_written(made: Made[PictureTwin], read_samples: Read) -> None:
    """All that is validated or tested on, and what of the training images was drawn to stay, not turned."""
    twin, checked = made.twin, set()

    for sample in read_samples(made.output).values():
        row = sample.provenance
        if row["mode"] == "none" and row["transform_a"] == 0:
            name = row["source_a"]
            assert np.array_equal(sample.image, twin.images[name]), name
            assert np.array_equal(sample.mask, innermost_of(twin.masks[name])), name
            assert np.array_equal(sample.soft, soft_of(twin.masks[name], len(twin.names))), name
            checked.add((row["split"], name))

    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    assert {row["source_a"] for row in rows} == twin.images.keys()
    assert checked >= {(row["split"], row["source_a"]) for row in rows if row["split"] != "train"} != set()


def test_the_dataset_is_sound_and_made_again(made: Made[PictureTwin], run_cli: Cli) -> None:
    assert_sound(made.output, run_cli)
