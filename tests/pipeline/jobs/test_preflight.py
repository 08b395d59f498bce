"""What is reported before work starts: folders that cannot be written, and all checks in one line."""

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.ray_nodes import on_each_node
from hsmix_gen.pipeline.execution.units import SerialRunner
from hsmix_gen.pipeline.jobs.disk_space import Room
from hsmix_gen.pipeline.jobs.node_checks import look_around
from hsmix_gen.pipeline.jobs.preflight import PROBE_BYTES, Preflight, check_writable
from hsmix_gen.pipeline.sources.discovery import Discovery
from hsmix_gen.pipeline.sources.inventory import ImageOrigin, Inventory
from hsmix_gen.schemas.errors import OutputError, SourceError
from hsmix_gen.schemas.records import Part, SourceItem, picture
from tests.pipeline.jobs.plans import (
    FACTS,
    GB,
    configured,
    layers_in,
    machine,
    planned,
    records_of,
    same_machine,
)


def inventory_of(places: list[ImageOrigin]) -> Inventory:
    return Inventory(Discovery("list", (), ()), [], places, FACTS, [], [], ())


class Notes(SilentDisplay):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


# Folders


def test_a_folder_that_takes_a_file_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")

    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["new", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\); choose another folder"):
        check_writable(tmp_path)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OutputError, match=r"file/cache cannot be written \(Not a directory\); choose another folder"):
        check_writable(tmp_path / "file" / "cache")


def test_a_disk_that_takes_names_but_no_bytes_is_refused() -> None:
    """As a used up quota does: ``/dev/full`` is such a file, so a folder stands for it whose probe lies there."""

    class Full(type(Path())):  # type: ignore[misc]
        def write_bytes(self, data: bytes) -> int:
            assert len(data) == PROBE_BYTES
            with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123 - a path of this class would write itself
                return file.write(data)

    with pytest.raises(OutputError, match=r"\(No space left on device\); make room, or choose another folder"):
        check_writable(Full("/"))
    assert os.strerror(errno.ENOSPC) == "No space left on device"


# The whole


def test_what_was_checked_is_reported_in_one_line(tmp_path: Path) -> None:
    config = configured(run={"address": "10.0.0.1:6379"}, mix={"copies": 3}, output={"shards": 2})
    source, display, layers = tmp_path / "source", Notes(), layers_in(tmp_path / "cache")
    source.mkdir()
    (source / "a.png").write_bytes(b"1")
    place = ImageOrigin(SourceItem("a", picture(str(source / "a.png")), picture(str(source / "a.png"))), Part())
    preflight = Preflight(
        config,
        SerialRunner(has_gpu=False),
        Reporter(display),
        ask=same_machine("a", "b"),
        room_of=lambda _: Room(1, 80 * GB, None),
    )

    preflight.places(source, [tmp_path / "out" / ".hsmix", tmp_path / "cache"])
    plan = planned(Output(tmp_path / "out"), records_of(train=4), config)
    preflight.plan([layers], [plan], inventory=inventory_of([place]))

    assert display.notes == ["checked: 1.5 MB needed, 80.0 GB free; 2 nodes share the folders and versions"]
    assert list(tmp_path.rglob(".hsmix-tmp-*")) == []


def test_items_that_a_machine_lacks_are_refused_once_they_are_known(tmp_path: Path) -> None:
    """A list may name files anywhere, so its own place says nothing of them."""
    listed, image = tmp_path / "list.csv", tmp_path / "elsewhere.png"
    for path in (listed, image):
        path.write_bytes(b"1")
    place = ImageOrigin(SourceItem("a", picture(str(image)), picture(str(image))), Part())
    ask = machine(lambda answer: dataclasses.replace(answer, sizes=dict.fromkeys(answer.sizes) | {str(listed): 1}))
    config = configured(run={"address": "10.0.0.1:6379"})
    preflight = Preflight(config, SerialRunner(has_gpu=False), Reporter(Notes()), ask=ask)

    preflight.places(listed, [tmp_path / "out"])
    with pytest.raises(
        SourceError, match=r"elsewhere\.png has 1 bytes for the driver, but node gpu-2 .* does not see it"
    ):
        preflight.plan([layers_in(tmp_path)], [], inventory=inventory_of([place]))


def test_machines_write_nothing_into_a_cache_that_is_only_read(tmp_path: Path) -> None:
    """They see that it is the driver's by the sizes of its descriptions."""
    cache, state, asked = tmp_path / "cache", tmp_path / "out", []
    cache.mkdir()
    state.mkdir()
    (cache / "features-1.json").write_text("{}")

    def ask(look: Any, canaries: Any, files: list[str], names: Any) -> list[tuple[str, Any]]:
        asked.append(([canary.path.parent for canary in canaries], files))
        return [("a", look(canaries, files, names))]

    config = configured(run={"address": "10.0.0.1:6379"})
    preflight = Preflight(config, SerialRunner(has_gpu=False), Reporter(Notes()), ask=ask)
    preflight.places(None, [state], finished=cache)

    assert asked == [([state], [str(cache / "features-1.json")])]


def test_without_a_cluster_nobody_is_asked(tmp_path: Path) -> None:
    display = Notes()
    config = configured(run={"check_space": False})
    preflight = Preflight(config, SerialRunner(has_gpu=False), Reporter(display), ask=None)

    preflight.places(tmp_path, [tmp_path / "out"])
    preflight.plan([layers_in(tmp_path / "cache")], [])

    assert display.notes == []
    assert on_each_node(SerialRunner(has_gpu=False), look_around, [], [], ()) == []


def test_a_serial_run_asks_no_cluster(tmp_path: Path) -> None:
    """An address may stand in a file of options that all runs share."""

    def ask(*_: object) -> list[tuple[str, object]]:
        raise AssertionError

    config = configured(run={"address": "10.0.0.1:6379", "backend": "serial"})

    Preflight(config, SerialRunner(has_gpu=False), Reporter(Notes()), ask=ask).places(tmp_path, [tmp_path / "out"])


def test_a_disk_that_is_too_small_ends_the_plan_unless_it_is_set_to_go_on(tmp_path: Path) -> None:
    def plan(*, check: bool) -> None:
        config, runner = configured(run={"check_space": check}), SerialRunner(has_gpu=False)
        small = Preflight(config, runner, Reporter(Notes()), room_of=lambda _: Room(1, 1000, None))
        small.plan([layers_in(tmp_path)], [])

    plan(check=False)
    with pytest.raises(OutputError, match=r"has 1\.0 kB free"):
        plan(check=True)
