"""Disks that are full, read-only, over their quota or away: reported in one line, and finished once they are well."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Noted

DISK_ERRORS = {name: int(getattr(errno, name)) for name in ("ENOSPC", "EDQUOT", "EIO", "ESTALE")}
EXAMPLES = (
    ("open", ".hsmix/cache/sources.parquet"),
    ("open", ".hsmix/cache/superpixels-#.zarr/labels/c/#/#/#/#"),
    ("rename", "webdataset/train-#.tar"),
    ("open", ".hsmix/shards/train-#.json"),
    ("rename", "manifest.parquet"),
)
BATCH = 8


def final(path: str) -> str:
    """Return the name that a file will have at last, without numbers and digests."""
    folder, _, name = path.rpartition("/")
    name = re.sub(r"^\.hsmix-tmp-[0-9a-f]+-", "", name)
    name = re.sub(r"\.[0-9a-f]{8,}\.partial$", "", name)
    return re.sub(r"\d+", "#", re.sub(r"[0-9a-f]{12,}", "#", f"{folder}/{name}" if folder else name))


def numbers_of(job: Any, wanted: tuple[tuple[str, str], ...]) -> list[int]:
    """Return the first step of each kind."""
    found: dict[tuple[str, str], int] = {}
    for number, (what, path) in enumerate(job.steps, 1):
        found.setdefault((what, final(path)), number)
    return [found[kind] for kind in wanted]


def check_failing(job: Any, folder: Path, numbers: list[int], error: str, when: str) -> None:
    """Check that a disk that fails at some step is reported with the file, spoils nothing, and is finished later."""
    outputs = {folder / str(number): number for number in numbers}
    harms = {output: {"folder": output, "errno": DISK_ERRORS[error], when: at} for output, at in outputs.items()}
    for output, ended in job.run_together(harms).items():
        line = ended.error_line
        assert str(output) in line, (job.steps[outputs[output] - 1], line)
        assert "run the same command again" in line or "choose another folder" in line, line
        assert job.spoiled(output) == set(), job.steps[outputs[output] - 1]
    job.finish_together(outputs)


FULL, AWAY = pytest.mark.fault("F13", "F14"), pytest.mark.fault("F14", "F21")


@pytest.mark.parametrize(
    ("name", "when", "every"),
    [
        # A full disk stays so: the records of what failed cannot be written either.
        pytest.param("ENOSPC", "from", 2, marks=FULL),
        pytest.param("EDQUOT", "from", 3, marks=(FULL, pytest.mark.faults)),
        # A network disk was away for a moment.
        pytest.param("ESTALE", "at", 3, marks=AWAY),
        pytest.param("EIO", "at", 1, marks=(AWAY, pytest.mark.faults)),
    ],
)
def test_disk_that_fails_is_reported_with_the_file_and_finished_later(
    tiny_job: Any,
    tmp_path: Path,
    record_property: Noted,
    name: str,
    when: str,
    every: int,
) -> None:
    numbers = numbers_of(tiny_job, EXAMPLES)[::every]
    record_property("tried", len(numbers))
    check_failing(tiny_job, tmp_path, numbers, name, when)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F13", "F14")
def test_disk_that_is_full_from_any_step_on_is_finished_later(
    tiny_job: Any, tmp_path: Path, record_property: Noted
) -> None:
    """Each change of a file in turn; what only tidies up may fail and need not be reported."""
    record_property("tried", len(tiny_job.steps))
    wrong = {}
    for first in range(1, len(tiny_job.steps) + 1, BATCH):
        numbers = range(first, min(first + BATCH, len(tiny_job.steps) + 1))
        outputs = {tmp_path / str(number): number for number in numbers}
        harms = {output: {"folder": output, "errno": errno.ENOSPC, "from": at} for output, at in outputs.items()}
        for output, ended in tiny_job.run_together(harms).items():
            stated = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
            is_reported = (
                ended.status == 1 and len(stated) == 1 and str(output) in stated[0] and "Traceback" not in ended.stderr
            )
            is_done = ended.status == 0 and tiny_job.damages(output) == {}
            if not is_reported and not is_done:
                wrong[tiny_job.steps[outputs[output] - 1]] = (ended.status, ended.stderr[-600:])
        tiny_job.finish_together(outputs)
        for output in outputs:
            shutil.rmtree(output)
    assert wrong == {}


@pytest.mark.fault("F13")
@pytest.mark.parametrize("largest", [pytest.param(1200, marks=pytest.mark.faults), 9000])
def test_files_that_cannot_grow_are_reported_and_finished_later(tiny_job: Any, tmp_path: Path, largest: int) -> None:
    """The system stops writes in the middle of a file: a table, a block or a shard."""
    output = tmp_path / "output"

    line = tiny_job.run(output, file_bytes=largest).error_line

    assert str(output) in line
    assert tiny_job.spoiled(output) == set()
    tiny_job.finish(output)


def mount(*arguments: str) -> None:
    """Mount a disk of its own for a test, or skip."""
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        stated = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        pytest.skip(f"a disk of its own cannot be mounted here ({stated}); root can")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small disk: ``small_disk("size=1m")``; call it again with other options to change it."""
    place = tmp_path / "disk"
    place.mkdir()

    def give(options: str) -> Path:
        if place.is_mount():
            mount("-o", f"remount,{options}", str(place))
        else:
            mount("-t", "tmpfs", "-o", options, "tmpfs", str(place))
        return place

    yield give
    if place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    ("full", "roomy"),
    [
        pytest.param("size=64k", "size=16m", id="few-bytes"),
        pytest.param("nr_inodes=24", "nr_inodes=9999", id="few-files", marks=pytest.mark.faults),
    ],
)
def test_full_disk_is_reported_and_finished_once_it_has_room(
    tiny_job: Any, small_disk: Callable[[str], Path], full: str, roomy: str
) -> None:
    output = small_disk(full) / "output"

    line = tiny_job.run(output).error_line

    assert str(output) in line
    assert any(words in line for words in ("No space left", "free", "has room for"))
    assert tiny_job.spoiled(output) == set()
    small_disk(roomy)
    tiny_job.finish(output)


@pytest.mark.fault("F14")
def test_read_only_output_is_reported_before_any_work(tiny_job: Any, small_disk: Callable[[str], Path]) -> None:
    """A disk that the system has put to read-only after errors, with a half of a dataset on it or none."""
    disk = small_disk("size=16m")
    half = disk / "half"
    tiny_job.run(half, folder=half, at=numbers_of(tiny_job, EXAMPLES)[3], errno=errno.EIO)
    small_disk("ro")
    for output in (half, disk / "new"):
        ended = tiny_job.run(output)

        line = ended.error_line
        assert str(output) in line
        assert "Read-only file system" in line
        assert "scan" not in ended.stderr
    small_disk("rw")
    tiny_job.finish(half)


@pytest.mark.fault("F14")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_permission_is_reported_before_any_work(tiny_job: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)

    ended = tiny_job.run(tmp_path / "output")

    tmp_path.chmod(0o755)
    assert "Permission denied" in ended.error_line
    assert "scan" not in ended.stderr


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.fault("F13")
def test_disk_that_grows_by_and_by_is_finished_at_last(
    tiny_job: Any, small_disk: Callable[[str], Path], record_property: Noted
) -> None:
    """Every run stops a little later than the one before."""
    size_kib, tried = 16, 0
    output = small_disk(f"size={size_kib}k") / "output"
    while (ended := tiny_job.run(output)).status != 0:
        assert ended.status == 1, ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        size_kib, tried = size_kib + 16, tried + 1
        assert size_kib < 4096
        small_disk(f"size={size_kib}k")
    record_property("tried", tried)
    assert tried > 3
    # What the last run wrote has used up the room that every run asks for before it starts.
    small_disk(f"size={size_kib + 2048}k")
    tiny_job.finish(output)
