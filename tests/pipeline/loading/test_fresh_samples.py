"""Fresh samples: those of the offline way before encoding, another one for each epoch, wherever they are mixed."""

import json
import pickle
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hsmix_gen.pipeline.loading import HsmixDataset, HsmixFresh, HsmixStream, as_floats, mix_batch
from hsmix_gen.schemas.errors import CacheError, ConfigError
from tests.command_line import run_cli
from tests.fixture_types import Maker

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

COPIES, IMAGES = 3, 8


@pytest.fixture(scope="module")
def output(make_sharded: Maker) -> Path:
    """3 copies of 8 training images; 48 x 64 pixels, 3 classes."""
    return make_sharded("webdataset")


@pytest.fixture(scope="module")
def cache(output: Path) -> Path:
    return output / ".hsmix" / "cache"


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two samples are equal in every byte and type."""
    return one.keys() == other.keys() and all(
        (torch.equal(a, b) and a.dtype == b.dtype and a.is_contiguous() == b.is_contiguous())
        if isinstance(a := one[name], torch.Tensor)
        else a == b
        for name, b in other.items()
    )


@pytest.mark.parametrize("raw", [False, True])
def test_shards_hold_the_fresh_samples_of_their_keys(output: Path, cache: Path, raw: bool) -> None:
    """Whoever trains fresh has what a dataset would have given, in image, mask, soft label and provenance."""
    stored = {sample["key"]: sample for sample in HsmixDataset(output, raw=raw)}  # type: ignore[attr-defined]
    fresh = HsmixFresh(cache, raw=raw)

    made = [fresh.read(number, epoch) for epoch in range(COPIES) for number in range(len(fresh))]

    assert len(made) == len(stored) == COPIES * IMAGES
    assert {sample["json"].partition('"mode":"')[2][:4] for sample in made} == {"hard", "soft", "none"}
    for sample in made:
        assert same(sample, stored[sample["key"]]), sample["key"]


def test_a_batch_as_it_is_stored_becomes_that_of_floats(cache: Path) -> None:
    """Whoever hands small batches to a GPU trains on what others do."""
    stored, floats = (next(iter(DataLoader(HsmixFresh(cache, raw=raw), batch_size=4))) for raw in (True, False))

    assert stored["image"].dtype == torch.uint8
    assert [floats[part].dtype for part in ("image", "mask", "soft")] == [torch.float32, torch.int64, torch.float32]
    assert 0.5 < float(floats["image"].max()) <= 1
    assert same(as_floats(stored), floats)


def test_what_is_no_part_of_a_sample_stays_as_it_is() -> None:
    """The partners that `mix_batch` returns are indices, and so may be what a transform adds."""
    others = torch.tensor([1, 0])

    found = as_floats({"image": torch.full((2, 1, 2, 2), 255, dtype=torch.uint8), "other": others, "key": ["a", "b"]})

    assert found["image"].unique().tolist() == [1.0]
    assert found["other"] is others
    assert found["key"] == ["a", "b"]


def test_validation_images_pass_through(output: Path, cache: Path) -> None:
    stored = HsmixDataset(output, split="val")
    fresh = HsmixFresh(cache, split="val", epoch=7)

    assert len(fresh) == len(stored) == 1
    assert same(fresh[0], stored[0])


def test_another_method_and_seed_are_those_of_generate(cache: Path, tmp_path: Path) -> None:
    """The cache serves all methods; chances of the modes follow the method as on the command line."""
    options = ("--method", "cutmix", "--seed", 4, "--copies", 1, "--shards", 1, "--backend", "serial")
    run_cli("generate", "--cache", cache, tmp_path / "output", *options, "--progress", "none")
    stored = {sample["key"]: sample for sample in HsmixDataset(tmp_path / "output")}  # type: ignore[attr-defined]

    fresh = HsmixFresh(cache, method="cutmix", seed=4)

    assert len(fresh) == len(stored) == IMAGES
    for number in range(IMAGES):
        assert same(fresh[number], stored[fresh[number]["key"]])


def test_each_epoch_has_new_samples_and_can_be_repeated(cache: Path) -> None:
    """Copies are without end, and nothing but seed, epoch and number decides."""
    fresh = HsmixFresh(cache, epoch=40, probabilities=(0, 1, 1))
    first = [fresh[number] for number in range(IMAGES)]
    fresh.set_epoch(41)
    second = [fresh[number] for number in range(IMAGES)]
    again = HsmixFresh(cache, epoch=41, probabilities=(0, 1, 1), kept_bytes=0)

    assert [sample["key"][-3:] for sample in (*first, *second)] == ["040"] * IMAGES + ["041"] * IMAGES
    assert not any(torch.equal(a["image"], b["image"]) for a, b in zip(first, second, strict=True))
    assert all(same(again[number], second[number]) for number in reversed(range(IMAGES)))
    assert same(fresh[-1], second[-1])
    with pytest.raises(IndexError, match="no sample 8 among 8"):
        fresh[IMAGES]


def test_what_training_does_to_a_sample_stays_its_own(cache: Path) -> None:
    """Rows of the cache are kept for other samples."""
    fresh = HsmixFresh(cache, raw=True, probabilities=(1, 0, 0), geometry="none")
    before = fresh[2]
    changed = fresh[2]
    for part in ("image", "mask", "soft"):
        changed[part].fill_(1)

    assert same(fresh[2], before)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_ranks_and_workers_share_an_epoch_and_go_on_inside_of_it(cache: Path, n_workers: int) -> None:
    """No sample is lost and none comes twice; after a stop the next one is the first that was not taken."""
    context = "fork" if n_workers else None

    def loader(stream: HsmixStream) -> DataLoader[Any]:
        return DataLoader(stream, batch_size=2, num_workers=n_workers, multiprocessing_context=context)

    def stream(rank: int) -> HsmixStream:
        return HsmixStream(HsmixFresh(cache, epoch=2, parts=("mask",)), rank=rank, world_size=2, shuffle_seed=1)

    whole = [[key for batch in loader(stream(rank)) for key in batch["key"]] for rank in (0, 1)]
    begun = stream(0)
    assert (begun.epoch, begun.counts()) == (2, [IMAGES // 2] * 2)
    batch = next(iter(loader(begun)))
    begun.took(batch)
    resumed = stream(0)
    resumed.load_state_dict(begun.state_dict())
    rest = [key for batch in loader(resumed) for key in batch["key"]]

    assert Counter(whole[0] + whole[1]) == Counter(f"train-case_{n:02d}-002" for n in range(IMAGES))
    assert [*batch["key"], *rest] == whole[0]


def test_workers_that_outlive_an_epoch_follow_it(cache: Path) -> None:
    """Map style with a sampler of one's own, persistent workers included."""
    fresh = HsmixFresh(cache, parts=())
    loader = DataLoader(fresh, batch_size=4, num_workers=1, persistent_workers=True, multiprocessing_context="fork")
    for epoch in (0, 3):
        fresh.set_epoch(epoch)
        assert [key[-3:] for batch in loader for key in batch["key"]] == [f"{epoch:03d}"] * IMAGES


def test_a_dataset_can_be_sent_to_spawned_workers(cache: Path) -> None:
    fresh = HsmixFresh(cache)
    before = fresh[3]

    again = pickle.loads(pickle.dumps(fresh))  # noqa: S301 - our own

    assert same(again[3], before)


def test_the_snippet_of_the_manual_trains(cache: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "howto" / "load.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[-1]
    for shown, here in (('"features"', repr(str(cache))), ("num_workers=2", "num_workers=0"), (", 100)", ", 2)")):
        assert shown in snippet
        snippet = snippet.replace(shown, here)
    seen: dict[str, Any] = {"torch": torch, "model": torch.nn.Conv2d(3, 3, 1)}

    exec(snippet, seen)  # noqa: S102 - our own

    assert seen["stream"].state_dict()["taken"] == [[0, IMAGES]]
    assert seen["loss"].isfinite()


def test_memory_for_rows_is_bounded(cache: Path) -> None:
    """A set larger than memory is read again and again instead of kept."""
    fresh = HsmixFresh(cache, kept_bytes=40_000)
    for number in range(IMAGES):
        fresh[number]

    kept = fresh._cache()._kept.values()
    assert 0 < sum(row.nbytes for row in kept) <= 40_000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"method": "cutmx"}, r"^mix\.method \(--method\) must be one of .*, got cutmx; did you mean cutmix\?$"),
        ({"selct": 0.3}, r"^mix has no selct; did you mean select\?$"),
        ({"copies": 3}, r"^copies has no meaning for fresh samples: each epoch is a copy; leave it out$"),
        ({"split": "dev"}, r"^split has no dev"),
        ({"parts": ("masks",)}, r"^parts has no masks; did you mean mask\?$"),
        ({"features": {"superpixels.metod": "grid"}}, r"did you mean superpixels\.method\?$"),
        (
            {"features": {"superpixels.method": "grid"}},
            r"^no features of superpixels\.method \(--superpixels\) grid are in the cache",
        ),
        ({"fold": 1}, r"^fold must be no fold, as the cache .* was prepared, got 1$"),
        ({"policy": "per-batch"}, "^policy per-batch orders a finite dataset"),
        ({"select": 2}, r"^mix\.select \(--select\): .*, got 2$"),
        ({"selection": "connected", "select": 0.5}, r"0\.5 changes nothing: hsmix reads it with --selection bernoulli"),
        ({"features": {"saliency.backend": "none"}}, r"^no features of saliency\.backend \(--saliency\) none are in"),
    ],
)
def test_wrong_options_are_refused_in_one_line(cache: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        HsmixFresh(cache, **options)


def test_a_cache_that_lacks_a_block_is_refused_before_training(cache: Path, tmp_path: Path) -> None:
    """A missing chunk would read as zeros: a black image with an empty mask; nothing is removed by whoever reads."""
    copied = shutil.copytree(cache, tmp_path / "cache")
    block = next(copied.glob("images-*.zarr/mask/c/0/0/0"))
    block.write_bytes(block.read_bytes()[:-1])
    files = sorted(copied.rglob("*"))

    with pytest.raises(CacheError, match=r"images-\w+\.zarr: 1 of 1 blocks are missing or do not match .*run prepare"):
        HsmixFresh(copied)
    assert sorted(copied.rglob("*")) == files
    with pytest.raises(CacheError, match="holds no finished features"):
        HsmixFresh(tmp_path)
    with pytest.raises(CacheError, match="8 samples cannot be divided over 9 ranks"):
        HsmixStream(HsmixFresh(cache), rank=0, world_size=9)


def test_a_batch_mixes_as_a_dataset_does(cache: Path) -> None:
    """Given the parents of a sample and its key, the batch has its image, mask and soft label."""
    fresh = HsmixFresh(cache, raw=True)
    rows, layers = fresh._cache(), fresh._layers
    for number in range(IMAGES):
        plan, sample = fresh._plan.sample(0, number), fresh.read(number, 0)
        pair = [plan.row_a, plan.row_a if plan.row_b is None else plan.row_b]
        # A batch has one granularity of each image: that which the sample draws.
        drawn = json.loads(sample["json"])
        variants = [drawn["variant_a"] or 0, drawn["variant_b"] or 0]

        mixed = mix_batch(
            torch.stack([torch.from_numpy(rows.read(layers.images, "image", row)).movedim(-1, 0) for row in pair]),
            torch.stack([torch.from_numpy(rows.read(layers.images, "mask", row)) for row in pair]),
            torch.stack([
                torch.from_numpy(rows.read(layers.superpixels, "labels", row, variant))
                for row, variant in zip(pair, variants, strict=True)
            ]),
            torch.stack([torch.from_numpy(rows.read(layers.saliency, "saliency", row)) for row in pair]),
            n_classes=3,
            keys=[plan.key, "other"],
            others=[1, 0],
        )  # fmt: skip

        assert mixed["mode"][0] == plan.mode
        assert torch.equal(mixed["image"][0], sample["image"])
        assert torch.equal(mixed["mask"][0], sample["mask"].long())
        assert torch.equal(mixed["soft"][0], sample["soft"].float())


def batch_of(n_images: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "images": torch.from_numpy(rng.integers(0, 256, (n_images, 3, 32, 32), np.uint8)),
        "masks": torch.from_numpy(rng.integers(0, 2, (n_images, 32, 32), np.uint8)),
        "superpixels": torch.from_numpy(np.tile(np.arange(32) // 4, (n_images, 32, 1))),
        "saliency": torch.from_numpy(rng.random((n_images, 32, 32), np.float32)),
    }


def test_a_batch_is_drawn_by_seed_and_step_alone() -> None:
    """Each image has another one for partner, and the next step mixes otherwise."""
    batch = batch_of()
    first, again, later = (mix_batch(**batch, n_classes=2, seed=1, step=step) for step in (0, 0, 1))

    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], later["image"])
    assert all(other != place for place, other in enumerate(first["other"].tolist()))
    assert [mode == "none" for mode in first["mode"]] == [other < 0 for other in first["other"].tolist()]
    assert torch.allclose(first["soft"].sum(dim=1), torch.ones(4, 32, 32), atol=2e-3)
    narrow = {**batch, "superpixels": batch["superpixels"].to(torch.uint16), "masks": batch["masks"].to(torch.uint16)}
    assert torch.equal(mix_batch(**narrow, n_classes=2, seed=1)["soft"], first["soft"])
    without = mix_batch(batch["images"], batch["masks"], n_classes=2, method="mixup", probabilities=(0, 0, 1))
    assert without["mode"] == ["soft"] * 4


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"images": torch.zeros(4, 3, 32, 32, dtype=torch.float64)}, ValueError, "images must be"),
        ({"masks": torch.zeros(4, 16, 16)}, ValueError, "masks must be"),
        ({"masks": torch.zeros(4, 32, 32)}, ValueError, "masks must hold whole numbers"),
        ({"saliency": torch.full((4, 32, 32), 7.0)}, ValueError, "saliency must lie in 0 to 1, got 7 to 7"),
        ({"superpixels": torch.full((4, 32, 32), -1)}, ValueError, "superpixels must be numbered 0 to 65535, got -1"),
        ({"superpixels": torch.full((4, 32, 32), 65536)}, ValueError, "superpixels must be .*, got 65536"),
        ({"masks": torch.full((4, 32, 32), -100)}, ValueError, "masks must be numbered 0 to 1, and 255 .*, got -100"),
        ({"masks": torch.full((4, 32, 32), 256)}, ValueError, "masks must be numbered 0 to 1, and 255 .*, got 256"),
        ({"masks": torch.full((4, 2, 32, 32), 2)}, ValueError, "masks must be numbered 0 to 1, and 255 .*, got 2"),
        ({"others": [1]}, ValueError, "one for each image"),
        ({"saliency": None, "probabilities": (0, 0, 1)}, ConfigError, "hsmix reads saliency for soft mixing"),
        ({"policy": "paired"}, ConfigError, "^a batch takes the policy per-sample alone, got paired; leave it out$"),
        ({"select": 3}, ConfigError, "mix.select"),
        ({"selection": "connected", "select": 0.5}, ConfigError, "changes nothing: hsmix reads it with --selection"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(change: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        mix_batch(**{**batch_of(), **change}, n_classes=2)
