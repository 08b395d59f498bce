"""The walls of the house: who may import whom, where each library lives, and what is packaged."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.house import (
    ROOMS,
    ROOT,
    TOP,
    arrows,
    circle,
    drawing,
    imported,
    modules_in,
    name_of,
    size_of,
    wrong_arrows,
)

MOST_MODULES, MOST_LINES = 20, 4000
EXPORTING = {"pipeline/__init__.py", "pipeline/loading/__init__.py"}  # what READMEs and cards import from a room

# Library -> the modules that may import it; a library not named here may be imported anywhere.
NOWHERE: set[str] = set()
LIBRARY_HOMES = {
    "click": {
        "pipeline/cli/commands.py",
        "pipeline/cli/job_call.py",
        "pipeline/cli/options.py",
    },
    "defusedxml": {"pipeline/decoders/aperio_xml.py"},
    "fsspec": {"pipeline/files/object_stores.py"},
    "google_crc32c": {"pipeline/features/zarr_shards.py"},
    "h5py": {"pipeline/decoders/array_containers.py", "pipeline/exports/synapse_export.py"},
    "jinja2": {"pipeline/reporting/page.py"},
    "matplotlib": {"pipeline/reporting/charts.py"},
    "nibabel": {
        "pipeline/decoders/geometry/dicom_geometry.py",
        "pipeline/exports/nnunet_files.py",
        "pipeline/decoders/nifti_volumes.py",
        "pipeline/decoders/nifti_headers.py",
        "pipeline/decoders/geometry/orientation.py",
    },
    "numcodecs": {"pipeline/features/zarr_shards.py"},
    "pyarrow": {
        "pipeline/loading/torch_datasets.py",
        "pipeline/decoders/packed_members.py",
        "pipeline/readers/parquet_reader.py",
        "pipeline/dataset/formats/parquet_format.py",
        "pipeline/files/tables.py",
        "schemas/tables.py",
    },
    "pycocotools": {"pipeline/decoders/coco_masks.py"},
    "pydicom": {
        "pipeline/decoders/dicom_codecs.py",
        "pipeline/decoders/dicom_images.py",
        "pipeline/decoders/dicom_headers.py",
        "pipeline/decoders/dicom_segmentations.py",
        "pipeline/readers/dicom_folder.py",
    },
    "pytorch_grad_cam": {"stages/saliency/gradcam.py"},  # six seconds of imports, where its methods are chosen
    "ray": {f"pipeline/execution/ray_{part}.py" for part in ("nodes", "places", "runner", "session", "worker")},
    "rich": {"pipeline/execution/progress.py"},
    "skimage": {
        "pipeline/decoders/aperio_xml.py",
        "stages/superpixels/felzenszwalb_regions.py",
        "stages/superpixels/precomputed_regions.py",
        "stages/superpixels/slic.py",
        "stages/superpixels/watershed_regions.py",
    },
    "sklearn": {"stages/planning/splitting.py"},
    "torch": {
        "pipeline/cli/doctor.py",
        "pipeline/features/gpu_memory.py",
        "pipeline/features/gradcam_units.py",
        "pipeline/loading/batch_mixing.py",
        "pipeline/loading/fresh_samples.py",
        "pipeline/loading/torch_datasets.py",
        "pipeline/features/networks.py",
        "pipeline/features/weight_files.py",
        "stages/augmentation/medical_augment.py",
        "stages/augmentation/operations.py",
        "stages/saliency/adamw.py",
        "stages/saliency/fit_batches.py",
        "stages/saliency/fitting.py",
        "stages/saliency/gradcam.py",
        "stages/saliency/layer_ranking.py",
        "stages/saliency/network_layers.py",
        "stages/saliency/network_io.py",
        "stages/saliency/torch_context.py",
        "stages/saliency/unet.py",
    },
    "zarr": {"pipeline/exports/zarr_export.py"},
    "random": NOWHERE,  # its state is global: chance comes from stages/randomness.py
    "multiprocessing": NOWHERE,  # Ray schedules
    "concurrent": {"pipeline/files/object_stores.py"},  # transfers in flight, a bounded number; Ray schedules all work
}

# Stages compute: files, clock and environment are the pipeline's.
NOT_IN_STAGES = {"datetime", "os", "pathlib", "time"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def nodes(path: Path) -> Iterator[ast.AST]:
    """Yield all nodes of a module, those inside functions and conditions too."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


def test_every_folder_is_a_room_and_every_room_holds_modules() -> None:
    """Without this, a moved folder would let every other test here pass on nothing."""
    assert {name_of(path.parent) for path in python_files(*TOP)} == set(ROOMS)
    assert all(len(modules_in(room)) > 1 for room in ROOMS)


def test_rooms_import_only_from_rooms_before_them() -> None:
    """A stage can be read without knowing who runs it, a schema without knowing who fills it; so there is no circle."""
    assert sum(1 for _ in arrows()) > len(ROOMS)
    assert wrong_arrows() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle() == []
    found = circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert (set(found), found[0]) == ({"a", "b", "c"}, found[-1])


def test_the_house_is_drawn_with_every_room() -> None:
    lines = drawing().splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(ROOMS)
    assert lines[-1] == "no arrow against the order, no circle"


def test_no_room_is_crowded() -> None:
    """A stranger reads the names of a room at one look; what does not fit is two rooms."""
    for room in ROOMS:
        modules, lines = size_of(room)
        assert modules <= MOST_MODULES, f"{room} holds {modules} modules"
        assert lines <= MOST_LINES, f"{room} holds {lines} lines"


def test_no_module_only_forwards() -> None:
    """A name has one path; only the public rooms export."""
    for path in python_files(*TOP):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.Module(body, [])), f"{name_of(path)} does not state its purpose"
            body = [] if name_of(path) in EXPORTING else body[1:]
            assert not body, f"{name_of(path)} holds more than its purpose"
        else:
            assert not all(isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) for node in body) or path.name == (
                "__main__.py"
            ), f"{name_of(path)} only forwards"


def test_tests_mirror_the_rooms() -> None:
    """What tests a room stands in the folder of its name; folders below hold what takes several files."""
    rooms = {f"tests/{room}" for room in ROOMS}
    others = {"tests/pipeline/contract"}  # what a run promises, read from its files alone
    for path in python_files("tests/schemas", "tests/stages", "tests/pipeline"):
        parents = [name_of(folder) for folder in path.parents if folder.is_relative_to(ROOT)]
        assert set(parents) & (rooms | others), f"{name_of(path)} belongs to no room"


def test_each_library_is_imported_in_its_home_only() -> None:
    """A library that lives in one place can be replaced in one place."""
    wrong = [
        f"{name_of(path)} imports {name}; the home of {library} is {sorted(homes) or 'nowhere'}"
        for path in python_files(*TOP)
        for library, homes in LIBRARY_HOMES.items()
        for name in sorted(imported(path))
        if name.split(".")[0] == library and name_of(path) not in homes
    ]
    assert wrong == []


def loaded_with(start: str) -> set[str]:
    """Return the libraries that come with a module of the package, by what stands at the top of its modules."""
    found, todo, seen = set(), [start], {start}
    while todo:
        tree = ast.parse((ROOT / todo.pop()).read_text(encoding="utf-8"))
        for node in tree.body:  # what stands inside functions and conditions comes when it is needed
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            froms = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            for name in froms or [alias.name for alias in node.names]:
                parts = name.split(".")
                if parts[0] != "hsmix_gen":
                    found.add(parts[0])
                    continue
                paths = ("/".join(parts[1:]) + ".py", "/".join(parts[1:-1]) + ".py")
                path = next((path for path in paths if (ROOT / path).is_file()), None)
                if path is not None and path not in seen:
                    seen.add(path)
                    todo.append(path)
    return found


def test_the_driver_loads_no_torch() -> None:
    """It is half of the start of a small job, and 400 MB; the processes that make maps load it."""
    for module in ("pipeline/jobs/run.py", "pipeline/features/gradcam_stage.py", "pipeline/mixing/make_shard.py"):
        assert "numpy" in loaded_with(module)
        assert loaded_with(module) & {"torch", "ray", "zarr", "sklearn", "nibabel"} == set(), module


def test_grad_cam_needs_torch_and_numpy_alone() -> None:
    """``make bench-gpu`` runs on a machine that has nothing else."""
    for module in ("stages/saliency/gradcam.py", "stages/saliency/fitting.py"):
        assert loaded_with(module) - set(sys.stdlib_module_names) == {"numpy", "torch"}, module


def test_stages_import_no_files_clock_or_environment() -> None:
    """What a stage returns depends on its arguments alone."""
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files("stages")
        for name in sorted(imported(path))
        if name.split(".")[0] in NOT_IN_STAGES
    ]
    assert wrong == []


def test_modules_are_imported_by_their_full_names() -> None:
    """``import stages.x`` works by accident in a checkout and makes every class a second time."""
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files(*TOP, "tests", "benchmarks")
        for name in sorted(imported(path))
        if name.split(".")[0] in {"", *TOP}  # "" is what stands before the dot of a relative import
    ]
    assert wrong == []


def test_nothing_prints() -> None:
    """Results and logs go through the command line's own functions, which know stdout from stderr."""
    wrong = [
        f"{name_of(path)}:{node.lineno} calls print"
        for path in python_files(*TOP)
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_each_top_folder_is_typed() -> None:
    """Type checkers need py.typed in each package."""
    assert all((ROOT / folder / "py.typed").is_file() for folder in TOP)


def test_the_map_of_the_house_shows_every_room_in_order() -> None:
    """CONTRIBUTING.md is what a newcomer reads first; what it names is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith(("| `schemas", "| `stages", "| `pipe"))]

    assert rows == [room for room in ROOMS if room != "pipeline"]


def test_the_modules_that_the_manual_names_are_there() -> None:
    for manual in ("CONTRIBUTING.md", "README.md", "SECURITY.md", "benchmarks/README.md"):
        text = (ROOT / manual).read_text(encoding="utf-8")
        named = re.findall(r"`((?:schemas|stages|pipeline|tests|benchmarks)/[\w/]+\.\w+)`", text)
        assert [name for name in named if not (ROOT / name).is_file()] == [], manual
