"""The command line: help, usage, options and what they win over, and which stream says what."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from hsmix_gen.pipeline.cli.commands import cli
from tests.command_line import error_of, run_cli, run_command
from tests.fixture_types import Options
from tests.pipeline.cli.commands.finished import SAMPLES, TRAIN, Made

COMMANDS = ("run", "prepare", "generate", "inspect", "preview", "verify", "replay", "demo", "presets", "doctor", "init")
LONG = ("run", "prepare", "generate", "inspect", "demo")
HEAVY = ("torch", "ray", "zarr", "pyarrow", "skimage", "monai", "numpy")


# Help and usage


@pytest.fixture(scope="module")
def helps() -> dict[str, Any]:
    """Ask every command for help in one fresh process: texts, statuses, and which heavy modules came along."""
    program = f"""
import json, sys
from click.testing import CliRunner
from hsmix_gen.pipeline.cli.commands import cli
listed = CliRunner().invoke(cli, ["--help"])
light = "pydantic" not in sys.modules
helps = {{name: [name, "--help-all" if name in {LONG!r} else "--help"] for name in {COMMANDS!r}}}
asked = {{"": ["--help"], **helps, "version": ["--version"]}}
answers = {{name: CliRunner().invoke(cli, arguments) for name, arguments in asked.items()}}
json.dump({{
    "texts": {{name: answer.stdout for name, answer in answers.items()}},
    "statuses": [answer.exit_code for answer in answers.values()],
    "loaded": sorted(set({HEAVY!r}) & sys.modules.keys()),
    "light": light,
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


def test_every_option_in_help_states_its_effect(helps: dict[str, Any]) -> None:
    """An option without words is a riddle."""
    for name in COMMANDS:
        lines = helps["texts"][name].split("Options:\n")[1].splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("  -"):
                stated = "  " in line.strip() or (following.startswith("     ") and following.strip())
                assert stated, f"{name}: {line.strip()} says nothing"


def test_help_of_every_command_loads_nothing_heavy(helps: dict[str, Any]) -> None:
    """Help answers at once: torch, Ray and Zarr take seconds to import."""
    assert helps["loaded"] == []


def test_the_list_of_commands_does_not_load_the_schema(helps: dict[str, Any]) -> None:
    """It answers in under half a second; pydantic takes a good part of that."""
    assert helps["light"]


def test_the_page_of_the_project_names_the_statuses_as_the_help_does() -> None:
    readme = Path(__file__).parents[4] / "README.md"

    for text in (readme.read_text(encoding="utf-8"), run_cli("--help").stdout):
        assert re.search(r"\b2 wrong usage\b", " ".join(text.split()))


@pytest.mark.parametrize(
    "arguments",
    [
        ("mix",),
        ("run",),
        ("run", "only-a-source"),
        ("run", "source", "output", "--no-such-option"),
        ("run", "source", "output", "--copies", "many"),
        ("run", "source", "output", "--size", "64", "wide"),
        ("run", "source", "output", "--progress", "loud"),
        ("prepare", "source"),
        ("generate", "output"),
        ("verify", "output", "--replay", "-1"),
        ("preview", "output", "--rows", "0"),
        ("replay", "output"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    """A script can distinguish a typing error from a problem of the data."""
    result = run_cli(*arguments, status=2)

    assert result.stdout == ""
    assert "Error:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "size", "tiles"),
    [
        (["s", "o", "--size", "48"], (48, 48), None),
        (["--size", "48", "s", "o"], (48, 48), None),
        (["s", "o", "--size=48", "--tiles", "64", "--dry-run"], (48, 48), (64, 64)),
        (["s", "o", "--size", "48", "64", "--tiles=32", "16"], (48, 64), (32, 16)),
    ],
)
def test_one_number_is_height_and_width(arguments: list[str], size: tuple[int, int], tiles: tuple[int, int]) -> None:
    context = cli.commands["run"].make_context("run", arguments)

    assert (context.params["size"], context.params["tiles"]) == (size, tiles)


@pytest.mark.parametrize("value", ["abc", "128x128"])
def test_what_is_no_size_is_named(value: str) -> None:
    """And not that a second number is wanted, as one would do."""
    with pytest.raises(click.BadParameter, match=f"'{value}' is not a valid integer"):
        cli.commands["run"].make_context("run", ["s", "o", "--size", value])


def test_installed_command_passes_status_and_streams_on(tmp_path: Path) -> None:
    """What tests call in this process is what the command does in its own."""
    missing = run_command("verify", tmp_path / "nowhere")
    wrong = run_command("verify")

    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: ")
    assert missing.stderr.count("\n") == 1
    assert (wrong.returncode, wrong.stdout) == (2, "")


# Configuration


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--size", "8", "64"), ("at least 16 16", "8 64")),
        (("--saliency", "gradcamm"), ("saliency.backend", "did you mean gradcam")),
        (("--split", "1/2"), ("split", "1/2")),
        (("--workers", "0"), ("run.workers", "got 0")),
        (("--shards", "1000"), ("shards", "1000", "lower --shards")),
    ],
    ids=" ".join,
)
def test_wrong_value_is_reported_with_its_name_and_the_way_out(
    made: Made, tmp_path: Path, options: tuple[str, ...], stated: tuple[str, ...]
) -> None:
    """The line names the key, the rule and the value; where a name is near, it is offered."""
    given = ("--size", "48", "64", "--backend", "serial")
    saliency = () if "--saliency" in options else ("--saliency", "uniform")

    line = error_of(run_cli("run", made.source, tmp_path / "output", *given, *saliency, *options, status=1))

    assert [text for text in stated if text not in line] == [], line
    assert not (tmp_path / "output" / "manifest.parquet").exists()


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


# Streams


def test_results_go_to_stdout_and_progress_to_stderr(made: Made, job: Options, tmp_path: Path) -> None:
    """Output can be piped while progress is watched."""
    result = run_cli("run", made.source, tmp_path / "output", *job)

    shards = [*(tmp_path / "output" / "webdataset").glob("*.tar"), *(tmp_path / "output" / "parquet").iterdir()]
    assert len(shards) == 2 * (3 + 1 + 1)
    assert result.stdout.startswith(f"wrote {SAMPLES} samples in 5 shards, ")
    assert "refused 0 of 8 sources" in result.stdout
    assert "shards: train 3, val 1, test 1\n" in result.stdout
    assert [line.partition(":")[0] for line in result.stderr.splitlines() if " to do" in line] == [
        *("scan", "images", "superpixels", "saliency", "mix")
    ]
    assert "to do" not in result.stdout


def test_json_log_lines_are_objects_that_count_up(made: Made, tmp_path: Path) -> None:
    """Programs follow a run by its events; the sums are those of the job."""
    options = ("--size", 48, 64, "--saliency", "uniform", "--backend", "serial", "--copies", 1, "--variants", 1)

    result = run_cli("run", made.source, tmp_path / "output", *options, "--log-format", "json")

    events = [json.loads(line) for line in result.stderr.splitlines()]
    last = {event["stage"]: event for event in events if event["event"] == "progress"}
    assert {event["event"] for event in events} == {"note", "start", "progress"}
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert {stage: (event["done"], event["total"]) for stage, event in last.items()} == {
        **dict.fromkeys(("scan", "images", "superpixels", "saliency"), (8, 8)),
        "mix": (TRAIN + 2, TRAIN + 2),
    }


@pytest.mark.parametrize("option", [("-q",), ("--progress", "none")], ids=["quiet", "none"])
def test_quiet_run_says_nothing_on_stderr(made: Made, tmp_path: Path, option: tuple[str, ...]) -> None:
    """In a cron job anything on stderr is a mail."""
    options = ("--size", 48, 64, "--saliency", "uniform", "--backend", "serial", "--copies", 1, "--variants", 1)

    assert run_cli("run", made.source, tmp_path / "output", *options, *option).stderr == ""
