"""A finished dataset grows by copies and sources: its shards stay, and nothing leaks or is computed twice."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.output_folder import fold_outputs
from tests.fixture_types import Cli, Maker, Options
from tests.pipeline.jobs.growth.growing import OPTIONS, GrowingDataset, Row, rows_of, shards_of


def images_of(output: Path) -> tuple[Any, Path]:
    """Return the images of the cache that a dataset was last made from, and its folder."""
    import json

    run = json.loads((output / "run.json").read_text())
    cache = (output / run["cache"]).resolve()
    return zarr.open_array(str(cache / f"{run['layers']['images']}.zarr"), path="image", mode="r"), cache


def add_images(source: Path, numbers: range, draw: Callable[..., Any], split: str = "train") -> None:
    """Put more images into a source and its list."""
    with (source / "splits" / f"{split}.txt").open("a") as names:
        for number in numbers:
            image, mask = draw(number, (48, 64), classes=3, grey=False)
            Pillow.fromarray(image).save(source / "images" / f"case_{number:02d}.png")
            Pillow.fromarray(mask).save(source / "masks" / f"case_{number:02d}.png")
            names.write(f"case_{number:02d}\n")


@pytest.fixture(scope="session")
def draw() -> Callable[..., Any]:
    """Return what draws an image and its mask."""
    from tests.conftest import draw_pair

    return draw_pair


@pytest.fixture
def dataset(begun: GrowingDataset, run_cli: Cli, tiny: Options, tmp_path: Path) -> GrowingDataset:
    """A copy of a finished dataset and of its source, to be extended."""
    source = Path(shutil.copytree(begun.source, tmp_path / "source"))
    output = Path(shutil.copytree(begun.output, tmp_path / "output"))
    return GrowingDataset(source, output, run_cli, (*tiny, *OPTIONS))


@pytest.fixture(scope="module")
def grown(begun: GrowingDataset, run_cli: Cli, tiny: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset with a copy of each image more; its times are those of the finished one where nothing changed."""
    output = Path(shutil.copytree(begun.output, tmp_path_factory.mktemp("grown") / "output"))
    GrowingDataset(begun.source, output, run_cli, (*tiny, *OPTIONS)).grown("--copies", 3)
    return output


def test_more_copies_leave_finished_shards_alone(
    begun: GrowingDataset, grown: Path, run_cli: Cli, snapshot: Callable[..., Any]
) -> None:
    before, after = shards_of(snapshot(begun.output)), shards_of(snapshot(grown))

    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {
        *("webdataset/train-000003.tar", "webdataset/train-000004.tar"),
        *("parquet/train-00003-of-00005.parquet", "parquet/train-00004-of-00005.parquet"),
    }
    GrowingDataset(begun.source, grown, run_cli, ()).assert_sound()


def test_more_copies_are_those_that_a_fresh_run_gives(
    begun: GrowingDataset, grown: Path, run_cli: Cli, tiny: Options, tmp_path: Path
) -> None:
    """Only the shards that they lie in differ."""
    fresh = GrowingDataset(begun.source, tmp_path / "fresh", run_cli, (*tiny, *OPTIONS))
    assert fresh.run("--copies", 3).exit_code == 0

    def stated(output: Path) -> dict[str, Row]:
        return {
            key: {name: value for name, value in row.items() if name not in ("shard", "index")}
            for key, row in rows_of(output).items()
        }

    assert stated(grown) == stated(fresh.output)


def test_the_same_command_finishes_and_then_changes_nothing(
    begun: GrowingDataset, grown: Path, run_cli: Cli, tiny: Options, tmp_path: Path, snapshot: Callable[..., Any]
) -> None:
    """With or without --extend: what is wanted is what is there."""
    output = Path(shutil.copytree(grown, tmp_path / "output"))
    dataset = GrowingDataset(begun.source, output, run_cli, (*tiny, *OPTIONS))
    whole = snapshot(output / "webdataset")
    (output / "webdataset" / "train-000001.tar").write_bytes(b"torn")
    (output / "webdataset" / "train-000003.tar").unlink()

    dataset.grown("--copies", 3)
    mended = snapshot(output / "webdataset")
    assert {name: stated[0] for name, stated in mended.items()} == {name: stated[0] for name, stated in whole.items()}

    again = dataset.run("--copies", 3)
    assert again.exit_code == 0, again.stderr
    assert snapshot(output / "webdataset") == mended


def test_new_sources_come_into_new_shards(
    dataset: GrowingDataset, draw: Callable[..., Any], snapshot: Callable[..., Any]
) -> None:
    before, old_rows = shards_of(snapshot(dataset.output)), rows_of(dataset.output)
    # By its name the first one stands between the others, whose rows move.
    add_images(dataset.source, range(10, 12), draw)
    add_images(dataset.source, range(12, 13), draw, "val")
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


def test_features_of_known_images_are_taken_over(
    dataset: GrowingDataset, draw: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is read, segmented and mapped once, however often a dataset grows."""
    from hsmix_gen.pipeline.features import image_units

    old, old_cache = images_of(dataset.output)
    read: list[str] = []
    standardised = image_units._standardised

    def noting(source: Any, *arguments: Any) -> Any:
        read.append(source.id)
        return standardised(source, *arguments)

    monkeypatch.setattr(image_units, "_standardised", noting)
    add_images(dataset.source, range(20, 21), draw)

    dataset.grown("--copies", 2)

    new, cache = images_of(dataset.output)
    assert read == ["case_20"]
    assert cache.parent == old_cache
    np.testing.assert_array_equal(new[: old.shape[0]], old[:])


def test_fitted_network_is_taken_over(
    dataset: GrowingDataset, make_source: Maker, run_cli: Cli, draw: Callable[..., Any], tmp_path: Path
) -> None:
    """Fitted anew to more images it would give other maps, and samples could not be made again."""
    source = make_source(tmp_path / "few", train=4)
    quick = ("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "-o", "saliency.fit_steps=2")
    options = (
        *quick,
        "-o",
        "saliency.probe_images=2",
        "--backend",
        "serial",
        "--progress",
        "none",
        "--copies",
        1,
        "--shards",
        2,
    )
    fitted = GrowingDataset(source, tmp_path / "fitted", run_cli, options)
    assert fitted.run().exit_code == 0
    (network,) = (fitted.output / ".hsmix" / "cache" / "networks").glob("*.pt")
    add_images(source, range(20, 22), draw)

    fitted.grown()

    _, cache = images_of(fitted.output)
    (taken,) = (cache / "networks").glob("*.pt")
    assert taken != network
    assert taken.read_bytes() == network.read_bytes()
    fitted.assert_sound()


def test_deleted_features_are_made_again_with_the_same_bytes(
    dataset: GrowingDataset, draw: Callable[..., Any], shard_digests: Callable[..., Any]
) -> None:
    add_images(dataset.source, range(20, 22), draw)
    dataset.grown("--copies", 2)
    whole = shard_digests(dataset.output)
    shutil.rmtree(dataset.output / ".hsmix" / "cache")
    (dataset.output / "webdataset" / "train-000000.tar").unlink()
    (dataset.output / "webdataset" / "train-000003.tar").unlink()

    dataset.grown("--copies", 2)

    assert shard_digests(dataset.output) == whole


def test_a_run_without_extend_reports_it(dataset: GrowingDataset, draw: Callable[..., Any]) -> None:
    assert "mix.copies was 2, is 3; add to it with --extend" in dataset.refusal("--copies", 3)
    add_images(dataset.source, range(20, 21), draw)
    stated = dataset.refusal("--copies", 2)
    assert "sources: 1 added (case_20); add to it with --extend" in stated
    assert "layer of" not in stated


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--copies", 1), "mix.copies was 2, is 1"),
        (("--copies", 3, "--select", 0.5), "mix.select was 0.2, is 0.5"),
        (("--copies", 3, "--compactness", 3), "superpixels.compactness was None, is 3"),
    ],
)
def test_other_changes_are_no_extension(dataset: GrowingDataset, options: tuple[object, ...], stated: str) -> None:
    line = dataset.refusal("--extend", *options)

    assert stated in line
    assert "--fresh" in line


def test_a_changed_or_missing_source_is_no_extension(dataset: GrowingDataset, draw: Callable[..., Any]) -> None:
    image, _ = draw(77, (48, 64), classes=3, grey=False)
    add_images(dataset.source, range(20, 21), draw)
    Pillow.fromarray(image).save(dataset.source / "images" / "case_01.png")

    assert "1 changed (case_01)" in dataset.refusal("--extend", "--copies", 2)


def test_an_unfinished_dataset_is_finished_first(dataset: GrowingDataset) -> None:
    (dataset.output / "manifest.parquet").unlink()

    assert "finish it first" in dataset.refusal("--extend", "--copies", 3)
    assert dataset.run("--copies", 2).exit_code == 0
    dataset.grown("--copies", 3)


@pytest.mark.parametrize("other", ["--fresh", "--dry-run"])
def test_extend_does_not_go_with_options_that_contradict_it(dataset: GrowingDataset, other: str) -> None:
    result = dataset.run("--extend", other)

    assert result.exit_code == 2
    assert other in result.stderr


def test_a_source_that_moves_to_another_split_is_refused(dataset: GrowingDataset, draw: Callable[..., Any]) -> None:
    """A training image would be validated on."""
    add_images(dataset.source, range(20, 21), draw)
    for split, change in (("train", ("case_03\n", "")), ("val", ("case_06\n", "case_06\ncase_03\n"))):
        path = dataset.source / "splits" / f"{split}.txt"
        path.write_text(path.read_text().replace(*change))

    line = dataset.refusal("--extend", "--copies", 2)

    assert "case_03, which the dataset has in train, and is to go into val now" in line


def test_a_copy_of_a_mixed_image_in_a_new_test_split_is_refused(
    dataset: GrowingDataset, draw: Callable[..., Any]
) -> None:
    """The dataset holds the training image already, so the newcomer is left out."""
    add_images(dataset.source, range(20, 22), draw, "test")
    shutil.copyfile(dataset.source / "images" / "case_00.png", dataset.source / "images" / "case_20.png")

    dataset.grown("--copies", 2)

    refused = (dataset.output / "refused.csv").read_text()
    assert "case_20" in refused
    assert "leakage" in refused
    assert "test-case_21" in rows_of(dataset.output)
    dataset.assert_sound()


def test_drawn_splits_of_known_groups_are_kept(
    make_source: Maker, run_cli: Cli, tiny: Options, draw: Callable[..., Any], tmp_path: Path
) -> None:
    """Drawn anew over more images, half of them would change sides; hashed names are known again."""
    source = make_source(tmp_path / "source", train=10, splits=False)
    options = (*tiny, "--shards", 2, "--copies", 1, "--split", "0.5/0.25/0.25", "--ids", "hashed")
    dataset = GrowingDataset(source, tmp_path / "output", run_cli, options)
    assert dataset.run().exit_code == 0
    before = {row["source_a"]: row["split"] for row in rows_of(dataset.output).values()}
    (source / "splits").mkdir()
    add_images(source, range(30, 38), draw)
    shutil.rmtree(source / "splits")

    dataset.grown()

    after = {row["source_a"]: row["split"] for row in rows_of(dataset.output).values()}
    assert before.items() <= after.items()
    assert len(after) == 20
    assert {split for name, split in after.items() if name not in before} == {"train", "val", "test"}
    dataset.assert_sound()


def test_folds_grow_without_leaks(
    make_source: Maker, run_cli: Cli, tiny: Options, draw: Callable[..., Any], tmp_path: Path
) -> None:
    source = make_source(tmp_path / "source", train=7, val=2, test=1)
    dataset = GrowingDataset(source, tmp_path / "output", run_cli, (*tiny, "--folds", 3, "--shards", 2, "--copies", 1))
    assert dataset.run().exit_code == 0
    before = [rows_of(fold) for fold in fold_outputs(dataset.output)]
    add_images(source, range(20, 23), draw)

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


def test_what_was_understood_first_is_kept(
    run_cli: Cli, tiny: Options, tmp_path: Path, shard_digests: Callable[..., Any]
) -> None:
    """Second slices of cases ask for partners of other cases: from the start, or not in this dataset."""
    source, rng = tmp_path / "source", np.random.default_rng(3)
    source.mkdir()

    def add(number: int) -> None:
        for case in range(5):
            image = rng.uniform(0, 200, (48, 64)).astype(np.float32)
            np.savez(source / f"case{case}_s{number}.npz", image=image, label=(image > 120).astype(np.uint8))

    add(0)
    options = (*tiny, "--shards", 2, "--copies", 2, "--split", "1/0/0", "--group-by", r"(case\d)")
    dataset = GrowingDataset(source, tmp_path / "output", run_cli, options)
    assert dataset.run().exit_code == 0
    add(1)

    dataset.grown()
    whole = shard_digests(dataset.output)
    (dataset.output / "webdataset" / "train-000000.tar").unlink()
    dataset.grown()

    assert shard_digests(dataset.output) == whole
    dataset.assert_sound()


def test_shards_of_an_extension_serve_all_readers(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path: Path
) -> None:
    options = (*tiny, "--ranks", 2, "--workers-per-rank", 2)
    dataset = GrowingDataset(make_source(tmp_path / "source"), tmp_path / "output", run_cli, options)
    assert dataset.run("--copies", 4).exit_code == 0
    n_before = len(list((dataset.output / "webdataset").glob("train-*.tar")))

    dataset.grown("--copies", 6)

    n_shards = len(list((dataset.output / "webdataset").glob("train-*.tar")))
    counts = np.unique([row["shard"] for row in rows_of(dataset.output).values() if row["split"] == "train"])
    assert n_shards > n_before
    assert n_shards % 4 == 0
    assert len(counts) == n_shards


def test_the_cpu_half_extends_by_copies(dataset: GrowingDataset, run_cli: Cli, snapshot: Callable[..., Any]) -> None:
    before = shards_of(snapshot(dataset.output))
    cache = dataset.output / ".hsmix" / "cache"

    result = run_cli(
        *("generate", "--cache", cache, dataset.output, *OPTIONS, "--copies", 3, "--extend"),
        *("--backend", "serial", "--progress", "none"),
    )

    assert result.exit_code == 0, result.stderr
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
