"""Several sets of features in one cache: `generate` takes those that its options name, whatever ran between."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.features.cache_description import load
from tests.command_line import TINY, error_of, run_cli
from tests.pipeline.cli.commands.finished import Made

Layers = dict[str, str]
QUIETLY = ("--backend", "serial", "--progress", "none")


def layers_of(output: Path) -> Layers:
    layers: Layers = json.loads((output / "run.json").read_text())["layers"]
    return layers


@pytest.fixture(scope="module")
def filled(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` made, and then a run of the grid control with other ways to mix."""
    folder = tmp_path_factory.mktemp("filled")
    run_cli("prepare", made.source, "--cache", folder / "cache", *TINY)
    run_cli(
        *("run", made.source, folder / "grid", *TINY, "--cache", folder / "cache", "--control", "square-grid"),
        *("--copies", 1, "--shards", 2, "--select", 0.9),
    )
    return folder


@pytest.fixture
def cache(filled: Path, tmp_path: Path) -> Path:
    """A copy of the cache, beside one of the dataset of the grid."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path / "cache"


@pytest.mark.parametrize("control", [(), ("--control", "random-lambda")], ids=["none", "random-lambda"])
def test_generate_takes_what_was_prepared_and_not_what_ran_between(
    cache: Path, made: Made, tmp_path: Path, control: tuple[str, ...]
) -> None:
    run_cli("generate", "--cache", cache, tmp_path / "out", "--copies", 2, *control, *QUIETLY)

    assert layers_of(tmp_path / "out") == layers_of(made.output)
    assert layers_of(tmp_path / "out") != layers_of(tmp_path / "grid")
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert config["mix"]["select"] == 0.2
    assert config["control"] == (control[1] if control else None)


def test_generate_takes_the_features_that_its_options_name(cache: Path, tmp_path: Path) -> None:
    options = ("--control", "square-grid", "--copies", 2, *QUIETLY)
    run_cli("generate", "--cache", cache, tmp_path / "out", *options)

    assert layers_of(tmp_path / "out") == layers_of(tmp_path / "grid")
    run_cli("verify", tmp_path / "out", "--replay", 2)


def test_every_dataset_of_a_shared_cache_is_made_again_from_its_own_features(
    cache: Path, made: Made, tmp_path: Path
) -> None:
    """The grid was the last that was written; the others are no older for it."""
    run_cli("run", made.source, tmp_path / "plain", *TINY, "--cache", cache, "--copies", 1)

    for name in ("grid", "plain"):
        run_cli("verify", tmp_path / name, "--replay", 2)


def test_features_that_are_not_there_are_refused_with_those_that_are(cache: Path, tmp_path: Path) -> None:
    line = error_of(
        run_cli("generate", "--cache", cache, tmp_path / "out", "-o", "superpixels.regions=[5, 9]", *QUIETLY, status=1)
    )

    for stated in (
        "superpixels.regions (--regions) 5 9",
        "superpixels.regions 6 20",
        "method slic",
        "method grid",
        "prepare",
    ):
        assert stated in line


def test_sets_that_options_leave_open_are_asked_for(cache: Path, made: Made, tmp_path: Path) -> None:
    """Neither of two is the default, so that a guess would be as often wrong as right."""
    run_cli("prepare", made.source, "--cache", cache, *TINY, "--regions", 5, 9)
    generate = ("generate", "--cache", cache, tmp_path / "out", "--copies", 1, *QUIETLY)

    line = error_of(run_cli(*generate, status=1))

    assert "superpixels.regions 6 20" in line
    assert "superpixels.regions 5 9" in line
    run_cli(*generate, "-o", "superpixels.regions=[5, 9]")


def test_a_cache_with_one_unnamed_description_is_still_read(made: Made, tmp_path: Path) -> None:
    """Caches that were filled before sets had names; a run beside them gives the old set its name."""
    cache = tmp_path / "cache"
    run_cli("prepare", made.source, "--cache", cache, *TINY)
    (named,) = cache.glob("features-*.json")
    (sources,) = cache.glob("sources-*.parquet")
    description: dict[str, Any] = json.loads(named.read_text())
    del description["half"], description["sealed"]
    (cache / "features.json").write_text(json.dumps(description))
    named.unlink()
    sources.unlink()

    def generated(name: str) -> Layers:
        run_cli("generate", "--cache", cache, tmp_path / name, "--copies", 1, *QUIETLY)
        return layers_of(tmp_path / name)

    first = generated("before")
    run_cli("run", made.source, tmp_path / "grid", *TINY, "--cache", cache, "--control", "square-grid")
    assert not (cache / "features.json").exists()
    assert generated("after") == first == layers_of(made.output)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"{"), Path.unlink], ids=["description", "sources"])
def test_a_damaged_set_is_made_anew_by_prepare(made: Made, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    cache = tmp_path / "cache"
    prepare = ("prepare", made.source, "--cache", cache, *TINY)
    run_cli(*prepare)
    (path,) = cache.glob("features-*.json" if spoil is not Path.unlink else "sources-*.parquet")
    spoil(path)

    line = error_of(run_cli("generate", "--cache", cache, tmp_path / "out", *QUIETLY, status=1))

    assert str(path) in line
    assert "run prepare again" in line
    run_cli(*prepare)
    assert load(cache).options["superpixels.regions"] == [6, 20]
