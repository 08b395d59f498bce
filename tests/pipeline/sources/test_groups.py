"""Images of one patient stay together, also where only names say who they are of; what is a guess is stated."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.sources.discovery import Discovery, discover
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import Split
from tests.command_line import QUICK, inspected, run_cli
from tests.pipeline.readers.layouts import lay

SLICES = [f"patient{patient:03}_slice_{number:02}" for patient in range(4) for number in range(4)]


def found_in(source: Path, names: list[str], *, known: dict[str, Split] | None = None, **config: Any) -> Discovery:
    lay(source, *(f"{kind}/{name}.png" for name in names for kind in ("images", "masks")))
    return discover(source, RunConfig.model_validate({"source": config}), known)


def groups(found: Discovery) -> set[str | None]:
    return {item.group for item in found.items}


def splits_by_group(found: Discovery) -> dict[str | None, set[str | None]]:
    splits: dict[str | None, set[str | None]] = defaultdict(set)
    for item in found.items:
        splits[item.group].add(item.split)
    return splits


def test_slices_of_a_patient_stay_in_one_split(tmp_path: Path) -> None:
    found = found_in(tmp_path, SLICES)

    assert groups(found) == {"patient000", "patient001", "patient002", "patient003"}
    assert all(len(splits) == 1 for splits in splits_by_group(found).values())
    assert found.has_slices


def test_a_guess_is_stated_with_what_undoes_it(tmp_path: Path) -> None:
    (note,) = [note for note in found_in(tmp_path, SLICES).notes if "groups" in note]

    assert note == (
        "16 images were taken as 4 groups (patients, slides) by the names of files, such as patient000 of "
        "images/patient000_slice_00; --group-by none makes each its own group, --group-by REGEX names other groups"
    )


def test_a_guess_is_undone(tmp_path: Path) -> None:
    found = found_in(tmp_path, SLICES, group_by="none")

    assert groups(found) == set(SLICES)
    assert not found.has_slices


def test_hashed_ids_hide_the_example(tmp_path: Path) -> None:
    assert not any("patient0" in note for note in found_in(tmp_path, SLICES, ids="hashed").notes)


@pytest.mark.parametrize("config", [{}, {"group_by": "none"}, {"group_by": ".*"}])
def test_groups_of_one_are_stated_once(tmp_path: Path, config: dict[str, Any]) -> None:
    found = found_in(tmp_path, ["a", "b", "c"], **config)

    assert sum("each image is its own group" in note for note in found.notes) == 1


def test_few_groups_leave_a_split_empty_with_a_warning(tmp_path: Path) -> None:
    found = found_in(tmp_path, [f"p{patient}_{number}" for patient in range(2) for number in range(4)])

    assert found.warnings == (
        "no image is for validation or testing (8 files are 2 groups); choose shares or lists with --split, "
        "or add groups",
    )


@pytest.mark.parametrize(("config", "warned"), [({"split": "1/0/0"}, 0), ({"split": "0.5/0.5/0"}, 0), ({}, 1)])
def test_a_split_that_was_asked_to_be_empty_is_no_warning(tmp_path: Path, config: dict[str, Any], warned: int) -> None:
    assert len(found_in(tmp_path, ["a", "b"], **config).warnings) == warned


def test_folds_need_no_validation_images(tmp_path: Path) -> None:
    found = found_in(tmp_path, SLICES[:8], folds=2, split="0.5/0/0.5")

    assert found.warnings == ()


def test_a_given_split_outweighs_a_guess(tmp_path: Path) -> None:
    """Films of CamVid stand in several parts of its split."""
    lay(tmp_path, *(f"{split}/{kind}/f{film}_{number}.png" for film in (1, 2) for kind in ("images", "masks")
        for number, split in enumerate(("train", "val", "test"))))  # fmt: skip

    found = discover(tmp_path, RunConfig())

    assert {item.group: item.split for item in found.items} == {
        f"f{film}-{split}": split for film in (1, 2) for split in ("train", "val", "test")
    }
    assert any("2 of 2 groups that names show have images in several splits" in note for note in found.notes)


def test_a_dataset_keeps_the_groups_that_it_has(tmp_path: Path) -> None:
    """One that was begun when names said nothing is finished and extended as it was."""
    known: dict[str, Split] = {SLICES[0]: "train", SLICES[1]: "val", "patient003": "test"}

    found = found_in(tmp_path, [*SLICES[:2], *SLICES[4:8], SLICES[12]], known=known)

    by_id = {item.id: (item.group, item.split) for item in found.items}
    assert by_id[SLICES[0]] == (SLICES[0], "train")
    assert by_id[SLICES[1]] == (SLICES[1], "val")
    assert by_id[SLICES[12]] == ("patient003", "test")
    assert by_id[SLICES[4]][0] == "patient001"


def test_a_dataset_with_hashed_ids_keeps_its_groups(tmp_path: Path) -> None:
    before = found_in(tmp_path, SLICES[:8], ids="hashed")
    known: dict[str, Split] = {item.group or item.id: item.split or "train" for item in before.items}

    after = found_in(tmp_path, SLICES, known=known, ids="hashed")

    assert {item.id: (item.group, item.split) for item in before.items}.items() <= {
        item.id: (item.group, item.split) for item in after.items
    }.items()


def test_a_trial_has_the_groups_of_the_whole(tmp_path: Path) -> None:
    assert groups(found_in(tmp_path, SLICES, limit=4)) == {f"patient00{patient}" for patient in range(4)}


def test_groups_of_a_list_are_not_mixed_with_guesses(tmp_path: Path) -> None:
    rows = "".join(f"{name}.png,m.png,{'g' if name == SLICES[0] else ''}\n" for name in SLICES)
    (tmp_path / "l.csv").write_text(f"image,mask,group\n{rows}")

    assert groups(discover(tmp_path / "l.csv", RunConfig())) == {"g", *SLICES[1:]}


def test_names_in_a_list_state_groups(tmp_path: Path) -> None:
    rows = "".join(f"p{patient}/{number}.png,m.png\n" for patient in range(3) for number in range(3))
    (tmp_path / "l.csv").write_text(f"image,mask\n{rows}")

    assert groups(discover(tmp_path / "l.csv", RunConfig())) == {"p0", "p1", "p2"}


def test_names_of_a_challenge_say_nothing(tmp_path: Path) -> None:
    """Warwick-QU numbers its images within each part."""
    names = [f"{part}_{number}" for part in ("testA", "testB") for number in (1, 2)]
    lay(tmp_path, *(f"{name}{end}.bmp" for name in names for end in ("", "_anno")))

    found = discover(tmp_path, RunConfig.model_validate({"source": {"layout": "glas"}}))

    assert groups(found) == set(names)


def test_pictures_of_stacks_have_nothing_in_common(tmp_path: Path) -> None:
    for name in ("x1", "x2"):
        np.savez(tmp_path / f"{name}.npz", image=np.zeros((3, 8, 8), np.uint8), mask=np.zeros((3, 8, 8), np.uint8))

    found = discover(tmp_path, RunConfig.model_validate({"source": {"stacks": "pictures"}}))

    assert len(groups(found)) == 6


def test_slices_are_mixed_with_those_of_other_patients(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 255
    for name in SLICES:
        for kind, pixels in (("images", rng.integers(0, 255, (32, 32, 3), np.uint8)), ("masks", mask)):
            (tmp_path / "in" / kind).mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(pixels).save(tmp_path / "in" / kind / f"{name}.png")

    options = ("--size", 32, 32, "--copies", 4, "--probabilities", 0, 1, 1, "--split", "1/0/0")
    run_cli("run", tmp_path / "in", tmp_path / "out", *QUICK, *options)

    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert {row["group_a"] for row in rows} == {f"patient00{patient}" for patient in range(4)}
    assert all(row["group_a"] != row["group_b"] for row in rows)


def test_inspect_shows_warnings(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for name in ("a", "b"):
            values = np.random.default_rng(len(name)).integers(0, 2, (32, 32), np.uint8)
            Pillow.fromarray(values).save(tmp_path / kind / f"{name}.png")

    assert json.dumps(inspected(tmp_path)["warnings"]).count("no image is for") == 1
    assert "  warning  no image is for" in run_cli("inspect", tmp_path, "--progress", "none").stdout
