"""Volumes of one source, run in further manners: intensities, slices, partners, regions, folds and networks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.command_line import QUICK, run_cli
from tests.pipeline.jobs.twins.twin import UNMIXED, Numbers
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
from tests.pipeline.stored_samples import read_samples

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
def run_unmixed(tmp_path: Path) -> Callable[..., Planes]:
    """Run without mixing or turning and return the stored samples by the id of their source."""

    def run(source: Path, *options: object, size: tuple[int, ...] = SIZE) -> dict[str, Any]:
        whole = ("--split", "1/0/0", *UNMIXED, "--saliency", "uniform")
        run_cli("run", source, tmp_path / "output", *QUICK, "--size", *size, *whole, *options)
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


def test_any_partners_may_be_of_the_same_patient(brats: Source, tmp_path: Path) -> None:
    options = ("--partners", "any", "--probabilities", 0, 1, 0, "--limit", 1, "--split", "1/0/0")

    run_cli("run", brats[0], tmp_path, *QUICK, "--size", *SIZE, *options)

    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    assert {(row["mode"], row["group_a"] == row["group_b"]) for row in rows} == {("hard", True)}


@pytest.mark.parametrize("name", ["synapse", "arrays-npz"])
def test_partners_of_slices_in_files_of_their_own_are_of_another_patient(name: str, tmp_path: Path) -> None:
    """Without the volumes for testing, TransUNet's slices are as near copies as with them."""
    (tmp_path / "source").mkdir()
    twin = WRITERS[name](tmp_path / "source")
    shutil.rmtree(tmp_path / "source" / "test_vol_h5", ignore_errors=True)
    options = (*twin.options, "--split", "1/0/0", "--probabilities", 0, 1, 0)

    run_cli("run", tmp_path / "source", tmp_path / "output", *QUICK, "--copies", 4, "--size", *SIZE, *options)

    rows = pq.read_table(tmp_path / "output" / "manifest.parquet").to_pylist()
    assert [row["key"] for row in rows if row["group_a"] == row["group_b"]] == []


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_inspect_reports_volumes_of_which_none_can_be_used(brats: Source, form: tuple[str, ...]) -> None:
    """Nothing is known of their numbers then."""
    result = run_cli("inspect", brats[0], "--mask-values", "0=0,1=1", *form, status=1)

    assert "values 2, 4 that are no class, expected 0, 1" in result.stdout


def test_regions_may_be_read_as_classes_that_exclude_each_other(
    nnunet: Source, run_unmixed: Callable[..., dict[str, Any]]
) -> None:
    """Labels 1 and 2 are classes, 3 is ignored as dataset.json says."""
    samples = run_unmixed(nnunet[0], "--labels", "exclusive")

    _, values = gathered(nnunet[1], lambda volume: volume)
    for name, mask in values.items():
        assert np.array_equal(samples[name].mask, np.where(mask == 3, 255, mask)), name
