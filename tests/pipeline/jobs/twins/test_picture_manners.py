"""Pictures of one source, run in further manners: tiles, networks, and our own output as a source."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.command_line import QUICK, inspected, run_cli
from tests.pipeline.jobs.twins import volume_twins
from tests.pipeline.jobs.twins.picture_twins import SIZE, write_channels, write_slides, write_webdataset
from tests.pipeline.jobs.twins.twin import UNMIXED, Twin
from tests.pipeline.stored_samples import read_samples


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides of 36 x 50 pixels with their masks."""
    root = tmp_path_factory.mktemp("slides")
    write_slides(root, (36, 50))
    return root


def test_partners_of_tiles_are_of_another_patient(slides: Path, tmp_path: Path) -> None:
    """Two slides are of one patient: neither their own tiles nor those of the other are mixed."""
    options = ("--tiles", 18, 25, "--size", 18, 25, "--copies", 4, "--probabilities", 0, 1, 0)

    run_cli("run", slides, tmp_path, *QUICK, *options)

    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    mixed = [row for row in rows if row["source_b"] is not None]
    assert len(mixed) == 4 * 3 * 4
    assert [row["key"] for row in mixed if row["group_a"] == row["group_b"]] == []


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_our_own_output_is_a_source_again(form: str, tmp_path: Path) -> None:
    """Each sample of the first dataset is an image of the second, in the split it had, unchanged."""
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    first, second, formats = tmp_path / "first", tmp_path / "second", ("--format", "webdataset", "--format", "parquet")
    run_cli("run", tmp_path / "source", first, "--size", *SIZE, *QUICK, *formats)
    moved = shutil.copytree(first / form, tmp_path / "moved")

    stated = inspected(moved)
    run_cli("run", moved, second, "--size", *SIZE, *QUICK, *UNMIXED)

    assert (stated["layout"], stated["splits"]) == (form, {"train": 3, "val": 1, "test": 1})
    before, after = read_samples(first), read_samples(second)
    again = {sample.provenance["source_a"]: sample for sample in after.values()}
    assert again.keys() == before.keys()
    for key, sample in before.items():
        assert np.array_equal(again[key].image, sample.image)
        assert np.array_equal(again[key].mask, sample.mask)
        assert again[key].provenance["split"] == sample.provenance["split"]


def test_the_folder_around_our_own_output_leads_to_its_samples(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    output = tmp_path / "output"
    run_cli("run", tmp_path / "source", output, "--size", *SIZE, *QUICK)

    result = run_cli("inspect", output, status=1)

    assert f"give {output / 'webdataset'} to read its samples" in result.stderr


@pytest.mark.parametrize(
    ("write", "channels", "mode"),
    [(write_channels, 3, "multilabel"), (volume_twins.write_brats, 4, "exclusive"),
     (volume_twins.write_nnunet, 2, "multilabel")],
)  # fmt: skip
def test_any_channels_and_overlapping_labels_go_through_grad_cam(
    write: Callable[[Path], Twin], channels: int, mode: str, tmp_path: Path
) -> None:
    """The network has as many inputs, and is fitted on ids collapsed from regions and channels."""
    (tmp_path / "source").mkdir()
    twin = write(tmp_path / "source")
    fitted = ("--saliency", "gradcam", "-o", "saliency.fit_steps=2", "-o", "saliency.probe_images=2")

    run_cli("run", tmp_path / "source", tmp_path / "output", "--size", 32, 48, *QUICK, *twin.options, *fitted)

    dataset = json.loads((tmp_path / "output" / "dataset.json").read_text())
    assert (dataset["channels"], dataset["label_mode"]) == (channels, mode)
    assert [name for name in dataset["classes"] if name != "background"] == [
        name for name in twin.names if name != "background"
    ]
    run_cli("verify", tmp_path / "output", "--replay", 3)
