"""What runs on small sources share: options, datasets for readers, and the samples that a run wrote, decoded."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from tests.fixture_types import Cli, Maker, Options
from tests.written import members_of


@dataclass(frozen=True)
class StoredSample:
    """A sample as a trainer gets it."""

    image: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    soft: npt.NDArray[Any]
    provenance: dict[str, Any]
    members: frozenset[str]


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Options of a run on a twin that takes less than a second."""
    return (
        *("--regions", "4", "8", "--variants", "1", "--copies", "1", "--saliency", "fine_grained"),
        *("--backend", "serial", "--progress", "none"),
    )


@pytest.fixture(scope="session")
def make_sharded(
    make_source: Maker, run_cli: Cli, tiny: Options, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Make 24 training samples in 4 shards of 6, 48 x 64 pixels, 3 classes: ``make_sharded("parquet", "folder")``.

    Their source lies beside them.
    """

    def make(*formats: str) -> Path:
        folder = tmp_path_factory.mktemp("sharded")
        source = make_source(folder / "source", train=8)
        options = [option for form in formats for option in ("--format", form)]
        result = run_cli("run", source, folder / "output", *tiny, "--copies", 3, "--shards", 4, *options)
        assert result.exit_code == 0, result.stderr
        return folder / "output"

    return make


@pytest.fixture(scope="session")
def inspected(run_cli: Cli) -> Callable[..., dict[str, Any]]:
    """Return what ``inspect --json`` says of a source: ``inspected(source, *options)``."""

    def inspect(source: Path, *options: object) -> dict[str, Any]:
        result = run_cli("inspect", source, *options, "--json", "--progress", "none")
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return inspect


@pytest.fixture(scope="session")
def read_samples() -> Callable[[Path], dict[str, StoredSample]]:
    """Return all samples of the WebDataset shards of a dataset by key."""

    def read(output: Path) -> dict[str, StoredSample]:
        return {key: _decoded(parts) for key, parts in members_of(output).items()}

    return read


def _decoded(parts: dict[str, bytes]) -> StoredSample:
    name = "image.png" if "image.png" in parts else "image.npy"
    array = _picture if name == "image.png" else _array
    image = array(parts[name])
    with np.load(io.BytesIO(parts["soft.npz"]), allow_pickle=False) as archive:
        soft = archive["soft"]
    return StoredSample(
        image[..., None] if image.ndim == 2 else image,
        _picture(parts["mask.png"]),
        soft,
        json.loads(parts["json"]),
        frozenset(parts),
    )


def _picture(data: bytes) -> npt.NDArray[Any]:
    with Pillow.open(io.BytesIO(data)) as opened:
        return np.asarray(opened)


def _array(data: bytes) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
