"""Volumes of one source, run in further manners: intensities, slices, partners, regions, folds and networks."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.fixture_types import Cli, Options
from tests.pipeline.jobs.twins.twin import UNMIXED, Numbers, Read
from tests.pipeline.jobs.twins.volume_twins import (
    SIZE,
    SPACING,
    WRITERS,
    Planes,
    by_percentiles,
    gathered,
    scaled,
    write_brats_cases,
    write_nnunet_cases,
)

Source = tuple[Path, dict[str, tuple[Numbers, Numbers]]]


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Four cases of four modalities."""
    root = tmp_path_factory.mktemp("brats")
    return root, write_brats_cases(root)


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Four cases of two channels."""
    root = tmp_path_factory.mktemp("nnunet")
    return root, write_nnunet_cases(root)


@pytest.fixture
def run_unmixed(run_cli: Cli, quick: Options, read_samples: Read, tmp_path: Path) -> Callable[..., Planes]:
    """Run without mixing or turning and return the stored samples by the id of their source."""

    def run(source: Path, *options: object, size: tuple[int, ...] = SIZE) -> dict[str, Any]:
        whole = ("--split", "1/0/0", *UNMIXED, "--saliency", "uniform")
        result = run_cli("run", source, tmp_path / "output", *quick, "--size", *size, *whole, *options)
        assert result.exit_code == 0, result.stderr
        return {sample.provenance["source_a"]: sample for sample in read_samples(tmp_path / "output").values()}

    return run


def expected_numbers(volume: Numbers, kind: str, dtype: str) -> Numbers:
    """Return what a kind and a type make of a volume; z-scores as whole numbers reach over 4 deviations."""
    values, body = scaled(volume, kind, (50, 1500) if kind == "window" else (10, 90))
    keeps_background = kind != "window"
    if dtype == "float32":
        return np.where(body | (not keeps_background), values, 0).astype(np.float32)
    top = 255 if dtype == "uint8" else 65535
    share = np.clip((values / 4 + 1) / 2, 0, 1) if kind == "zscore" else values
    whole = np.where(body, np.rint(1 + share * (top - 1)), 0) if keeps_background else np.rint(share * top)
    return whole.astype(dtype)


@pytest.mark.parametrize(("kind", "dtype"), [("window", "uint16"), ("percentile", "float32"), ("zscore", "uint8")])
def test_every_intensity_and_every_type_can_be_stored(
    nnunet: Source, run_unmixed: Callable[..., dict[str, Any]], kind: str, dtype: str
) -> None:
    """Percentiles and z-scores are those of a case and channel, background apart; the window is one for all."""
    window = {"window": ("--window", 50, 1500), "percentile": ("--window", 10, 90), "zscore": ()}[kind]

    samples = run_unmixed(nnunet[0], "--intensity", kind, "--dtype", dtype, *window)

    images, _ = gathered(nnunet[1], lambda volume: expected_numbers(volume, kind, dtype))
    raw, _ = gathered(nnunet[1], lambda volume: volume)
    assert samples.keys() == images.keys()
    for name, image in images.items():
        stored = samples[name].image
        assert (stored.dtype, stored.shape) == (image.dtype, image.shape)
        # The job computes in float32 what is written out in float64 here.
        tolerance = 1 if dtype == "uint16" else 0 if dtype == "uint8" else 2e-6
        np.testing.assert_allclose(stored.astype(float), image.astype(float), rtol=1e-5, atol=tolerance)
        if kind != "window":
            assert np.array_equal((stored == 0).any(axis=-1), (raw[name] == 0).all(axis=-1))


def test_slices_with_fewer_foreground_pixels_are_left_out(
    brats: Source, run_unmixed: Callable[..., dict[str, Any]]
) -> None:
    """The third label lies on plane 2 alone and makes it the largest."""
    sizes = {f"{name}-z{z:03d}": int((labels[z] > 0).sum()) for name, (_, labels) in brats[1].items() for z in range(6)}
    most = sorted(set(sizes.values()))[-2]

    samples = run_unmixed(brats[0], "--min-foreground", most)

    assert samples.keys() == {name for name, pixels in sizes.items() if pixels >= most} != set()


def test_every_other_slice_with_and_without_foreground_is_taken(
    brats: Source, run_unmixed: Callable[..., dict[str, Any]]
) -> None:
    samples = run_unmixed(brats[0], "--min-foreground", 0, "--every", 2)

    assert samples.keys() == {f"{name}-z{z:03d}" for name in brats[1] for z in (0, 2, 4)}


def test_coronal_slices_have_the_head_above_and_the_left_on_the_right(
    brats: Source, run_unmixed: Callable[..., dict[str, Any]]
) -> None:
    """6 rows are padded to 16 by 5 rows of background on either side."""
    samples = run_unmixed(brats[0], "--axis", "coronal", "--fit", "pad", size=(16, 28))

    expected = {}
    for name, (volume, labels) in brats[1].items():
        stored = by_percentiles(volume)
        for row in np.flatnonzero(labels.any(axis=(0, 2))):
            expected[f"{name}-z{row:03d}"] = (stored[::-1, row], np.where(labels == 4, 3, labels)[::-1, row])
    assert samples.keys() == expected.keys()
    for name, (image, mask) in expected.items():
        assert np.array_equal(samples[name].image, np.pad(image, ((5, 5), (0, 0), (0, 0)))), name
        assert np.array_equal(samples[name].mask, np.pad(mask, ((5, 5), (0, 0)))), name
        assert samples[name].provenance["spacing_a"] == [SPACING[2], SPACING[1]]


def test_any_partners_may_be_of_the_same_patient(brats: Source, run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    options = ("--partners", "any", "--probabilities", 0, 1, 0, "--limit", 1, "--split", "1/0/0")

    result = run_cli("run", brats[0], tmp_path, *quick, "--size", *SIZE, *options)

    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    assert {(row["mode"], row["group_a"] == row["group_b"]) for row in rows} == {("hard", True)}


def test_one_patient_alone_is_refused_in_one_line(brats: Source, run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    result = run_cli("run", brats[0], tmp_path, *quick, "--size", *SIZE, "--limit", 1, "--split", "1/0/0")

    assert result.exit_code == 1
    (line,) = [text for text in result.stderr.splitlines() if text]
    assert line.startswith("error: ")
    assert re.search(r"--partners any", line)


@pytest.mark.parametrize("name", ["synapse", "arrays-npz"])
def test_partners_of_slices_in_files_of_their_own_are_of_another_patient(
    name: str, run_cli: Cli, quick: Options, tmp_path: Path
) -> None:
    """Without the volumes for testing, TransUNet's slices are as near copies as with them."""
    (tmp_path / "source").mkdir()
    twin = WRITERS[name](tmp_path / "source")
    shutil.rmtree(tmp_path / "source" / "test_vol_h5", ignore_errors=True)
    options = (*twin.options, "--split", "1/0/0", "--probabilities", 0, 1, 0)

    result = run_cli("run", tmp_path / "source", tmp_path / "output", *quick, "--copies", 4, "--size", *SIZE, *options)

    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "output" / "manifest.parquet").to_pylist()
    assert [row["key"] for row in rows if row["group_a"] == row["group_b"]] == []


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_inspect_reports_volumes_of_which_none_can_be_used(brats: Source, run_cli: Cli, form: tuple[str, ...]) -> None:
    """Nothing is known of their numbers then."""
    result = run_cli("inspect", brats[0], "--mask-values", "0=0,1=1", *form)

    assert result.exit_code == 1, result.stderr
    assert "values 2, 4 that are no class, expected 0, 1" in result.stdout


def test_regions_may_be_read_as_classes_that_exclude_each_other(
    nnunet: Source, run_unmixed: Callable[..., dict[str, Any]]
) -> None:
    """Labels 1 and 2 are classes, 3 is ignored as dataset.json says."""
    samples = run_unmixed(nnunet[0], "--labels", "exclusive")

    _, values = gathered(nnunet[1], lambda volume: volume)
    for name, mask in values.items():
        assert np.array_equal(samples[name].mask, np.where(mask == 3, 255, mask)), name


def test_a_run_of_which_no_image_can_be_used_states_the_first_reason(
    brats: Source, run_cli: Cli, quick: Options, tmp_path: Path
) -> None:
    """There is no refused.csv yet that could be looked into."""
    result = run_cli("run", brats[0], tmp_path, *quick, "--size", *SIZE, "--mask-values", "0=0,1=1")

    assert result.exit_code == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == [
        result.stderr.splitlines()[-1]
    ]
    assert "values 2 that are no class, expected 0, 1" in result.stderr


def test_folds_of_volumes_have_patients_apart(nnunet: Source, run_cli: Cli, quick: Options, tmp_path: Path) -> None:
    """Every patient is validated on once; partners are of the training side and of another patient."""
    result = run_cli("run", nnunet[0], tmp_path, *quick, "--size", *SIZE, "--folds", 2, "--split", "1/0/0")

    assert result.exit_code == 0, result.stderr
    validated = []
    for fold in ("fold-0", "fold-1"):
        rows = pq.read_table(tmp_path / fold / "manifest.parquet").to_pylist()
        groups = {split: {row["group_a"] for row in rows if row["split"] == split} for split in ("train", "val")}
        assert groups["train"] & groups["val"] == set()
        assert {row["group_b"] for row in rows if row["group_b"]} <= groups["train"]
        assert [row["key"] for row in rows if row["group_b"] == row["group_a"]] == []
        validated += sorted(groups["val"])
        assert run_cli("verify", tmp_path / fold, "--replay", 2).exit_code == 0
    assert sorted(validated) == sorted(nnunet[1])


@pytest.mark.parametrize("layout", ["brats", "nnunet"])
def test_two_and_four_channels_go_through_grad_cam(
    layout: str, request: pytest.FixtureRequest, run_cli: Cli, quick: Options, tmp_path: Path
) -> None:
    """The network that is fitted has as many inputs; the labels of the second are regions."""
    source = request.getfixturevalue(layout)[0]
    fitted = ("--saliency", "gradcam", "-o", "saliency.fit_steps=2", "-o", "saliency.probe_images=2")

    result = run_cli("run", source, tmp_path, *quick, "--size", 32, 48, "--split", "1/0/0", *fitted)

    assert result.exit_code == 0, result.stderr
    dataset = json.loads((tmp_path / "dataset.json").read_text())
    assert (dataset["channels"], dataset["label_mode"]) == {
        "brats": (4, "exclusive"),
        "nnunet": (2, "multilabel"),
    }[layout]
    assert run_cli("verify", tmp_path, "--replay", 3).exit_code == 0
