"""The compiled SLIC has the labels of scikit-image, pixel for pixel."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.segmentation import slic
from skimage.util import regular_grid

from hsmix_gen.stages.kernels.compiled import COMPILED, native
from hsmix_gen.stages.superpixels import slic_regions
from hsmix_gen.stages.superpixels.colours import colour_planes, gaussian_weights
from hsmix_gen.stages.superpixels.slic import Slic, _regular_grid
from tests.stages.loops import both_ways

compiled_only = pytest.mark.skipif(not COMPILED, reason="the loops could not be compiled here")

Image = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_] | None


def test_the_loops_are_compiled_where_there_is_a_compiler() -> None:
    """Else every other test here would be skipped, or compare scikit-image with itself."""
    assert COMPILED or shutil.which("cc") is None


def draw_image(kind: str, shape: tuple[int, int, int], seed: int) -> Image:
    rng = np.random.default_rng(seed)
    if kind == "constant":
        return np.full(shape, 77, np.uint8)
    if kind == "noise":
        return rng.integers(0, 256, shape).astype(np.uint8)
    if kind == "words":
        return rng.integers(0, 65536, shape).astype(np.uint16)
    if kind == "blocks":  # many pixels as far from one centre as from another
        coarse = rng.integers(0, 4, (shape[0] // 8 + 1, shape[1] // 8 + 1, shape[2])).astype(np.uint8) * 60
        return coarse.repeat(8, axis=0).repeat(8, axis=1)[: shape[0], : shape[1]]
    smooth: Image = ndimage.gaussian_filter(rng.normal(size=shape), (4, 4, 0)).astype(np.float32)
    return smooth


def draw_mask(shape: tuple[int, int], seed: int) -> Mask:
    mask: npt.NDArray[np.bool_] = ndimage.gaussian_filter(np.random.default_rng([seed, 1]).normal(size=shape), 3) > 0
    return mask if mask.any() else None


def by_scikit_image(image: Image, n_regions: int, compactness: float, sigma: float, mask: Mask) -> npt.NDArray[Any]:
    """Call scikit-image as the product did before it had loops of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")  # of the centres inside a mask
        labels = slic(
            slic_regions.stretched_channels(image, mask).astype(np.float64),
            n_segments=n_regions,
            compactness=compactness,
            sigma=sigma,
            mask=mask,
            start_label=1,
            channel_axis=-1,
        )
    if mask is not None:
        labels[mask & (labels == 0)] = labels.max() + 1
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def assert_equal_labels(image: Image, n_regions: int, compactness: float, sigma: float, mask: Mask = None) -> None:
    how = {"compactness": compactness, "sigma": sigma, "mask": mask}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        found = both_ways(lambda: slic_regions.segment(image, [n_regions], **how))  # type: ignore[arg-type]
    for way, (ours,) in zip(("compiled", "without loops"), found, strict=True):
        assert ours.dtype == np.uint16
        assert np.array_equal(ours, by_scikit_image(image, n_regions, compactness, sigma, mask)), way


@compiled_only
@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["constant", "noise", "words", "blocks", "smooth"]),
    shape=st.tuples(st.integers(1, 80), st.integers(1, 80), st.integers(1, 5)),
    n_regions=st.sampled_from([1, 2, 5, 20, 50, 200, 1000, 7000]),
    compactness=st.sampled_from([0.01, 0.1, 1.0, 10.0, 50.0]),
    sigma=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]),
    masked=st.booleans(),
    seed=st.integers(0, 999),
)
def test_labels_are_those_of_scikit_image(
    kind: str,
    shape: tuple[int, int, int],
    n_regions: int,
    compactness: float,
    sigma: float,
    masked: bool,
    seed: int,
) -> None:
    mask = draw_mask(shape[:2], seed) if masked else None

    assert_equal_labels(draw_image(kind, shape, seed), n_regions, compactness, sigma, mask)


@compiled_only
@pytest.mark.parametrize("side", range(16, 66))
def test_labels_are_those_of_scikit_image_at_every_size(side: int) -> None:
    """Tiles of 16 pixels begin and end at all places; the width is another than the height."""
    image = draw_image("smooth" if side % 2 else "blocks", (side, 97 - side, 3), side)

    assert_equal_labels(image, 12, 10.0, 1.0)


@compiled_only
@pytest.mark.parametrize("size", [(224, 224), (150, 512)])
def test_labels_of_photographs_are_those_of_scikit_image(shared_data: Path, size: tuple[int, int]) -> None:
    photographs = sorted((shared_data / "isic2017").rglob("*.jpg"))[::40]
    assert photographs
    for path in photographs:
        with Pillow.open(path) as picture:
            image = np.asarray(picture.convert("RGB").resize(size[::-1]))
        for n_regions in (30, 200):
            assert_equal_labels(image, n_regions, 10.0, 1.0)
        assert_equal_labels(image, 60, 10.0, 1.0, image[..., 0] > image[..., 0].mean())


@compiled_only
def test_one_image_is_cut_into_several_numbers_as_if_each_were_alone() -> None:
    """What is prepared once per image must not be changed by a cut."""
    image = draw_image("smooth", (60, 50, 3), 0)
    mask = draw_mask((60, 50), 0)
    for inside in (None, mask):
        prepared = Slic(image, compactness=10.0, sigma=1.0, mask=inside, lab=True)

        maps = [prepared.cut(n) for n in (40, 7, 40)]

        assert np.array_equal(maps[0], maps[2])
        assert len(np.unique(maps[1])) < len(np.unique(maps[0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_lab_is_that_of_scikit_image_to_the_last_bit(dtype: type[np.generic]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (50, 37, 3)).astype(dtype)
    stretched = (values.astype(np.float64) - float(values.min())) / (float(values.max()) - float(values.min()))

    planes = colour_planes(values, None, lab=True)

    assert np.array_equal(planes[..., :37], np.moveaxis(rgb2lab(stretched[None])[0], -1, 0))
    assert not planes[..., 37:].any()


@compiled_only
@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.5, 9.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (40, 41)])
def test_smoothing_is_that_of_scipy_to_the_last_bit(shape: tuple[int, int], sigma: float) -> None:
    """Kernels longer than the image are mirrored several times."""
    planes = np.random.default_rng(0).normal(size=(2, *shape))
    expected = ndimage.gaussian_filter(np.moveaxis(planes, 0, -1)[None], [sigma, sigma, sigma, 0], mode="reflect")[0]

    native.smooth(planes, (*planes.shape, shape[1]), gaussian_weights(sigma))

    assert np.array_equal(planes, np.moveaxis(expected, -1, 0))


def test_the_grid_of_centres_is_that_of_scikit_image() -> None:
    for height in (1, 2, 7, 16, 30, 224):
        for width in (1, 5, 16, 31, 225, 512):
            for n_points in (1, 2, 3, 11, 50, 200, 1000):
                _, rows, columns = regular_grid((1, height, width), n_points)  # type: ignore[no-untyped-call]
                expected = tuple((axis.start or 0, axis.step or 1) for axis in (rows, columns))
                assert _regular_grid((height, width), n_points) == expected, (height, width, n_points)


@compiled_only
def test_buffers_of_wrong_sizes_are_refused() -> None:
    """A loop that wrote beyond an array would end the process."""
    planes, places, colours, labels = (
        np.zeros((3, 4, 16)),
        np.zeros((2, 5)),
        np.zeros((5, 3)),
        np.zeros((4, 9), np.int32),
    )

    def kmeans(**changed: Any) -> None:
        given: dict[str, Any] = {"planes": planes, "mask": b"", "places": places, "colours": colours, "labels": labels}
        given |= {"shape": (3, 4, 9, 16)} | changed
        loop: Callable[..., None] = native.kmeans
        loop(*given.values(), (2, 2), 1.0, 5, 1, True)

    kmeans()
    for name, array in {
        "planes": planes[:2],
        "places": places[:1],
        "colours": colours[:4],
        "labels": labels[:3],
    }.items():
        with pytest.raises(ValueError, match=f"{name} must hold"):
            kmeans(**{name: array})
    with pytest.raises(ValueError, match="mask must hold"):
        kmeans(mask=np.ones((4, 8), np.bool_))
    with pytest.raises(ValueError, match="stride"):
        kmeans(shape=(3, 4, 9, 8), planes=np.zeros((3, 4, 8)))
    with pytest.raises(ValueError, match="connected must hold 144 bytes, got 4"):
        native.connect(labels, np.zeros(1, np.int32), (4, 9), 1, 9)
    with pytest.raises(ValueError, match="odd in number"):
        native.smooth(planes, (3, 4, 9, 16), np.zeros(4))
    with pytest.raises(ValueError, match="there must be points and centres"):
        native.spread(np.zeros((0, 2), np.int32), np.zeros((1, 2)), 1)
