"""`generate` mixes a part of what was prepared: other splits, fewer images, folds; what is not there is refused."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.features.cache_description import FeatureSet, lacking, load, of_options
from hsmix_gen.pipeline.features.chosen_sources import choose_sources
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.pipeline.sources.hashed_ids import hash_of
from hsmix_gen.schemas.config import RunConfig, VolumeConfig
from hsmix_gen.schemas.errors import HsmixError, SourceError
from hsmix_gen.schemas.records import Refusal
from tests.command_line import TINY, error_of, run_cli
from tests.pipeline.cli.commands.finished import Made

QUIETLY = ("--backend", "serial", "--progress", "none", "--copies", "2")
LISTS = {"train": ["case_00", "case_02", "case_05"], "val": ["case_06"], "test": ["case_07", "case_01"]}


@pytest.fixture(scope="module")
def cache(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` made of eight images; `generate` only reads it."""
    cache = tmp_path_factory.mktemp("parts") / "cache"
    run_cli("prepare", made.source, "--cache", cache, *TINY)
    return cache


@pytest.fixture
def generate(cache: Path, tmp_path: Path) -> Callable[..., Any]:
    """Call `generate` on the cache."""
    command = ("generate", "--cache", cache, tmp_path / "out", *QUIETLY)
    return lambda *options, **status: run_cli(*command, *options, **status)


def write_lists(folder: Path, lists: dict[str, list[str]]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, names in lists.items():
        (folder / f"{split}.txt").write_text("\n".join(names))
    return folder


def parents(output: Path) -> dict[str, set[str]]:
    """Return the ids of the images in each split."""
    found: dict[str, set[str]] = {}
    for row in read_manifest(output / "manifest.parquet"):
        found.setdefault(row.split, set()).update({row.source_a} | ({row.source_b} if row.source_b else set()))
    return found


def test_lists_choose_images_and_their_splits(generate: Callable[..., Any], cache: Path, tmp_path: Path) -> None:
    lists = write_lists(tmp_path / "lists", LISTS)
    generate("--split", lists)
    out = tmp_path / "out"

    assert parents(out) == {split: set(names) for split, names in LISTS.items()}
    run = json.loads((out / "run.json").read_text())
    assert (run["sources"], run["refused"]["total"]) == (6, 0)
    assert run["config"]["source"]["split"] == str(lists)
    assert (out / "refused.csv").read_text() == "id,path,stage,reason\n"
    # The lists are needed no more.
    for file in lists.iterdir():
        file.unlink()
    run_cli("verify", out, "--replay", 9)
    before = (out / "preview.png").read_bytes()
    run_cli("preview", out)
    assert (out / "preview.png").read_bytes() == before


def test_a_part_is_finished_and_extended_like_every_dataset(generate: Callable[..., Any], tmp_path: Path) -> None:
    lists, out = write_lists(tmp_path / "lists", LISTS), tmp_path / "out"
    generate("--split", lists)
    manifest = (out / "manifest.parquet").read_bytes()
    generate("--split", lists)
    assert (out / "manifest.parquet").read_bytes() == manifest

    write_lists(lists, {"train": [*LISTS["train"], "case_03"]})
    assert "sources: 1 not refused any more (case_03); add to it with --extend" in error_of(
        generate("--split", lists, status=1)
    )
    generate("--split", lists, "--extend")
    assert parents(out)["train"] == {*LISTS["train"], "case_03"}
    write_lists(lists, LISTS)
    assert "case_03" in error_of(generate("--split", lists, status=1))


def test_what_is_listed_and_not_in_the_cache_is_refused_by_name(generate: Callable[..., Any], tmp_path: Path) -> None:
    lists = write_lists(tmp_path / "lists", {**LISTS, "val": ["case_06", "case_99.png"]})

    line = error_of(generate("--split", lists, status=1))

    assert f"{lists} names case_99, which the cache" in line
    assert "does not hold (its ids look like case_00); take out what is not there" in line
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_a_ratio_draws_other_splits(generate: Callable[..., Any], tmp_path: Path) -> None:
    generate("--split", "4/2/2")
    assert {split: len(names) for split, names in parents(tmp_path / "out").items()} == {
        "train": 4,
        "val": 2,
        "test": 2,
    }


def test_folds_are_dealt_of_what_was_prepared_without(generate: Callable[..., Any], tmp_path: Path) -> None:
    generate("--folds", 2, "--split", "6/1/1")
    out = tmp_path / "out"

    folds = [parents(out / f"fold-{k}") for k in range(2)]
    assert folds[0]["test"] == folds[1]["test"]
    assert folds[0]["val"] == folds[1]["train"] - folds[1]["val"]
    assert not folds[0]["val"] & folds[1]["val"]
    for k in range(2):
        run_cli("verify", out / f"fold-{k}", "--replay", 3)


def test_a_trial_of_a_cache_goes_before_all_of_it(generate: Callable[..., Any], tmp_path: Path) -> None:
    generate("--limit", 4)
    assert len(set().union(*parents(tmp_path / "out").values())) == 4
    generate()
    assert len(set().union(*parents(tmp_path / "out").values())) == 8


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        (("--split", "nowhere"), "split must be a ratio such as 0.8/0.1/0.1, a folder or a file"),
        (("--folds", 9), "9 folds need"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    generate: Callable[..., Any], options: tuple[object, ...], stated: str
) -> None:
    assert stated in error_of(generate(*options, status=1))


def test_of_several_sets_that_with_most_of_what_is_wanted_is_taken(cache: Path) -> None:
    made = load(cache)
    drawn = dataclasses.replace(made, config=made_config(made, split="6/1/1"))
    trial = dataclasses.replace(made, config=made_config(made, limit=4))
    wanted = made_config(made, split="6/1/1", limit=3)

    assert of_options(cache, [made, drawn, trial], wanted) is drawn
    assert of_options(cache, [made, drawn, trial], made_config(made, split="1/1/1")) is made
    other = dataclasses.replace(made, config=made.config.model_copy(update={"seed": 5}))
    assert of_options(cache, [made, other], made_config(other, limit=3)) is other
    with pytest.raises(HsmixError, match="holds 2 sets of features"):
        of_options(cache, [made, other], made_config(made, limit=3).model_copy(update={"seed": 6}))


def test_a_subset_trains_on_the_groups_that_a_run_with_it_draws(made: Made, cache: Path, tmp_path: Path) -> None:
    """Both share the cache; validation and test stay whole."""
    of_all = {record.id: record.split for record in load(cache).folds[0].records}
    cache = shutil.copytree(cache, tmp_path / "cache")
    few = ("--cache", cache, "--subset", "2", "--subset-seed", "3", *QUIETLY)
    run_cli("generate", tmp_path / "out", *few)
    run_cli("run", made.source, tmp_path / "run", *TINY, *few)

    found = parents(tmp_path / "out")
    assert found == parents(tmp_path / "run")
    assert len(found["train"]) == 2
    assert found["val"] | found["test"] == {name for name, split in of_all.items() if split != "train"}
    run_cli("verify", tmp_path / "out", "--replay", 3)
    # The cache is still that of all sources.
    run_cli("run", made.source, tmp_path / "all", *TINY, *QUIETLY, "--cache", cache)


def test_a_set_of_a_subset_gives_a_smaller_one_alone(cache: Path) -> None:
    whole = load(cache)
    few = dataclasses.replace(whole, config=made_config(whole, subset=3, subset_seed=1))

    assert not lacking(few, few.options | {"source.subset": 2})
    assert lacking(few, few.options | {"source.subset": 4}) == ["source.subset"]
    assert lacking(few, few.options | {"source.subset": 2, "source.subset_seed": 2}) == ["source.subset_seed"]
    assert lacking(few, whole.options) == ["source.subset", "source.subset_seed"]
    assert not lacking(whole, few.options)


# ---------------------------------------------------------------------------
# Leakage


@pytest.fixture
def with_network(cache: Path) -> FeatureSet:
    """The set of features as if its maps came of a network that was fitted on the training images."""
    made = load(cache)
    saliency = made.config.saliency.model_copy(update={"backend": "gradcam"})
    return dataclasses.replace(made, config=made.config.model_copy(update={"saliency": saliency}))


def made_config(made: FeatureSet, **source: Any) -> RunConfig:
    config = made.config.to_dict()
    return RunConfig.model_validate({**config, "source": {**config["source"], **source}})


def choosing(made: FeatureSet, **source: Any) -> Any:
    return choose_sources(made, made_config(made, **source), Reporter(SilentDisplay()))


def test_images_that_a_network_was_fitted_on_are_not_tested_on(with_network: FeatureSet, tmp_path: Path) -> None:
    homes = {record.id: record.split for record in with_network.folds[0].records}
    train = sorted(name for name, split in homes.items() if split == "train")
    rest = sorted(homes.keys() - set(train))
    moved = write_lists(tmp_path / "moved", {"train": train[1:], "test": [train[0], *rest]})
    fewer = write_lists(tmp_path / "fewer", {"train": train[1:], "test": rest})

    with pytest.raises(HsmixError, match=rf"1 images that the network .* first {train[0]} \(leakage\); keep them"):
        choosing(with_network, split=str(moved))
    with pytest.raises(HsmixError, match=r"leakage"):
        choosing(with_network, folds=2)
    (chosen,) = choosing(with_network, split=str(fewer))
    assert {r.id for r in chosen.records if r.refusal is None} == homes.keys() - {train[0]}


def test_networks_of_folds_are_for_these_folds_only(with_network: FeatureSet, tmp_path: Path) -> None:
    (made,) = with_network.folds
    homes = {record.id: number % 2 for number, record in enumerate(made.records)}
    folds = [
        dataclasses.replace(
            made,
            records=[
                dataclasses.replace(r, fold=k, split="val" if homes[r.id] == k else "train") for r in made.records
            ],
        )
        for k in range(2)
    ]
    config = made_config(with_network, folds=2)
    with_network = dataclasses.replace(with_network, folds=folds, config=config)
    part_lists = {"train": sorted(homes)[1:]}
    part = write_lists(tmp_path / "part", part_lists)

    chosen = choosing(with_network, split=str(part))
    for k in range(2):
        splits = {r.id: r.split for r in chosen[k].records if r.refusal is None}
        assert splits == {name: "val" if homes[name] == k else "train" for name in sorted(homes)[1:]}
    with pytest.raises(HsmixError, match="holds a network for each of its 2 folds"):
        choosing(with_network, folds=3)
    with pytest.raises(HsmixError, match="leakage"):
        choosing(with_network, split=str(write_lists(tmp_path / "tested", {**part_lists, "test": ["case_00"]})))
    with pytest.raises(HsmixError, match="fold 1 of 2 has none of the chosen images"):
        choosing(with_network, split=str(write_lists(tmp_path / "few", {"train": ["case_00", "case_02"]})))


@pytest.mark.parametrize("form", ["{}", "images/{}.png"])
def test_lists_name_images_that_go_under_hashes(cache: Path, tmp_path: Path, form: str) -> None:
    made = load(cache)
    hashed = [dataclasses.replace(r, id=hash_of(r.id, "source", b"")) for r in made.folds[0].records]
    lone = Refusal(hash_of("lone", "source", b""), "lone.png", "pairing", "has no mask")
    made = dataclasses.replace(made, folds=[dataclasses.replace(made.folds[0], records=hashed, unpaired=(lone,))])
    lists = {split: list(map(form.format, names)) for split, names in {**LISTS, "val": [*LISTS["val"], "lone"]}.items()}

    (chosen,) = choosing(made, split=str(write_lists(tmp_path / "lists", lists)))

    assert chosen.unpaired == (lone,)
    used = {record.id: record.split for record in chosen.records if record.refusal is None}
    assert used == {hash_of(name, "source", b""): split for split, names in LISTS.items() for name in names}


def test_a_torn_group_is_refused(cache: Path, tmp_path: Path) -> None:
    made = load(cache)
    grouped = [
        dataclasses.replace(record, group="patient" if record.id in {"case_00", "case_06"} else record.group)
        for record in made.folds[0].records
    ]
    made = dataclasses.replace(made, folds=[dataclasses.replace(made.folds[0], records=grouped)])
    lists = write_lists(tmp_path / "lists", LISTS)

    with pytest.raises(HsmixError, match="1 group stands in more than one split"):
        choosing(made, split=str(lists))
    apart = write_lists(tmp_path / "apart", {**LISTS, "val": ["case_04"]})
    assert choosing(made, split=str(apart))


def test_equal_images_stay_on_one_side(cache: Path, tmp_path: Path) -> None:
    made = load(cache)
    first = made.folds[0].records[0]
    twins = [
        dataclasses.replace(record, image_sha256=first.image_sha256) if record.id == "case_06" else record
        for record in made.folds[0].records
    ]
    made = dataclasses.replace(made, folds=[dataclasses.replace(made.folds[0], records=twins)])

    (chosen,) = choosing(made, split=str(write_lists(tmp_path / "lists", LISTS)))

    assert [refusal.id for refusal in chosen.refusals] == ["case_00"]
    assert "same bytes as val image case_06 (leakage)" in chosen.refusals[0].reason


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    """The features of six volumes, of which one validates and one tests; no slice is without foreground."""
    source, cache = tmp_path_factory.mktemp("volumes"), tmp_path_factory.mktemp("cache")
    for kind in ("images", "masks"):
        (source / kind).mkdir()
    for number in range(6):
        mask = np.zeros((3, 16, 16), np.uint8)
        mask[:, 3:8, 4:9] = 1
        noise = np.random.default_rng(number).normal(0, 9, mask.shape)
        np.save(source / "masks" / f"v{number}.npy", mask)
        np.save(source / "images" / f"v{number}.npy", (90 * mask + noise).astype(np.float32))
    write_lists(source / "splits", {"train": ["v0", "v1", "v2", "v3"], "val": ["v4"], "test": ["v5"]})
    small = ("--size", 16, "--variants", 1, "--regions", 4, 8, "--saliency", "uniform")
    run_cli("prepare", source, "--cache", cache, *small, "--backend", "serial", "--progress", "none")
    return load(cache)


def slices(made: FeatureSet, **source: object) -> dict[str, list[int]]:
    """Return how many slices of each volume stand in a split, of the first fold."""
    config = made.config.model_copy(update={"source": made.config.source.model_copy(update=source)})
    chosen = choose_sources(made, config, Reporter(SilentDisplay()))[0].records
    counts = Counter((record.split, record.group) for record in chosen if record.refusal is None)
    return {split: [n for (home, _), n in counts.items() if home == split] for split in ("train", "val", "test")}


def test_parts_of_a_cache_are_whole_volumes(volumes: FeatureSet, tmp_path: Path) -> None:
    """The first slice too, which has the name of its file; of few volumes something is in every split."""
    lists = write_lists(tmp_path / "lists", {"train": ["v0", "v3"], "val": ["v5"], "test": ["v4"]})

    assert slices(volumes, split=str(lists)) == {"train": [3, 3], "val": [3], "test": [3]}
    assert slices(volumes, limit=4) == {"train": [3, 3], "val": [3], "test": [3]}
    assert set(slices(volumes, folds=2)["val"]) == {3}


def test_what_is_left_out_says_by_which_option(volumes: FeatureSet, tmp_path: Path) -> None:
    lists = write_lists(tmp_path / "lists", {"train": ["v0", "v1", "v2", "v3"], "val": ["v4"]})
    changed = volumes.config.source.model_copy(update={"split": str(lists), "limit": 4})
    config = volumes.config.model_copy(update={"source": changed})
    chosen = choose_sources(volumes, config, Reporter(SilentDisplay()))[0].records

    reasons = {record.group: record.refusal for record in chosen if record.refusal is not None}
    assert reasons.pop("v5") == f"left out: stands in no list of {lists}"
    assert set(reasons.values()) == {"left out: by --limit 4"}


def test_volumes_are_not_evaluated_on_slices_that_were_chosen_for_training(volumes: FeatureSet) -> None:
    thinned = volumes.config.volume.model_copy(update={"every": 2})
    (fold,) = volumes.folds
    torn = dataclasses.replace(fold, records=[dataclasses.replace(record, whole=False) for record in fold.records])
    made = dataclasses.replace(volumes, config=volumes.config.model_copy(update={"volume": thinned}), folds=[torn])

    assert slices(made, limit=4) == {"train": [3, 3], "val": [3], "test": [3]}
    for source in ({"split": "0.4/0.3/0.3"}, {"folds": 2}):
        with pytest.raises(SourceError, match=r"volumes?, first v\d, would be validated or tested on, .*--every 1"):
            slices(made, **source)


@pytest.mark.parametrize("chosen", [True, False])
def test_volumes_are_not_evaluated_without_a_slice_that_was_refused(
    volumes: FeatureSet, tmp_path: Path, *, chosen: bool
) -> None:
    """As in `run`, where the whole volume is left out of validation and test; training keeps its other slices."""
    (fold,) = volumes.folds
    refused = [
        dataclasses.replace(record, refusal="scan: cannot be used") if record.id == "v1-z001" else record
        for record in fold.records
    ]
    volume = volumes.config.volume if chosen else VolumeConfig(every=1, min_foreground=0)
    config = volumes.config.model_copy(update={"volume": volume})
    made = dataclasses.replace(volumes, config=config, folds=[dataclasses.replace(fold, records=refused)])
    trained, tested = (
        str(write_lists(tmp_path / name, {"train": ["v0", name], "val": ["v4"], "test": [other]}))
        for name, other in (("v1", "v2"), ("v2", "v1"))
    )

    assert slices(made, split=trained) == {"train": [3, 2], "val": [3], "test": [3]}
    with pytest.raises(SourceError, match=r"1 volume, first v1, would be .*lacks slices of them"):
        slices(made, split=tested)
