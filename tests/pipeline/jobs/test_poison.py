"""One image or sample that raises, kills its process or never ends: it alone is refused, everything else is made."""

import csv
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.ray_places import DEATHS, LOSSES
from hsmix_gen.pipeline.execution.ray_runner import RayRunner
from hsmix_gen.pipeline.execution.units import Runner, SerialRunner, Unit, Worker
from hsmix_gen.pipeline.features.layer_keys import name_layers
from hsmix_gen.pipeline.features.layers import BlockTask
from hsmix_gen.pipeline.features.prepare import FeatureGeneration, prepare
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.mixing.generate import Outcome, generate
from hsmix_gen.pipeline.mixing.make_shard import ShardTask
from hsmix_gen.pipeline.sources.inventory import take_inventory
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import ManifestRow
from tests.small_sources import make_source
from tests.written import shard_digests

TRAIN, VAL = 19, 2  # two blocks of images
COPIES = 2
IMAGE = "case_05"
SAMPLE = "train-case_05-000"
STAGES = ("scan", "images", "superpixels", "saliency", "mix")
TIMEOUT_S = 20.0
SERIAL = SerialRunner(has_gpu=False)
CONFIG = RunConfig.model_validate(
    {
        "seed": 5,
        "image": {"size": (48, 64)},
        "superpixels": {"regions": (6, 20), "variants": 2},
        "saliency": {"backend": "fine_grained"},
        "mix": {"copies": COPIES},
        "output": {"shards": 4, "formats": ("webdataset",)},
    }
)
"""Options of a job that takes a second."""
Do = Callable[..., "Made"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of all runs."""
    return make_source(tmp_path_factory.mktemp("poison") / "source", train=TRAIN, val=VAL, test=0)


@pytest.fixture(scope="module")
def on_ray() -> Iterator[RayRunner]:
    """Two workers; the first unit of a process imports what it needs in the time that it is given."""
    runner = RayRunner(address=None, workers=2, processors=2, timeout_s=TIMEOUT_S)
    yield runner
    runner.close()


def touched(unit: Unit) -> tuple[str, set[str]]:
    """Return the stage of a unit and the ids of the images or samples that it works on."""
    first, *rest = unit.arguments
    if isinstance(first, ShardTask):
        return "mix", {rest[0].key} if rest else {sample.key for sample in first.samples}
    if isinstance(first, BlockTask):
        return first.kind, {first.sources[place].id for place in first.places}
    return "scan", {item.id for item in first}


def harmed(call: Callable[..., Any], harm: str, attempts: Path) -> Callable[..., Any]:
    """Return a call that does harm instead, and leaves a file for each time."""

    # Defined here, so that it travels by value: test modules cannot be imported by other processes.
    def poisoned(*_arguments: Any) -> None:
        (attempts / uuid.uuid4().hex).touch()
        match harm:
            case "kill":  # as the kernel does when memory is short
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":  # with the status of a killed process
                os._exit(137)
            case "hang":
                time.sleep(1e6)
        raise RuntimeError("poisoned\nwith more lines")  # as a library may

    return poisoned


class Wrapped:
    """Units, those that touch a victim harmed; has more when the units have more."""

    def __init__(self, units: Iterable[Unit], wrap: Callable[[Unit], Unit]) -> None:
        self._units, self._wrap = iter(units), wrap
        self.known: dict[int, tuple[Unit, Unit]] = {}

    def __iter__(self) -> Iterator[Unit]:
        return self

    def __next__(self) -> Unit:
        unit = next(self._units)
        wrapped = self._wrap(unit)
        self.known[id(wrapped)] = unit, wrapped
        return wrapped


class PoisonedRunner:
    """Runs units as another does; those of one stage that work on a victim do harm."""

    def __init__(self, runner: Runner, stage: str, victim: str, harm: str, attempts: Path) -> None:
        self.n_workers, self.has_gpu = runner.n_workers, False
        self._runner, self._stage, self._victim = runner, stage, victim
        self._harm, self._attempts = harm, attempts

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result."""
        wrapped = Wrapped(units, self._wrap)
        for unit, result in self._runner.run(wrapped):
            yield wrapped.known.pop(id(unit))[0], result

    def run_on_workers(self, make_worker: Callable[[], Worker], units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """Yield each unit with its result."""
        return self._runner.run_on_workers(make_worker, units)

    def guard(self, check: Callable[[], str | None], warn: Callable[[str], None]) -> None:
        """No machine joins."""

    def close(self) -> None:
        """The other is closed by whoever made it."""

    def _wrap(self, unit: Unit) -> Unit:
        stage, names = touched(unit)
        if stage == self._stage and self._victim in names and unit.call is not None:
            return replace(unit, call=harmed(unit.call, self._harm, self._attempts))
        return unit


@dataclass(frozen=True)
class Made:
    """What a job came to."""

    outcome: Outcome
    refused: list[dict[str, str]]
    rows: dict[str, ManifestRow]
    digests: dict[str, str]
    attempts: int


@pytest.fixture
def do_job(source: Path, tmp_path: Path) -> Do:
    """Do the job with a poisoned image or sample: ``do_job(runner, stage, harm)``."""

    def do(
        runner: Runner,
        stage: str = "none",
        harm: str = "raise",
        *,
        victim: str | None = None,
        name: str = "a",
        mix: dict[str, Any] | None = None,
    ) -> Made:
        attempts = tmp_path / uuid.uuid4().hex
        attempts.mkdir()
        output, cache = Output(tmp_path / name), tmp_path / f"{name}-cache"
        victim = victim or (SAMPLE if stage == "mix" else IMAGE)
        poisoned = PoisonedRunner(runner, stage, victim, harm, attempts)
        changed = CONFIG.model_copy(update={"mix": CONFIG.mix.model_copy(update=mix or {})})
        reporter = Reporter(SilentDisplay())
        inventory = take_inventory(source, changed, poisoned, reporter)
        layers = name_layers(cache, inventory.records, inventory, changed, gpu=False)
        (prepared,) = prepare(inventory, FeatureGeneration(layers, inventory.records), changed, poisoned, reporter)
        outcome = generate(prepared, output, changed, poisoned, reporter)
        with (output.root / "refused.csv").open(newline="") as file:
            refused = list(csv.DictReader(file))
        rows = {row.key: row for row in read_manifest(output.root / "manifest.parquet")}
        return Made(outcome, refused, rows, shard_digests(output.root), len(list(attempts.iterdir())))

    return do


def without_place(rows: dict[str, ManifestRow]) -> dict[str, ManifestRow]:
    """Return rows that say nothing of where in its shard a sample lies."""
    return {key: replace(row, index=0) for key, row in rows.items()}


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_image_that_raises_is_refused_by_name_and_stage(do_job: Do, stage: str) -> None:
    made = do_job(SERIAL, stage)

    (refusal,) = made.refused
    assert (refusal["id"], refusal["stage"]) == (IMAGE, stage)
    assert refusal["path"].endswith(f"{IMAGE}.png")
    assert refusal["reason"].startswith("failed with RuntimeError: poisoned (test_poison.py line ")
    assert made.outcome.refused == 1
    assert made.outcome.refused_samples == 0
    assert len(made.rows) == made.outcome.samples == (TRAIN - 1) * COPIES + VAL
    assert not any(IMAGE in {row.source_a, row.source_b} for row in made.rows.values())
    # The block, the image by itself.
    assert made.attempts == 2


def test_sample_that_raises_is_missing_from_its_shard_only(do_job: Do) -> None:
    """Which samples there are, their order and their bytes stay as planned."""
    whole, made = do_job(SERIAL, name="whole"), do_job(SERIAL, "mix")

    lost = whole.rows[SAMPLE]
    (refusal,) = made.refused
    assert (refusal["id"], refusal["stage"]) == (SAMPLE, "mix")
    assert refusal["reason"].startswith("failed with RuntimeError: poisoned (")
    assert without_place(made.rows) == without_place({key: row for key, row in whole.rows.items() if key != SAMPLE})
    behind = [row for row in whole.rows.values() if row.shard == lost.shard and row.index > lost.index]
    assert behind
    assert all(made.rows[row.key].index == row.index - 1 for row in behind)
    assert made.outcome.samples == whole.outcome.samples - 1
    assert made.outcome.refused_samples == 1
    changed = {name for name, digest in made.digests.items() if whole.digests[name] != digest}
    assert changed == {f"webdataset/{lost.shard}.tar", "webdataset/train-index.json", "manifest.parquet"}


def test_twin_of_a_refused_sample_is_refused_with_it(do_job: Do) -> None:
    """Trainers read hard and soft samples of a pair together, two by two."""
    hard, soft = f"{SAMPLE}-hard", f"{SAMPLE}-soft"
    paired = {"policy": "paired"}

    whole = do_job(SERIAL, name="whole", mix=paired)
    made = do_job(SERIAL, "mix", victim=soft, mix=paired)

    assert whole.rows.keys() - made.rows.keys() == {hard, soft}
    assert made.outcome.refused_samples == 2
    assert {row["id"]: row["reason"].partition(":")[0] for row in made.refused} == {
        hard: f"its twin {soft} is refused",
        soft: "failed with RuntimeError",
    }
    for name in {row.shard for row in made.rows.values() if row.split == "train"}:
        keys = [row.key for row in sorted(made.rows.values(), key=lambda row: row.index) if row.shard == name]
        assert [key.rpartition("-")[0] for key in keys[::2]] == [key.rpartition("-")[0] for key in keys[1::2]]


def test_refusals_are_kept_by_the_next_run(do_job: Do) -> None:
    """What killed its workers once must not do so at each resume."""
    first = {stage: do_job(SERIAL, stage, name=stage) for stage in ("superpixels", "mix")}

    for stage, made in first.items():
        again = do_job(SERIAL, stage, name=stage)
        assert again.attempts == 0
        assert (again.refused, again.digests) == (made.refused, made.digests)
        assert again.outcome == made.outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "harm"),
    [
        ("scan", "kill"), ("images", "exit"), ("superpixels", "kill"), ("saliency", "kill"), ("mix", "kill"),
    ],
)  # fmt: skip
def test_what_kills_its_workers_is_refused_and_the_rest_equals_the_serial_run(
    do_job: Do,
    on_ray: RayRunner,
    capfd: pytest.CaptureFixture[str],
    stage: str,
    harm: str,
) -> None:
    """The poisoned one takes down its retries and nothing else; who else was in flight with it does not matter."""
    made, expected = do_job(on_ray, stage, harm), do_job(SERIAL, stage, name="serial")

    (refusal,) = made.refused
    assert (refusal["id"], refusal["stage"]) == (SAMPLE if stage == "mix" else IMAGE, stage)
    assert refusal["reason"].startswith(f"its worker died {DEATHS} times (killed by the system, out of memory? or by")
    assert "lower --size" in refusal["reason"]
    assert made.digests == expected.digests
    assert made.outcome == expected.outcome
    # As often with its neighbours as by itself. On a busy machine a death may come before it is seen that the unit has
    # begun: then it is a loss.
    assert 2 * DEATHS <= made.attempts <= 2 * (DEATHS + LOSSES)
    assert capfd.readouterr().out == "", "Ray must not write among the results"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["superpixels", "mix"])
def test_what_never_ends_is_refused_and_the_rest_equals_the_serial_run(
    do_job: Do, on_ray: RayRunner, stage: str
) -> None:
    """The watchdog is of each unit: others that are finished meanwhile do not put it off."""
    made, expected = do_job(on_ray, stage, "hang"), do_job(SERIAL, stage, name="serial")

    (refusal,) = made.refused
    assert (refusal["id"], refusal["stage"]) == (SAMPLE if stage == "mix" else IMAGE, stage)
    assert refusal["reason"].startswith("made no progress for 20 s; raise run.timeout_s")
    assert made.digests == expected.digests
    # Twice with its neighbours, once by itself.
    assert made.attempts == 3
