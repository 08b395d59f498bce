"""Machines of a cluster share folders, sources and versions, or the one that does not is named."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.execution.ray_nodes import on_each_node
from hsmix_gen.pipeline.execution.units import Failure
from hsmix_gen.pipeline.files.store_paths import location
from hsmix_gen.pipeline.jobs.node_checks import (
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
from hsmix_gen.pipeline.sources.inventory import ImageOrigin
from hsmix_gen.schemas.errors import OutputError, SourceError
from hsmix_gen.schemas.records import Content, Part, SourceItem, picture
from tests.pipeline.jobs.plans import CONFIG, configured, machine, same_machine


def with_versions(**versions: str) -> Callable[[Answer], Answer]:
    named = {name.replace("_", "-"): value for name, value in versions.items()}
    return lambda answer: dataclasses.replace(answer, versions={**answer.versions, **named})


def test_machines_that_share_everything_are_counted_and_leave_nothing_behind(tmp_path: Path) -> None:
    stated: list[str] = []
    (tmp_path / "image.png").write_bytes(b"1234")

    ask = same_machine("a", "b")
    count = check_nodes(
        ask, [tmp_path / "state", tmp_path / "cache"], [str(tmp_path / "image.png")], CONFIG, stated.append
    )

    assert (count, stated) == (2, [])
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


@pytest.mark.parametrize(("size", "stated"), [(None, "does not see it"), (3, "sees 3 bytes")])
def test_a_source_that_a_machine_sees_otherwise_is_refused(tmp_path: Path, size: int | None, stated: str) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"1234")
    ask = machine(lambda answer: dataclasses.replace(answer, sizes={str(image): size}))

    with pytest.raises(SourceError, match=rf"image\.png has 4 bytes for the driver, but node gpu-2 .* {stated}; put"):
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
    stated: list[str] = []

    check_nodes(machine(with_versions(ray="0.1", python="3.0.0")), [tmp_path], [], CONFIG, stated.append)

    assert len(stated) == 1
    assert "node gpu-2 (10.0.0.2) has python 3.0.0, here " in stated[0]
    assert "has ray 0.1, here " in stated[0]


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
    places = [ImageOrigin(item, Part()) for item in [*items, SourceItem("c", volume, picture("cm.png"))]]

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

    assert given_files(weights) == ["/disk/w.pt"]
    assert given_files(maps) == [str(tmp_path / "case.png")]


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
    from hsmix_gen.pipeline.execution.ray_runner import RayRunner

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
