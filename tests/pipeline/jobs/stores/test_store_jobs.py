"""The whole job from store to store: the bytes of a local run, whatever the store does meanwhile."""

import hashlib
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.files.tables import read_sources
from tests.fixture_types import Cli, Digests, Maker, Options


@pytest.fixture(scope="module")
def options(tiny: Options) -> tuple[str, ...]:
    return (*tiny, "--copies", "2", "--shards", "4", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="module")
def photos(make_source: Maker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "photos")


@pytest.fixture(scope="module")
def expected(
    photos: Path,
    options: tuple[str, ...],
    run_cli: Cli,
    shard_digests: Digests,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Checksums of shards and manifest of a run on a disk."""
    output = tmp_path_factory.mktemp("local") / "out"
    result = run_cli("run", photos, output, *options)
    assert result.exit_code == 0, result.stderr
    return shard_digests(output)


@pytest.fixture
def store(bucket: Any, photos: Path) -> Any:
    """A bucket that holds the source."""
    bucket.put_tree("photos", photos)
    return bucket


def run_there(run_cli: Cli, store: Any, *options: str) -> click.testing.Result:
    return run_cli("run", f"{store.address}/photos", f"{store.address}/out", *options)


def stated(result: click.testing.Result) -> str:
    """Return the one line of an error, after checking that it is one."""
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    return line


def test_from_store_to_store_the_bytes_are_those_of_a_local_run(
    store: Any, expected: dict[str, str], options: tuple[str, ...], run_cli: Cli, shard_digests: Any, snapshot: Any
) -> None:
    result = run_there(run_cli, store, *options)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(store.folder / "out") == expected
    records = read_sources(location(f"{store.address}/out/.hsmix/sources.parquet"))
    assert records[0].image == f"{store.address}/photos/images/case_00.png"
    everything = b"".join(path.read_bytes() for path in (store.folder / "out").rglob("*") if path.is_file())
    assert b"secret-of-the-tests" not in everything
    assert b"key-of-the-tests" not in everything
    assert b"hsmix-staged" not in everything

    before = snapshot(store.folder)
    again = run_there(run_cli, store, *options)

    assert again.exit_code == 0, again.stderr
    assert "mix: nothing to do" in again.stderr
    assert "fetching" not in again.stderr
    assert snapshot(store.folder) == before


@pytest.mark.slow
def test_a_job_goes_through_a_store_that_fails_now_and_then(
    store: Any,
    proxy: Any,
    in_turn: Callable[..., Any],
    expected: dict[str, str],
    options: tuple[str, ...],
    run_cli: Cli,
    shard_digests: Any,
) -> None:
    proxy.script = in_turn(23, "500", "503", "reset", "cut", "lost", "drip")

    result = run_there(run_cli, store, *options)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(store.folder / "out") == expected
    assert {fault for _, _, fault in proxy.requests} == {"", "500", "503", "reset", "cut", "lost", "drip"}
    assert proxy.most_in_flight <= 8


@pytest.mark.slow
def test_a_job_gives_up_in_one_line_and_goes_on_from_there(
    store: Any,
    proxy: Any,
    expected: dict[str, str],
    options: tuple[str, ...],
    run_cli: Cli,
    shard_digests: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store takes the first shards and then no more."""
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", "2")
    proxy.script = lambda method, path: "503" if method == "PUT" and "train-000001" in path else ""

    line = stated(run_there(run_cli, store, *options))

    assert "train-000001.tar failed 2 times" in line
    assert "run the same command again" in line
    published = _tars(store)
    assert published
    assert published.items() <= expected.items()
    assert not (store.folder / "out" / "manifest.parquet").exists()

    proxy.script = lambda _method, _path: ""
    result = run_there(run_cli, store, *options)
    assert result.exit_code == 0, result.stderr
    assert shard_digests(store.folder / "out") == expected


@pytest.mark.slow
def test_a_killed_job_leaves_no_part_of_a_shard_and_goes_on_from_there(
    store: Any,
    proxy: Any,
    expected: dict[str, str],
    options: tuple[str, ...],
    command: Path,
    run_cli: Cli,
    shard_digests: Any,
) -> None:
    """The process is killed while a shard is on its way."""
    proxy.script = lambda method, path: "stuck" if method == "PUT" and "train-000001" in path else ""
    arguments = [str(command), "run", f"{store.address}/photos", f"{store.address}/out", *options]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not any("train-000001" in path for _, path, _ in list(proxy.requests)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    proxy.over.set()

    assert _tars(store).items() <= expected.items()
    proxy.script = lambda _method, _path: ""
    result = run_there(run_cli, store, *options)
    assert result.exit_code == 0, result.stderr
    assert shard_digests(store.folder / "out") == expected


@pytest.mark.slow
def test_a_local_output_may_have_its_cache_in_a_store(
    store: Any, photos: Path, tmp_path: Path, expected: dict[str, str], options: tuple[str, ...], run_cli: Cli,
    shard_digests: Any
) -> None:  # fmt: skip
    result = run_cli("run", photos, tmp_path / "out", "--cache", f"{store.address}/features", *options)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(tmp_path / "out") == expected
    assert run_cli("preview", tmp_path / "out", "--rows", "2").exit_code == 0
    fresh = run_cli("generate", "--cache", f"{store.address}/features", tmp_path / "again", *_mix(options))
    assert fresh.exit_code == 0, fresh.stderr
    assert shard_digests(tmp_path / "again") == expected


def test_a_source_in_a_store_is_inspected_under_its_address(store: Any, run_cli: Cli) -> None:
    result = run_cli("inspect", f"{store.address}/photos")

    assert result.exit_code == 0, result.stderr
    assert f"{store.address}/photos" in result.stdout
    assert "hsmix-staged" not in result.stdout


def test_wrong_credentials_are_reported_in_one_line(
    store: Any, options: tuple[str, ...], run_cli: Cli, monkeypatch: pytest.MonkeyPatch, run_command: Any
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-right-secret")

    result = run_command("run", f"{store.address}/photos", f"{store.address}/out", *options)

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {store.address}/out is refused (403")
    assert "set credentials in the environment" in line
    assert "not-the-right-secret" not in line


@pytest.mark.slow
def test_absent_credentials_are_reported_in_one_line(
    store: Any, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, run_command: Any
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    result = run_command("run", f"{store.address}/photos", f"{store.address}/out", *options)

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "NoCredentialsError" in line
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line


def test_a_bucket_that_is_not_there_is_reported_in_one_line(store: Any, options: tuple[str, ...], run_cli: Cli) -> None:
    line = stated(run_cli("run", f"{store.address}/photos", "s3://no-such-bucket/out", *options))

    assert "s3://no-such-bucket/out/.hsmix cannot be written (404 NoSuchBucket)" in line


@pytest.mark.parametrize("source", ["s3://no-such-bucket/photos", "{bucket}/no-such-folder"])
def test_a_source_that_is_not_there_is_reported_in_one_line(
    store: Any, options: tuple[str, ...], run_cli: Cli, tmp_path: Path, source: str
) -> None:
    address, there = source.format(bucket=store.address), tmp_path / "out" / "run.json"
    there.parent.mkdir()
    there.write_text("{}")

    line = stated(run_cli("run", address, there.parent, *options, "--fresh"))

    assert f"error: {address} holds nothing, or is not there; check bucket, name and endpoint" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]


def test_an_address_with_a_password_is_refused_before_any_work(run_cli: Cli, tmp_path: Path) -> None:
    result = run_cli("run", "s3://id:pa55word@bucket/photos", tmp_path / "out")

    assert result.exit_code == 2
    assert "pa55word" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ray_gives_the_same_bytes_from_store_to_store(
    store: Any, expected: dict[str, str], options: tuple[str, ...], run_command: Any, shard_digests: Any
) -> None:
    ray = ["ray" if option == "serial" else option for option in options]

    result = run_command("run", f"{store.address}/photos", f"{store.address}/out", *ray, "--workers", "2")

    assert result.returncode == 0, result.stderr
    assert shard_digests(store.folder / "out") == expected


def _tars(store: Any) -> dict[str, str]:
    """Return the checksums of the shards that are there, by name."""
    folder = store.folder / "out"
    paths = [path for path in (folder / "webdataset").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _mix(options: tuple[str, ...]) -> list[str]:
    """Return the options that mixing takes."""
    start = options.index("--backend")
    return list(options[start:])
