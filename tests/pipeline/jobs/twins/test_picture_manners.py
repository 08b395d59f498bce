"""Pictures of one source, run in further manners: tiles, fits, networks, and our own output as a source."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.fixture_types import Cli, Inspect, Options
from tests.pipeline.jobs.twins.picture_twins import SIZE, Picture, write_channels, write_slides, write_webdataset
from tests.pipeline.jobs.twins.twin import UNMIXED, Read

Slides = tuple[Path, dict[str, Picture], dict[str, Picture]]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Slides:
    """Slides of 36 x 50 pixels with their masks."""
    root = tmp_path_factory.mktemp("slides")
    return root, *write_slides(root, (36, 50))


def test_tiles_without_overlap_are_the_whole_image_again(
    slides: Slides, run_cli: Cli, quick: Options, read_samples: Read, tmp_path: Path
) -> None:
    """18 x 25 divides 36 x 50, so that the tiles of a slide are its image and mask, each pixel once."""
    source, images, masks = slides

    result = run_cli("run", source, tmp_path, "--tiles", 18, 25, "--size", 18, 25, *quick, *UNMIXED)

    assert result.exit_code == 0, result.stderr
    whole = {name: np.full((*image.shape[:2], 4), 99, np.uint8) for name, image in images.items()}
    for sample in read_samples(tmp_path).values():
        name, top, left = sample.provenance["source_a"].rsplit("-", 2)
        place = (slice(int(top[1:]), int(top[1:]) + 18), slice(int(left[1:]), int(left[1:]) + 25))
        whole[name][place] = np.dstack([sample.image, sample.mask])
    for name, image in images.items():
        assert np.array_equal(whole[name], np.dstack([image, masks[name]])), name


def test_partners_of_tiles_are_of_another_patient(slides: Slides, run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    """Two slides are of one patient: neither their own tiles nor those of the other are mixed."""
    options = ("--tiles", 18, 25, "--size", 18, 25, "--copies", 4, "--probabilities", 0, 1, 0)

    result = run_cli("run", slides[0], tmp_path, *quick, *options)

    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    mixed = [row for row in rows if row["source_b"] is not None]
    assert len(mixed) == 4 * 3 * 4
    assert [row["key"] for row in mixed if row["group_a"] == row["group_b"]] == []


def samples_with(fit: str, size: tuple[int, int], slides: Slides, run_cli: Cli, quick: Options, output: Path) -> None:
    result = run_cli("run", slides[0], output, "--fit", fit, "--size", *size, *quick, *UNMIXED)
    assert result.exit_code == 0, result.stderr


def test_pad_puts_the_whole_image_into_the_middle(
    slides: Slides, run_cli: Cli, quick: Options, read_samples: Read, tmp_path: Path
) -> None:
    """36 x 50 in 50 x 50: 7 rows of background above and below, nothing scaled."""
    samples_with("pad", (50, 50), slides, run_cli, quick, tmp_path)

    for sample in read_samples(tmp_path).values():
        name = sample.provenance["source_a"]
        assert np.array_equal(sample.image, np.pad(slides[1][name], ((7, 7), (0, 0), (0, 0))))
        assert np.array_equal(sample.mask, np.pad(slides[2][name], ((7, 7), (0, 0))))


def test_crop_takes_the_middle_and_pads_what_is_too_small(
    slides: Slides, run_cli: Cli, quick: Options, read_samples: Read, tmp_path: Path
) -> None:
    """36 x 50 to 40 x 30: 10 columns less on either side, 2 rows more above and below."""
    samples_with("crop", (40, 30), slides, run_cli, quick, tmp_path)

    for sample in read_samples(tmp_path).values():
        name = sample.provenance["source_a"]
        assert np.array_equal(sample.image, np.pad(slides[1][name][:, 10:40], ((2, 2), (0, 0), (0, 0))))
        assert np.array_equal(sample.mask, np.pad(slides[2][name][:, 10:40], ((2, 2), (0, 0))))


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_our_own_output_is_a_source_again(
    form: str, run_cli: Cli, quick: Options, inspected: Inspect, read_samples: Read, tmp_path: Path
) -> None:
    """Each sample of the first dataset is an image of the second, in the split it had, unchanged."""
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    first, second, formats = tmp_path / "first", tmp_path / "second", ("--format", "webdataset", "--format", "parquet")
    assert run_cli("run", tmp_path / "source", first, "--size", *SIZE, *quick, *formats).exit_code == 0
    moved = shutil.copytree(first / form, tmp_path / "moved")

    stated = inspected(moved)
    result = run_cli("run", moved, second, "--size", *SIZE, *quick, *UNMIXED)

    assert result.exit_code == 0, result.stderr
    assert (stated["layout"], stated["splits"]) == (form, {"train": 3, "val": 1, "test": 1})
    before, after = read_samples(first), read_samples(second)
    again = {sample.provenance["source_a"]: sample for sample in after.values()}
    assert again.keys() == before.keys()
    for key, sample in before.items():
        assert np.array_equal(again[key].image, sample.image)
        assert np.array_equal(again[key].mask, sample.mask)
        assert again[key].provenance["split"] == sample.provenance["split"]


def test_the_folder_around_our_own_output_leads_to_its_samples(run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    write_webdataset(tmp_path / "source")
    output = tmp_path / "output"
    assert run_cli("run", tmp_path / "source", output, "--size", *SIZE, *quick).exit_code == 0

    result = run_cli("inspect", output)

    assert result.exit_code == 1
    assert f"give {output / 'webdataset'} to read its samples" in result.stderr


def test_overlapping_channels_go_through_grad_cam(run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    """The network is fitted on ids collapsed from the channels."""
    (tmp_path / "source").mkdir()
    twin = write_channels(tmp_path / "source")
    fitted = ("--saliency", "gradcam", "-o", "saliency.fit_steps=2", "-o", "saliency.probe_images=2")

    result = run_cli("run", tmp_path / "source", tmp_path / "output", "--size", 32, 48, *quick, *twin.options, *fitted)

    assert result.exit_code == 0, result.stderr
    assert run_cli("verify", tmp_path / "output", "--replay", 3).exit_code == 0
    dataset = json.loads((tmp_path / "output" / "dataset.json").read_text())
    assert (dataset["label_mode"], dataset["classes"]) == ("multilabel", ["liver", "tumour"])
