"""A finished dataset grows by copies and sources: its shards stay, and nothing leaks or is computed twice."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.output_folder import fold_outputs
from tests.command_line import TINY, run_cli
from tests.pipeline.jobs.growth.growing import OPTIONS, GrowingDataset, Row, rows_of, shards_of
from tests.small_sources import draw_pair, make_source
from tests.written import shard_digests, snapshot


def images_of(output: Path) -> tuple[Any, Path]:
    """Return the images of the cache that a dataset was last made from, and its folder."""
    run = json.loads((output / "run.json").read_text())
    cache = (output / run["cache"]).resolve()
    return zarr.open_array(str(cache / f"{run['layers']['images']}.zarr"), path="image", mode="r"), cache


def add_images(source: Path, numbers: range, split: str = "train") -> None:
    """Put more images into a source and its list."""
    with (source / "splits" / f"{split}.txt").open("a") as names:
        for number in numbers:
            image, mask = draw_pair(number, (48, 64), classes=3, grey=False)
            Pillow.fromarray(image).save(source / "images" / f"case_{number:02d}.png")
            Pillow.fromarray(mask).save(source / "masks" / f"case_{number:02d}.png")
            names.write(f"case_{number:02d}\n")


@pytest.fixture
def dataset(begun: GrowingDataset, tmp_path: Path) -> GrowingDataset:
    """A copy of a finished dataset and of its source, to be extended."""
    source = Path(shutil.copytree(begun.source, tmp_path / "source"))
    output = Path(shutil.copytree(begun.output, tmp_path / "output"))
    return GrowingDataset(source, output, (*TINY, *OPTIONS))


@pytest.fixture(scope="module")
def grown(begun: GrowingDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset with a copy of each image more; its times are those of the finished one where nothing changed."""
    output = Path(shutil.copytree(begun.output, tmp_path_factory.mktemp("grown") / "output"))
    GrowingDataset(begun.source, output, (*TINY, *OPTIONS)).grown("--copies", 3)
    return output


def test_more_copies_leave_finished_shards_alone(begun: GrowingDataset, grown: Path) -> None:
    before, after = shards_of(snapshot(begun.output)), shards_of(snapshot(grown))

    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {
        *("webdataset/train-000003.tar", "webdataset/train-000004.tar"),
        *("parquet/train-00003-of-00005.parquet", "parquet/train-00004-of-00005.parquet"),
    }
    GrowingDataset(begun.source, grown, ()).assert_sound()


def test_more_copies_are_those_that_a_fresh_run_gives(begun: GrowingDataset, grown: Path, tmp_path: Path) -> None:
    """Only the shards that they lie in differ."""
    fresh = GrowingDataset(begun.source, tmp_path / "fresh", (*TINY, *OPTIONS))
    fresh.run("--copies", 3)

    def stated(output: Path) -> dict[str, Row]:
        return {
            key: {name: value for name, value in row.items() if name not in ("shard", "index")}
            for key, row in rows_of(output).items()
        }

    assert stated(grown) == stated(fresh.output)


def test_the_same_command_finishes_and_then_changes_nothing(begun: GrowingDataset, grown: Path, tmp_path: Path) -> None:
    """With or without --extend: what is wanted is what is there."""
    output = Path(shutil.copytree(grown, tmp_path / "output"))
    dataset = GrowingDataset(begun.source, output, (*TINY, *OPTIONS))
    whole = snapshot(output / "webdataset")
    (output / "webdataset" / "train-000001.tar").write_bytes(b"torn")
    (output / "webdataset" / "train-000003.tar").unlink()

    dataset.grown("--copies", 3)
    mended = snapshot(output / "webdataset")
    assert {name: stated[0] for name, stated in mended.items()} == {name: stated[0] for name, stated in whole.items()}

    dataset.run("--copies", 3)
    assert snapshot(output / "webdataset") == mended


def test_new_sources_come_into_new_shards(dataset: GrowingDataset) -> None:
    before, old_rows = shards_of(snapshot(dataset.output)), rows_of(dataset.output)
    # By its name the first one stands between the others, whose rows move.
    add_images(dataset.source, range(10, 12))
    add_images(dataset.source, range(12, 13), "val")
    (dataset.source / "images" / "case_10.png").rename(dataset.source / "images" / "case_02b.png")
    (dataset.source / "masks" / "case_10.png").rename(dataset.source / "masks" / "case_02b.png")
    names = dataset.source / "splits" / "train.txt"
    names.write_text(names.read_text().replace("case_10", "case_02b"))

    dataset.grown("--copies", 2)

    rows = rows_of(dataset.output)
    assert before.items() <= shards_of(snapshot(dataset.output)).items()
    assert old_rows.items() <= rows.items()
    assert rows.keys() - old_rows.keys() == {
        *(f"train-{name}-{copy:03d}" for name in ("case_02b", "case_11") for copy in (0, 1)),
        "val-case_12",
    }
    assert (dataset.output / "webdataset" / "val-000001.tar").is_file()
    dataset.assert_sound()


def test_features_of_known_images_are_taken_over(dataset: GrowingDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is read, segmented and mapped once, however often a dataset grows."""
    from hsmix_gen.pipeline.features import image_units

    old, old_cache = images_of(dataset.output)
    read: list[str] = []
    standardised = image_units._standardised

    def noting(source: Any, *arguments: Any) -> Any:
        read.append(source.id)
        return standardised(source, *arguments)

    monkeypatch.setattr(image_units, "_standardised", noting)
    add_images(dataset.source, range(20, 21))

    dataset.grown("--copies", 2)

    new, cache = images_of(dataset.output)
    assert read == ["case_20"]
    assert cache.parent == old_cache
    np.testing.assert_array_equal(new[: old.shape[0]], old[:])


def test_fitted_network_is_taken_over(dataset: GrowingDataset, tmp_path: Path) -> None:
    """Fitted anew to more images it would give other maps, and samples could not be made again."""
    source = make_source(tmp_path / "few", train=4)
    options = (
        *("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "-o", "saliency.fit_steps=2", "--shards", 2),
        *("-o", "saliency.probe_images=2", "--backend", "serial", "--progress", "none", "--copies", 1),
    )
    fitted = GrowingDataset(source, tmp_path / "fitted", options)
    fitted.run()
    (network,) = (fitted.output / ".hsmix" / "cache" / "networks").glob("*.pt")
    add_images(source, range(20, 22))

    fitted.grown()

    _, cache = images_of(fitted.output)
    (taken,) = (cache / "networks").glob("*.pt")
    assert taken != network
    assert taken.read_bytes() == network.read_bytes()
    fitted.assert_sound()


def test_deleted_features_are_made_again_with_the_same_bytes(dataset: GrowingDataset) -> None:
    add_images(dataset.source, range(20, 22))
    dataset.grown("--copies", 2)
    whole = shard_digests(dataset.output)
    shutil.rmtree(dataset.output / ".hsmix" / "cache")
    (dataset.output / "webdataset" / "train-000000.tar").unlink()
    (dataset.output / "webdataset" / "train-000003.tar").unlink()

    dataset.grown("--copies", 2)

    assert shard_digests(dataset.output) == whole


def test_a_run_without_extend_reports_it(dataset: GrowingDataset) -> None:
    assert "mix.copies (--copies) was 2, is 3; add to it with --extend" in dataset.refusal("--copies", 3)
    add_images(dataset.source, range(20, 21))
    stated = dataset.refusal("--copies", 2)
    assert "sources: 1 added (case_20); add to it with --extend" in stated
    assert "layer of" not in stated


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--copies", 1), "mix.copies (--copies) was 2, is 1"),
        (("--copies", 3, "--select", 0.5), "mix.select (--select) was 0.2, is 0.5"),
        (("--copies", 3, "--compactness", 3), "superpixels.compactness (--compactness) was None, is 3"),
    ],
)
def test_other_changes_are_no_extension(dataset: GrowingDataset, options: tuple[object, ...], stated: str) -> None:
    line = dataset.refusal("--extend", *options)

    assert stated in line
    assert "--fresh" in line


def test_a_changed_or_missing_source_is_no_extension(dataset: GrowingDataset) -> None:
    image, _ = draw_pair(77, (48, 64), classes=3, grey=False)
    add_images(dataset.source, range(20, 21))
    Pillow.fromarray(image).save(dataset.source / "images" / "case_01.png")

    assert "1 changed (case_01)" in dataset.refusal("--extend", "--copies", 2)


def test_an_unfinished_dataset_is_finished_first(dataset: GrowingDataset) -> None:
    (dataset.output / "manifest.parquet").unlink()

    assert "finish it first" in dataset.refusal("--extend", "--copies", 3)
    dataset.run("--copies", 2)
    dataset.grown("--copies", 3)


@pytest.mark.parametrize("other", ["--fresh", "--dry-run"])
def test_extend_does_not_go_with_options_that_contradict_it(dataset: GrowingDataset, other: str) -> None:
    assert other in dataset.run("--extend", other, status=2).stderr


def test_a_source_that_moves_to_another_split_is_refused(dataset: GrowingDataset) -> None:
    """A training image would be validated on."""
    add_images(dataset.source, range(20, 21))
    for split, change in (("train", ("case_03\n", "")), ("val", ("case_06\n", "case_06\ncase_03\n"))):
        path = dataset.source / "splits" / f"{split}.txt"
        path.write_text(path.read_text().replace(*change))

    line = dataset.refusal("--extend", "--copies", 2)

    assert "case_03, which the dataset has in train, and is to go into val now" in line


def test_a_copy_of_a_mixed_image_in_a_new_test_split_is_refused(dataset: GrowingDataset) -> None:
    """The dataset holds the training image already, so the newcomer is left out."""
    add_images(dataset.source, range(20, 22), "test")
    shutil.copyfile(dataset.source / "images" / "case_00.png", dataset.source / "images" / "case_20.png")

    dataset.grown("--copies", 2)

    refused = (dataset.output / "refused.csv").read_text()
    assert "case_20" in refused
    assert "leakage" in refused
    assert "test-case_21" in rows_of(dataset.output)
    dataset.assert_sound()


def test_drawn_splits_of_known_groups_are_kept(tmp_path: Path) -> None:
    """Drawn anew over more images, half of them would change sides; hashed names are known again."""
    source = make_source(tmp_path / "source", train=10, splits=False)
    options = (*TINY, "--shards", 2, "--copies", 1, "--split", "0.5/0.25/0.25", "--ids", "hashed")
    dataset = GrowingDataset(source, tmp_path / "output", options)
    dataset.run()
    before = {row["source_a"]: row["split"] for row in rows_of(dataset.output).values()}
    (source / "splits").mkdir()
    add_images(source, range(30, 38))
    shutil.rmtree(source / "splits")

    dataset.grown()

    after = {row["source_a"]: row["split"] for row in rows_of(dataset.output).values()}
    assert before.items() <= after.items()
    assert len(after) == 20
    assert {split for name, split in after.items() if name not in before} == {"train", "val", "test"}
    dataset.assert_sound()


def test_folds_grow_without_leaks(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", train=7, val=2, test=1)
    dataset = GrowingDataset(source, tmp_path / "output", (*TINY, "--folds", 3, "--shards", 2, "--copies", 1))
    dataset.run()
    before = [rows_of(fold) for fold in fold_outputs(dataset.output)]
    add_images(source, range(20, 23))

    dataset.grown()

    after = [rows_of(fold) for fold in fold_outputs(dataset.output)]
    validated = [{row["source_a"] for row in rows.values() if row["split"] == "val"} for rows in after]
    assert all(old.items() <= new.items() for old, new in zip(before, after, strict=True))
    assert sorted(name for names in validated for name in names if name >= "case_20") == [
        "case_20", "case_21", "case_22",
    ]  # fmt: skip
    assert [len(names) for names in validated] == [4, 4, 4]
    for rows, held in zip(after, validated, strict=True):
        mixed = [row for row in rows.values() if row["split"] == "train"]
        assert not {row[parent] for row in mixed for parent in ("source_a", "source_b")} & held
    dataset.assert_sound()


def test_what_was_understood_first_is_kept(tmp_path: Path) -> None:
    """Second slices of cases ask for partners of other cases: from the start, or not in this dataset."""
    source, rng = tmp_path / "source", np.random.default_rng(3)
    source.mkdir()

    def add(number: int) -> None:
        for case in range(5):
            image = rng.uniform(0, 200, (48, 64)).astype(np.float32)
            np.savez(source / f"case{case}_s{number}.npz", image=image, label=(image > 120).astype(np.uint8))

    add(0)
    options = (*TINY, "--shards", 2, "--copies", 2, "--split", "1/0/0", "--group-by", r"(case\d)")
    dataset = GrowingDataset(source, tmp_path / "output", options)
    dataset.run()
    add(1)

    dataset.grown()
    whole = shard_digests(dataset.output)
    (dataset.output / "webdataset" / "train-000000.tar").unlink()
    dataset.grown()

    assert shard_digests(dataset.output) == whole
    dataset.assert_sound()


def test_shards_of_an_extension_serve_all_readers(tmp_path: Path) -> None:
    options = (*TINY, "--ranks", 2, "--workers-per-rank", 2)
    dataset = GrowingDataset(make_source(tmp_path / "source"), tmp_path / "output", options)
    dataset.run("--copies", 4)
    n_before = len(list((dataset.output / "webdataset").glob("train-*.tar")))

    dataset.grown("--copies", 6)

    n_shards = len(list((dataset.output / "webdataset").glob("train-*.tar")))
    counts = np.unique([row["shard"] for row in rows_of(dataset.output).values() if row["split"] == "train"])
    assert n_shards > n_before
    assert n_shards % 4 == 0
    assert len(counts) == n_shards


def test_the_cpu_half_extends_by_copies(dataset: GrowingDataset) -> None:
    before = shards_of(snapshot(dataset.output))
    cache = dataset.output / ".hsmix" / "cache"

    run_cli(
        *("generate", "--cache", cache, dataset.output, *OPTIONS, "--copies", 3, "--extend"),
        *("--backend", "serial", "--progress", "none"),
    )

    assert before.items() <= shards_of(snapshot(dataset.output)).items()
    dataset.assert_sound()


def test_lost_record_of_an_extension_is_no_way_around_the_guard(dataset: GrowingDataset) -> None:
    """Shards of the lost extension would be taken for those of another one that bear their names."""
    dataset.grown("--copies", 5)
    shutil.rmtree(dataset.output / ".hsmix" / "extension-000001")

    dataset.grown("--copies", 3)

    assert len(rows_of(dataset.output)) == 6 * 3 + 2
    dataset.assert_sound()


def test_lost_identity_beside_finished_shards_is_refused(dataset: GrowingDataset) -> None:
    """Without it other options would be taken for the first ones."""
    (dataset.output / ".hsmix" / "identity.json").unlink()

    assert "identity.json is missing" in dataset.refusal("--copies", 2)
