"""A dataset in a store grows as one on a disk does: the same bytes, and finished shards are not sent again."""

import shutil
from pathlib import Path
from typing import Any

import click.testing
import pytest
from PIL import Image as Pillow

from tests.fixture_types import Cli, Digests, Maker, Options

BEFORE, AFTER = ("--copies", "1"), ("--copies", "2", "--extend")


@pytest.fixture(scope="module")
def options(tiny: Options) -> tuple[str, ...]:
    return (*tiny, "--shards", "3", "--format", "webdataset", "--format", "parquet")


@pytest.fixture(scope="module")
def photos(make_source: Maker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "photos")


@pytest.fixture(scope="module")
def more_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source with one more training image, the first one turned upside down."""
    folder = Path(shutil.copytree(photos, tmp_path_factory.mktemp("more") / "photos"))
    for kind in ("images", "masks"):
        with Pillow.open(folder / kind / "case_00.png") as picture:
            picture.transpose(Pillow.Transpose.ROTATE_180).save(folder / kind / "case_90.png")
    with (folder / "splits" / "train.txt").open("a") as names:
        names.write("case_90\n")
    return folder


@pytest.fixture(scope="module")
def expected(
    photos: Path,
    more_photos: Path,
    options: tuple[str, ...],
    run_cli: Cli,
    shard_digests: Digests,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Checksums of shards and manifest of a dataset that was begun and extended on a disk."""
    folder = tmp_path_factory.mktemp("local")
    source = Path(shutil.copytree(photos, folder / "photos"))
    assert run_cli("run", source, folder / "out", *options, *BEFORE).exit_code == 0
    begun = shard_digests(folder / "out")
    shutil.copytree(more_photos, source, dirs_exist_ok=True)
    result = run_cli("run", source, folder / "out", *options, *AFTER)
    assert result.exit_code == 0, result.stderr
    extended = shard_digests(folder / "out")
    assert extended.keys() > begun.keys()
    return extended


@pytest.fixture
def begun(bucket: Any, photos: Path, more_photos: Path, options: tuple[str, ...], run_cli: Cli) -> Any:
    """A bucket with a finished dataset, and with a source that has grown since."""
    bucket.put_tree("photos", photos)
    result = run_cli("run", f"{bucket.address}/photos", f"{bucket.address}/out", *options, *BEFORE)
    assert result.exit_code == 0, result.stderr
    bucket.put_tree("photos", more_photos)
    return bucket


def extended(run_cli: Cli, store: Any, options: tuple[str, ...]) -> click.testing.Result:
    return run_cli("run", f"{store.address}/photos", f"{store.address}/out", *options, *AFTER)


@pytest.mark.slow
def test_a_dataset_in_a_store_grows_to_the_bytes_of_a_local_one(
    begun: Any,
    proxy: Any,
    expected: dict[str, str],
    options: tuple[str, ...],
    run_cli: Cli,
    shard_digests: Any,
    snapshot: Any,
) -> None:
    finished = {name for name in shard_digests(begun.folder / "out") if name.endswith((".tar", ".parquet"))}
    finished.remove("manifest.parquet")

    result = extended(run_cli, begun, options)

    assert result.exit_code == 0, result.stderr
    assert shard_digests(begun.folder / "out") == expected
    sent = [path for method, path, _ in proxy.requests if method == "PUT"]
    assert not [path for path in sent if path.partition("/out/")[2] in finished]
    assert [path for path in sent if path.partition("/out/")[2] in expected.keys() - finished]
    verified = run_cli("verify", f"{begun.address}/out", "--replay", "5")
    assert verified.exit_code == 0, verified.stdout + verified.stderr

    before = snapshot(begun.folder)
    assert extended(run_cli, begun, options).exit_code == 0
    assert snapshot(begun.folder) == before
