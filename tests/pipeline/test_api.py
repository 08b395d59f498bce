"""The Python interface: typed results, options as keywords, nothing printed, no process ended."""

import inspect as inspection
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import hsmix_gen.pipeline as public
from hsmix_gen.pipeline import generate, inspect, load, prepare, report, run, verify
from hsmix_gen.pipeline.api import Made, Progress
from hsmix_gen.schemas.errors import ConfigError, HsmixError, OutputError
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import shard_digests

KEYWORDS: dict[str, Any] = {
    "size": (48, 64), "regions": (6, 20), "variants": 2, "saliency": "fine_grained", "backend": "serial", "copies": 2
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("api") / "source")


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, list[Progress]]:
    seen: list[Progress] = []
    return run(source, tmp_path_factory.mktemp("api") / "out", progress=seen.append, **KEYWORDS), seen


def test_a_run_returns_what_it_wrote_and_reports_progress(made: tuple[Made, list[Progress]]) -> None:
    found, seen = made
    assert (found.samples, found.refused, found.folds) == (14, 0, (found.output,))
    assert (found.output / "manifest.parquet").is_file()
    assert seen[-1] == Progress("progress", "mix", 14, 14, seen[-1].rate)
    assert {one.event for one in seen} >= {"start", "progress"}


def test_nothing_is_printed(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(source, tmp_path / "out", **KEYWORDS)
    assert capfd.readouterr() == ("", "")


def test_the_halves_give_the_bytes_of_the_whole(
    source: Path, made: tuple[Made, list[Progress]], tmp_path: Path
) -> None:
    half = {name: value for name, value in KEYWORDS.items() if name != "copies"}
    cache = prepare(source, tmp_path / "cache", **half)
    assert (cache.images, cache.refused, cache.folds) == (8, 0, 1)
    other = generate(tmp_path / "cache", tmp_path / "out", copies=2)
    assert shard_digests(other.output) == shard_digests(made[0].output)


def test_settings_are_keys_and_options_are_names(source: Path, tmp_path: Path) -> None:
    ours = run(source, tmp_path / "a", **KEYWORDS, settings={"mix.select": 0.5})
    run_cli("run", source, tmp_path / "b", *TINY, "--copies", 2, "-o", "mix.select=0.5")
    assert shard_digests(ours.output) == shard_digests(tmp_path / "b")


def test_inspect_verify_and_report_return_what_they_found(source: Path, made: tuple[Made, list[Progress]]) -> None:
    seen = inspect(source)
    assert (seen.layout, seen.images, seen.splits["train"], seen.problems) == ("folder", 8, 6, ())
    assert seen.classes == ("background", "class_1", "class_2")
    output = made[0].output
    checked = verify(output, replay=2)
    assert checked.sound and checked.checked["replays"] == 2
    judged = report(output)
    assert judged.html.is_file() and judged.verdict in ("green", "amber", "red")
    assert len(load(output, "val")) == 1


def test_what_a_user_can_mend_is_raised(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="copys"):
        run(source, tmp_path / "out", copys=3)
    with pytest.raises(OutputError, match="no finished dataset"):
        verify(tmp_path)
    with pytest.raises(HsmixError):
        inspect(tmp_path / "absent")


def test_notes_and_warnings_go_to_the_log(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The network that was fitted, a split that is empty: whoever calls from a program finds it there."""
    with caplog.at_level(logging.INFO, "hsmix_gen"):
        inspect(source, split="0.5/0.5/0")
    assert any(record.name == "hsmix_gen" for record in caplog.records)


def test_jobs_run_in_a_thread_too(source: Path, tmp_path: Path) -> None:
    """Notebooks and servers call from threads, which may not take signals."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(run(source, tmp_path / "out", **KEYWORDS).samples)
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found == [14]


def test_every_function_is_documented_and_typed() -> None:
    for name in public.__all__:
        function = getattr(public, name)
        assert inspection.getdoc(function)
        hints = inspection.signature(function)
        assert hints.return_annotation is not inspection.Signature.empty
    with pytest.raises(AttributeError, match="no attribute"):
        _ = public.absent
