"""`--partners similar`: two stains of one set are not mixed, in shards, fresh samples and extensions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.loading import HsmixDataset, HsmixFresh
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source

MADE = ("--copies", 2, "--shards", 2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine images for training; those of even number are inverted, as fluorescence is beside bright field."""
    folder: Path = make_source(tmp_path_factory.mktemp("similar") / "source", train=9, val=1, test=0)
    for number in range(0, 10, 2):
        path = folder / "images" / f"case_{number:02d}.png"
        Pillow.fromarray((255 - np.asarray(Pillow.open(path))) // 6).save(path)
    return folder


def pairs_of(output: Path) -> set[tuple[int, int]]:
    """Return the numbers of the parents of all mixed samples."""
    dataset = HsmixDataset(output, parts=())
    rows = [json.loads(dataset[number]["json"]) for number in range(len(dataset))]
    return {(int(row["source_a"][-2:]), int(row["source_b"][-2:])) for row in rows if row["source_b"]}


def test_only_images_that_look_alike_are_mixed(source: Path, tmp_path: Path) -> None:
    """Fresh samples have the same partners, and what is added later has them too."""
    options = (*TINY, "--partners", "similar", "--probabilities", 0, 1, 1)
    result = run_cli("run", source, tmp_path / "out", *options, *MADE)

    pairs = pairs_of(tmp_path / "out")
    assert len(pairs) > 9
    assert all(a % 2 == b % 2 for a, b in pairs)
    assert "of the pairs of training images look far apart; partners are of one kind" in result.stderr
    stored = {sample["key"]: sample["json"] for sample in HsmixDataset(tmp_path / "out", parts=())}  # type: ignore[attr-defined]
    fresh = HsmixFresh(tmp_path / "out" / ".hsmix" / "cache", parts=(), partners="similar", probabilities=(0, 0.5, 0.5))
    made = [fresh.read(number, epoch) for epoch in (0, 1) for number in range(9)]
    assert {sample["key"]: sample["json"] for sample in made} == stored

    run_cli("run", source, tmp_path / "out", *options, "--copies", 4, "--shards", 2, "--extend")
    assert len(pairs_of(tmp_path / "out")) > len(pairs)
    assert all(a % 2 == b % 2 for a, b in pairs_of(tmp_path / "out"))
    run_cli("verify", tmp_path / "out", "--replay", 4)


def test_a_set_of_two_kinds_is_warned_of(source: Path, tmp_path: Path) -> None:
    """`auto` mixes them, as it always did, and says what would not."""
    result = run_cli("run", source, tmp_path / "out", *TINY, *MADE)

    assert "% of the pairs of training images look far apart" in result.stderr
    assert "--partners similar mixes only those that look alike" in result.stderr
    assert any(a % 2 != b % 2 for a, b in pairs_of(tmp_path / "out"))
    asked = run_cli("generate", "--cache", tmp_path / "out" / ".hsmix" / "cache", tmp_path / "any", *MADE,
                    "--partners", "any", "--backend", "serial")  # fmt: skip
    assert "look far apart" not in asked.stderr
