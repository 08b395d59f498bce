"""`run --compare`: a dataset for each method or control, of one scan and one cache, each that of its own run."""

import json
import shutil
from pathlib import Path

import click.testing
import pytest

from hsmix_gen.pipeline.files.lease import Lease
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import shard_digests, snapshot

NAMES = ("hsmix", "cutmix", "square-grid")
MADE = ("--copies", 2, "--shards", 2)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, click.testing.Result]:
    """The home of three datasets of one source, which lies beside it, and what the command said."""
    folder = tmp_path_factory.mktemp("compared")
    source = make_source(folder / "source")
    result = run_cli("run", source, folder / "home", *TINY, *MADE, "--compare", ",".join(NAMES))
    return folder / "home", result


def test_one_scan_and_one_cache_serve_all(compared: tuple[Path, click.testing.Result]) -> None:
    """Images and saliency are computed once; only the grid cuts them anew, and cutmix has no maps."""
    home, result = compared

    assert sorted(path.name for path in home.iterdir()) == sorted([".hsmix", *NAMES])
    assert result.stderr.count("splits were read from") == 1
    layers = [path.name.partition("-")[0] for path in (home / ".hsmix" / "cache").glob("*.zarr")]
    assert sorted(layers) == ["images", "saliency", "saliency", "superpixels", "superpixels"]
    assert [line.split()[0] for line in result.stdout.splitlines()].count("wrote") == len(NAMES)
    configs = {name: json.loads((home / name / "run.json").read_text())["config"] for name in NAMES}
    assert {name: config["mix"]["method"] for name, config in configs.items()} == {
        "hsmix": "hsmix", "cutmix": "cutmix", "square-grid": "hsmix",
    }  # fmt: skip
    assert [configs[name]["control"] for name in NAMES] == [None, None, "square-grid"]


@pytest.mark.parametrize(("name", "option"), [("cutmix", "--method"), ("square-grid", "--control")])
def test_each_is_the_dataset_of_its_own_run(
    compared: tuple[Path, click.testing.Result], tmp_path: Path, name: str, option: str
) -> None:
    """What is compared differs in its method alone: seed, split, partners and shards are those of any run."""
    home, _ = compared
    cache = home / ".hsmix" / "cache"
    run_cli("run", home.parent / "source", tmp_path / "out", *TINY, *MADE, "--cache", cache, option, name)

    assert shard_digests(home / name) == shard_digests(tmp_path / "out")
    run_cli("verify", home / name, "--replay", 2)


def test_the_same_command_again_changes_nothing(compared: tuple[Path, click.testing.Result]) -> None:
    home, _ = compared
    before = {name: snapshot(home / name) for name in NAMES}

    run_cli("run", home.parent / "source", home, *TINY, *MADE, "--compare", ", ".join(NAMES))

    assert {name: snapshot(home / name) for name in NAMES} == before


def test_a_home_is_known_by_its_datasets(compared: tuple[Path, click.testing.Result], tmp_path: Path) -> None:
    """Nothing but their folders lies in a home whose cache was put elsewhere."""
    home, _ = compared
    for name in NAMES:
        shutil.copytree(home / name, tmp_path / name)
    cache = ("--cache", home / ".hsmix" / "cache")

    run_cli("run", home.parent / "source", tmp_path, *TINY, *MADE, *cache, "--compare", "cutmix")

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_a_comparison_afresh_that_is_stopped_leaves_none_of_the_datasets_before(
    compared: tuple[Path, click.testing.Result], tmp_path: Path
) -> None:
    """The command without --fresh goes on with it; an older dataset would be in its way, or taken for a part of it."""
    home, _ = compared
    source = shutil.copytree(home.parent / "source", tmp_path / "source")
    shutil.copytree(home, tmp_path / "home")
    (source / "images" / "case_00.png").write_bytes(b"damaged")
    command = ("run", source, tmp_path / "home", *TINY, *MADE, "--compare", "cutmix,hsmix", "--max-errors", 0)

    with Lease(tmp_path / "home" / ".hsmix", "home", print):
        refused = run_cli(*command, "--fresh", status=1)
    assert "is being written by process" in refused.stderr
    assert (tmp_path / "home" / "hsmix" / "manifest.parquet").is_file()

    stopped = run_cli(*command, "--fresh", status=1)
    assert "were refused, more than --max-errors 0" in stopped.stderr
    assert (tmp_path / "home" / "cutmix" / "manifest.parquet").is_file()
    assert [path for path in (tmp_path / "home" / "hsmix").rglob("*") if path.is_file()] == []


def test_a_later_name_that_cannot_be_made_is_refused_before_the_first_is(
    compared: tuple[Path, click.testing.Result], tmp_path: Path
) -> None:
    """Nobody wants to hear after an hour that the second folder holds other data."""
    home, _ = compared
    run_cli("run", home.parent / "source", tmp_path / "cutmix", *TINY, "--copies", 1, "--shards", 1)
    (tmp_path / ".hsmix").mkdir()

    refused = run_cli("run", home.parent / "source", tmp_path, *TINY, *MADE, "--compare", "mixup,cutmix", status=1)

    assert "mix.copies" in refused.stderr
    assert not list((tmp_path / "mixup").glob("webdataset/*"))


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("hsmix,cutmx",), 1, "got cutmx; did you mean cutmix?"),
        (("hsmix,",), 1, "got nothing"),
        (("hsmix,hsmix",), 1, "compare must name each once, got hsmix twice"),
        (("hsmix", "--method", "mixup"), 2, "--compare names methods and controls itself; leave out --method"),
        (("hsmix", "--control", "none"), 2, "leave out --control"),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, options: tuple[str, ...], status: int, reason: str) -> None:
    refused = run_cli("run", tmp_path, tmp_path / "home", "--compare", *options, status=status)

    assert reason in refused.stderr
    assert not (tmp_path / "home").exists()


def test_a_dataset_is_no_home_of_others(compared: tuple[Path, click.testing.Result]) -> None:
    home, _ = compared
    refused = run_cli("run", home.parent / "source", home / "hsmix", *TINY, *MADE, "--compare", "cutmix", status=1)

    assert "holds a dataset, and --compare makes one in a folder for each name" in refused.stderr


def test_a_dry_run_states_what_each_would_take(compared: tuple[Path, click.testing.Result], tmp_path: Path) -> None:
    home, _ = compared
    result = run_cli(
        *("run", home.parent / "source", tmp_path / "home", *TINY, *MADE, "--compare", "mixup,cutmix", "--dry-run")
    )

    named = [line.partition(":")[0] for line in result.stdout.splitlines() if "would write" in line]
    assert named == ["mixup", "cutmix"]
