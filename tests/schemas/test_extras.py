"""The table of extras agrees with pyproject.toml, and a missing one is named in one line that can be copied."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hsmix_gen.schemas.extras import APART, EXTRAS, load

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED: dict[str, list[str]] = PROJECT["optional-dependencies"]

HIDDEN = """
import json, sys
from hsmix_gen.schemas.extras import EXTRAS, ExtraError, load
stated = {}
for extra, brought in EXTRAS.items():
    for module in brought:
        sys.modules[module] = None
        try:
            load(module, "photos/")
        except ExtraError as error:
            stated[extra] = str(error)
print(json.dumps(stated))
"""


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement)[0]


def test_the_table_is_that_of_the_installation() -> None:
    """An extra that is declared without its modules, or the other way round, could not be named."""
    declared = {extra: {name_of(text) for text in DECLARED[extra]} for extra in DECLARED if extra != "all"}

    assert declared == {extra: set(brought.values()) or {"ray"} for extra, brought in EXTRAS.items()}


def test_all_is_every_extra_that_can_stand_beside_the_others() -> None:
    (requirement,) = DECLARED["all"]

    assert requirement == f"hsmix-gen[{','.join(sorted(EXTRAS.keys() - APART))}]"


def test_no_extra_is_a_requirement_of_all() -> None:
    required = {name_of(text) for text in PROJECT["dependencies"]}

    assert not required & {name for brought in EXTRAS.values() for name in brought.values()}


def test_every_missing_package_is_named_with_its_extra() -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True)

    stated = json.loads(done.stdout)
    assert stated.keys() == {extra for extra, brought in EXTRAS.items() if brought}
    assert stated["dicom"] == (
        "photos/ needs the package pydicom, which is not installed; pip install 'hsmix-gen[dicom]'"
    )
    assert stated["mds"].endswith("'hsmix-gen[mds]' in an environment of its own, as it wants an older numpy")


def test_a_package_that_is_broken_is_reported_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "s3fs.py").write_text("raise ImportError('libcrypto is too old')\n")
    program = "from hsmix_gen.schemas.extras import load; load('s3fs', 's3://')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    last = done.stderr.splitlines()[-1]
    assert last.endswith(
        "s3:// needs the package s3fs, which cannot be imported (libcrypto is too old); pip install 'hsmix-gen[s3]'"
    )


def test_what_no_extra_brings_is_no_matter_of_extras() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("no_such_module_anywhere", "photos/")
    assert load("json", "photos/") is json
