"""Every command: its help, its results on stdout, its exit status, and what it refuses in words."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image as Pillow

Cli = Callable[..., click.testing.Result]
Snapshot = dict[str, tuple[str, int]]

COMMANDS = ("run", "prepare", "generate", "inspect", "preview", "verify", "replay", "demo", "presets", "doctor")
HEAVY = ("torch", "ray", "zarr", "pyarrow", "skimage", "monai", "pydantic", "numpy")
TRAIN, COPIES = 6, 2
SAMPLES = TRAIN * COPIES + 2
PANELS = 7


@dataclass(frozen=True)
class Made:
    """A source and a finished dataset in both formats."""

    source: Path
    output: Path


@pytest.fixture(scope="module")
def job(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Options of the finished dataset."""
    return (*tiny, "--copies", str(COPIES), "--shards", "3", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="module")
def made(
    make_source: Callable[..., Path], run_cli: Cli, job: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """The finished dataset, of which tests that change something take a copy."""
    folder = tmp_path_factory.mktemp("made")
    source = make_source(folder / "source", train=TRAIN)
    result = run_cli("run", source, folder / "output", *job)
    assert result.exit_code == 0, result.stderr
    return Made(source, folder / "output")


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """A copy of source and dataset at a place of their own."""
    source = Path(shutil.copytree(made.source, tmp_path / "source"))
    return Made(source, Path(shutil.copytree(made.output, tmp_path / "output")))


def error_of(result: click.testing.Result) -> str:
    """Return the one line in which a problem is told."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1, (result.stdout, result.stderr)
    assert len(lines) == 1, result.stderr
    return lines[0]


# Help and usage


@pytest.fixture(scope="module")
def helps() -> dict[str, Any]:
    """Ask every command for help in one fresh process: texts, statuses, and which heavy modules came along."""
    program = f"""
import json, sys
from click.testing import CliRunner
from hsmix_gen.pipeline.cli import cli
asked = {{"": ["--help"], **{{name: [name, "--help"] for name in {COMMANDS!r}}}, "version": ["--version"]}}
answers = {{name: CliRunner().invoke(cli, arguments) for name, arguments in asked.items()}}
json.dump({{
    "texts": {{name: answer.stdout for name, answer in answers.items()}},
    "statuses": [answer.exit_code for answer in answers.values()],
    "loaded": sorted(set({HEAVY!r}) & sys.modules.keys()),
    "commands": sorted(cli.commands),
}}, sys.stdout)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_every_promised_command_is_there(helps: dict[str, Any]) -> None:
    """The table of commands in the contract."""
    assert set(helps["commands"]) >= set(COMMANDS)
    assert set(helps["statuses"]) == {0}
    assert all(name in helps["texts"][""] for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_shows_an_example(helps: dict[str, Any], name: str) -> None:
    """The example is what people copy."""
    assert f"Example: hsmix-gen {name}" in helps["texts"][name]


def test_every_option_in_help_tells_its_effect(helps: dict[str, Any]) -> None:
    """An option without words is a riddle."""
    for name in COMMANDS:
        lines = helps["texts"][name].split("Options:\n")[1].splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("  -"):
                told = "  " in line.strip() or (following.startswith("     ") and following.strip())
                assert told, f"{name}: {line.strip()} says nothing"


def test_help_of_every_command_loads_nothing_heavy(helps: dict[str, Any]) -> None:
    """Help answers at once: torch, Ray and Zarr take seconds to import."""
    assert helps["loaded"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("mix",),
        ("run",),
        ("run", "only-a-source"),
        ("run", "source", "output", "--no-such-option"),
        ("run", "source", "output", "--copies", "many"),
        ("run", "source", "output", "--size", "64"),
        ("run", "source", "output", "--progress", "loud"),
        ("prepare", "source"),
        ("generate", "output"),
        ("verify", "output", "--replay", "-1"),
        ("preview", "output", "--rows", "0"),
        ("replay", "output"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(run_cli: Cli, arguments: tuple[str, ...]) -> None:
    """A script can tell a typing error from a problem of the data."""
    result = run_cli(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error:" in result.stderr


def test_installed_command_passes_status_and_streams_on(
    run_command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """What tests call in this process is what the command does in its own."""
    missing = run_command("verify", tmp_path / "nowhere")
    wrong = run_command("verify")

    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: ")
    assert missing.stderr.count("\n") == 1
    assert (wrong.returncode, wrong.stdout) == (2, "")


# Configuration


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--policy", "pairs"), ("mix.policy", "pairs", "did you mean paired")),
        (("--copies", "0"), ("mix.copies", "greater than 0", "got 0")),
        (("--select", "1.5"), ("mix.select", "1.5")),
        (("--regions", "9", "3"), ("MIN <= MAX", "9 3")),
        (("--size", "8", "64"), ("at least 16 16", "8 64")),
        (("--saliency", "gradcamm"), ("saliency.backend", "did you mean gradcam")),
        (("--preset", "isic"), ("preset", "isic2017")),
        (("-o", "mix.copys=3"), ("mix.copys", "did you mean mix.copies")),
        (("-o", "copies"), ("SECTION.KEY=VALUE", "copies")),
        (("-o", "mix.copies=[1"), ("mix.copies", "YAML")),
        (("--config", "nowhere.yaml"), ("nowhere.yaml", "cannot be read")),
        (("--mask-values", "0:0"), ("VALUE=CLASS", "0:0")),
        (("--split", "1/2"), ("split", "1/2")),
        (("--weights", "w.pt"), ("--model",)),
        (("--workers", "0"), ("run.workers", "got 0")),
        (("--shards", "1000"), ("shards", "1000", "lower --shards")),
        (("--seed", "-1"), ("seed", "-1")),
    ],
    ids=" ".join,
)
def test_wrong_value_is_told_with_its_name_and_the_way_out(
    made: Made, run_cli: Cli, tmp_path: Path, options: tuple[str, ...], told: tuple[str, ...]
) -> None:
    """The line names the key, the rule and the value; where a name is near, it is offered."""
    given = ("--size", "48", "64", "--backend", "serial")
    saliency = () if "--saliency" in options or "--weights" in options else ("--saliency", "uniform")

    line = error_of(run_cli("run", made.source, tmp_path / "output", *given, *saliency, *options))

    assert [text for text in told if text not in line] == [], line
    assert not (tmp_path / "output" / "manifest.parquet").exists()


def test_option_wins_over_o_over_file_over_preset_over_default(run_cli: Cli, made: Made, tmp_path: Path) -> None:
    """The nearer to the user's fingers, the stronger; the resolved configuration is written to the output."""
    file = tmp_path / "job.yaml"
    config = {
        "size": [48, 64],
        "copies": 9,
        "mix": {"select": 0.4, "aggregate": "mean"},
        "superpixels": {"regions": [5, 9], "variants": 1},
        "saliency": {"backend": "uniform"},
        "run": {"backend": "serial"},
    }
    file.write_text(yaml.safe_dump(config))
    options = ("--preset", "isic2017", "--classes", "skin,a,b", "--config", file)

    result = run_cli(
        *("run", made.source, tmp_path / "output", *options, "-o", "mix.copies=4", "-o", "mix.select=0.6"),
        *("--copies", 1, "--shards", 2),
    )

    assert result.exit_code == 0, result.stderr
    resolved = json.loads((tmp_path / "output" / "run.json").read_text())["config"]
    assert resolved["mix"]["copies"] == 1  # option over -o over file
    assert resolved["mix"]["select"] == 0.6  # -o over file over preset
    assert resolved["mix"]["aggregate"] == "mean"  # file over default
    assert resolved["superpixels"]["regions"] == [5, 9]  # file over preset
    assert resolved["superpixels"]["compactness"] == 10  # preset over default
    assert resolved["source"]["classes"] == ["skin", "a", "b"]
    assert resolved["superpixels"]["sigma"] == 1
    assert json.loads((tmp_path / "output" / "dataset.json").read_text())["classes"] == ["skin", "a", "b"]


PROMISED = (
    *("--preset", "--layout", "--size", "--split", "--group-by", "--copies", "--policy", "--probabilities", "--select"),
    *("--regions", "--variants", "--compactness", "--sigma", "--saliency", "--aggregate", "--model", "--weights"),
    *("--layer", "--format", "--shards", "--seed", "--cache", "--backend", "--address", "--workers", "--limit"),
    *("--max-errors", "--dry-run", "--log-format", "--progress", "-q", "-v", "--config", "-o"),
)


@pytest.mark.parametrize("option", PROMISED)
def test_promised_options_of_run_are_there(helps: dict[str, Any], option: str) -> None:
    """The contract's list of options of `run`."""
    assert re.search(rf"^ +(-\w, )?{option}\b", helps["texts"]["run"], flags=re.MULTILINE)


# Inspect


def test_inspect_counts_pairs_sizes_and_pixels_of_each_class(made: Made, run_cli: Cli) -> None:
    """The numbers are those of the files, counted here with numpy."""
    result = run_cli("inspect", made.source, "--size", 48, 64, "--json")

    found = json.loads(result.stdout)
    masks = [np.asarray(Pillow.open(path)) for path in sorted((made.source / "masks").iterdir())]
    assert result.exit_code == 0
    assert (found["layout"], found["pairs"], found["usable"], found["groups"]) == ("folder", 8, 8, 8)
    assert found["splits"] == {"train": TRAIN, "val": 1, "test": 1}
    assert found["mask_values"] == {"0": 0, "128": 1, "255": 2}
    assert (found["channels"], found["dtype"], found["problems"]) == (3, "uint8", [])
    assert found["sizes"]["most_common"] == [[48, 64, 8]]
    for value, told in zip((0, 128, 255), found["classes"], strict=True):
        assert told["pixels"] == sum(int((mask == value).sum()) for mask in masks)
        assert told["masks"] == sum(bool((mask == value).any()) for mask in masks)


def test_inspect_tells_people_the_same_and_does_no_work(
    made: Made, run_cli: Cli, snapshot: Callable[[Path], Snapshot]
) -> None:
    """The text names layout, sizes, classes and splits; the source is only read."""
    before = snapshot(made.source)

    result = run_cli("inspect", made.source, "--size", 48, 64, "--progress", "none")

    assert result.exit_code == 0
    assert result.stderr == ""
    told = (
        *("8 pairs, 8 images, 8 usable", "8 of 64 x 48", "0 = 0, 128 = 1, 255 = 2", "train 6, val 1, test 1"),
        "pixels (",
    )
    for text in told:
        assert text in result.stdout
    assert snapshot(made.source) == before


# Streams


def test_results_go_to_stdout_and_progress_to_stderr(
    made: Made, run_cli: Cli, job: tuple[str, ...], tmp_path: Path
) -> None:
    """Output can be piped while progress is watched."""
    result = run_cli("run", made.source, tmp_path / "output", *job)

    shards = [*(tmp_path / "output" / "webdataset").glob("*.tar"), *(tmp_path / "output" / "parquet").iterdir()]
    assert len(shards) == 2 * (3 + 1 + 1)
    assert result.stdout.startswith(f"wrote {SAMPLES} samples in 5 shards, ")
    assert "refused 0 of 8 sources" in result.stdout
    assert [line.partition(":")[0] for line in result.stderr.splitlines() if " to do" in line] == [
        *("scan", "images", "superpixels", "saliency", "mix")
    ]
    assert "to do" not in result.stdout


def test_json_log_lines_are_objects_that_count_up(made: Made, run_cli: Cli, tmp_path: Path) -> None:
    """Programs follow a run by its events; the sums are those of the job."""
    options = ("--size", 48, 64, "--saliency", "uniform", "--backend", "serial", "--copies", 1, "--variants", 1)

    result = run_cli("run", made.source, tmp_path / "output", *options, "--log-format", "json")

    events = [json.loads(line) for line in result.stderr.splitlines()]
    last = {event["stage"]: event for event in events if event["event"] == "progress"}
    assert result.exit_code == 0
    assert {event["event"] for event in events} == {"note", "start", "progress"}
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert {stage: (event["done"], event["total"]) for stage, event in last.items()} == {
        **dict.fromkeys(("scan", "images", "superpixels", "saliency"), (8, 8)),
        "mix": (TRAIN + 2, TRAIN + 2),
    }


@pytest.mark.parametrize("option", [("-q",), ("--progress", "none")], ids=["quiet", "none"])
def test_quiet_run_says_nothing_on_stderr(made: Made, run_cli: Cli, tmp_path: Path, option: tuple[str, ...]) -> None:
    """In a cron job anything on stderr is a mail."""
    options = ("--size", 48, 64, "--saliency", "uniform", "--backend", "serial", "--copies", 1, "--variants", 1)

    result = run_cli("run", made.source, tmp_path / "output", *options, *option)

    assert (result.exit_code, result.stderr) == (0, "")


# Dry run


def test_dry_run_writes_nothing_and_tells_what_the_run_then_writes(
    made: Made, run_cli: Cli, job: tuple[str, ...], snapshot: Callable[[Path], Snapshot], tmp_path: Path
) -> None:
    """Samples, shards and images come from the very plan of the run."""
    before = snapshot(made.source)

    result = run_cli("run", made.source, tmp_path / "output", *job, "--dry-run")

    dataset = json.loads((made.output / "dataset.json").read_text())
    shards = sum(split["shards"] for split in dataset["splits"].values())
    images = sum(split["images"] for split in dataset["splits"].values())
    assert result.exit_code == 0, result.stderr
    assert f"would write {SAMPLES} samples in {shards} shards from {images} images (0 refused)" in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert snapshot(made.source) == before


def test_dry_run_leaves_a_finished_dataset_alone(
    copied: Made, run_cli: Cli, job: tuple[str, ...], snapshot: Callable[[Path], Snapshot]
) -> None:
    """Asking what --fresh would cost must not do it."""
    before = snapshot(copied.output)

    result = run_cli("run", copied.source, copied.output, *job, "--dry-run", "--fresh", "--copies", 3)

    assert result.exit_code == 0, result.stderr
    assert f"would write {TRAIN * 3 + 2} samples" in result.stdout
    assert snapshot(copied.output) == before


# Halves


def test_prepare_and_generate_give_the_bytes_of_run(
    made: Made,
    run_cli: Cli,
    tiny: tuple[str, ...],
    shard_digests: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    """The GPU half on one machine, the CPU half on another, the same dataset."""
    prepared = run_cli("prepare", made.source, "--cache", tmp_path / "cache", *tiny)
    halves = ("--copies", COPIES, "--shards", 3, "--format", "webdataset", "--format", "parquet")
    generated = run_cli("generate", "--cache", tmp_path / "cache", tmp_path / "output", *halves, "--backend", "serial")

    assert prepared.exit_code == 0, prepared.stderr
    assert "prepared 8 images" in prepared.stdout
    assert generated.exit_code == 0, generated.stderr
    assert shard_digests(tmp_path / "output") == shard_digests(made.output)


def test_generate_needs_a_finished_cache(run_cli: Cli, tmp_path: Path) -> None:
    """The way out is the other half."""
    line = error_of(run_cli("generate", "--cache", tmp_path / "cache", tmp_path / "output"))

    assert "holds no finished features" in line
    assert "hsmix-gen prepare" in line


@pytest.mark.parametrize("override", ["superpixels.variants=5", "image.size=[32, 32]", "saliency.backend=uniform"])
def test_generate_refuses_options_of_the_features(made: Made, run_cli: Cli, tmp_path: Path, override: str) -> None:
    """The cache was made with other values; run.json would tell a dataset that does not exist."""
    cache = made.output / ".hsmix" / "cache"

    result = run_cli("generate", "--cache", cache, tmp_path / "output", "--backend", "serial", "-o", override)

    assert override.partition("=")[0] in error_of(result)


# Preview, replay


def test_preview_is_a_sheet_of_seven_panels(made: Made, run_cli: Cli, tmp_path: Path) -> None:
    """A, B, superpixels, saliency, mix, mask and soft mask stand side by side, a row for each sample."""
    sizes = []
    for rows in (1, 3):
        result = run_cli("preview", made.output, "--rows", rows, "--to", tmp_path / f"{rows}.png")
        assert result.exit_code == 0, result.stderr
        assert str(tmp_path / f"{rows}.png") in result.stdout
        with Pillow.open(tmp_path / f"{rows}.png") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        sizes.append(pixels.shape)
        inked = (pixels[sizes[0][0] // 2] != 255).any(axis=-1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inked, [False]]).astype(int)))
        panels = edges[1::2] - edges[::2]
        assert panels.tolist() == [224] * PANELS
    assert sizes[0][1] == sizes[1][1]
    assert sizes[1][0] - sizes[0][0] > 2 * 168


def test_preview_goes_to_the_output_unless_told_otherwise(copied: Made, run_cli: Cli) -> None:
    """Drawn again with the default rows it is the picture of the run."""
    before = (copied.output / "preview.png").read_bytes()
    (copied.output / "preview.png").unlink()

    result = run_cli("preview", copied.output)

    assert result.exit_code == 0
    assert (copied.output / "preview.png").read_bytes() == before


def test_replay_makes_the_members_of_any_sample_again(made: Made, run_cli: Cli, tmp_path: Path) -> None:
    """Provenance is enough: the bytes are those in the shard, for a sample of each mode and split."""
    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    chosen = {(row["split"], row["mode"]): row for row in rows}
    assert len(chosen) == 5
    for row in chosen.values():
        result = run_cli("replay", made.output, row["key"], "--to", tmp_path)
        assert result.exit_code == 0, result.stderr
        paths = [Path(line) for line in result.stdout.splitlines()]
        with tarfile.open(made.output / "webdataset" / f"{row['shard']}.tar") as tar:
            for name in ("image.png", "mask.png", "soft.npz", "json"):
                member = tar.extractfile(f"{row['key']}.{name}")
                assert member is not None
                assert tmp_path / f"{row['key']}.{name}" in paths
                assert (tmp_path / f"{row['key']}.{name}").read_bytes() == member.read()


def test_replay_of_an_unknown_key_shows_how_keys_look(made: Made, run_cli: Cli, tmp_path: Path) -> None:
    """The way out is a key of this dataset."""
    line = error_of(run_cli("replay", made.output, "train-nobody-000", "--to", tmp_path))

    assert "train-nobody-000" in line
    assert "case_0" in line


@pytest.mark.parametrize(("column", "value"), [("mode", "medium"), ("source_a", "nobody")])
def test_replay_of_a_forged_row_tells_what_is_unknown(
    copied: Made, run_cli: Cli, tmp_path: Path, column: str, value: str
) -> None:
    """A manifest can be edited by anybody."""
    path = copied.output / "manifest.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[-1][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    line = error_of(run_cli("replay", copied.output, rows[-1]["key"], "--to", tmp_path))

    assert f"manifest.parquet gives {rows[-1]['key']} the unknown" in line
    assert value in line


def test_moved_cache_is_named_and_taken_from_where_it_is(copied: Made, run_cli: Cli, tmp_path: Path) -> None:
    """A dataset outlives the place of its cache."""
    cache = (copied.output / ".hsmix" / "cache").rename(tmp_path / "elsewhere")

    line = error_of(run_cli("verify", copied.output, "--replay", 2))
    found = run_cli("verify", copied.output, "--replay", 2, "--cache", cache)

    assert "--cache DIR" in line
    assert found.exit_code == 0, found.stdout


def test_moved_dataset_finds_the_cache_inside_it(copied: Made, run_cli: Cli, tmp_path: Path) -> None:
    """The default cache lies in the output and moves with it."""
    moved = copied.output.rename(tmp_path / "moved")

    result = run_cli("verify", moved, "--replay", 1)

    assert result.exit_code == 0, (result.stdout, result.stderr)


# Resume guard


def change_a_pixel(source: Path) -> None:
    path = source / "images" / "case_03.png"
    image = np.array(Pillow.open(path))
    image[5, 7] ^= 1
    Pillow.fromarray(image).save(path)


def add_a_pair(source: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copy(source / kind / "case_02.png", source / kind / "case_99.png")
    change_a_pixel(source)
    shutil.move(source / "images" / "case_03.png", source / "images" / "case_99.png")
    shutil.copy(source / "images" / "case_02.png", source / "images" / "case_03.png")
    with (source / "splits" / "train.txt").open("a") as lists:
        lists.write("case_99\n")


def remove_a_pair(source: Path) -> None:
    for kind in ("images", "masks"):
        (source / kind / "case_01.png").unlink()


def keep(source: Path) -> None:
    """Change nothing."""


CHANGES: tuple[tuple[str, Callable[[Path], None], tuple[str, ...], tuple[str, ...]], ...] = (
    ("copies", keep, ("--copies", "3"), ("mix.copies was 2, is 3",)),
    ("seed", keep, ("--seed", "8"), ("seed was 0, is 8",)),
    ("regions", keep, ("--regions", "7", "20"), ("superpixels.regions was 6 20, is 7 20",)),
    ("name", keep, ("-o", "output.name=other"), ("output.name was hsmix, is other",)),
    ("pixel", change_a_pixel, (), ("1 changed (case_03)",)),
    ("added", add_a_pair, (), ("1 added (case_99)",)),
    ("removed", remove_a_pair, (), ("1 missing (case_01)",)),
)


@pytest.mark.parametrize(
    ("change", "options", "told"), [entry[1:] for entry in CHANGES], ids=[entry[0] for entry in CHANGES]
)
def test_changed_input_or_option_is_refused_until_told_to_start_anew(
    copied: Made,
    run_cli: Cli,
    job: tuple[str, ...],
    snapshot: Callable[[Path], Snapshot],
    change: Callable[[Path], None],
    options: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    """Half of a dataset made one way and half another cannot be told apart later."""
    change(copied.source)
    before = snapshot(copied.output)

    line = error_of(run_cli("run", copied.source, copied.output, *job, *options))
    untouched = snapshot(copied.output)
    fresh = run_cli("run", copied.source, copied.output, *job, *options, "--fresh")

    assert [text for text in (*told, "--fresh", str(copied.output)) if text not in line] == [], line
    assert untouched == before
    assert fresh.exit_code == 0, fresh.stderr
    assert run_cli("verify", copied.output, "--replay", 2).exit_code == 0


def test_changed_source_of_a_shared_cache_is_refused_with_a_way_out_that_works(
    copied: Made, run_cli: Cli, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """A cache outside the output belongs to its sources; --fresh is offered only where it helps."""
    cache = tmp_path / "cache"
    first = run_cli("prepare", copied.source, "--cache", cache, *tiny)
    change_a_pixel(copied.source)

    line = error_of(run_cli("prepare", copied.source, "--cache", cache, *tiny))

    assert first.exit_code == 0, first.stderr
    assert "1 changed (case_03)" in line
    assert str(cache) in line
    if "--fresh" in line:
        again = run_cli("run", copied.source, tmp_path / "other", *tiny, "--cache", cache, "--fresh", "--copies", 1)
        assert again.exit_code == 0, again.stderr


def test_folder_with_other_files_is_refused_and_left_alone(
    made: Made, run_cli: Cli, job: tuple[str, ...], tmp_path: Path
) -> None:
    """A slip of the tab key must not bury a thesis under shards, nor --fresh remove it."""
    (tmp_path / "thesis.tex").write_text("x")
    for options in ((), ("--fresh",)):
        line = error_of(run_cli("run", made.source, tmp_path, *job, *options))
        assert "thesis.tex" in line
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_fresh_removes_what_runs_left_and_nothing_else(copied: Made, run_cli: Cli, job: tuple[str, ...]) -> None:
    """Notes that somebody put beside the dataset stay."""
    (copied.output / "notes.txt").write_text("mine")
    (copied.output / "webdataset" / "train-000099.tar").write_bytes(b"old")

    result = run_cli("run", copied.source, copied.output, *job, "--fresh")

    assert result.exit_code == 0, result.stderr
    assert (copied.output / "notes.txt").read_text() == "mine"
    assert not (copied.output / "webdataset" / "train-000099.tar").exists()


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_output_that_cannot_be_a_folder_is_refused(
    made: Made, run_cli: Cli, job: tuple[str, ...], tmp_path: Path, kind: str
) -> None:
    """Found before any work is done."""
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "output"

    result = run_cli("run", made.source, target, *job)

    assert str(target) in error_of(result)
    assert "choose" in result.stderr
    assert "scan" not in result.stderr


# Presets, doctor


def test_presets_are_listed_and_told_with_their_sources(run_cli: Cli) -> None:
    """A number from a paper and one of ours are not the same authority."""
    listed = run_cli("presets")
    one = run_cli("presets", "isic2017")

    assert (listed.exit_code, one.exit_code) == (0, 0)
    assert "isic2017" in listed.stdout
    for text in ("superpixels.regions", "30", "80", "published", "ours"):
        assert text in one.stdout


def test_unknown_preset_is_refused_with_the_nearest(run_cli: Cli) -> None:
    """A typing error costs one look."""
    assert "isic2017" in error_of(run_cli("presets", "isic2071"))


@pytest.mark.slow
def test_doctor_tells_a_line_for_each_part(run_command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Every part is tried for real; the exit status is that of the worst line."""
    done = run_command("doctor")

    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert lines.keys() == {"versions", "processors", "torch", "grad-cam", "ray", "zarr", "disk"}
    assert done.returncode == int(any(line.startswith("BAD") for line in lines.values()))
    assert lines["ray"].startswith("ok"), lines["ray"]
    assert lines["zarr"].startswith("ok"), lines["zarr"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_demo_makes_a_sound_dataset_with_snippet_and_preview(
    run_cli: Cli, run_command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The first thing that anybody calls."""
    done = run_command("demo", "demo-output", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "demo-output/preview.png" in done.stdout
    assert "demo-output/README.md" in done.stdout
    assert run_cli("verify", tmp_path / "demo-output", "--replay", 3).exit_code == 0
