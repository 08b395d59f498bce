"""The reading helper for plain torch: every sample once, aligned, and taken up where it was left."""

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch.utils.data import DataLoader

from hsmix_gen.pipeline.dataset.array_bytes import read_npy, read_npz
from hsmix_gen.pipeline.loading import HsmixDataset, HsmixStream
from hsmix_gen.schemas.errors import OutputError
from tests.command_line import TINY, run_cli
from tests.fixture_types import Maker
from tests.written import members_of

# Spawned workers would import torch for seconds each. Python 3.12 warns of forks beside other tests' threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

FORMATS = ("webdataset", "parquet")
BATCH = 2


@pytest.fixture(scope="module")
def output(make_sharded: Maker) -> Path:
    """24 training samples in 4 shards of 6 and in two formats; 48 x 64 pixels, 3 classes."""
    return make_sharded(*FORMATS)


@pytest.fixture(scope="module")
def stored(output: Path) -> dict[str, dict[str, bytes]]:
    """The members of each training sample, listed by tarfile."""
    found = {key: members for key, members in members_of(output).items() if key.startswith("train-")}
    assert len(found) == 24
    return found


def loader_of(stream: HsmixStream, n_workers: int) -> DataLoader[Any]:
    context = "fork" if n_workers else None
    return DataLoader(stream, batch_size=BATCH, num_workers=n_workers, multiprocessing_context=context)


def keys_of(batches: Iterator[Any] | DataLoader[Any]) -> list[str]:
    return [key for batch in batches for key in batch["key"]]


@pytest.mark.parametrize("form", FORMATS)
def test_samples_are_the_stored_pixels_and_labels(output: Path, stored: dict[str, dict[str, bytes]], form: str) -> None:
    """Pictures are not square and not symmetric, so a turned or exchanged axis cannot pass."""
    dataset = HsmixDataset(output, form=form)

    assert [dataset[number]["key"] for number in range(len(dataset))] == list(stored)
    for sample in (dataset[number] for number in range(24)):
        members = stored[sample["key"]]
        image = np.asarray(Pillow.open(io.BytesIO(members["image.png"])))
        soft = np.load(io.BytesIO(members["soft.npz"]))["soft"]
        assert sample["image"].dtype == sample["soft"].dtype == torch.float32
        assert np.array_equal((sample["image"].numpy() * 255).round(), image.transpose(2, 0, 1))
        assert np.array_equal(sample["soft"].numpy(), soft.astype(np.float32))
        assert sample["mask"].dtype == torch.int64
        assert np.array_equal(sample["mask"].numpy(), np.asarray(Pillow.open(io.BytesIO(members["mask.png"]))))
        assert torch.equal(sample["soft"].argmax(dim=0), sample["mask"])
        assert json.loads(sample["json"]) == json.loads(members["json"])


@pytest.mark.parametrize("encoding", ["npy", "pair", "png"])
def test_every_soft_encoding_and_format_gives_the_same_samples(output: Path, tmp_path: Path, encoding: str) -> None:
    """How a label is stored is of no concern to whoever trains on it."""
    made = ("--copies", 3, "--shards", 4, "--soft-encoding", encoding, "--cache", output / ".hsmix" / "cache")
    forms = ("webdataset", "parquet", "folder")
    options = [part for form in forms for part in ("--format", form)]
    run_cli("run", output.parent / "source", tmp_path / "output", *TINY, *made, *options)
    expected = HsmixDataset(output)

    for form in forms:
        dataset = HsmixDataset(tmp_path / "output", form=form)
        for number in range(24):
            a, b = expected[number], dataset[number]
            assert (a["key"], json.loads(a["json"])) == (b["key"], json.loads(b["json"]))
            assert all(torch.equal(a[part], b[part]) for part in ("image", "mask", "soft"))


def test_raw_parts_keep_their_stored_types(output: Path) -> None:
    """Whoever scales on a GPU moves a quarter of the bytes."""
    sample = HsmixDataset(output, raw=True, parts=("image", "soft"))[0]

    assert (sample["image"].dtype, tuple(sample["image"].shape)) == (torch.uint8, (3, 48, 64))
    assert (sample["soft"].dtype, tuple(sample["soft"].shape)) == (torch.float16, (3, 48, 64))
    assert "mask" not in sample


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("n_workers", [0, 2])
def test_two_ranks_and_their_workers_share_the_samples(output: Path, n_workers: int, form: str) -> None:
    """No sample is lost and none comes twice, whoever reads."""
    dataset = HsmixDataset(output, form=form, parts=())
    streams = [HsmixStream(dataset, rank=rank, world_size=2, shuffle_seed=5, buffer=4) for rank in (0, 1)]

    seen = [keys_of(loader_of(stream, n_workers)) for stream in streams]

    assert [len(keys) for keys in seen] == streams[0].counts() == [12, 12]
    assert Counter(seen[0] + seen[1]) == Counter(dataset[number]["key"] for number in range(24))


def test_epochs_differ_and_can_be_repeated(output: Path) -> None:
    """The order depends on seed and epoch alone, as both ranks have to agree on it."""
    dataset = HsmixDataset(output, parts=())
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0)):
        stream = HsmixStream(dataset, shuffle_seed=seed)
        stream.set_epoch(epoch)
        orders.append([sample["key"] for sample in stream])

    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1
    assert [sample["key"] for sample in HsmixStream(dataset)] == [dataset[number]["key"] for number in range(24)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("n_workers", "n_batches"), [(0, 3), (2, 3), (2, 4)])
def test_a_stopped_epoch_goes_on_with_exactly_the_samples_that_remain(
    output: Path, n_workers: int, n_batches: int, form: str
) -> None:
    """Also in order, also where the second worker had its turn, although workers had read further ahead."""

    def new_stream() -> HsmixStream:
        return HsmixStream(HsmixDataset(output, form=form, parts=()), shuffle_seed=3, buffer=8)

    whole, stopped, resumed = new_stream(), new_stream(), new_stream()
    whole.set_epoch(4)
    stopped.set_epoch(4)
    expected = keys_of(loader_of(whole, n_workers))

    seen = []
    for batch in islice(loader_of(stopped, n_workers), n_batches):
        seen += batch["key"]
        stopped.took(batch)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    resumed.set_epoch(4)
    rest = []
    for batch in loader_of(resumed, n_workers):
        rest += batch["key"]
        resumed.took(batch)

    assert len(seen) == n_batches * BATCH
    assert seen + rest == expected
    resumed.set_epoch(5)
    assert len(keys_of(loader_of(resumed, n_workers))) == 24


def test_workers_that_outlive_an_epoch_hear_of_the_next(output: Path) -> None:
    """With persistent workers the dataset is copied once, and each epoch would have the order of the first."""
    stream = HsmixStream(HsmixDataset(output, parts=()), shuffle_seed=0)
    loader = DataLoader(
        stream, batch_size=BATCH, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    orders = []
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        orders.append(keys_of(loader))

    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize("change", [{"shuffle_seed": 4}, {"world_size": 2}, {"buffer": 9}])
def test_a_position_in_another_order_is_refused(output: Path, change: dict[str, int]) -> None:
    """Its counts would skip other samples than those that were seen."""
    dataset = HsmixDataset(output, parts=())
    state = HsmixStream(dataset, shuffle_seed=3, buffer=8, rank=0, world_size=1).state_dict()
    name, value = next(iter(change.items()))
    given = {"shuffle_seed": 3, "buffer": 8, "rank": 0, "world_size": 1, **change}
    stream = HsmixStream(dataset, **given)

    with pytest.raises(OutputError, match=rf"^{name} must be as the position was saved, with \d, got {value}; make"):
        stream.load_state_dict(state)


def test_a_position_of_other_workers_is_refused(output: Path) -> None:
    """Shards are divided over workers, so another number reads in another order."""
    stream = HsmixStream(HsmixDataset(output, parts=()))
    stream.took(next(iter(stream)) | {"position": torch.tensor([0, 3, 1])})
    stream.load_state_dict(stream.state_dict())

    with pytest.raises(OutputError, match=r"^workers must be as the position was saved, with 3, got 1; make it so"):
        next(iter(stream))


def test_ranks_come_from_the_environment(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun sets these before anything is initialised."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")

    assert len(list(HsmixStream(HsmixDataset(output, parts=())))) == 6


def test_more_ranks_than_shards_are_refused(output: Path) -> None:
    """A rank without samples would make the others wait for ever."""
    with pytest.raises(OutputError, match=r"^4 shards cannot be divided over 5 ranks; make .* --shards 5 or more$"):
        HsmixStream(HsmixDataset(output), rank=0, world_size=5)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"split": "dev"}, "has no split dev; choose one of test, train, val"),
        ({"form": "mds"}, "has no format mds; choose one of parquet, webdataset"),
    ],
)
def test_what_an_output_lacks_is_named(output: Path, wanted: dict[str, str], reason: str) -> None:
    """One line with the way out."""
    with pytest.raises(OutputError, match=f"^{output} {reason}$"):
        HsmixDataset(output, **wanted)  # type: ignore[arg-type]


def test_an_unfinished_output_is_refused(output: Path, tmp_path: Path) -> None:
    """Half a set trains without a complaint."""
    shutil.copytree(output, tmp_path / "half", ignore=shutil.ignore_patterns("manifest.parquet", ".hsmix"))

    with pytest.raises(OutputError, match=r"holds no finished dataset \(manifest.parquet is missing\)"):
        HsmixDataset(tmp_path / "half")


def test_a_number_outside_of_the_dataset_is_an_index_error(output: Path) -> None:
    """Python's own way to end a loop over numbers."""
    dataset = HsmixDataset(output, parts=())

    assert dataset[-1]["key"] == dataset[23]["key"]
    with pytest.raises(IndexError):
        dataset[24]


def test_deflated_arrays_are_read_as_numpy_reads_them() -> None:
    """Several arrays in one archive, as class pairs are stored, and one that is not compressed."""
    arrays: dict[str, Any] = {
        "class_a": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "weight": np.full((2, 5), 0.5, np.float16),
    }
    for save in (np.savez_compressed, np.savez):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        read = read_npz(buffer.getvalue())
        assert read.keys() == arrays.keys()
        assert all(np.array_equal(read[name], arrays[name]) and read[name].dtype == arrays[name].dtype for name in read)


def test_a_flipped_bit_of_a_soft_label_is_found(stored: dict[str, dict[str, bytes]]) -> None:
    """The archive's checksum is compared although the archive is not opened as one."""
    data = bytearray(next(iter(stored.values()))["soft.npz"])
    data[14] ^= 1  # in the checksum of the first entry

    with pytest.raises(OutputError, match=r"^has a soft label whose checksum differs$"):
        read_npz(bytes(data))


def test_pickled_objects_are_refused() -> None:
    """Unpickling runs what a file says."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object))

    with pytest.raises(OutputError, match=r"^has an array of object"):
        read_npy(buffer.getvalue())
