"""The walls of the house: who may import whom, where each library lives, and what is packaged."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Each room may import from itself and from the rooms before it.
ROOMS = ("schemas", "stages", "pipeline")

# Library -> the modules that may import it; a library not named here may be imported anywhere.
NOWHERE: set[str] = set()
LIBRARY_HOMES = {
    "click": {"pipeline/cli.py", "pipeline/help_sections.py", "pipeline/invocation.py", "pipeline/options.py"},
    "defusedxml": {"pipeline/polygon_files.py"},
    "fsspec": {"pipeline/stores.py"},
    "h5py": {"pipeline/array_containers.py", "pipeline/export_synapse.py"},
    "imagehash": {"pipeline/looks.py"},
    "monai": {"stages/fitting.py"},
    "nibabel": {
        "pipeline/dicom_planes.py",
        "pipeline/export_nnunet_files.py",
        "pipeline/nifti_files.py",
        "pipeline/nifti_headers.py",
        "pipeline/volume_frames.py",
    },
    "pyarrow": {
        "pipeline/loading.py",
        "pipeline/packed_files.py",
        "pipeline/parquet_reader.py",
        "pipeline/sample_files.py",
        "pipeline/shard_reading.py",
        "pipeline/shards.py",
        "pipeline/tables.py",
        "schemas/tables.py",
    },
    "pycocotools": {"pipeline/coco_masks.py"},
    "pydicom": {
        "pipeline/dicom_files.py",
        "pipeline/dicom_headers.py",
        "pipeline/dicom_segmentations.py",
        "pipeline/dicom_series.py",
    },
    "pytorch_grad_cam": {"pipeline/doctor.py", "stages/gradcam.py"},
    "ray": {"pipeline/ray_nodes.py", "pipeline/ray_run.py", "pipeline/ray_start.py"},
    "rich": {"pipeline/progress.py"},
    "skimage": {"pipeline/demo.py", "pipeline/polygon_files.py", "stages/superpixels.py"},
    "sklearn": {"stages/splitting.py"},
    "torch": {
        "pipeline/doctor.py",
        "pipeline/gpu_memory.py",
        "pipeline/gradcam_units.py",
        "pipeline/loading.py",
        "pipeline/models.py",
        "pipeline/weight_files.py",
        "stages/fit_batches.py",
        "stages/fitting.py",
        "stages/gradcam.py",
        "stages/layer_ranking.py",
        "stages/layers.py",
        "stages/network_io.py",
        "stages/torch_context.py",
    },
    "zarr": {"pipeline/cache.py", "pipeline/export_zarr.py"},
    "random": NOWHERE,  # its state is global: chance comes from stages/randomness.py
    "multiprocessing": NOWHERE,  # Ray schedules
    "concurrent": {"pipeline/stores.py"},  # transfers in flight, a bounded number; Ray schedules all work
}

# Stages compute: files, clock and environment are the pipeline's.
NOT_IN_STAGES = {"datetime", "os", "pathlib", "time"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def nodes(path: Path) -> Iterator[ast.AST]:
    """Yield all nodes of a module, those inside functions and conditions too."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


@cache
def imported(path: Path) -> set[str]:
    """Return the full names a module imports: ``from a.b import c`` gives ``a.b.c``."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {"." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_rooms_hold_modules() -> None:
    """Without this, a moved folder would let every other test here pass on nothing."""
    assert all(len(python_files(room)) > 1 for room in ROOMS)


def test_imports_go_from_pipeline_to_stages_to_schemas_only() -> None:
    """A stage can be read without knowing who runs it, a schema without knowing who fills it."""
    wrong = [
        f"{name_of(path)} imports {name}"
        for level, room in enumerate(ROOMS)
        for path in python_files(room)
        for name in sorted(imported(path))
        if name.startswith("hsmix_gen.") and name.split(".")[1] not in ROOMS[: level + 1]
    ]
    assert wrong == []


def test_each_library_is_imported_in_its_home_only() -> None:
    """A library that lives in one place can be replaced in one place."""
    wrong = [
        f"{name_of(path)} imports {name}; the home of {library} is {sorted(homes) or 'nowhere'}"
        for path in python_files(*ROOMS)
        for library, homes in LIBRARY_HOMES.items()
        for name in sorted(imported(path))
        if name.split(".")[0] == library and name_of(path) not in homes
    ]
    assert wrong == []


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
        for path in python_files(*ROOMS, "tests", "benchmarks")
        for name in sorted(imported(path))
        if name.split(".")[0] in {"", *ROOMS}  # "" is what stands before the dot of a relative import
    ]
    assert wrong == []


def test_nothing_prints() -> None:
    """Results and logs go through the command line's own functions, which know stdout from stderr."""
    wrong = [
        f"{name_of(path)}:{node.lineno} calls print"
        for path in python_files(*ROOMS)
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_every_folder_with_modules_is_packaged() -> None:
    """A folder left out works in an editable install and is silently absent from the wheel."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {name_of(path.parent) for path in python_files(*ROOMS)}
    packages = {f"hsmix_gen.{folder.replace('/', '.')}": folder for folder in folders}

    assert setuptools["package-dir"] == packages
    assert set(setuptools["packages"]) == set(packages)


def test_each_room_is_typed_and_opens_with_one_sentence() -> None:
    """Type checkers need py.typed in each room; an __init__ that exports would give names a second path."""
    for room in ROOMS:
        module = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
        assert len(module.body) == 1
        assert len((ast.get_docstring(module) or "").splitlines()) == 1
        assert (ROOT / room / "py.typed").is_file()
