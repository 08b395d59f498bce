"""Sources and samples that were refused are tried again on request, and nothing else of the dataset changes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.mixing import make_shard
from hsmix_gen.pipeline.mixing.make_shard import Made
from tests.command_line import TINY, error_of, run_cli
from tests.pipeline.jobs.growth.growing import OPTIONS, GrowingDataset, rows_of, shards_of
from tests.small_sources import make_source
from tests.written import shard_digests, snapshot


def spoil(dataset: GrowingDataset, name: str) -> bytes:
    """Cut a picture off and return it as it was."""
    path = dataset.source / "images" / f"{name}.png"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return data


@pytest.fixture
def refusing(tmp_path: Path) -> tuple[GrowingDataset, bytes]:
    """A dataset that refused case_02, and that picture as it should be."""
    dataset = GrowingDataset(make_source(tmp_path / "source"), tmp_path / "output", (*TINY, *OPTIONS, "--copies", 2))
    picture = spoil(dataset, "case_02")
    dataset.run()
    assert "case_02" in (dataset.output / "refused.csv").read_text()
    return dataset, picture


def test_mended_source_is_taken_in_on_request(refusing: tuple[GrowingDataset, bytes]) -> None:
    dataset, picture = refusing
    before = shards_of(snapshot(dataset.output))
    (dataset.source / "images" / "case_02.png").write_bytes(picture)

    run_cli("retry-refused", dataset.source, dataset.output)

    assert (dataset.output / "refused.csv").read_text() == "id,path,stage,reason\n"
    assert before.items() <= shards_of(snapshot(dataset.output)).items()
    assert {"train-case_02-000", "train-case_02-001"} <= rows_of(dataset.output).keys()
    dataset.assert_sound()


def test_a_plain_run_leaves_a_mended_source_refused_and_says_so(refusing: tuple[GrowingDataset, bytes]) -> None:
    """The same command finishes the same dataset."""
    dataset, picture = refusing
    before = snapshot(dataset.output / "webdataset")
    (dataset.source / "images" / "case_02.png").write_bytes(picture)

    result = dataset.run()

    assert "case_02; hsmix-gen retry-refused takes them in" in result.stderr
    assert snapshot(dataset.output / "webdataset") == before


def test_what_is_still_damaged_stays_refused(refusing: tuple[GrowingDataset, bytes]) -> None:
    dataset, _ = refusing
    before = snapshot(dataset.output / "webdataset")

    result = run_cli("retry-refused", dataset.source, dataset.output)

    assert "none of the sources that were refused can be used" in result.stderr
    assert "refused 1 of 8 sources" in result.stdout
    assert snapshot(dataset.output / "webdataset") == before
    assert not list((dataset.output / ".hsmix").glob("extension-*"))


def test_image_that_failed_after_its_scan_is_tried_again(
    begun: GrowingDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing of its file has changed: what failed was this program, or its machine."""
    from hsmix_gen.pipeline.features import layers

    segmented = layers._segmented
    broken = [True]

    def failing(image: Any, *arguments: Any) -> Any:
        if broken[0] and image.mean() == target:
            raise RuntimeError("no luck")
        return segmented(image, *arguments)

    target = np.asarray(Pillow.open(begun.source / "images" / "case_04.png")).mean()
    monkeypatch.setattr(layers, "_segmented", failing)
    dataset = GrowingDataset(begun.source, tmp_path / "output", (*TINY, *OPTIONS, "--copies", 2))
    dataset.run()
    assert "case_04" in (dataset.output / "refused.csv").read_text()
    still = run_cli("retry-refused", dataset.source, dataset.output)
    broken[0] = False

    result = run_cli("retry-refused", dataset.source, dataset.output)

    assert "refused 1 of 8" in still.stdout
    assert "refused 0 of 8" in result.stdout
    assert {"train-case_04-000", "train-case_04-001"} <= rows_of(dataset.output).keys()
    assert len(list((dataset.output / ".hsmix").glob("extension-*"))) == 1
    dataset.assert_sound()


def test_sample_that_failed_is_made_again_in_its_shard(
    begun: GrowingDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The dataset then equals one in which nothing ever failed; other shards are not touched."""
    made_one, victim = make_shard.make_one, "train-case_03-001"

    def failing(cache: Any, layers: Any, plan: Any, *arguments: Any) -> Made:
        if plan.key == victim:
            raise RuntimeError("no luck")
        return made_one(cache, layers, plan, *arguments)

    dataset = GrowingDataset(begun.source, tmp_path / "output", (*TINY, *OPTIONS, "--copies", 2))
    with monkeypatch.context() as patched:
        patched.setattr(make_shard, "make_one", failing)
        dataset.run()
    assert victim in (dataset.output / "refused.csv").read_text()
    shard = rows_of(begun.output)[victim]["shard"]
    others = [p for p in (dataset.output / "webdataset").glob("*.tar") if p.stem != shard]
    times = {path: path.stat().st_mtime_ns for path in others}

    run_cli("retry-refused", dataset.source, dataset.output)

    assert shard_digests(dataset.output) == shard_digests(begun.output)
    assert {path: path.stat().st_mtime_ns for path in others} == times


def test_retrying_takes_the_options_of_the_dataset(refusing: tuple[GrowingDataset, bytes]) -> None:
    """And refuses others, and a folder that holds no dataset."""
    dataset, picture = refusing
    (dataset.source / "images" / "case_02.png").write_bytes(picture)

    changed = run_cli("retry-refused", dataset.source, dataset.output, "--seed", 7, status=1)
    nothing = run_cli("retry-refused", dataset.source, dataset.output.with_name("nothing"), status=1)

    assert "seed (--seed) was 0, is 7" in changed.stderr
    assert f"{dataset.output.with_name('nothing')} does not exist; check its name" in nothing.stderr


@pytest.mark.parametrize("is_mended", [True, False])
@pytest.mark.parametrize("kind", ["images", "superpixels", "saliency"])
def test_nothing_is_added_to_samples_of_another_version(
    refusing: tuple[GrowingDataset, bytes], kind: str, *, is_mended: bool
) -> None:
    """New samples of other features were put beside the old ones in silence; what a version alters, its name alters."""
    dataset, picture = refusing
    bound = dataset.output / ".hsmix" / "identity.json"
    found = json.loads(bound.read_text())
    bound.write_text(json.dumps({**found, f"layer of {kind}": f"{kind}-0123456789abcdef"}))
    if is_mended:
        (dataset.source / "images" / "case_02.png").write_bytes(picture)
    before = snapshot(dataset.output / "webdataset")

    line = error_of(run_cli("retry-refused", dataset.source, dataset.output, status=1))

    assert kind in line
    assert "another version of hsmix-gen or a library" in line
    assert "choose another folder, or start anew with" in line
    assert snapshot(dataset.output / "webdataset") == before
