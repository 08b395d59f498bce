"""FiftyOne imports the export of its name. It needs a MongoDB, so that it comes from an environment of its own."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.consumers.stored import read_stored

PROGRAM = Path(__file__).with_name("programs") / "read_fiftyone.py"
PYTHON = os.environ.get("HSMIX_FIFTYONE")


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="HSMIX_FIFTYONE names no Python that has fiftyone and fiftyone-db")
@pytest.mark.timeout(900)
def test_fiftyone_imports_images_masks_and_fields(output: Path, export: Callable[..., Path]) -> None:
    """Pixels and class ids are those of the dataset, and samples are sorted by what was measured of them."""
    dest = export(output, "fiftyone")
    done = subprocess.run([str(PYTHON), PROGRAM, dest], capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("FOUND ")[2])
    stored = read_stored(output, ("train", "val", "test"))
    rows = {row["key"]: row for row in pq.read_table(output / "manifest.parquet").to_pylist()}

    assert found["media"] == "image"
    assert found["targets"] == {"1": "class_1", "2": "class_2", "255": "ignore"}
    assert found["samples"] == {
        f"{key}.png": {
            "tags": [rows[key]["split"], rows[key]["mode"], *rows[key]["flags"]],
            "image": hashlib.sha256(sample.image.tobytes()).hexdigest(),
            "mask": hashlib.sha256(sample.mask.tobytes()).hexdigest(),
            "area_b": rows[key]["area_b"],
        }
        for key, sample in stored.items()
    }
    assert found["worst"] == sorted((row["fragments"] for row in rows.values() if row["mode"] == "hard"), reverse=True)
