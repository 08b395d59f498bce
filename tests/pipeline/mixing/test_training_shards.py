"""Datasets for training jobs: every form of soft labels, files in a folder, and equal shards for all readers.

Everything is read from the files by the rules that ``dataset.json`` states.
"""

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source
from tests.written import members_of

Array = npt.NDArray[Any]

FORMS = ("npz", "npy", "pair", "png")
RANKS, WORKERS = 2, 3
FORMATS = ("--format", "webdataset", "--format", "parquet", "--format", "folder")
C, H, W = 3, 48, 64


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source in which the right edge of each mask is ignored."""
    folder = make_source(tmp_path_factory.mktemp("training") / "source", train=6, val=7, test=1)
    for path in (folder / "masks").iterdir():
        mask = np.array(Pillow.open(path))
        mask[:, -9:] = 77
        Pillow.fromarray(mask).save(path)
    return folder


@pytest.fixture(scope="module")
def outputs(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A dataset in each form of soft labels, of all formats, for 2 ranks of 3 workers; one cache serves all."""
    folder = tmp_path_factory.mktemp("forms")
    for form in FORMS:
        run_cli(
            *("run", source, folder / form, *TINY, *FORMATS, "--soft-encoding", form, "--copies", 4),
            *("--ranks", RANKS, "--workers-per-rank", WORKERS, "--ignore", 77, "--cache", folder / "cache"),
            *("--max-errors", 0),
        )
    return {form: folder / form for form in FORMS}


def expanded(data: bytes, form: str) -> Array:
    """Return a (C, H, W) float label from the bytes of a member, by the documented rule."""
    if form == "png":
        return np.asarray(Pillow.open(io.BytesIO(data))).reshape(C, H, W) / 255
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    if form == "npy":
        return np.asarray(loaded, dtype=np.float64)
    if form == "npz":
        return np.asarray(loaded["soft"], dtype=np.float64)
    a, b, weight = (loaded[name].astype(np.int64) for name in ("class_a", "class_b", "weight_b"))
    return np.stack([(a == c) * (255 - weight) + (b == c) * weight for c in range(C)]) / 255


def described(root: Path) -> dict[str, Any]:
    """Return ``dataset.json``."""
    found: dict[str, Any] = json.loads((root / "dataset.json").read_text())
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_soft_labels(outputs: dict[str, Path], form: str) -> None:
    """The forms without float16 hold whole 255ths, which float16 only rounds."""
    member = described(outputs[form])["soft"]["member"]
    reference = {key: expanded(members["soft.npz"], "npz") for key, members in members_of(outputs["npz"]).items()}
    found = {key: expanded(members[member], form) for key, members in members_of(outputs[form]).items()}

    assert found.keys() == reference.keys()
    assert len(found) == 6 * 4 + 7 + 1
    for key, soft in found.items():
        np.testing.assert_array_equal(soft.astype(np.float16), reference[key].astype(np.float16))
    assert any(((soft > 0) & (soft < 1)).any() for soft in found.values())


@pytest.mark.parametrize("form", FORMS)
def test_ignored_pixels_have_no_class_in_any_form(outputs: dict[str, Path], form: str) -> None:
    """They are 255 in the mask and 0 in all channels; all others sum to 1 and have the mask as argmax."""
    member = described(outputs[form])["soft"]["member"]
    n_with_ignored = 0
    for members in members_of(outputs[form]).values():
        mask = np.asarray(Pillow.open(io.BytesIO(members["mask.png"])))
        soft = expanded(members[member], form)
        ignored = mask == 255
        n_with_ignored += bool(ignored.any())
        assert not soft[:, ignored].any()
        assert np.abs(soft.sum(axis=0)[~ignored] - 1).max() < 1e-3
        assert (soft.argmax(axis=0) == mask)[~ignored].all()
    assert n_with_ignored > 20


@pytest.mark.parametrize("form", FORMS)
def test_all_formats_hold_the_same_sample(outputs: dict[str, Path], form: str) -> None:
    root, stated = outputs[form], described(outputs[form])["soft"]
    tars = members_of(root)
    rows = {row["key"]: row for path in (root / "parquet").iterdir() for row in pq.read_table(path).to_pylist()}

    assert rows.keys() == tars.keys()
    for key, members in tars.items():
        ending = stated["member"].rpartition(".")[2]
        assert (root / "folder" / "soft" / f"{key}.{ending}").read_bytes() == members[stated["member"]]
        column = rows[key]["soft"]
        if form == "npz":
            np.testing.assert_array_equal(np.load(io.BytesIO(column)), expanded(members["soft.npz"], "npz"))
        else:
            assert column == members[stated["member"]]


@pytest.mark.parametrize("form", FORMS)
def test_verify_and_replay_understand_every_form(outputs: dict[str, Path], form: str, tmp_path: Path) -> None:
    cache = outputs[form].parent / "cache"
    key = "train-case_00-002"

    result = run_cli("verify", outputs[form], "--replay", 4, "--cache", cache, "--json")
    run_cli("replay", outputs[form], key, "--to", tmp_path, "--cache", cache)

    assert json.loads(result.stdout)["checked"]["replays"] == 3 * 4
    stored = members_of(outputs[form])[key]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        f"{key}.{name}": data for name, data in stored.items()
    }


def test_a_lost_file_of_a_folder_is_made_again(source: Path, outputs: dict[str, Path], tmp_path: Path) -> None:
    """A shard counts only while all of its files are as they were written."""
    root = tmp_path / "copy"
    shutil.copytree(outputs["npz"], root)
    lost = root / "folder" / "soft" / "train-case_00-002.npz"
    before = lost.read_bytes()
    lost.unlink()

    run_cli(
        *("run", source, root, *TINY, *FORMATS, "--soft-encoding", "npz", "--copies", 4, "--ranks", RANKS),
        *("--workers-per-rank", WORKERS, "--ignore", 77, "--cache", outputs["npz"].parent / "cache"),
    )

    assert lost.read_bytes() == before


def test_training_shards_are_equal_and_shared_out_evenly(outputs: dict[str, Path]) -> None:
    """24 samples over 6 readers: 24 shards of one sample, 4 for each worker of each rank."""
    stated = described(outputs["npz"])
    rows = pq.read_table(outputs["npz"] / "manifest.parquet").to_pylist()
    counts = Counter(row["shard"] for row in rows)

    assert [counts[f"train-{number:06d}"] for number in range(24)] == [1] * 24
    assert stated["splits"]["train"]["shards"] == 24
    assert stated["splits"]["val"]["shards"] == RANKS * WORKERS
    assert stated["splits"]["test"]["shards"] == 1
    assert stated["readers"] == {
        "ranks": 2, "workers_per_rank": 3, "shards_per_worker": 4, "least_samples_per_worker": 4,
    }  # fmt: skip
    assert "dataset.with_epoch(4)" in (outputs["npz"] / "README.md").read_text()


def test_tables_state_by_which_method_a_sample_was_mixed(source: Path, tmp_path: Path) -> None:
    """Where there are several; none is stated of hsmix, as before there were others."""
    options = ("--method", "hsmix,cutmix", "--probabilities", 0, 1, 0, "--format", "parquet", "--shards", 1)
    run_cli("run", source, tmp_path / "o", *TINY, *options, "--copies", 2, "--ignore", 77)

    table, manifest = tmp_path / "o" / "parquet" / "train-00000-of-00001.parquet", tmp_path / "o" / "manifest.parquet"
    stated, made = (
        {row["key"]: row["method"] for row in pq.read_table(path).to_pylist()} for path in (table, manifest)
    )
    assert set(stated.values()) == {None, "cutmix"}
    assert {key: name or "hsmix" for key, name in stated.items()} == {key: made[key] for key in stated}


def test_shards_that_no_such_number_of_readers_can_share_are_refused(source: Path, tmp_path: Path) -> None:
    result = run_cli(
        "run", source, tmp_path / "o", *TINY, "--shards", 8, "--ranks", 2, "--workers-per-rank", 3, status=1
    )

    assert result.stderr.splitlines()[-1].endswith(
        "--shards must be a multiple of --ranks x --workers-per-rank = 6, got 8; change one of them, or leave --shards "
        "away"
    )


def test_pairs_of_overlapping_channels_are_refused_before_any_work(source: Path, tmp_path: Path) -> None:
    result = run_cli(
        *("run", source, tmp_path / "o", *TINY, "--ignore", 77, "--soft-encoding", "pair"),
        *("--label-regions", "whole=128+255,core=255"),
        status=1,
    )

    assert result.stderr.splitlines()[-1].endswith(
        "--soft-encoding pair holds two classes a pixel, but the labels are multi-label; "
        "use --soft-encoding npz, npy or png"
    )
    assert not (tmp_path / "o" / "webdataset").exists()


def test_overlapping_channels_keep_their_shares(source: Path, tmp_path: Path) -> None:
    """Ignored pixels are 0 in all channels, which the mask distinguishes from background."""
    run_cli(
        *("run", source, tmp_path / "o", *TINY, "--ignore", 77, "--soft-encoding", "png", "--copies", 1),
        *("--label-regions", "whole=128+255,core=255,rest=0", *FORMATS),
    )
    run_cli("verify", tmp_path / "o", "--replay", 3)

    member = described(tmp_path / "o")["soft"]["member"]
    for members in members_of(tmp_path / "o").values():
        mask = np.asarray(Pillow.open(io.BytesIO(members["mask.png"])))
        whole, core, rest = expanded(members[member], "png")
        assert not np.stack([whole, core, rest])[:, mask == 255].any()
        assert (core <= whole + 1e-9).all()
        assert np.abs((whole + rest)[mask != 255] - 1).max() < 1e-3


def test_monai_reads_the_list(outputs: dict[str, Path]) -> None:
    data = pytest.importorskip("monai.data")
    for name, count in (("training", 24), ("validation", 7), ("test", 1)):
        entries = data.load_decathlon_datalist(str(outputs["npz"] / "folder" / "dataset.json"), True, name)
        assert len(entries) == count
        assert all(Path(path).is_file() for entry in entries for path in entry.values())
        assert all(entry.keys() == {"image", "label", "soft"} for entry in entries)
