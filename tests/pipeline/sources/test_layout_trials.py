"""A hint names a layout only where it was tried and reads."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from hsmix_gen.pipeline.sources.discovery import discover
from hsmix_gen.pipeline.sources.layout_trials import notes_on_left
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError
from tests.pipeline.readers.layouts import lay


def npz(path: Path, **arrays: int) -> None:
    """Write arrays of zeros of these widths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    zeros: dict[str, Any] = {name: np.zeros((8, width), np.uint8) for name, width in arrays.items()}
    np.savez(path, **zeros)


def test_a_layout_that_reads_the_files_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        npz(tmp_path / f"{name}.npz", image=8, mask=8)

    assert notes_on_left(tmp_path, {".npz": 2}) == ["2 .npz files were left alone; --layout arrays reads 2 pairs"]


@pytest.mark.parametrize("arrays", [{"image": 8}, {"image": 8, "mask": 9}])
def test_a_layout_that_does_not_is_not(tmp_path: Path, arrays: dict[str, int]) -> None:
    npz(tmp_path / "a.npz", **arrays)

    assert notes_on_left(tmp_path, {".npz": 1}) == ["1 .npz files were left alone; no layout reads them as they lie"]


@pytest.mark.parametrize(
    ("ending", "way"), [(".nrrd", "convert them to NIfTI"), (".svs", "export regions of the slide as TIFF")]
)
def test_what_no_layout_reads_has_its_way_out(tmp_path: Path, ending: str, way: str) -> None:
    assert notes_on_left(tmp_path, {ending: 3}) == [f"3 {ending} files were left alone; {way}"]


def test_thousands_of_files_are_not_looked_into_for_a_word(tmp_path: Path) -> None:
    assert notes_on_left(tmp_path, {".npz": 100_000}) == ["100000 .npz files were left alone"]


def test_a_source_without_pairs_names_the_layout_that_reads_it(tmp_path: Path) -> None:
    """A stray picture is enough that arrays are not recognised."""
    npz(tmp_path / "a.npz", image=8, mask=8)
    lay(tmp_path, "overview.png")

    with pytest.raises(SourceError) as refused:
        discover(tmp_path, RunConfig())

    assert "1 .npz files were left alone; --layout arrays reads 1 pairs; 1 file refused" in str(refused.value)


def test_a_layout_that_was_asked_for_in_vain_names_the_one_that_reads(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz", image=8, mask=8)

    with pytest.raises(SourceError, match=r"; without --layout folder it is read as arrays, 1 pairs$"):
        discover(tmp_path, RunConfig.model_validate({"source": {"layout": "folder"}}))


def test_volumes_beside_pictures_are_tried_too(tmp_path: Path) -> None:
    lay(tmp_path, "overview.png")
    for kind, dtype in (("imagesTr", np.int16), ("labelsTr", np.uint8)):
        (tmp_path / "deep" / kind).mkdir(parents=True)
        image = nibabel.Nifti1Image(np.zeros((8, 8, 4), dtype), np.eye(4))  # type: ignore[no-untyped-call]
        nibabel.save(image, tmp_path / "deep" / kind / "a.nii.gz")

    assert notes_on_left(tmp_path, {".nii.gz": 2}) == ["2 .nii.gz files were left alone; --layout nnunet reads 1 pairs"]
