"""What changes between two runs, who else works here and what the clock says: refused by name, or without effect."""

import csv
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.fixture_types import Noted
from tests.written import shard_digests, snapshot


@pytest.fixture(scope="module")
def killed(tiny_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output whose driver was killed before it was finished."""
    output: Path = tmp_path_factory.mktemp("killed") / "output"
    number = next(n for n, (what, path) in enumerate(tiny_job.steps, 1) if path == ".hsmix/shards/train-000000.json")
    ended = tiny_job.run(output, folder=output, at=number + 2, signal=int(signal.SIGKILL))
    assert ended.status == -signal.SIGKILL
    return output


@pytest.fixture
def begun(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be finished."""
    return Path(shutil.copytree(killed, tmp_path / "output"))


# Versions


@pytest.mark.fault("F22")
@pytest.mark.parametrize(
    "names",
    [
        ("hsmix-gen", "pillow"),
        pytest.param(("numpy", "scipy", "scikit-image", "pyarrow", "imagecodecs"), marks=pytest.mark.faults),
    ],
    ids=["some", "others"],
)
def test_other_version_is_refused_with_both_and_the_ways_out(
    tiny_job: Any,
    begun: Path,
    record_property: Noted,
    names: tuple[str, ...],
) -> None:
    """Half of a dataset made by one version and half by another cannot be distinguished later."""
    record_property("tried", len(names))
    for name in names:
        line = tiny_job.run(begun, versions={name: "99.1"}).error_line

        assert str(begun) in line
        assert "choose another folder, or start anew with --fresh" in line
        if name not in {"pillow", "scikit-image"}:
            assert f"version of {name} was " in line
            assert "is 99.1" in line
    tiny_job.finish(begun)


@pytest.mark.fault("F22")
def test_version_that_changes_no_byte_is_accepted(tiny_job: Any, begun: Path) -> None:
    """A cluster's Ray is updated while a job waits."""
    ended = tiny_job.run(begun, versions={"ray": "99.1", "rich": "99.1", "click": "99.1"})

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(begun) == {}


# Inputs


@dataclass(frozen=True)
class Listed:
    """A source named by a list, and what was made of it."""

    list: Path
    output: Path


@pytest.fixture(scope="module")
def made(tiny_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Listed:
    """The dataset of the same images, named by a list."""
    top = tmp_path_factory.mktemp("listed")
    folder = Path(shutil.copytree(tiny_job.source, top / "source"))
    shutil.rmtree(folder / "splits")
    names = sorted(path.name for path in (folder / "images").iterdir())
    rows = [
        {"image": f"images/{name}", "mask": f"masks/{name}", "split": "val" if "03" in name else "train"}
        for name in names
    ]
    write_list(folder / "list.csv", rows)
    tiny_job.drivers.run("run", folder / "list.csv", top / "output", *tiny_job.options).succeeded()
    return Listed(folder / "list.csv", top / "output")


@pytest.fixture
def listed(made: Listed, tmp_path: Path) -> Listed:
    """A copy that lacks a shard and the manifest."""
    shutil.copytree(made.list.parent, tmp_path / "source")
    shutil.copytree(made.output, tmp_path / "output")
    for name in ("webdataset/train-000000.tar", "manifest.parquet"):
        (tmp_path / "output" / name).unlink()
    return Listed(tmp_path / "source" / "list.csv", tmp_path / "output")


def write_list(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a list of pairs."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def read_list(path: Path) -> list[dict[str, str]]:
    """Read a list of pairs."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.fault("F18")
def test_list_in_another_order_is_the_same_source(tiny_job: Any, made: Listed, listed: Listed) -> None:
    """Rows are known by their content; who sorts a table changes nothing."""
    write_list(listed.list, read_list(listed.list)[::-1])

    again = tiny_job.drivers.run("run", listed.list, listed.output, *tiny_job.options)

    assert again.status == 0, again.stderr
    assert shard_digests(listed.output) == shard_digests(made.output)


def change_a_pixel(listed: Path) -> None:
    """One pixel, the least that can change."""
    path = listed.parent / "images" / "case_01.png"
    image = np.array(Pillow.open(path))
    image[5, 7] ^= 1
    Pillow.fromarray(image).save(path)


def change_a_mask(listed: Path) -> None:
    """One pixel of a label."""
    path = listed.parent / "masks" / "case_01.png"
    mask = np.array(Pillow.open(path))
    mask[0, 0] = 255 if mask[0, 0] != 255 else 0
    Pillow.fromarray(mask).save(path)


def add_a_row(listed: Path) -> None:
    """A pair of its own, not a copy of another one."""
    for kind in ("images", "masks"):
        pixels = np.array(Pillow.open(listed.parent / kind / "case_02.png"))
        Pillow.fromarray(np.ascontiguousarray(pixels[::-1])).save(listed.parent / kind / "case_77.png")
    row = {"image": "images/case_77.png", "mask": "masks/case_77.png", "split": "train"}
    write_list(listed, [*read_list(listed), row])


def remove_a_row(listed: Path) -> None:
    write_list(listed, read_list(listed)[1:])


def move_to_another_split(listed: Path) -> None:
    """Who was trained on would be validated on."""
    rows = read_list(listed)
    rows[0]["split"] = "test"
    write_list(listed, rows)


@pytest.mark.fault("F18")
@pytest.mark.parametrize(
    ("change", "stated"),
    [
        (change_a_pixel, "1 changed (images__case_01"),
        (change_a_mask, "1 changed (images__case_01"),
        (add_a_row, "1 added (images__case_77"),
        (remove_a_row, "1 missing (images__case_00"),
        (move_to_another_split, "which the dataset has in train, and is to go into test now"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_changed_list_is_refused_with_the_difference(
    tiny_job: Any, listed: Listed, change: Callable[[Path], None], stated: str
) -> None:
    change(listed.list)
    before = snapshot(listed.output)

    line = tiny_job.drivers.run("run", listed.list, listed.output, *tiny_job.options).error_line

    assert stated.split("(", maxsplit=1)[0] in line
    assert "--fresh" in line
    assert snapshot(listed.output) == before


# Drivers


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as something is the case."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.fault("F20")
def test_second_driver_is_refused_and_the_first_one_finishes(tiny_job: Any, tmp_path: Path) -> None:
    """A scheduler that starts a job twice, or a second terminal."""
    output = tmp_path / "output"
    first = tiny_job.start(output, folder=output, at=120, signal=int(signal.SIGSTOP))
    wait_for(lambda: is_stopped(first.pid))

    second = tiny_job.run(output)

    first.send(signal.SIGCONT)
    ended = first.wait()
    assert f"is being written by process {first.pid}" in second.error_line
    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(output) == {}


@pytest.mark.fault("F20")
def test_lease_of_a_killed_driver_is_taken_over(tiny_job: Any, begun: Path) -> None:
    """Nobody has to remove a file by hand after a crash."""
    tiny_job.finish(begun)

    assert list(begun.rglob("*lease*")) == []


@pytest.mark.faults
@pytest.mark.fault("F20")
def test_drivers_that_start_together_make_one_dataset(tiny_job: Any, tmp_path: Path, record_property: Noted) -> None:
    """Whoever comes first works; the others are refused with it, or find the work done."""
    rounds, drivers = 5, 4
    record_property("tried", rounds * drivers)
    for number in range(rounds):
        output = tmp_path / str(number)

        ended = [started.wait() for started in [tiny_job.start(output) for _ in range(drivers)]]

        assert {each.status for each in ended} <= {0, 1}, [each.stderr for each in ended]
        for each in ended:
            assert "Traceback" not in each.stderr, each.stderr
            if each.status == 1:
                assert "is being written by process" in each.stderr or "was taken over" in each.stderr, each.stderr
        tiny_job.finish(output)


def is_stopped(pid: int) -> bool:
    """Return whether a process was stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# Clock


@pytest.mark.fault("F21")
def test_clock_that_jumps_by_days_and_years_changes_nothing(tiny_job: Any, tmp_path: Path) -> None:
    """Machines come up in 1970 and are set right in the middle of a job."""
    output = tmp_path / "output"

    ended = tiny_job.run(output, clock=True)

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(output) == {}


@pytest.mark.faults
@pytest.mark.fault("F21")
def test_begun_output_is_finished_under_another_clock(tiny_job: Any, begun: Path) -> None:
    ended = tiny_job.run(begun, clock=True)

    assert ended.status == 0, ended.stderr
    assert tiny_job.damages(begun) == {}
