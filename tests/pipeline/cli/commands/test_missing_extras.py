"""Commands without the packages of extras: what needs none works, what needs one is refused in a line that names it."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow

from hsmix_gen.schemas.extras import EXTRAS

ALL = " ".join(module for brought in EXTRAS.values() for module in brought)

# Python loads it when a process starts.
SITE = """
import os, sys
hidden = os.environ["HSMIX_TEST_HIDDEN"].split()
in_worker = any("default_worker" in argument for argument in sys.orig_argv)
if in_worker or "HSMIX_TEST_WORKERS_ONLY" not in os.environ:
    sys.modules.update(dict.fromkeys(hidden))
"""

Hiding = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hiding(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Hiding:
    """Call the command in a process that cannot import some modules: ``hiding("pydicom", "inspect", source)``."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITE)

    def run(hidden: str, *arguments: object, workers_only: bool = False) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path, "HSMIX_TEST_HIDDEN": hidden}
        if workers_only:
            environment["HSMIX_TEST_WORKERS_ONLY"] = "1"
        return subprocess.run(
            [str(command), *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def finished(
    hiding: Hiding, make_source: Callable[..., Path], tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A dataset of pictures, made where no extra is installed."""
    folder = tmp_path_factory.mktemp("core")
    source = make_source(folder / "source")
    done = hiding(ALL, "run", source, folder / "out", *tiny, "--copies", "1")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def write_dicom(folder: Path) -> Path:
    """Write what is recognised as DICOM; without its package nobody can look further."""
    folder.mkdir()
    (folder / "plane.dcm").write_bytes(bytes(128) + b"DICM" + bytes(400))
    return folder


def write_coco(folder: Path) -> Path:
    outline = [[4, 4, 28, 4, 28, 28]]
    entries: dict[str, list[object]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cell"}]}
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        name = f"{number}.png"
        Pillow.linear_gradient("L").resize((48, 40)).rotate(90 * number).save(folder / "images" / name)
        entries["images"].append({"id": number, "file_name": name, "width": 48, "height": 40})
        entries["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "segmentation": outline, "iscrowd": 0, "area": 288}
        )
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(entries))
    return folder


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command says at its end."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_what_needs_no_extra_works_without_any(hiding: Hiding, finished: Path, tmp_path: Path) -> None:
    assert hiding(ALL, "verify", finished).returncode == 0
    assert hiding(ALL, "export", finished, tmp_path / "dest", "--to", "nnunet").returncode == 0


@pytest.mark.parametrize(
    "words", ["inspect SOURCE", "run SOURCE OUT", "run SOURCE OUT --dry-run", "prepare SOURCE --cache OUT"]
)
def test_dicom_names_its_extra(hiding: Hiding, tmp_path: Path, words: str) -> None:
    source, output = write_dicom(tmp_path / "scans"), tmp_path / "out"
    named = {"SOURCE": source, "OUT": output}

    done = hiding(ALL, *(named.get(word, word) for word in words.split()), "--size", "48", "64", "--backend", "serial")

    assert refusal(done) == (
        f"error: {source} (layout dicom) needs the package pydicom, which is not installed; "
        "pip install 'hsmix-gen[dicom]'"
    )


def test_coco_names_its_extra(hiding: Hiding, tmp_path: Path) -> None:
    done = hiding(ALL, "inspect", write_coco(tmp_path / "coco"), "--backend", "serial")

    assert "(layout coco) needs the package pycocotools" in refusal(done)
    assert refusal(done).endswith("pip install 'hsmix-gen[coco]'")


def test_a_worker_without_an_extra_ends_the_run_in_one_line(hiding: Hiding, tmp_path: Path) -> None:
    """Were it a refusal of each image, a node that lacks a package would leave a dataset without them."""
    source = write_coco(tmp_path / "coco")
    done = hiding(
        *("pycocotools", "run", source, tmp_path / "out", "--size", "40", "48", "--saliency", "uniform"),
        *("--workers", "1"),
        workers_only=True,
    )

    assert refusal(done).endswith("pip install 'hsmix-gen[coco]'")
    assert not (tmp_path / "out" / "refused.csv").exists()


@pytest.mark.parametrize("kind", ["mds", "litdata"])
def test_exports_name_their_extra(hiding: Hiding, finished: Path, tmp_path: Path, kind: str) -> None:
    done = hiding(ALL, "export", finished, tmp_path / "dest", "--to", kind)

    assert f"--to {kind} needs the package" in refusal(done)
    assert f"pip install 'hsmix-gen[{kind}]'" in refusal(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["inspect s3://bucket/key", "run SOURCE s3://bucket/out", "verify gs://bucket/key"])
def test_stores_name_their_extra(hiding: Hiding, finished: Path, words: str) -> None:
    done = hiding(ALL, *(str(finished) if word == "SOURCE" else word for word in words.split()))

    assert refusal(done).endswith(f"pip install 'hsmix-gen[{'gcs' if 'gs:' in words else 's3'}]'")
