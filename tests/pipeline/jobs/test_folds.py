"""Cross-validation: one dataset a fold, whose training samples know nothing of the images that it validates on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import shard_digests

FOLDS = 3


def rows_of(output: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(output / "manifest.parquet").to_pylist()
    return rows


def run_of(output: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((output / "run.json").read_text())
    return value


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven images."""
    return make_source(tmp_path_factory.mktemp("folds") / "source", train=8, val=1, test=2, splits=False)


@pytest.fixture(scope="module")
def patients(source: Path) -> Path:
    """A list: nine images to deal, two of each patient but for the last, and two for the test."""
    lines = ["image,mask,group,split"]
    for number in range(11):
        split = "test" if number > 8 else "train"
        group = f"t{number}" if number > 8 else f"p{number // 2}"
        lines.append(f"images/case_{number:02d}.png,masks/case_{number:02d}.png,{group},{split}")
    path = source / "list.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def output(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("folds") / "output"
    run_cli("run", patients, output, *TINY, "--folds", FOLDS, "--copies", 2)
    return output


@pytest.mark.parametrize("fold", range(FOLDS))
def test_training_samples_have_no_parent_in_a_validation_group(output: Path, fold: int) -> None:
    rows = rows_of(output / f"fold-{fold}")

    validated = {row["group_a"] for row in rows if row["split"] == "val"}
    trained = {row[name] for row in rows if row["split"] == "train" for name in ("group_a", "group_b")} - {None}

    assert validated
    assert trained
    assert not validated & trained
    assert {row["fold"] for row in rows if row["split"] != "test"} == {fold}


def test_every_group_is_validated_on_once_and_test_images_are_in_every_fold(output: Path) -> None:
    validated: list[str] = []
    for fold in range(FOLDS):
        rows = rows_of(output / f"fold-{fold}")
        validated += [row["source_a"] for row in rows if row["split"] == "val"]
        tested = {row["source_a"] for row in rows if row["split"] == "test"}
        assert tested == {"images-case_09", "images-case_10"}

    assert sorted(validated) == [f"images-case_{number:02d}" for number in range(9)]


def test_images_and_superpixels_are_shared(output: Path) -> None:
    layers = [run_of(output / f"fold-{fold}")["layers"] for fold in range(FOLDS)]

    assert len({layer["images"] for layer in layers}) == 1
    assert len({layer["superpixels"] for layer in layers}) == 1


def test_all_folds_are_verified_at_once_and_made_again(output: Path) -> None:
    result = run_cli("verify", output, "--replay", 2)

    assert "6 replays" in result.stdout


def test_a_problem_of_one_fold_is_reported_with_its_name(output: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    shard = next((copy / "fold-1" / "webdataset").glob("train-*.tar"))
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)

    result = run_cli("verify", copy, status=1)

    assert f"fold-1: webdataset/{shard.name}" in result.stdout


def test_a_moved_output_takes_its_cache_along(output: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(output, moved)

    run_cli("verify", moved / "fold-2", "--replay", 1)
    assert run_of(moved / "fold-2")["cache"] == "../.hsmix/cache"


def test_a_command_for_one_dataset_names_the_folds(output: Path) -> None:
    result = run_cli("preview", output, status=1)

    assert f"holds folds, each a dataset of its own; name one, for example {output / 'fold-0'}" in result.stderr


def test_the_same_command_finds_all_folds_finished(patients: Path, output: Path) -> None:
    before = [shard_digests(output / f"fold-{fold}") for fold in range(FOLDS)]

    run_cli("run", patients, output, *TINY, "--folds", FOLDS, "--copies", 2)

    assert [shard_digests(output / f"fold-{fold}") for fold in range(FOLDS)] == before


@pytest.mark.parametrize(("folds", "stated"), [((), "holds 3 folds"), (("--folds", 2), "holds 3 folds")])
def test_another_number_of_folds_is_refused(
    patients: Path, output: Path, folds: tuple[object, ...], stated: str
) -> None:
    result = run_cli("run", patients, output, *TINY, *folds, "--copies", 2, status=1)

    assert stated in result.stderr
    assert "--fresh" in result.stderr


def test_fresh_removes_the_folds(patients: Path, output: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)

    run_cli("run", patients, copy, *TINY, "--copies", 1, "--fresh")

    assert not list(copy.glob("fold-*"))


def test_the_two_halves_give_the_folds_of_the_whole(patients: Path, output: Path, tmp_path: Path) -> None:
    cache, other = tmp_path / "cache", tmp_path / "other"

    prepared = run_cli("prepare", patients, "--cache", cache, *TINY, "--folds", FOLDS)
    run_cli("generate", "--cache", cache, other, "--copies", 2, "--backend", "serial")

    assert "for 3 folds" in prepared.stdout
    for fold in range(FOLDS):
        assert shard_digests(other / f"fold-{fold}") == shard_digests(output / f"fold-{fold}")


def test_a_dry_run_counts_the_samples_of_all_folds(patients: Path, tmp_path: Path) -> None:
    result = run_cli("run", patients, tmp_path / "output", *TINY, "--folds", FOLDS, "--copies", 2, "--dry-run")

    # Each fold: two copies of six images, three to validate on, two to test on.
    assert f"would write {3 * (2 * 6 + 3 + 2)} samples" in result.stdout


def test_each_fold_has_a_network_of_its_own(patients: Path, tmp_path: Path) -> None:
    """The fitted network is the other way in which a fold could learn of what it validates on."""
    output = tmp_path / "output"
    options = (
        *("--size", 48, 64, "--regions", 6, 20, "--variants", 1, "--backend", "serial", "--progress", "none"),
        *("--folds", 2, "--copies", 1, "-o", "saliency.fit_steps=2", "-o", "saliency.probe_images=2"),
    )

    run_cli("run", patients, output, *options)

    runs = [run_of(output / f"fold-{fold}") for fold in range(2)]
    assert runs[0]["layers"]["saliency"] != runs[1]["layers"]["saliency"]
    assert runs[0]["saliency"]["weights"] != runs[1]["saliency"]["weights"]
    run_cli("verify", output, "--replay", 1)
