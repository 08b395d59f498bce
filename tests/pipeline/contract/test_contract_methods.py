"""What a run of all methods promises of its samples, from its files alone: no code of the product is imported here.

Parents are taken from the cache and turned with numpy. Where a method draws, what it drew is found in the sample.
"""

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import ndimage

from tests.command_line import TINY, run_cli
from tests.pipeline.contract.outputs import Array, Dataset, Parent, Sample
from tests.pipeline.contract.test_contract_samples import one_hot
from tests.small_sources import make_source

METHODS = (
    "hsmix", "cutmix", "mixup", "classmix", "copy-paste", "carvemix", "soft-cp", "guided", "cam-superpixels", "fmix",
)  # fmt: skip
HARD = {"hsmix", "cutmix", "classmix", "copy-paste", "carvemix", "cam-superpixels", "fmix"}
SOFT = {"hsmix", "mixup", "soft-cp", "guided"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One run of all methods, with grown pieces and scaled partners."""
    folder = tmp_path_factory.mktemp("methods")
    source = make_source(folder / "source", train=8, val=1, test=0)
    options = ("--method", ",".join(METHODS), "--selection", "connected", "--copies", 9, "--shards", 2, "--seed", 5)
    forms = ("--format", "webdataset", "--format", "parquet", "-o", "mix.scale_range=[0.5, 1.5]")
    result = run_cli("run", source, folder / "out", *TINY, *options, *forms)
    assert f"by {', '.join(METHODS)} (profile paper, selection connected)" in result.stdout
    checked = run_cli("verify", folder / "out", "--replay", 15)
    assert f"mixed by {','.join(METHODS)}" in checked.stdout
    return Dataset(folder / "out", source)


def of(dataset: Dataset, *methods: str, mode: str = "") -> Iterator[tuple[Sample, Parent, Parent]]:
    """Yield samples of some methods with their parents as they were mixed."""
    found = [s for s in dataset.samples if s.row["method"] in methods and s.row["mode"] in (mode or ("hard", "soft"))]
    assert found
    for sample in found:
        a, b = (dataset.parent(sample.row, which) for which in ("a", "b"))
        scale = sample.row["scale_b"]
        yield sample, a, b if scale is None else scaled(b, scale)


def scaled(b: Parent, factor: float) -> Parent:
    """Return a parent scaled about its middle as the contract words it: places in 256ths, rounded down."""
    height, width = b.mask.shape

    def places(length: int) -> Array:
        exact = [(i + 0.5 - length / 2) / factor + length / 2 - 0.5 for i in range(length)]
        return np.array([math.floor(256 * place + 1e-9) / 256 for place in exact])

    v, u = places(height), places(width)
    row, column = np.floor(v + 0.5).astype(int), np.floor(u + 0.5).astype(int)
    beyond = ((row < 0) | (row >= height))[:, None] | ((column < 0) | (column >= width))[None, :]
    mask = np.where(beyond, 0, b.mask[np.clip(row, 0, height - 1)][:, np.clip(column, 0, width - 1)])
    image = np.stack(
        [
            ndimage.map_coordinates(
                b.image[..., c].astype(float), np.meshgrid(v, u, indexing="ij"), order=1, mode="nearest"
            )
            for c in range(b.image.shape[-1])
        ],
        axis=-1,
    )
    return Parent(np.floor(image + 0.5 + 1e-9), mask, b.labels, b.saliency)


def from_b(sample: Sample, a: Parent, b: Parent) -> tuple[Array, Array]:
    """Return where a hard sample shows B, and where that can be known: A and B differ."""
    image = sample.image
    is_a, is_b = ((image == parent.image).all(axis=-1) for parent in (a, b))
    assert (is_a | is_b).all(), f"{sample.row['key']} has a pixel of neither parent"
    return is_b & ~is_a, is_a != is_b


def fitting_levels(sample: Sample, a: Parent, b: Parent) -> tuple[Array, Array]:
    """Return the least and the greatest lambda in 255ths that explain image and soft label of each pixel."""
    k = np.arange(256).reshape(-1, 1, 1)
    exact = (255 - k)[..., None] * a.image.astype(int) + k[..., None] * b.image.astype(int)
    fits = ((exact + 127) // 255 == sample.image).all(axis=-1)
    soft = (((255 - k)[:, None] * one_hot(a.mask) + k[:, None] * one_hot(b.mask)) / 255).astype(np.float16)
    fits &= (soft == sample.soft).all(axis=1)
    assert fits.any(axis=0).all(), f"{sample.row['key']} is no blend of its parents"
    return fits.argmax(axis=0), 255 - fits[::-1].argmax(axis=0)


def levels(sample: Sample, a: Parent, b: Parent) -> Array:
    """Return lambda of each pixel in 255ths; -1 where several fit."""
    least, greatest = fitting_levels(sample, a, b)
    found: Array = np.where(least == greatest, least, -1)
    return found


def test_every_method_has_samples_in_its_modes(dataset: Dataset) -> None:
    counts = Counter((s.row["method"], s.row["mode"]) for s in dataset.samples)

    assert counts.keys() == {(None, "none"), *((m, "hard") for m in HARD), *((m, "soft") for m in SOFT)}
    assert {s.row["selection"] for s in dataset.samples if s.row["method"] == "hsmix"} == {"connected"}
    assert {s.row["selection"] for s in dataset.samples if s.row["method"] != "hsmix"} == {None}
    assert {s.row["scale_b"] is not None for s in dataset.samples if s.row["method"] == "copy-paste"} == {True}


def test_the_files_name_methods_selection_and_control(dataset: Dataset) -> None:
    described, card = dataset.described, (dataset.root / "README.md").read_text()

    assert (described["contract"], described["method"]) == (2, ",".join(METHODS))
    assert (described["selection"], described["control"]) == ("connected", None)
    assert all(f"`{method}`" in card for method in METHODS)
    assert all(word in card for word in ("arXiv:2306.16612", "arXiv:2108.06883", "selection connected", "2511.17614"))


def test_a_sample_says_how_it_was_mixed_in_every_format(dataset: Dataset) -> None:
    tables = [pq.read_table(path) for path in sorted((dataset.root / "parquet").glob("*.parquet"))]
    in_tables = {row["key"]: row for table in tables for row in table.to_pylist()}
    for sample in dataset.samples:
        said = json.loads(sample.members["json"])
        method = None if sample.row["method"] == "hsmix" else sample.row["method"]
        expected = (method, sample.row["selection"], sample.row["scale_b"])
        assert tuple(said.get(name) for name in ("method", "selection", "scale_b")) == expected
        assert tuple(in_tables[sample.row["key"]][name] for name in ("method", "selection", "scale_b")) == expected


def test_hard_samples_are_made_of_pixels_of_their_parents(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, *HARD, mode="hard"):
        taken, is_known = from_b(sample, a, b)
        mask = np.where(taken, b.mask, a.mask)
        assert (sample.mask == mask)[is_known].all()
        assert (sample.soft == one_hot(sample.mask)).all()
        assert abs(sample.row["area_b"] - taken.mean()) <= (~is_known).mean() + 1e-9


def test_soft_samples_are_blended_in_255ths_with_their_labels(dataset: Dataset) -> None:
    for sample, a, b in list(of(dataset, *SOFT, mode="soft"))[::3]:
        least, greatest = fitting_levels(sample, a, b)
        for name, of_all in (("lambda_min", np.min), ("lambda_mean", np.mean), ("lambda_max", np.max)):
            assert of_all(least) - 1e-6 <= 255 * sample.row[name] <= of_all(greatest) + 1e-6


def test_a_grown_selection_is_one_piece_of_superpixels(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "hsmix", mode="hard"):
        taken, _ = from_b(sample, a, b)
        regions = [region for region in np.unique(b.labels) if taken[b.labels == region].mean() > 0.5]
        inside = np.isin(b.labels, regions)
        assert (inside == taken).mean() > 0.99
        assert ndimage.label(inside)[1] == 1
        assert sample.row["select_p"] is None


def test_classmix_shows_all_pixels_of_the_larger_half_of_the_classes(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "classmix"):
        taken, is_known = from_b(sample, a, b)
        shown = {int(c) for c in np.unique(b.mask) if taken[is_known & (b.mask == c)].all()}
        assert len(shown) == math.ceil(len(np.unique(b.mask)) / 2)
        assert not taken[is_known & ~np.isin(b.mask, list(shown))].any()


def test_copy_paste_shows_whole_objects(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "copy-paste"):
        taken, is_known = from_b(sample, a, b)
        objects, count = ndimage.label(b.mask > 0)
        shown = [number for number in range(1, count + 1) if taken[is_known & (objects == number)].all()]
        assert shown or "no_object" in sample.row["flags"]
        assert not taken[is_known & ~np.isin(objects, shown)].any()


def test_carvemix_cuts_at_one_distance_to_the_foreground(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "carvemix"):
        taken, is_known = from_b(sample, a, b)
        inside = b.mask > 0
        signed = np.where(inside, -ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))
        least_out, most_in = signed[is_known & ~taken].min(), signed[is_known & taken].max()
        assert most_in < least_out
        assert signed.min() / 2 <= least_out
        assert most_in <= -signed.min()


def test_a_rectangle_a_single_lambda_and_the_ratio_of_saliency(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "cutmix"):
        taken, is_known = from_b(sample, a, b)
        rows, columns = np.flatnonzero(taken.any(axis=1)), np.flatnonzero(taken.any(axis=0))
        if len(rows):
            box = np.zeros(taken.shape, bool)
            box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
            assert (box == taken)[is_known].all()
    for sample, a, b in of(dataset, "mixup"):
        found = levels(sample, a, b)
        assert len(np.unique(found[found >= 0])) == 1
    for sample, a, b in of(dataset, "guided"):
        s_a, s_b = (ndimage.gaussian_filter(one.saliency.astype(float), 3, mode="reflect", radius=3) for one in (a, b))
        share = (s_b / s_b.sum()) / (s_a / s_a.sum() + s_b / s_b.sum())
        found = levels(sample, a, b)
        assert np.abs(found - 255 * share)[found >= 0].max() < 3


def test_soft_cp_fades_from_objects_to_nothing(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "soft-cp"):
        found = levels(sample, a, b)
        far = ndimage.distance_transform_edt(b.mask == 0) > 14
        assert (found[far & (found >= 0)] == 0).all()
        assert sample.row["lambda_max"] > 0.5


def test_superpixels_by_saliency_are_whole(dataset: Dataset) -> None:
    for sample, a, b in of(dataset, "cam-superpixels"):
        taken, is_known = from_b(sample, a, b)
        for region in np.unique(b.labels):
            assert len(np.unique(taken[is_known & (b.labels == region)])) <= 1


def test_verify_names_a_method_that_the_dataset_does_not_have(dataset: Dataset, tmp_path: Path) -> None:
    """A table that was edited by hand, or written by another program."""
    copy = tmp_path / "out"
    shutil.copytree(dataset.root, copy, ignore=shutil.ignore_patterns("cache"))
    rows: list[dict[str, Any]] = [*dataset.rows]
    spoiled = next(row["key"] for row in rows if row["method"] == "fmix")
    rows = [{**row, "method": "cowmix"} if row["key"] == spoiled else row for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=dataset.table.schema), copy / "manifest.parquet")

    result = run_cli("verify", copy, "--depth", "checksums", status=1)

    assert f"{spoiled} is mixed by cowmix, dataset.json names {','.join(METHODS)}" in result.stdout
