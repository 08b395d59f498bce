"""The whole job from store to store: the bytes of a local run, whatever the store does meanwhile."""

import hashlib
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.files.tables import read_sources
from tests.command_line import TINY, error_of, run_cli, run_command
from tests.process_tree import WAIT_S, driver
from tests.small_sources import make_source
from tests.written import shard_digests, snapshot

MADE = ("--copies", "2", "--shards", "4", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "photos")


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checksums of shards and manifest of a run on a disk."""
    output = tmp_path_factory.mktemp("local") / "out"
    run_cli("run", photos, output, *TINY, *MADE)
    return shard_digests(output)


@dataclass(frozen=True)
class Job:
    """A bucket that holds a source, and the command that makes a dataset of it in the bucket."""

    bucket: Any
    options: tuple[str, ...]

    @property
    def source(self) -> str:
        """The address of the source."""
        return f"{self.bucket.address}/photos"

    @property
    def output(self) -> str:
        """The address of the dataset."""
        return f"{self.bucket.address}/out"

    def run(self, *more: str, status: int = 0) -> click.testing.Result:
        """Run with some options more."""
        return run_cli("run", self.source, self.output, *self.options, *more, status=status)

    def made(self) -> dict[str, str]:
        """Return the checksums of shards and manifest that are there."""
        return shard_digests(self.bucket.folder / "out")

    def tars(self) -> dict[str, str]:
        """Return the checksums of the shards of WebDataset that are there, finished or not."""
        folder = self.bucket.folder / "out"
        paths = [path for path in (folder / "webdataset").rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def job(bucket: Any, photos: Path) -> Job:
    """The source of all jobs in a bucket."""
    bucket.put_tree("photos", photos)
    return Job(bucket, (*TINY, *MADE))


def test_from_store_to_store_the_bytes_are_those_of_a_local_run(job: Job, expected: dict[str, str]) -> None:
    job.run()

    assert job.made() == expected
    records = read_sources(location(f"{job.output}/.hsmix/sources.parquet"))
    assert records[0].image == f"{job.source}/images/case_00.png"
    everything = b"".join(path.read_bytes() for path in (job.bucket.folder / "out").rglob("*") if path.is_file())
    assert b"secret-of-the-tests" not in everything
    assert b"key-of-the-tests" not in everything
    assert b"hsmix-staged" not in everything

    before = snapshot(job.bucket.folder)
    again = job.run()

    assert "mix: nothing to do" in again.stderr
    assert "fetching" not in again.stderr
    assert snapshot(job.bucket.folder) == before


@pytest.mark.slow
def test_a_job_goes_through_a_store_that_fails_now_and_then(
    job: Job, proxy: Any, in_turn: Callable[..., Any], expected: dict[str, str]
) -> None:
    proxy.script = in_turn(23, "500", "503", "reset", "cut", "lost", "drip")

    job.run()

    assert job.made() == expected
    assert {fault for _, _, fault in proxy.requests} == {"", "500", "503", "reset", "cut", "lost", "drip"}
    assert proxy.most_in_flight <= 8


@pytest.mark.slow
def test_a_job_gives_up_in_one_line_and_goes_on_from_there(
    job: Job, proxy: Any, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store takes the first shards and then no more."""
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", "2")
    proxy.script = lambda method, path: "503" if method == "PUT" and "train-000001" in path else ""

    line = error_of(job.run(status=1))

    assert "train-000001.tar failed 2 times" in line
    assert "run the same command again" in line
    assert job.tars()
    assert job.tars().items() <= expected.items()
    assert not (job.bucket.folder / "out" / "manifest.parquet").exists()

    proxy.script = lambda _method, _path: ""
    job.run()
    assert job.made() == expected


@pytest.mark.slow
def test_a_killed_job_leaves_no_part_of_a_shard_and_goes_on_from_there(
    job: Job, proxy: Any, expected: dict[str, str], command: Path
) -> None:
    """The process is killed while a shard is on its way."""
    proxy.script = lambda method, path: "stuck" if method == "PUT" and "train-000001" in path else ""
    with driver(command, "run", job.source, job.output, *job.options) as run:
        deadline = time.monotonic() + WAIT_S
        while not any("train-000001" in path for _, path, _ in list(proxy.requests)):
            assert run.process.poll() is None, run.stated
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.stop(signal.SIGKILL)
    proxy.over.set()
    assert job.tars().items() <= expected.items()

    proxy.script = lambda _method, _path: ""
    job.run()
    assert job.made() == expected


@pytest.mark.slow
def test_a_local_output_may_have_its_cache_in_a_store(
    job: Job, photos: Path, tmp_path: Path, expected: dict[str, str]
) -> None:
    features = ("--cache", f"{job.bucket.address}/features")
    run_cli("run", photos, tmp_path / "out", *features, *job.options)

    assert shard_digests(tmp_path / "out") == expected
    run_cli("preview", tmp_path / "out", "--rows", "2")
    mix = job.options[job.options.index("--backend") :]
    run_cli("generate", *features, tmp_path / "again", *mix)
    assert shard_digests(tmp_path / "again") == expected


def test_a_source_in_a_store_is_inspected_under_its_address(job: Job) -> None:
    shown = run_cli("inspect", job.source).stdout

    assert job.source in shown
    assert "hsmix-staged" not in shown


def test_wrong_credentials_are_reported_in_one_line(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-right-secret")

    result = run_command("run", job.source, job.output, *job.options)

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {job.output} is refused (403")
    assert "set credentials in the environment" in line
    assert "not-the-right-secret" not in line


@pytest.mark.slow
def test_absent_credentials_are_reported_in_one_line(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    result = run_command("run", job.source, job.output, *job.options)

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "NoCredentialsError" in line
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line


def test_a_bucket_that_is_not_there_is_reported_in_one_line(job: Job) -> None:
    line = error_of(run_cli("run", job.source, "s3://no-such-bucket/out", *job.options, status=1))

    assert "s3://no-such-bucket/out/.hsmix cannot be written (404 NoSuchBucket)" in line


@pytest.mark.parametrize("source", ["s3://no-such-bucket/photos", "{bucket}/no-such-folder"])
def test_a_source_that_is_not_there_is_reported_in_one_line(job: Job, tmp_path: Path, source: str) -> None:
    address, there = source.format(bucket=job.bucket.address), tmp_path / "out" / "run.json"
    there.parent.mkdir()
    there.write_text("{}")

    line = error_of(run_cli("run", address, there.parent, *job.options, "--fresh", status=1))

    assert f"error: {address} holds nothing, or is not there; check bucket, name and endpoint" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]


def test_an_address_with_a_password_is_refused_before_any_work(tmp_path: Path) -> None:
    result = run_cli("run", "s3://id:pa55word@bucket/photos", tmp_path / "out", status=2)

    assert "pa55word" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ray_gives_the_same_bytes_from_store_to_store(job: Job, expected: dict[str, str]) -> None:
    ray = ["ray" if option == "serial" else option for option in job.options]

    result = run_command("run", job.source, job.output, *ray, "--workers", "2")

    assert result.returncode == 0, result.stderr
    assert job.made() == expected


def with_one_more(photos: Path, folder: Path) -> Path:
    """Return a copy of a source with one more training image, the first one turned upside down."""
    shutil.copytree(photos, folder)
    for kind in ("images", "masks"):
        with Pillow.open(folder / kind / "case_00.png") as picture:
            picture.transpose(Pillow.Transpose.ROTATE_180).save(folder / kind / "case_90.png")
    with (folder / "splits" / "train.txt").open("a") as names:
        names.write("case_90\n")
    return folder


@pytest.mark.slow
def test_a_dataset_in_a_store_grows_to_the_bytes_of_a_local_one(
    job: Job, photos: Path, proxy: Any, tmp_path: Path
) -> None:
    """The same bytes, and finished shards are not sent again."""
    local, more = Path(shutil.copytree(photos, tmp_path / "photos")), with_one_more(photos, tmp_path / "more")
    run_cli("run", local, tmp_path / "out", *job.options, "--copies", "1")
    job.run("--copies", "1")
    finished = {name for name in job.made() if name.endswith((".tar", ".parquet"))} - {"manifest.parquet"}
    shutil.copytree(more, local, dirs_exist_ok=True)
    job.bucket.put_tree("photos", more)

    proxy.requests.clear()

    run_cli("run", local, tmp_path / "out", *job.options, "--extend")
    job.run("--extend")

    expected = shard_digests(tmp_path / "out")
    assert expected.keys() > finished
    assert job.made() == expected
    sent = {path.partition("/out/")[2] for method, path, _ in proxy.requests if method == "PUT"}
    assert not sent & finished
    assert sent & (expected.keys() - finished)
    run_cli("verify", job.output, "--replay", "5")

    before = snapshot(job.bucket.folder)
    job.run("--extend")
    assert snapshot(job.bucket.folder) == before
