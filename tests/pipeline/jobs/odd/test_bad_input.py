"""Bad files cost themselves and nothing else; a source that cannot be used is refused in one line."""

import csv
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click.testing
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.fixture_types import Cli, Maker, Options

# Id of a bad pair -> stage that refuses it, and what its reason has to state: what is wrong, and the way out.
EXPECTED = {
    "bad_cut": ("scan", ("bad_cut.jpg", "truncated", "copy it again")),
    "bad_size": ("scan", ("bad_size.png", "64 x 40", "64 x 48", "export")),
    "bad_value": ("scan", ("bad_value.png", "77", "0, 128, 255", "--mask-values")),
    "bad_lonely": ("discover", ("no mask", "add one")),
    "bad_orphan": ("discover", ("no image", "add it or remove")),
    "bad_empty": ("scan", ("bad_empty.png", "0 bytes", "copy it again")),
    "bad_hollow": ("scan", ("bad_hollow.png", "0 bytes", "copy it again")),
    "bad_twice": ("discover", ("bad_twice.jpg", "bad_twice.png", "rename or remove")),
    "bad_text": ("scan", ("bad_text.png", "no image")),
    "bad_link": ("scan", ("bad_link.png", "cannot be read")),
    "bad_twin": ("scan", ("same bytes", "leakage", "remove one")),
}


@dataclass(frozen=True)
class BadRun:
    """A run over good and bad files."""

    source: Path
    output: Path
    result: click.testing.Result


def add_bad_files(source: Path) -> None:
    """Put a bad pair of each kind among good ones."""
    images, masks = source / "images", source / "masks"
    good_mask = masks / "case_00.png"
    rng = np.random.default_rng(3)

    def picture(path: Path, shape: tuple[int, ...] = (48, 64, 3)) -> Path:
        Pillow.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        return path

    for name in EXPECTED:
        if name not in ("bad_lonely", "bad_orphan"):
            picture(images / f"{name}.png")
        if name != "bad_lonely":
            shutil.copy(good_mask, masks / f"{name}.png")
    picture(images / "bad_lonely.png")
    whole = picture(images / "bad_cut.jpg").read_bytes()
    (images / "bad_cut.png").unlink()
    (images / "bad_cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    Pillow.fromarray(np.zeros((40, 64), dtype=np.uint8)).save(masks / "bad_size.png")
    odd = np.array(Pillow.open(good_mask))
    odd[0, :5] = 77
    Pillow.fromarray(odd).save(masks / "bad_value.png")
    (images / "bad_empty.png").write_bytes(b"")
    (masks / "bad_hollow.png").write_bytes(b"")
    picture(images / "bad_twice.jpg")
    (images / "bad_text.png").write_text("this is no picture\n")
    (images / "bad_link.png").unlink()
    (images / "bad_link.png").symlink_to(source / "nowhere.png")
    # The bytes of a validation image: the training side is given up.
    shutil.copy(images / "case_06.png", images / "bad_twin.png")


@pytest.fixture(scope="module")
def bad(make_source: Maker, run_cli: Cli, tiny: Options, tmp_path_factory: pytest.TempPathFactory) -> BadRun:
    """A complete run over a folder with a bad pair of each kind."""
    folder = tmp_path_factory.mktemp("bad")
    source = make_source(folder / "source", train=6, val=1, test=1)
    add_bad_files(source)
    with (source / "splits" / "train.txt").open("a") as lists:
        lists.writelines(f"{name}\n" for name in EXPECTED)
    result = run_cli("run", source, folder / "output", *tiny, "--copies", 2)
    return BadRun(source, folder / "output", result)


def refused(output: Path) -> dict[str, dict[str, str]]:
    """Return the lines of refused.csv by id."""
    with (output / "refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_run_over_bad_files_is_complete(bad: BadRun) -> None:
    """Bad files are expected in every large collection; they do not stop a job."""
    assert bad.result.exit_code == 0, bad.result.stderr
    assert f"refused {len(EXPECTED)} of {len(EXPECTED) + 8} sources" in bad.result.stdout
    assert "refused.csv" in bad.result.stdout


@pytest.mark.parametrize("name", EXPECTED)
def test_bad_file_is_refused_by_name_with_the_way_out(bad: BadRun, name: str) -> None:
    """Whoever mends the collection has only this line: which file, what is wrong, what to do."""
    stage, stated = EXPECTED[name]
    row = refused(bad.output)[name]

    assert row.keys() == {"id", "path", "stage", "reason"}
    assert row["stage"] == stage
    assert Path(row["path"]).stem == name
    assert Path(row["path"]).is_relative_to(bad.source)
    assert [text for text in stated if text not in row["reason"]] == [], row["reason"]


def test_only_bad_files_are_refused(bad: BadRun) -> None:
    """A good file in the list would be lost without anybody noticing."""
    assert refused(bad.output).keys() == EXPECTED.keys()
    run = json.loads((bad.output / "run.json").read_text())
    stages = [stage for stage, _ in EXPECTED.values()]
    assert run["refused"]["total"] == len(EXPECTED)
    assert run["refused"]["by_stage"] == {stage: stages.count(stage) for stage in set(stages)}
    assert sum(run["refused"]["by_reason"].values()) == len(EXPECTED)
    assert not any("/" in reason for reason in run["refused"]["by_reason"])


def test_good_files_among_bad_ones_give_all_of_their_samples(bad: BadRun) -> None:
    """Each good training image leads its two samples, and no parent is a refused one or a row of zeros."""
    rows = pq.read_table(bad.output / "manifest.parquet").to_pylist()
    parents = {row[name] for row in rows for name in ("source_a", "source_b") if row[name] is not None}

    assert len(rows) == 2 * 6 + 1 + 1
    assert parents == {f"case_{number:02d}" for number in range(8)}
    for row in rows:
        with tarfile.open(bad.output / "webdataset" / f"{row['shard']}.tar") as tar:
            member = tar.extractfile(f"{row['key']}.image.png")
            assert member is not None
            assert np.asarray(Pillow.open(io.BytesIO(member.read()))).std() > 5


def test_dataset_with_refusals_is_sound(bad: BadRun, run_cli: Cli) -> None:
    """What is left passes every check, also being made again."""
    result = run_cli("verify", bad.output, "--replay", 3)

    assert result.exit_code == 0, result.stdout


def test_inspect_states_the_same_problems_before_any_work(bad: BadRun, run_cli: Cli) -> None:
    """Every file is decoded once before any work begins."""
    result = run_cli("inspect", bad.source, "--size", 48, 64, "--json")

    stated = {problem["id"] for problem in json.loads(result.stdout)["problems"]}
    assert stated == set(EXPECTED)


@pytest.mark.parametrize(("limit", "status"), [(2, 1), (len(EXPECTED) - 1, 1), (len(EXPECTED), 0)])
def test_more_refusals_than_tolerated_are_an_exit_status(
    bad: BadRun, run_cli: Cli, tiny: Options, limit: int, status: int
) -> None:
    """A job in a pipeline has to stop where half of its data is broken; the number is the user's."""
    result = run_cli("run", bad.source, bad.output, *tiny, "--copies", 2, "--max-errors", limit)

    assert result.exit_code == status
    if status:
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        for text in (str(len(EXPECTED)), f"max_errors = {limit}", "refused.csv", "--max-errors"):
            assert text in line


def an_image_without_masks(source: Path) -> None:
    shutil.rmtree(source / "masks")


def nothing(source: Path) -> None:
    shutil.rmtree(source)


def an_empty_folder(source: Path) -> None:
    shutil.rmtree(source)
    source.mkdir()


def lists_of_unknown_ids(source: Path) -> None:
    for split in ("train", "val", "test"):
        (source / "splits" / f"{split}.txt").write_text(f"stranger_{split}\n")


def one_training_image(source: Path) -> None:
    (source / "splits" / "train.txt").write_text("case_00\n")


def an_id_in_two_lists(source: Path) -> None:
    (source / "splits" / "val.txt").write_text("case_06\ncase_01\n")


def only_bad_masks(source: Path) -> None:
    for path in (source / "masks").iterdir():
        path.write_bytes(b"")


def mask_values_without_convention(source: Path) -> None:
    for number, path in enumerate(sorted((source / "masks").iterdir())):
        Pillow.fromarray(np.full((48, 64), 20 + 7 * number, dtype=np.uint8)).save(path)


UNUSABLE = (
    (an_image_without_masks, "no pair of image and mask"),
    (nothing, "does not exist"),
    (an_empty_folder, "no pair of image and mask"),
    (lists_of_unknown_ids, "names none of the 8 ids, which look like case_00"),
    (one_training_image, "1 usable image(s), mixing needs 2"),
    (an_id_in_two_lists, "lists case_01 in train and in val"),
    (only_bad_masks, "pairs of image and mask can be used"),
    (mask_values_without_convention, "--mask-values"),
)


def check_refused_in_one_line(result: click.testing.Result, output: Path, stated: str) -> None:
    """Check that a run was refused in one line, without a file that could be taken for a dataset."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(errors) == 1
    assert errors[0] == result.stderr.splitlines()[-1]
    assert stated in errors[0]
    assert "Traceback" not in result.stderr
    left = {path.name for path in output.iterdir()} if output.is_dir() else set()
    assert left <= {".hsmix"}


@pytest.mark.parametrize(("spoil", "stated"), UNUSABLE, ids=[spoil.__name__ for spoil, _ in UNUSABLE])
def test_unusable_source_is_refused_in_one_line(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path: Path, spoil: Callable[[Path], None], stated: str
) -> None:
    """The line names the folder, the rule and the way out; nothing that looks finished is left."""
    source = make_source(tmp_path / "source")
    spoil(source)

    result = run_cli("run", source, tmp_path / "output", *tiny)

    check_refused_in_one_line(result, tmp_path / "output", stated)


def test_group_torn_between_splits_is_refused_in_one_line(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path: Path
) -> None:
    """Two images of one patient, one trained on and one tested on, make results look better than they are."""
    source = make_source(tmp_path / "source")

    result = run_cli("run", source, tmp_path / "output", *tiny, "--group-by", "case_")

    check_refused_in_one_line(result, tmp_path / "output", "leakage")
    assert "--group-by" in result.stderr


def test_drawn_split_keeps_groups_together(make_source: Maker, run_cli: Cli, tmp_path: Path) -> None:
    """Without lists the split is drawn over groups: ten images of five patients."""
    source = make_source(tmp_path / "source", train=10, val=0, test=0, splits=False)
    for kind in ("images", "masks"):
        for number, path in enumerate(sorted((source / kind).iterdir())):
            path.rename(path.with_name(f"patient{number // 2}_{number}.png"))

    result = run_cli("inspect", source, "--size", 48, 64, "--group-by", "patient(.)", "--split", "3/1/1", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["groups"] == 5
    assert found["splits"] == {"train": 6, "val": 2, "test": 2}


def test_listed_ids_without_a_pair_are_reported(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path: Path
) -> None:
    """A list that names more than there is may be meant so, but not silently."""
    source = make_source(tmp_path / "source")
    with (source / "splits" / "train.txt").open("a") as lists:
        lists.write("stranger\n")

    result = run_cli("run", source, tmp_path / "output", *tiny, "--copies", 1)

    assert result.exit_code == 0
    assert "1 listed ids have no pair in the source" in result.stderr
