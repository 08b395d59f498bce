"""What is told before work starts: room, folders, machines and the GPU's memory."""

import dataclasses
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click.testing
import pytest
import torch

from hsmix_gen.pipeline import storage
from hsmix_gen.pipeline.bindings import Bindings
from hsmix_gen.pipeline.cache import RECORDS
from hsmix_gen.pipeline.features import Layers
from hsmix_gen.pipeline.gpu_memory import GpuMemory, gradcam_step, judge, measure_steps
from hsmix_gen.pipeline.inventory import Inventory, Place
from hsmix_gen.pipeline.locations import location
from hsmix_gen.pipeline.node_checks import (
    Answer,
    Canary,
    check_nodes,
    ends_of,
    file_sizes,
    files_of,
    given_files,
    look_around,
    relevant_versions,
)
from hsmix_gen.pipeline.output import Output
from hsmix_gen.pipeline.preflight import PROBE_BYTES, Preflight, check_writable
from hsmix_gen.pipeline.prepared import load
from hsmix_gen.pipeline.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.ray_nodes import on_each_node
from hsmix_gen.pipeline.reading import Discovery
from hsmix_gen.pipeline.running import Failure, SerialRunner
from hsmix_gen.pipeline.space import Need, Room, blank_share, cache_need, check_space, output_need, room_left
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ModelError, OutputError, SourceError
from hsmix_gen.schemas.records import (
    Content,
    DatasetFacts,
    Part,
    ScanResult,
    SourceItem,
    SourceRecord,
    picture,
)

FACTS = DatasetFacts((40, 50), 3, "uint8", ("background", "cell"), ((0, 0), (255, 1)))
CONFIG = RunConfig()
GB = 10**9
DESCRIBED = 65_536 + 24 * 2000 * 3 * 85 // 100
"""Bytes of what describes a dataset of `FACTS`, its preview above all, in 10 files."""


def layers_in(root: Path, *, rows: int = 20, **facts: Any) -> Layers:
    found = dataclasses.replace(FACTS, **facts)
    return Layers(root, "images-1", "superpixels-1", "saliency-1", found, n_rows=rows, variants=4)


def record(number: int, split: str) -> SourceRecord:
    digest = f"{number:064d}"
    return SourceRecord(f"case_{number}", f"case_{number}", split, None, "a", "b", digest, digest, 40, 50)  # type: ignore[arg-type]


def records_of(**counts: int) -> list[SourceRecord]:
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [record(number, split) for number, split in enumerate(splits)]


def configured(**sections: dict[str, Any]) -> RunConfig:
    return RunConfig.model_validate(sections)


def inventory_of(places: list[Place]) -> Inventory:
    return Inventory(Discovery("list", (), ()), [], places, FACTS, [], [], ())


class Notes(SilentDisplay):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


# Room


def test_the_cache_needs_its_arrays_by_their_measured_factors(tmp_path: Path) -> None:
    """20 rows of 2,000 pixels: an image of 6,000 bytes, mask 120, labels 2,400, counts 8, saliency 2,000."""
    need = cache_need([layers_in(tmp_path)])

    assert need == Need(tmp_path, 20 * (6000 + 120 + 2400 + 8 + 2000 + 3 * 512), 2 * (3 + 3 + 2))


def test_finished_blocks_of_the_cache_need_nothing_more(tmp_path: Path) -> None:
    """Of 20 images the first block of 16 is there: 4 rows of superpixels are missing, and one block of two arrays."""
    layers = layers_in(tmp_path)
    storage.write_json(tmp_path / RECORDS / "superpixels-1" / "000000.json", {})
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

    assert output_need(output, records, FACTS, config) == Need(
        tmp_path, 14 * (5620 + 6144) + 3 * 20_480 + DESCRIBED, 3 * 2 + 10
    )
    # The folder format has files for image, mask and soft label of each sample.
    assert output_need(output, records, FACTS, both) == Need(
        tmp_path, 14 * (11240 + 6144) + 3 * 20_480 + DESCRIBED, 6 + 14 * 3 + 10
    )


def test_uncompressed_images_and_labels_count_in_full(tmp_path: Path) -> None:
    """Floats are stored as npy, which is not compressed, and soft labels too if npy is asked for."""
    facts = dataclasses.replace(FACTS, dtype="float32")
    config = configured(mix={"copies": 1}, output={"shards": 1, "soft_encoding": "npy"})

    need = output_need(Output(tmp_path), records_of(train=1), facts, config)

    assert need.bytes == 2000 * 3 * 4 + 120 + 2000 * 2 * 2 + 6144 + 20_480 + DESCRIBED


def test_finished_shards_and_refused_sources_need_nothing_more(tmp_path: Path) -> None:
    records = records_of(train=4, val=2)
    refused = dataclasses.replace(record(9, "train"), refusal="scan: is damaged")
    config = configured(mix={"copies": 3}, output={"shards": 2})
    Bindings(tmp_path, tmp_path / ".hsmix").bind({"mix.copies": 3}, [*records, refused])
    for name in ("train-000001", "val-000000"):
        storage.write_json(tmp_path / ".hsmix" / "shards" / f"{name}.json", {})

    need = output_need(Output(tmp_path), [*records, refused], FACTS, config)

    assert need == Need(tmp_path, 6 * (5620 + 6144) + 20_480 + DESCRIBED, 2 + 10)


def test_an_extension_needs_what_it_adds(tmp_path: Path) -> None:
    """Of 4 images in 3 copies and 2 shards there are to be 5 in 4 copies, in 1 more shard of about 6 samples."""
    records = records_of(train=4, val=2)
    Bindings(tmp_path, tmp_path / ".hsmix").bind({"mix.copies": 3}, records)
    for name in ("train-000000", "train-000001", "val-000000"):
        storage.write_json(tmp_path / ".hsmix" / "shards" / f"{name}.json", {})
    config = configured(mix={"copies": 4}, output={"shards": 2})

    need = output_need(Output(tmp_path), [*records, record(9, "train")], FACTS, config)

    # A third of the samples, as one of three shards is missing.
    assert need == Need(tmp_path, 7 * (5620 + 6144) + 20_480 + DESCRIBED, 2 + 10)


def test_needs_on_one_file_system_are_added_and_refused_in_one_line(tmp_path: Path) -> None:
    needs = [Need(tmp_path / "out", 3 * GB, 1000), Need(tmp_path / "cache", 2 * GB, 0)]

    assert check_space(needs, CONFIG, lambda _: Room(1, 6 * GB, None)).needed == 5 * GB + 1000 * 2048
    with pytest.raises(OutputError) as told:
        check_space(needs, CONFIG, lambda _: Room(1, 4 * GB, None))

    assert str(told.value) == (
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


def test_the_need_is_above_what_a_run_writes_but_not_far(
    make_source: Callable[..., Path],
    tiny: tuple[str, ...],
    run_cli: Callable[..., click.testing.Result],
    tmp_path: Path,
) -> None:
    """Noise on every pixel is what compresses least; a need of ten times as much would refuse good disks."""
    out = tmp_path / "out"
    source = make_source(tmp_path / "source", train=12, val=2, test=2)
    options = (*tiny, "--format", "webdataset", "--format", "parquet", "--shards", "2")
    assert run_cli("run", source, out, *options).exit_code == 0
    (prepared,), config = load(out / ".hsmix" / "cache")
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())

    bare = dataclasses.replace(prepared.layers, root=tmp_path / "bare")
    needs = [cache_need([bare]), output_need(Output(tmp_path / "new"), prepared.records, bare.facts, config)]

    assert written <= sum(need.bytes for need in needs) <= 2 * written
    assert output_need(Output(out), prepared.records, bare.facts, config) == Need(out, 0, 0)
    assert cache_need([prepared.layers]) == Need(out / ".hsmix" / "cache", 0, 0)


def test_background_takes_no_room(tmp_path: Path) -> None:
    """Of slices of which 0.6 are empty, 1.25 x 0.4 + 0.05 count; masks, labels and maps count as before."""
    layers, config = layers_in(tmp_path), configured(mix={"copies": 1}, output={"shards": 1})
    scans = [ScanResult("a", zeros=0.5), ScanResult("b", zeros=0.7), ScanResult("c", problem="is damaged")]

    assert blank_share(scans) == pytest.approx(0.6)
    assert blank_share([]) == 0
    assert cache_need([layers]).bytes - cache_need([layers], blank=0.6).bytes == 20 * (6000 - 3300)
    whole, less = (output_need(Output(tmp_path), records_of(train=10), FACTS, config, blank=b) for b in (0, 0.6))
    assert whole.bytes - less.bytes == 10 * (5100 - 2805)


# Folders


def test_a_folder_that_takes_a_file_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable([tmp_path / "new" / "folder", tmp_path])

    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["new", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\); choose another folder"):
        check_writable([tmp_path])


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OutputError, match=r"file/cache cannot be written \(Not a directory\); choose another folder"):
        check_writable([tmp_path / "file" / "cache"])


def test_a_disk_that_takes_names_but_no_bytes_is_refused() -> None:
    """As a used up quota does: ``/dev/full`` is such a file, so a folder stands for it whose probe lies there."""

    class Full(type(Path())):  # type: ignore[misc]
        def write_bytes(self, data: bytes) -> int:
            assert len(data) == PROBE_BYTES
            with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123 - a path of this class would write itself
                return file.write(data)

    with pytest.raises(OutputError, match=r"\(No space left on device\); make room, or choose another folder"):
        check_writable([Full("/")])
    assert os.strerror(errno.ENOSPC) == "No space left on device"


# Machines


def same_machine(*names: str) -> Callable[..., list[tuple[str, Any]]]:
    """Return what asks so many machines, all of them this one."""
    return lambda call, *arguments: [(name, call(*arguments)) for name in names]


def machine(change: Callable[[Answer], Answer]) -> Callable[..., list[tuple[str, Any]]]:
    """Return what asks one machine, whose answer is changed."""
    return lambda call, *arguments: [("gpu-2 (10.0.0.2)", change(call(*arguments)))]


def with_versions(**versions: str) -> Callable[[Answer], Answer]:
    named = {name.replace("_", "-"): value for name, value in versions.items()}
    return lambda answer: dataclasses.replace(answer, versions={**answer.versions, **named})


def test_machines_that_share_everything_are_counted_and_leave_nothing_behind(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "image.png").write_bytes(b"1234")

    ask = same_machine("a", "b")
    count = check_nodes(
        ask, [tmp_path / "state", tmp_path / "cache"], [str(tmp_path / "image.png")], CONFIG, told.append
    )

    assert (count, told) == (2, [])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "image.png", "state"]


def test_a_machine_with_a_disk_of_its_own_is_named(tmp_path: Path) -> None:
    """It has the folder, but not what the driver wrote there, and it leaves nothing in it."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    own.mkdir()

    def ask(call: Callable[..., Answer], canaries: Sequence[Canary], *more: Any) -> list[tuple[str, Any]]:
        elsewhere = [dataclasses.replace(canary, path=own / canary.path.name) for canary in canaries]
        return [("gpu-1 (10.0.0.1)", call(canaries, *more)), ("gpu-2 (10.0.0.2)", call(elsewhere, *more))]

    with pytest.raises(
        OutputError,
        match=r"node gpu-2 \(10\.0\.0\.2\) does not share .*/shared with .* \(No such file or directory\); put",
    ):
        check_nodes(ask, [shared], [], CONFIG, lambda _: None)
    assert list(own.iterdir()) == list(shared.iterdir()) == []


def test_a_canary_of_another_content_is_no_canary(tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(b"old")

    answer = look_around([Canary(tmp_path / "canary", "new")], [], ())

    assert answer.unseen == ((0, "another file has its name there"),)
    assert [path.name for path in tmp_path.iterdir()] == ["canary"]


def test_an_answer_that_the_driver_does_not_see_is_refused(tmp_path: Path) -> None:
    """A machine may read a mirror of the disk and write elsewhere."""

    def lost(answer: Answer) -> Answer:
        for name in answer.written:
            (tmp_path / name).unlink()
        return answer

    with pytest.raises(
        OutputError, match=r"node gpu-2 \(10\.0\.0\.2\) writes to .*, but the driver does not see it there"
    ):
        check_nodes(machine(lost), [tmp_path], [], CONFIG, lambda _: None)


@pytest.mark.parametrize(("size", "told"), [(None, "does not see it"), (3, "sees 3 bytes")])
def test_a_source_that_a_machine_sees_otherwise_is_refused(tmp_path: Path, size: int | None, told: str) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"1234")
    ask = machine(lambda answer: dataclasses.replace(answer, sizes={str(image): size}))

    with pytest.raises(SourceError, match=rf"image\.png has 4 bytes for the driver, but node gpu-2 .* {told}; put it"):
        check_nodes(ask, [], [str(image)], CONFIG, lambda _: None)


def test_a_version_that_decides_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"node gpu-2 .* would give other bytes, as it has scipy 0\.1 \(here .*\); install"
    ):
        check_nodes(machine(with_versions(scipy="0.1")), [tmp_path], [], CONFIG, lambda _: None)


def test_another_kind_of_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"as it has machine vax \(here "):
        check_nodes(machine(with_versions(machine="vax")), [tmp_path], [], CONFIG, lambda _: None)


def test_a_version_that_no_byte_depends_on_is_a_note(tmp_path: Path) -> None:
    told: list[str] = []

    check_nodes(machine(with_versions(ray="0.1", python="3.0.0")), [tmp_path], [], CONFIG, told.append)

    assert len(told) == 1
    assert "node gpu-2 (10.0.0.2) has python 3.0.0, here " in told[0]
    assert "has ray 0.1, here " in told[0]


def test_torch_matters_only_where_a_network_makes_the_maps() -> None:
    assert "torch" in relevant_versions(CONFIG)
    assert "torch" not in relevant_versions(configured(saliency={"backend": "uniform"}))
    assert {"hsmix-gen", "numpy", "pillow", "scikit-image"} <= set(relevant_versions(CONFIG))


def test_a_machine_that_fails_is_named(tmp_path: Path) -> None:
    def ask(*_: Any) -> list[tuple[str, Any]]:
        return [("gpu-2 (10.0.0.2)", Failure("ModuleNotFoundError: No module named 'hsmix_gen'"))]

    with pytest.raises(OutputError, match=r"node gpu-2 .* cannot work for this run: ModuleNotFoundError: .*; install"):
        check_nodes(ask, [tmp_path], [], CONFIG, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_the_ends_of_a_folder_are_its_first_and_last_file(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/empty/.hidden", "a/x/1.png", "c/.later", "b/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    assert ends_of(tmp_path) == [str(tmp_path / "a/x/1.png"), str(tmp_path / "b/3.png")]
    assert ends_of(tmp_path / "b" / "2.png") == [str(tmp_path / "b/2.png")]
    assert ends_of(tmp_path / "absent") == []
    assert ends_of(location("s3://bucket/source")) == []


def test_a_folder_that_links_to_itself_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)

    assert ends_of(tmp_path) == []


def test_files_of_items_are_those_of_the_first_and_the_last() -> None:
    volume = Content("nifti", ("v1.nii", "", "v2.nii"), body="body.nii")
    items = [SourceItem("a", picture("a.png"), picture("am.png")), SourceItem("b", picture("b.png"), picture("bm.png"))]
    places = [Place(item, Part()) for item in [*items, SourceItem("c", volume, picture("cm.png"))]]

    assert files_of(places) == ["a.png", "am.png", "v1.nii", "v2.nii", "body.nii", "cm.png"]
    assert files_of(places[:1]) == ["a.png", "am.png"]


def test_what_lies_in_a_store_or_is_staged_is_not_compared() -> None:
    """Every machine fetches it by itself."""
    assert file_sizes(["s3://bucket/w.pt", "/home/me/hsmix-staged/s3-0123abcd/bucket/a.png", "/absent"]) == {
        "/absent": None
    }


def test_weights_and_maps_are_looked_for_on_machines_too(tmp_path: Path) -> None:
    (tmp_path / "case.png").write_bytes(b"")
    weights = configured(saliency={"model": "nets:make", "weights": "/disk/w.pt"})
    maps = configured(saliency={"backend": "precomputed", "folder": str(tmp_path)})

    assert given_files(weights.saliency) == ["/disk/w.pt"]
    assert given_files(maps.saliency) == [str(tmp_path / "case.png")]


# The whole


def test_what_was_checked_is_told_in_one_line(tmp_path: Path) -> None:
    config = configured(run={"address": "10.0.0.1:6379"}, mix={"copies": 3}, output={"shards": 2})
    source, display, layers = tmp_path / "source", Notes(), layers_in(tmp_path / "cache")
    source.mkdir()
    (source / "a.png").write_bytes(b"1")
    place = Place(SourceItem("a", picture(str(source / "a.png")), picture(str(source / "a.png"))), Part())
    preflight = Preflight(
        config,
        SerialRunner(has_gpu=False),
        Reporter(display),
        ask=same_machine("a", "b"),
        room_of=lambda _: Room(1, 80 * GB, None),
    )

    preflight.places(source, [tmp_path / "out" / ".hsmix", tmp_path / "cache"])
    preflight.plan([layers], [Output(tmp_path / "out")], [records_of(train=4)], inventory=inventory_of([place]))

    assert display.notes == ["checked: 672.8 kB needed, 80.0 GB free; 2 nodes share the folders and versions"]
    assert list(tmp_path.rglob(".hsmix-tmp-*")) == []


def test_items_that_a_machine_lacks_are_refused_once_they_are_known(tmp_path: Path) -> None:
    """A list may name files anywhere, so its own place says nothing of them."""
    listed, image = tmp_path / "list.csv", tmp_path / "elsewhere.png"
    for path in (listed, image):
        path.write_bytes(b"1")
    place = Place(SourceItem("a", picture(str(image)), picture(str(image))), Part())
    ask = machine(lambda answer: dataclasses.replace(answer, sizes=dict.fromkeys(answer.sizes) | {str(listed): 1}))
    config = configured(run={"address": "10.0.0.1:6379"})
    preflight = Preflight(config, SerialRunner(has_gpu=False), Reporter(Notes()), ask=ask)

    preflight.places(listed, [tmp_path / "out"])
    with pytest.raises(
        SourceError, match=r"elsewhere\.png has 1 bytes for the driver, but node gpu-2 .* does not see it"
    ):
        preflight.plan([layers_in(tmp_path)], [], [], inventory=inventory_of([place]))


def test_without_a_cluster_nobody_is_asked(tmp_path: Path) -> None:
    display = Notes()
    preflight = Preflight(CONFIG, SerialRunner(has_gpu=False), Reporter(display), ask=None)

    preflight.places(tmp_path, [tmp_path / "out"])
    preflight.plan([layers_in(tmp_path / "cache")], [], [], space=False)

    assert display.notes == []
    assert on_each_node(SerialRunner(has_gpu=False), look_around, [], [], ()) == []


def test_a_disk_that_is_too_small_ends_the_plan_unless_it_is_told_to_go_on(tmp_path: Path) -> None:
    preflight = Preflight(CONFIG, SerialRunner(has_gpu=False), Reporter(Notes()), room_of=lambda _: Room(1, 1000, None))

    preflight.plan([layers_in(tmp_path)], [], [], space=False)
    with pytest.raises(OutputError, match=r"has 1\.0 kB free"):
        preflight.plan([layers_in(tmp_path)], [], [])


# The GPU


class FakeCuda:
    """A GPU with room for so many images, which counts as ``torch.cuda`` does."""

    class OutOfMemoryError(RuntimeError):
        pass

    def __init__(self, images: int) -> None:
        self.images, self.ooms, self.peak = images, 0, 0

    def mem_get_info(self) -> tuple[int, int]:
        return 6 * GB, 8 * GB

    def empty_cache(self) -> None:
        pass

    def reset_peak_memory_stats(self) -> None:
        self.peak = 0

    def memory_stats(self) -> dict[str, int]:
        return {"num_ooms": self.ooms}

    def max_memory_allocated(self) -> int:
        return self.peak

    def step(self, count: int) -> None:
        """Halve the batch while memory is short, as Grad-CAM does, and give up at one image."""
        if count > self.images:
            self.ooms += 1
            if count == 1:
                raise ModelError("a batch of 1 image exceeds the memory")
            self.step(count // 2)
            return
        self.peak = max(self.peak, count * GB)


@pytest.mark.parametrize(("images", "one", "batch"), [(8, GB, 8 * GB), (5, GB, None), (0, None, None)])
def test_a_step_of_one_image_and_of_a_batch_is_measured(images: int, one: int | None, batch: int | None) -> None:
    """A batch that was halved on the way did not fit, though its step came to an end."""
    cuda = FakeCuda(images)

    assert measure_steps(cuda.step, 8, cuda) == GpuMemory(8 * GB, 6 * GB, one, batch)


def test_the_step_passes_batches_of_the_images_size_forward_and_backward(tmp_path: Path) -> None:
    """On the CPU, as there is no GPU here; the network of the user keeps what it is given."""
    (tmp_path / "preflight_nets.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.body, self.head = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 1)\n"
        "        self.body.register_forward_hook(self.note)\n"
        "        self.seen, self.backward = [], []\n"
        "    def note(self, _module, _inputs, output):\n"
        "        if output.requires_grad:\n"
        "            output.register_hook(lambda gradient: self.backward.append(tuple(gradient.shape)))\n"
        "    def forward(self, images):\n"
        "        self.seen.append(tuple(images.shape))\n"
        "        return self.head(self.body(images))\n"
        "NET = Net()\n"
        "def make():\n"
        "    return NET\n"
    )
    config = configured(saliency={"model": "preflight_nets:make", "batch": 2, "layer": "body"})

    step = gradcam_step(layers_in(tmp_path), config, tmp_path, torch.device("cpu"))
    step(1)
    step(2)

    network = sys.modules["preflight_nets"].NET
    assert network.seen == [(1, 3, 40, 50), (2, 3, 40, 50)]
    assert network.backward == [(1, 4, 40, 50), (2, 4, 40, 50)]


def test_a_network_that_fails_for_another_reason_is_told_as_it_is() -> None:
    def step(_: int) -> None:
        raise ModelError("layer 'x' must run once")

    with pytest.raises(ModelError, match="layer 'x' must run once"):
        measure_steps(step, 8, FakeCuda(8))


def test_a_gpu_too_small_for_one_image_is_refused_and_for_a_batch_is_told() -> None:
    assert judge(GpuMemory(8 * GB, 6 * GB, GB, 5 * GB), CONFIG) is None
    assert judge(GpuMemory(8 * GB, 6 * GB, GB, None), CONFIG) == (
        "the GPU has 6.0 GB of 8.0 GB free, too little for saliency.batch 8 (one image takes 1.0 GB): batches will be "
        "halved; -o saliency.batch or -o saliency.side lower than this spare the attempts"
    )
    with pytest.raises(
        ModelError, match=r"too little for the network on one image of 224 x 224; lower -o saliency\.side"
    ):
        judge(GpuMemory(8 * GB, 6 * GB, None, None), CONFIG)


# Two machines


@pytest.fixture
def cluster_address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=0)
    yield cluster.address
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_two_nodes_are_asked_and_the_one_that_sees_another_folder_is_named(
    cluster_address: str, tmp_path: Path
) -> None:
    """Both nodes are this machine, so one of them is made to look into a folder of its own."""
    from hsmix_gen.pipeline.ray_run import RayRunner

    own = tmp_path / "own"
    own.mkdir()
    runner = RayRunner(address=cluster_address, workers=None, processors=1, timeout_s=60)
    try:
        import ray

        blind = sorted(node["NodeID"] for node in ray.nodes() if node["Resources"].get("CPU"))[0]  # type: ignore[no-untyped-call]

        def partly_blind(canaries: Sequence[Canary], files: Sequence[str], names: tuple[str, ...]) -> Answer:
            if ray.get_runtime_context().get_node_id() == blind:
                canaries = [dataclasses.replace(canary, path=own / canary.path.name) for canary in canaries]
            return look_around(canaries, files, names)

        seen: list[str] = []
        folders = [tmp_path / "state", tmp_path / "cache"]
        count = check_nodes(lambda *asked: on_each_node(runner, *asked), folders, [], CONFIG, seen.append)
        with pytest.raises(OutputError, match=r"node \S+ \(\S+\) does not share .*/state with the driver"):
            check_nodes(lambda _, *asked: on_each_node(runner, partly_blind, *asked), folders, [], CONFIG, seen.append)

        def late() -> None:
            import time

            time.sleep(60)

        def broken() -> None:
            raise ModuleNotFoundError("No module named 'x'")

        silent = on_each_node(runner, late, timeout_s=1)
        failed = on_each_node(runner, broken)
    finally:
        runner.close()

    # The third has no processors and gets no work.
    assert (count, seen) == (2, [])
    assert [answer for _, answer in silent] == [Failure("gave no answer within 1 s")] * 2
    assert [answer for _, answer in failed] == [Failure("ModuleNotFoundError: No module named 'x'")] * 2
    assert list(own.iterdir()) == []
