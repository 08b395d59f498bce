"""`verify`: what each depth finds, and what it does not check."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.formats.base import format_of
from hsmix_gen.pipeline.dataset.output_folder import read_dataset
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.verification.reopened import reopen
from hsmix_gen.pipeline.verification.sample_checks import is_given_by
from hsmix_gen.pipeline.verification.verify import verify_output
from tests.command_line import run_cli
from tests.pipeline.verification.damages import (
    COPIES,
    FOUND,
    INDEX,
    SAMPLES,
    SHARDS,
    TAR,
    TRAIN,
    Spoil,
    first_row,
    forge_manifest,
    forge_tar,
    rewrite_table,
)
from tests.written import flip

DEPTHS = ("names", "checksums", "samples")
FORMATS = ("--format", "webdataset", "--format", "parquet", "--format", "folder")


@pytest.fixture(scope="module")
def made(finished: Callable[..., Any]) -> Path:
    """A finished dataset in all formats, of which tests take a copy."""
    output: Path = finished(*FORMATS, "--copies", COPIES, "--shards", SHARDS).output
    return output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy that can be spoiled; the cache is left out, as only samples that are made again need it."""
    return Path(shutil.copytree(made, tmp_path / "output", ignore=shutil.ignore_patterns("cache")))


def found_at(output: Path, depth: str) -> list[str]:
    """Return the problems that a depth finds, after checking that exit status and report agree."""
    result = run_cli("verify", output, "--depth", depth, "--json", status=None)
    report = json.loads(result.stdout)
    problems: list[str] = report["problems"]
    assert result.exit_code == bool(problems)
    assert report["sound"] is (not problems)
    return problems


CASES = [
    pytest.param(depth, spoil, stated, id=f"{depth}-{name}")
    for depth, spoils in FOUND.items()
    for name, (spoil, *stated) in spoils.items()
]


@pytest.mark.parametrize(("depth", "spoil", "stated"), CASES)
def test_each_damage_is_found_at_its_depth_and_deeper(
    output: Path, depth: str, spoil: Spoil, stated: list[str]
) -> None:
    """A lesser depth does not check it, or it would be no cheaper; each problem names its file or sample."""
    spoil(output)

    found = {each: "\n".join(found_at(output, each)) for each in DEPTHS}

    first = DEPTHS.index(depth)
    assert [each for each in DEPTHS[:first] if found[each]] == [], found
    assert [part for each in DEPTHS[first:] for part in stated if part not in found[each]] == [], found


def test_one_damage_is_one_problem(output: Path) -> None:
    """What a file lacks is not reported again by everything that would have been in it."""
    flip(output / INDEX)
    shutil.copy(output / TAR, output / "webdataset" / "train-000003.tar")

    assert [problem.split()[0] for problem in found_at(output, "checksums")] == [
        "webdataset/train-000003.tar",
        "webdataset/train-index.json",
    ]


# What is reported


def test_default_is_the_whole_check_and_says_what_it_checked(made: Path) -> None:
    """Sound is only worth something with the numbers of what was checked."""
    text = run_cli("verify", made, "--replay", 4)
    data = run_cli("verify", made, "--replay", 4, "--json")

    report = json.loads(data.stdout)
    assert f"{made} is sound at depth samples: {SAMPLES} manifest rows, " in text.stdout
    assert (report["sound"], report["problems"], report["depth"], report["method"]) == (True, [], "samples", "hsmix")
    assert report["checked"] == {
        "manifest rows": SAMPLES,
        "files": 2 * (SHARDS + 1 + 1) + 3 * SAMPLES,
        "indexes": 3 + 1,
        "describing files": 7,
        "records": SHARDS + 1 + 1,
        "checksums": 2 * (SHARDS + 1 + 1) + 3 * SAMPLES + 3 + 1 + 4,
        "parents for leakage": TRAIN + 1 + 1,
        "samples": 3 * SAMPLES,
        "replays": 3 * 4,
    }


@pytest.mark.parametrize(
    ("depth", "left_out", "unread"),
    [
        ("names", "; no shard was opened", {"checksums", "parents for leakage", "samples"}),
        ("checksums", "; no sample was decoded", {"samples"}),
        ("samples", "", set()),
    ],
)
def test_report_names_its_depth_and_what_was_left_out(made: Path, depth: str, left_out: str, unread: set[str]) -> None:
    """Sound means less at a lesser depth; who reads the line alone should know."""
    text = run_cli("verify", made, "--depth", depth)
    report = json.loads(run_cli("verify", made, "--depth", depth, "--json").stdout)

    assert text.stdout.startswith(f"{made} is sound at depth {depth}: ")
    assert text.stdout.endswith(f" checked{left_out}; mixed by hsmix\n")
    assert report["depth"] == depth
    assert {"checksums", "parents for leakage", "samples"} - report["checked"].keys() == unread


def test_problems_are_reported_with_the_depth_that_found_them(output: Path) -> None:
    (output / TAR).unlink()

    result = run_cli("verify", output, "--depth", "names", status=1)

    lines = result.stdout.splitlines()
    assert lines[0] == f"problem: {TAR} is missing; run the same command again"
    assert lines[1].startswith(f"{output} has 1 problem at depth names; {SAMPLES} manifest rows, ")


@pytest.mark.parametrize("depth", ["names", "checksums"])
def test_samples_made_again_at_a_lesser_depth_are_a_usage_error(tmp_path: Path, depth: str) -> None:
    """Nobody should believe that they were, and the line names the way out before anything is read."""
    result = run_cli("verify", tmp_path / "nowhere", "--depth", depth, "--replay", 3, status=2)

    line = result.stderr.splitlines()[-1]
    assert f"--replay 3 decodes samples, which --depth {depth} does not" in line
    assert "take --depth samples, or leave out --replay" in line
    with pytest.raises(ValueError, match="replays need the depth samples"):
        verify_output(tmp_path, depth=depth, replays=3)  # type: ignore[arg-type]


def test_no_sample_made_again_is_no_usage_error(made: Path) -> None:
    run_cli("verify", made, "--depth", "names", "--replay", 0)


# What is no damage


def test_names_reads_no_content_of_a_shard(output: Path) -> None:
    """Files of nothing but zeros have the right sizes."""
    for path in (path for form in ("webdataset", "parquet", "folder") for path in (output / form).rglob("*")):
        if path.is_file() and path.suffix != ".json":
            size = path.stat().st_size
            with path.open("wb") as file:
                file.truncate(size)

    assert found_at(output, "names") == []
    assert len(found_at(output, "checksums")) == 2 * (SHARDS + 1 + 1) + 3 * SAMPLES


def keep_sources_alone(output: Path) -> None:
    """Leave nothing of the state but the sources; it serves runs, and who trains takes the dataset alone."""
    shutil.rmtree(output / ".hsmix" / "shards")
    (output / ".hsmix" / "described.json").unlink()


def remove_the_state(output: Path) -> None:
    shutil.rmtree(output / ".hsmix")


def edit_what_is_for_people(output: Path) -> None:
    """The card is theirs to complete, and `preview` draws the picture anew."""
    (output / "README.md").write_text("our card")
    (output / "preview.png").write_bytes(b"another picture")
    (output / "notes.txt").write_text("not read by loaders")


def move_folders_to_another_disk(output: Path) -> None:
    """Loaders follow links, and so does the check."""
    for number, name in enumerate(("webdataset", "folder/images")):
        (output / name).symlink_to((output / name).rename(output.with_name(f"disk-{number}")))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "change", [keep_sources_alone, remove_the_state, edit_what_is_for_people, move_folders_to_another_disk]
)
def test_what_is_no_damage_is_sound(output: Path, depth: str, change: Spoil) -> None:
    change(output)

    assert found_at(output, depth) == []


# Folds


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_fold_is_checked(made: Path, tmp_path: Path, depth: str) -> None:
    """A problem states its fold, and what was checked is counted over all."""
    for fold in ("fold-0", "fold-1", "fold-2"):
        shutil.copytree(made, tmp_path / fold, ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "fold-2" / "preview.png").unlink()

    report = json.loads(run_cli("verify", tmp_path, "--depth", depth, "--json", status=1).stdout)

    assert report["problems"] == ["fold-2: preview.png is missing; run the same command again"]
    assert report["checked"]["manifest rows"] == 3 * SAMPLES
    assert report["checked"].get("samples", 0) == (3 * 3 * SAMPLES if depth == "samples" else 0)


# Descriptions that cannot be read


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["manifest.parquet", "dataset.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "emptied"])
def test_verify_of_a_damaged_description_is_reported_in_one_line(
    output: Path, name: str, damage: str, depth: str
) -> None:
    """Without them nothing can be checked; the line says which file and what to do."""
    data = (output / name).read_bytes()
    (output / name).unlink()
    if damage != "missing":
        (output / name).write_bytes(data[: len(data) // 2] if damage == "truncated" else b"{}")

    result = run_cli("verify", output, "--depth", depth, status=1)

    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert name in line
    assert "run" in line


def test_damaged_sources_are_a_problem_and_the_rest_is_checked(output: Path) -> None:
    (stored,) = (output / ".hsmix").glob("sources*.parquet")
    stored.write_bytes(b"not a table")
    flip(output / TAR)

    problems = "\n".join(found_at(output, "checksums"))

    assert f"{stored} is damaged" in problems
    assert f"{TAR} does not match its checksum" in problems
    assert found_at(output, "names") == []


# Replay


def test_verify_replay_finds_a_sample_that_its_provenance_does_not_give(made: Path, output: Path) -> None:
    """A picture exchanged together with its checksums everywhere is still not what the recipe makes."""
    key = ""

    def brighten(members: list[tuple[str, bytes]]) -> None:
        nonlocal key
        name, data = members[0]
        key = name.partition(".")[0]
        buffer = io.BytesIO()
        Pillow.fromarray(255 - np.asarray(Pillow.open(io.BytesIO(data)))).save(buffer, "PNG")
        members[0] = (name, buffer.getvalue())
        picture = {"bytes": len(members[0][1]), "sha256": hashlib.sha256(members[0][1]).hexdigest()}
        rewrite_table(output / "manifest.parquet", lambda rows: first_row(rows, key=key).update(picture))
        (output / "folder" / "images" / f"{key}.png").write_bytes(members[0][1])
        for path in (output / "parquet").iterdir():
            rewrite_table(
                path, lambda rows: [row["image"].update(bytes=members[0][1]) for row in rows if row["key"] == key]
            )

    forge_tar(output, brighten)
    cache = made / ".hsmix" / "cache"

    run_cli("verify", output)
    found = run_cli("verify", output, "--replay", SAMPLES, "--cache", cache, status=1)

    stated = re.findall(rf"problem: (\w+)/\S+: sample {key} differs from what its provenance gives", found.stdout)
    assert sorted(stated) == ["folder", "parquet", "webdataset"]


def test_a_parent_that_the_cache_does_not_hold_is_a_problem(made: Path, output: Path) -> None:
    """A forged provenance is found, not stumbled over."""
    forge_manifest(output, lambda rows: first_row(rows, split="val").update(source_a="nobody"))

    result = run_cli("verify", output, "--replay", SAMPLES, "--cache", made / ".hsmix" / "cache", status=1)

    assert "the unknown source nobody" in result.stdout


def test_a_dataset_of_the_first_contract_is_sound_without_what_came_later(output: Path) -> None:
    """It had no croissant.json."""
    for name in ("croissant.json", ".hsmix/described.json"):
        assert (output / name).is_file()
    (output / "croissant.json").unlink()
    described = json.loads((output / "dataset.json").read_text())
    (output / "dataset.json").write_text(json.dumps({**described, "contract": 1}))
    sealed = [
        {**file, "bytes": (output / file["path"]).stat().st_size}
        for file in json.loads((output / ".hsmix/described.json").read_text())
        if file["path"] != "croissant.json"
    ]
    (output / ".hsmix/described.json").write_text(json.dumps(sealed))

    assert found_at(output, "names") == []


def test_replays_of_the_first_contract_are_compared_by_what_they_show(made: Path) -> None:
    """Its images were compressed otherwise; another pixel is found all the same, and later contracts promise bytes."""
    opened, dataset = reopen(made), read_dataset(made)
    first = {**dataset, "contract": 1}
    row = next(row for row in read_manifest(made / "manifest.parquet") if row.mode == "soft")
    form = format_of("webdataset")
    stored = next(one for one in form.in_order(made, f"webdataset/{row.shard}.tar", dataset) if one.key == row.key)
    pixels = np.array(Pillow.open(io.BytesIO(stored.image)))
    other, spoiled = (
        replace(stored, members={**stored.members, "image.png": packed(array)}) for array in (pixels, 255 - pixels)
    )

    assert is_given_by(stored, row, opened, form, dataset)
    assert is_given_by(other, row, opened, form, first)
    assert not is_given_by(other, row, opened, form, dataset)
    assert not is_given_by(spoiled, row, opened, form, first)


def packed(pixels: np.ndarray[Any, Any]) -> bytes:
    """Return a picture as Pillow compresses it."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
