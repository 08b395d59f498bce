"""A trial before the full run, a stop while features are made, and what a dry run refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.jobs.run import run_all
from tests.command_line import TINY, error_of, run_cli
from tests.fixture_types import Options
from tests.pipeline.cli.commands.finished import Made
from tests.small_sources import make_source
from tests.written import shard_digests, snapshot

MIX = ("--copies", 2, "--shards", 2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source")


@pytest.mark.parametrize("shared", [False, True], ids=["own-cache", "shared-cache"])
def test_the_full_run_after_a_trial_makes_it_anew_and_says_so(
    source: Path, finished: Callable[..., Any], tmp_path: Path, shared: bool
) -> None:
    """The bytes are those of a run without a trial before."""
    cache = ("--cache", tmp_path / "cache") if shared else ()
    job = ("run", source, tmp_path / "out", *TINY, *MIX, *cache)
    run_cli(*job, "--limit", 5)
    # Nothing is made anew out of a source that is not there.
    missing = run_cli("run", source.with_name("uorce"), *job[2:], status=1)
    assert "made anew" not in missing.stderr

    full = run_cli(*job)

    assert "holds a trial with --limit 5: it is made anew, with all" in full.stderr
    assert shard_digests(tmp_path / "out") == shard_digests(finished(*MIX).output)
    run_cli("verify", tmp_path / "out", "--replay", 1)


def test_a_full_dataset_never_becomes_a_trial(copied: Made, job: Options) -> None:
    """The way back would throw away what took hours."""
    before = snapshot(copied.output)

    line = error_of(run_cli("run", copied.source, copied.output, *job, "--limit", 5, status=1))

    assert "3 missing" in line
    assert snapshot(copied.output) == before


def test_a_trial_with_other_options_is_refused_with_the_difference(source: Path, tmp_path: Path) -> None:
    job = ("run", source, tmp_path / "out", *TINY, "--shards", 2)
    run_cli(*job, "--limit", 5, "--copies", 1)

    assert "mix.copies (--copies) was 1, is 2" in error_of(run_cli(*job, "--copies", 2, status=1))


def test_a_trial_may_follow_the_full_run_in_its_cache(source: Path, tmp_path: Path) -> None:
    """Each has features of its own, and both stay whole."""
    cache = ("--cache", tmp_path / "cache")
    run_cli("run", source, tmp_path / "full", *TINY, *MIX, *cache)
    run_cli("run", source, tmp_path / "trial", *TINY, *MIX, *cache, "--limit", 5)
    again = run_cli("run", source, tmp_path / "full", *TINY, *MIX, *cache)

    assert "superpixels: nothing to do" in again.stderr
    for name in ("full", "trial"):
        run_cli("verify", tmp_path / name, "--replay", 1)


class Stopping(SilentDisplay):
    """Stops the run when a stage begins, as Ctrl-C does."""

    def start(self, stage: str, total: int, done: int) -> None:  # noqa: ARG002 - as displays are called
        if stage == "superpixels":
            raise KeyboardInterrupt


@pytest.fixture
def stopped(source: Path, tmp_path: Path) -> Path:
    """The output of a run that was stopped while it made features."""
    options = {"size": (48, 64), "regions": (6, 20), "variants": 2, "saliency": "fine_grained", "backend": "serial"}
    config = resolve(options={**options, "copies": 2, "shards": 2})
    with pytest.raises(KeyboardInterrupt):
        run_all(source, Output(tmp_path / "out"), config, Reporter(Stopping()))
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--copies", 3), "mix.copies (--copies) was 2, is 3"),
        (("--regions", 5, 9), "superpixels.regions (--regions) was 6 20, is 5 9"),
    ],
)
def test_a_run_stopped_in_the_features_does_not_go_on_with_other_options(
    source: Path, stopped: Path, options: tuple[object, ...], stated: str
) -> None:
    line = error_of(run_cli("run", source, stopped, *TINY, *MIX, *options, status=1))

    assert stated in line
    assert "--fresh" in line
    run_cli("run", source, stopped, *TINY, *MIX)


def test_a_run_that_ended_by_itself_leaves_its_output_free(source: Path, tmp_path: Path) -> None:
    """Whoever named a wrong network names another one."""
    output = tmp_path / "out"
    wrong = run_cli("run", source, output, *TINY, *MIX, "--saliency", "gradcam", "--model", "no.such:network", status=1)
    assert "no" in error_of(wrong)

    run_cli("run", source, output, *TINY, *MIX)


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--copies", 3), "mix.copies (--copies) was 2, is 3"),
        (("--folds", 2), "got the order for one of 2 folds"),
        (("--limit", 5), "sources: 3 missing"),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(
    copied: Made, job: Options, options: tuple[object, ...], stated: str
) -> None:
    """An estimate of what is refused afterwards is worth nothing."""
    before = snapshot(copied.output)

    for dry in ((), ("--dry-run",)):
        assert stated in error_of(run_cli("run", copied.source, copied.output, *job, *options, *dry, status=1))

    assert snapshot(copied.output) == before
