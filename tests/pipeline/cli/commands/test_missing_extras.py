"""Commands without the packages of extras: what needs none works, what needs one is refused in a line that names it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click.testing
import pytest
from PIL import Image as Pillow

from hsmix_gen.schemas.extras import EXTRAS
from tests.command_line import TINY, error_of
from tests.small_sources import make_source

Cli = Callable[..., click.testing.Result]
ALL = [module for brought in EXTRAS.values() for module in brought]

# A process that cannot import the modules that it is given, and calls the command with the words of each line.
WITHOUT = """
import json, sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
import click.testing
from hsmix_gen.pipeline.cli.commands import cli
for line in sys.stdin:
    done = click.testing.CliRunner().invoke(cli, json.loads(line))
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""
# Python loads it when a process starts: only workers of Ray lack a module.
SITE = """
import os, sys
if any("default_worker" in argument for argument in sys.orig_argv):
    sys.modules["pycocotools"] = None
"""


@pytest.fixture(scope="module")
def core() -> Iterator[Cli]:
    """Call the command line where no extra is installed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT, *ALL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    words, answers = process.stdin, process.stdout

    def call(*arguments: object, expected: int = 1) -> click.testing.Result:
        words.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        words.flush()
        status, stdout, stderr = json.loads(answers.readline())
        assert status == expected, stderr
        return click.testing.Result(
            click.testing.CliRunner(), stdout.encode(), stderr.encode(), b"", None, exit_code=status, exception=None
        )

    yield call
    words.close()
    assert process.wait(timeout=60) == 0
    answers.close()


@pytest.fixture(scope="module")
def finished(core: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of pictures, made where no extra is installed."""
    folder = tmp_path_factory.mktemp("core")
    source = make_source(folder / "source")
    core("run", source, folder / "out", *TINY, "--copies", "1", expected=0)
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


def test_what_needs_no_extra_works_without_any(core: Cli, finished: Path, tmp_path: Path) -> None:
    core("verify", finished, expected=0)
    core("export", finished, tmp_path / "dest", "--to", "nnunet", expected=0)


@pytest.mark.parametrize(
    "words", ["inspect SOURCE", "run SOURCE OUT", "run SOURCE OUT --dry-run", "prepare SOURCE --cache OUT"]
)
def test_dicom_names_its_extra(core: Cli, tmp_path: Path, words: str) -> None:
    source, output = write_dicom(tmp_path / "scans"), tmp_path / "out"
    named = {"SOURCE": source, "OUT": output}

    done = core(*(named.get(word, word) for word in words.split()), "--size", "48", "64", "--backend", "serial")

    assert error_of(done) == (
        f"error: {source} (layout dicom) needs the package pydicom, which is not installed; "
        "pip install 'hsmix-gen[dicom]'"
    )


def test_coco_names_its_extra(core: Cli, tmp_path: Path) -> None:
    line = error_of(core("inspect", write_coco(tmp_path / "coco"), "--backend", "serial"))

    assert "(layout coco) needs the package pycocotools" in line
    assert line.endswith("pip install 'hsmix-gen[coco]'")


@pytest.mark.slow
def test_a_worker_without_an_extra_ends_the_run_in_one_line(command: Path, tmp_path: Path) -> None:
    """Were it a refusal of each image, a node that lacks a package would leave a dataset without them."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    done = subprocess.run(
        [
            *(str(command), "run", str(write_coco(tmp_path / "coco")), str(tmp_path / "out")),
            *("--size", "40", "48", "--saliency", "uniform", "--workers", "1"),
        ],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith("pip install 'hsmix-gen[coco]'")
    assert not (tmp_path / "out" / "refused.csv").exists()


@pytest.mark.parametrize("kind", ["mds", "litdata"])
def test_exports_name_their_extra(core: Cli, finished: Path, tmp_path: Path, kind: str) -> None:
    line = error_of(core("export", finished, tmp_path / "dest", "--to", kind))

    assert f"--to {kind} needs the package" in line
    assert f"pip install 'hsmix-gen[{kind}]'" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["inspect s3://bucket/key", "run SOURCE s3://bucket/out", "verify gs://bucket/key"])
def test_stores_name_their_extra(core: Cli, finished: Path, words: str) -> None:
    done = core(*(str(finished) if word == "SOURCE" else word for word in words.split()))

    assert error_of(done).endswith(f"pip install 'hsmix-gen[{'gcs' if 'gs:' in words else 's3'}]'")
