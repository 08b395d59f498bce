"""Room for the cache and the output: how much is needed, and how a disk that is too small is reported."""

import dataclasses
from pathlib import Path

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import RunIdentity
from hsmix_gen.pipeline.features.cache_description import load
from hsmix_gen.pipeline.features.feature_cache import RECORDS
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.jobs.disk_space import Need, Room, blank_share, cache_need, check_space, output_need, room_left
from hsmix_gen.pipeline.mixing.output_plan import check_output
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import ScanResult
from tests.command_line import TINY, run_cli
from tests.pipeline.jobs.plans import CONFIG, FACTS, GB, configured, layers_in, planned, record, records_of
from tests.small_sources import make_source

DESCRIBED = 65_536 + 48 * 4 * 2000 * 3 * 85 // 100
"""Bytes of what describes a dataset of `FACTS`, its preview above all, in 10 files."""


def test_the_cache_needs_its_arrays_by_their_measured_factors(tmp_path: Path) -> None:
    """20 rows of 2,000 pixels: an image of 6,000 bytes, mask 120, look 24, labels 2,400, counts 8, saliency 2,000."""
    need = cache_need([layers_in(tmp_path)])

    assert need == Need(tmp_path, 20 * (6000 + 120 + 24 + 2400 + 8 + 2000 + 3 * 512), 2 * (4 + 3 + 2))


def test_finished_blocks_of_the_cache_need_nothing_more(tmp_path: Path) -> None:
    """Of 20 images the first block of 16 is there: 4 rows of superpixels are missing, and one block of two arrays."""
    layers = layers_in(tmp_path)
    atomic_files.write_json(tmp_path / RECORDS / "superpixels-1" / "000000.json", {})
    whole = cache_need([layers_in(tmp_path / "other")])

    assert whole.bytes - cache_need([layers]).bytes == 16 * (2400 + 8 + 512)
    assert whole.files - cache_need([layers]).files == 3


def test_folds_share_images_and_superpixels_but_not_their_maps(tmp_path: Path) -> None:
    one = layers_in(tmp_path)
    both = [one, dataclasses.replace(one, saliency="saliency-2")]

    assert cache_need(both).bytes - cache_need([one]).bytes == 20 * (2000 + 512)
    assert cache_need([one, one]) == cache_need([one])


def test_the_output_needs_every_sample_in_every_format(tmp_path: Path) -> None:
    """4 x 3 mixed samples and 2 passed through: 2,000 pixels x (3 x 0.85 + 0.06 + 2 x 0.1) and 6,144 bytes each."""
    records = records_of(train=4, val=2)
    config = configured(mix={"copies": 3}, output={"shards": 2})
    both = configured(mix={"copies": 3}, output={"shards": 2, "formats": ("webdataset", "folder")})
    output = Output(tmp_path)

    assert output_need(planned(output, records, config), FACTS, config) == Need(
        tmp_path, 14 * (5620 + 6144) + 3 * 20_480 + DESCRIBED, 3 * 2 + 10
    )
    # The folder format has files for image, mask and soft label of each sample.
    assert output_need(planned(output, records, both), FACTS, both) == Need(
        tmp_path, 14 * (11240 + 6144) + 3 * 20_480 + DESCRIBED, 6 + 14 * 3 + 10
    )


def test_uncompressed_images_and_labels_count_in_full(tmp_path: Path) -> None:
    """Floats are stored as npy, which is not compressed, and soft labels too if npy is asked for."""
    facts = dataclasses.replace(FACTS, dtype="float32")
    config = configured(mix={"copies": 1}, output={"shards": 1, "soft_encoding": "npy"})

    need = output_need(planned(Output(tmp_path), records_of(train=2), config, facts=facts), facts, config)

    assert need.bytes == 2 * (2000 * 3 * 4 + 120 + 2000 * 2 * 2 + 6144) + 20_480 + DESCRIBED


def test_finished_shards_and_refused_sources_need_nothing_more(tmp_path: Path) -> None:
    records = records_of(train=4, val=2)
    refused = dataclasses.replace(record(9, "train"), refusal="scan: is damaged")
    config = configured(mix={"copies": 3}, output={"shards": 2})
    for name in ("train-000001", "val-000000"):
        atomic_files.write_json(tmp_path / ".hsmix" / "shards" / f"{name}.json", {})

    need = output_need(planned(Output(tmp_path), [*records, refused], config, is_bound=True), FACTS, config)

    assert need == Need(tmp_path, 6 * (5620 + 6144) + 20_480 + DESCRIBED, 2 + 10)


def test_an_extension_needs_what_it_adds(tmp_path: Path) -> None:
    """Of 4 images in 3 copies and 2 shards there are to be 5 in 4 copies, in 1 more shard of about 6 samples."""
    records = records_of(train=4, val=2)
    for name in ("train-000000", "train-000001", "val-000000"):
        atomic_files.write_json(tmp_path / ".hsmix" / "shards" / f"{name}.json", {})
    config = configured(mix={"copies": 4}, output={"shards": 2})

    before = RunIdentity({"mix.copies": 3}, records)
    need = output_need(planned(Output(tmp_path), [*records, record(9, "train")], config, before), FACTS, config)

    assert need == Need(tmp_path, 8 * (5620 + 6144) + 20_480 + DESCRIBED, 2 + 10)


def test_needs_on_one_file_system_are_added_and_refused_in_one_line(tmp_path: Path) -> None:
    needs = [Need(tmp_path / "out", 3 * GB, 1000), Need(tmp_path / "cache", 2 * GB, 0)]

    assert check_space(needs, CONFIG, lambda _: Room(1, 6 * GB, None)).needed == 5 * GB + 1000 * 2048
    with pytest.raises(OutputError) as stated:
        check_space(needs, CONFIG, lambda _: Room(1, 4 * GB, None))

    assert str(stated.value) == (
        f"{tmp_path}/out and {tmp_path}/cache needs about 5.0 GB more, has 4.0 GB free; make room, choose another "
        "folder, put the features elsewhere with --cache, lower --copies or --limit, store fewer bits with "
        "--dtype uint8, or go on regardless with -o run.check_space=false"
    )


def test_needs_on_two_file_systems_are_held_against_each(tmp_path: Path) -> None:
    """4 GB and 4 GB hold 3 and 2, but 4 and 1 do not hold them the other way round."""
    (tmp_path / "cache").mkdir()
    needs = [Need(tmp_path, 3 * GB, 0), Need(tmp_path / "cache", 2 * GB, 0)]
    rooms = {tmp_path: Room(1, 4 * GB, None), tmp_path / "cache": Room(2, 4 * GB, None)}

    assert check_space(needs, CONFIG, rooms.__getitem__).free == 4 * GB
    rooms[tmp_path / "cache"] = Room(2, 1 * GB, None)
    with pytest.raises(OutputError, match=r"cache needs about 2\.0 GB more, has 1\.0 GB free"):
        check_space(needs, CONFIG, rooms.__getitem__)


def test_too_few_inodes_are_refused_where_there_is_a_limit(tmp_path: Path) -> None:
    config = configured(output={"formats": ("folder",)})
    needs = [Need(tmp_path, 0, 5000)]

    assert check_space(needs, config, lambda _: Room(1, GB, 5000)).free == GB
    assert check_space(needs, config, lambda _: Room(1, GB, None)).free == GB
    with pytest.raises(OutputError, match=r"needs 5000 more files, has room for 4999; .*leave out --format folder"):
        check_space(needs, config, lambda _: Room(1, GB, 4999))


def test_object_stores_are_not_asked_for_room() -> None:
    found = check_space([Need(location("s3://bucket/out"), 10**18, 10**9)], CONFIG, lambda _: Room(1, 0, 0))

    assert (found.needed, found.free) == (0, None)


def test_room_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    asked = []

    def room_of(folder: Path) -> Room:
        asked.append(folder)
        return room_left(folder)

    assert (check_space([Need(tmp_path / "a" / "b", 1, 1)], CONFIG, room_of).free or 0) > 0
    assert asked == [tmp_path]


def test_the_need_is_above_what_a_run_writes_but_not_far(tmp_path: Path) -> None:
    """Noise on every pixel is what compresses least; a need of ten times as much would refuse good disks."""
    out = tmp_path / "out"
    source = make_source(tmp_path / "source", train=12, val=2, test=2)
    options = (*TINY, "--format", "webdataset", "--format", "parquet", "--shards", "2")
    run_cli("run", source, out, *options)
    made = load(out / ".hsmix" / "cache")
    (prepared,), config = made.folds, made.config
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())

    bare = dataclasses.replace(prepared.layers, root=tmp_path / "bare")
    needs = [
        cache_need([bare]),
        output_need(planned(Output(tmp_path / "new"), prepared.records, config, facts=bare.facts), bare.facts, config),
    ]

    assert written <= sum(need.bytes for need in needs) <= 2 * written
    again = check_output(Output(out), prepared.layers, prepared.records, config, extend=False)
    assert output_need(again, bare.facts, config) == Need(out, 0, 0)
    assert cache_need([prepared.layers]) == Need(out / ".hsmix" / "cache", 0, 0)


def test_background_takes_no_room(tmp_path: Path) -> None:
    """Of slices of which 0.6 are empty, 1.25 x 0.4 + 0.05 count; masks, labels and maps count as before."""
    layers, config = layers_in(tmp_path), configured(mix={"copies": 1}, output={"shards": 1})
    scans = [ScanResult("a", zeros=0.5), ScanResult("b", zeros=0.7), ScanResult("c", problem="is damaged")]

    assert blank_share(scans) == pytest.approx(0.6)
    assert blank_share([]) == 0
    assert cache_need([layers]).bytes - cache_need([layers], blank=0.6).bytes == 20 * (6000 - 3300)
    whole, less = (
        output_need(planned(Output(tmp_path), records_of(train=10), config), FACTS, config, blank=b) for b in (0, 0.6)
    )
    assert whole.bytes - less.bytes == 10 * (5100 - 2805)
