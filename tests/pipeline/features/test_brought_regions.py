"""Label maps from elsewhere become superpixels: in every format and granularity, placed like their images."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from PIL import Image as Pillow

from hsmix_gen.pipeline.features.brought_regions import granularities
from hsmix_gen.schemas.errors import ConfigError
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source

Labels = npt.NDArray[np.integer]


def cells(height: int, width: int, step: int) -> Labels:
    """Return square cells with large numbers in no order, as segmenters leave them."""
    rows, columns = np.mgrid[:height, :width] // step
    labels: Labels = (rows * 37 + columns * 11 + 300).astype(np.uint16)
    return labels


def write(path: Path, labels: Labels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, labels)
    else:
        Pillow.fromarray(labels).save(path)


def cached(output: Path) -> npt.NDArray[np.uint16]:
    (layer,) = (output / ".hsmix" / "cache").glob("superpixels-*.zarr")
    return np.asarray(zarr.open_array(layer / "labels", mode="r"))


def same_cells(one: Labels, other: Labels) -> bool:
    """Return whether two maps cut alike, whatever their numbers."""
    pairs = np.unique(np.stack([one.ravel().astype(int), other.ravel().astype(int)]), axis=1)
    return bool(len(np.unique(one)) == len(np.unique(other)) == pairs.shape[1])


def volume(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of 60 x 80, which are stored as 48 x 64."""
    return make_source(tmp_path_factory.mktemp("brought") / "source", train=4, size=(60, 80))


# The maps say how many granularities there are.
OF_MAPS = tuple(word for word in TINY if word not in ("--variants", "2"))


def options_of(folder: Path) -> list[object]:
    return [*OF_MAPS, "--superpixels", "precomputed", "--regions-dir", folder, "--copies", 2, "--shards", 1]


def test_granularities_come_from_sub_folders_and_any_format(source: Path, tmp_path: Path) -> None:
    """A map that is refused leaves its image out; the rest is verified and made again."""
    for number in range(6):
        ending = (".png", ".tif", ".npy")[number % 3]
        write(tmp_path / "maps" / "coarse" / f"case_{number:02d}{ending}", cells(60, 80, 20))
        write(tmp_path / "maps" / "fine" / f"case_{number:02d}.png", cells(60, 80, 10))
    write(tmp_path / "maps" / "fine" / "case_01.png", cells(50, 80, 10))

    run_cli("run", source, tmp_path / "out", *options_of(tmp_path / "maps"))

    labels = cached(tmp_path / "out")
    assert labels.shape == (6, 2, 48, 64)
    assert same_cells(labels[0, 0], cells(48, 64, 16))
    assert same_cells(labels[5, 1], cells(48, 64, 8))
    refused = (tmp_path / "out" / "refused.csv").read_text()
    assert f"{tmp_path}/maps/fine/case_01.png is 80 x 50, its image 80 x 60" in refused
    assert len(refused.splitlines()) == 2
    run_cli("verify", tmp_path / "out", "--replay", 3)


def test_changed_maps_are_read_again_and_a_missing_one_refuses_its_image(source: Path, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "maps" / f"case_{number:02d}.npy", cells(60, 80, 20))
    (tmp_path / "maps" / "case_03.npy").unlink()
    options = [*options_of(tmp_path / "maps"), "--cache", tmp_path / "cache"]
    run_cli("run", source, tmp_path / "first", *options)
    write(tmp_path / "maps" / "case_03.npy", cells(60, 80, 30))

    run_cli("run", source, tmp_path / "second", *options)

    reason = "maps has no label map case_03{.png,.tif,.tiff,.npy,.nii,.nii.gz}; add it"
    assert reason in (tmp_path / "first" / "refused.csv").read_text()
    assert "case_03" not in (tmp_path / "second" / "refused.csv").read_text()
    assert len(list((tmp_path / "cache").glob("superpixels-*.zarr"))) == 2


@pytest.mark.parametrize("flip", [1, -1])
def test_volumes_bring_a_volume_that_is_turned_like_their_own(tmp_path: Path, flip: int) -> None:
    """The axes of the maps may lie otherwise in their file: the affine says where a voxel is."""
    rng = np.random.default_rng(1)
    affine, turned = np.diag([1.0, 1.0, 5.0, 1.0]), np.diag([1.0 * flip, 1.0, 5.0, 1.0])
    turned[0, 3] = 31.0 if flip < 0 else 0.0
    mask = np.zeros((32, 40, 3), np.uint8)
    mask[10:20, 10:20] = 1
    i, j, k = np.mgrid[:32, :40, :3]
    regions = (i >= 4).astype(int) + (i >= 12) + 10 * (j // 10) + 100 * k
    for number in range(3):
        values: dict[str, npt.NDArray[Any]] = {
            "imagesTr": rng.normal(0, 1, mask.shape).astype(np.float32),
            "labelsTr": mask,
        }
        for folder, array in values.items():
            (tmp_path / "source" / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(volume(array, affine), tmp_path / "source" / folder / f"v{number}.nii.gz")
        (tmp_path / "maps").mkdir(exist_ok=True)
        stored = volume(regions[::flip].astype(np.int16), turned)
        nibabel.save(stored, tmp_path / "maps" / f"v{number}.nii.gz")

    options = [*options_of(tmp_path / "maps"), "--size", 40, 32, "--partners", "any", "--split", "1/0/0"]
    run_cli("run", tmp_path / "source", tmp_path / "out", *options)

    labels = cached(tmp_path / "out")
    assert labels.shape == (9, 1, 40, 32)
    assert all(same_cells(plane[0], labels[0, 0]) for plane in labels)
    # Sides of 4, 8 and 20 voxels to the patient's right and left, of 10 to the back.
    assert sorted(np.bincount(labels[0, 0].ravel())) == sorted([40, 80, 200] * 4)
    zarr_image = zarr.open_array(next((tmp_path / "out" / ".hsmix" / "cache").glob("images-*.zarr")) / "mask", mode="r")
    rows, columns = np.nonzero(np.asarray(zarr_image)[0])
    inside = set(labels[0, 0][rows, columns].tolist())
    assert {int((labels[0, 0] == number).sum()) for number in inside} == {80, 200}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--superpixels", "precomputed"), "precomputed needs the folder of its label maps; add --regions-dir DIR"),
        (
            ("--regions-dir", "maps"),
            "maps changes nothing: it is used by --superpixels precomputed only, got slic; drop one",
        ),
        (("--superpixels", "precomputed", "--regions-dir", "absent"), "absent is no folder"),
    ],
)
def test_what_the_option_needs_is_stated(source: Path, tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    refused = run_cli("run", source, tmp_path / "out", *OF_MAPS, *options, status=1)

    assert reason in refused.stderr


def test_maps_beside_folders_of_maps_are_a_question(tmp_path: Path) -> None:
    (tmp_path / "fine").mkdir()
    assert granularities(tmp_path) == [tmp_path / "fine"]
    write(tmp_path / "a.png", cells(20, 20, 5))

    with pytest.raises(ConfigError, match=r"holds a\.png beside the folder fine"):
        granularities(tmp_path)
