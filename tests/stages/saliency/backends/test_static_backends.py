"""Model-free saliency against slow computations straight from the definitions."""

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.stages.saliency import quality
from hsmix_gen.stages.saliency.backend import Subject
from hsmix_gen.stages.saliency.backends import precomputed, random, uniform
from hsmix_gen.stages.saliency.backends.fine_grained import fine_grained
from hsmix_gen.stages.saliency.backends.spectral_residual import spectral_residual

Bytes = npt.NDArray[np.uint8]
Saliency = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.float32]]
Grid = list[list[int]]

BOTH: list[Saliency] = [fine_grained, spectral_residual]


def noise(height: int, width: int, channels: int = 1) -> Bytes:
    """Return random bytes that use the whole range."""
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    image[0, 0], image[-1, -1] = 0, 255
    return image


def box(height: int, width: int) -> Bytes:
    """Return a dark image with a bright rectangle."""
    image = np.full((height, width, 1), 40, np.uint8)
    image[height // 4 : height // 2, width // 3 : width // 2] = 220
    return image


def spots(height: int, width: int) -> Bytes:
    """Return a black half and a white half with a spot of the other colour in each."""
    image = np.zeros((height, width, 1), np.uint8)
    image[:, width // 2 :] = 255
    image[height // 2, width // 4] = 255
    image[height // 2, 3 * width // 4] = 0
    return image


def ramp(height: int, width: int) -> Bytes:
    rows, columns = np.mgrid[:height, :width]
    return np.asarray((3 * rows + 5 * columns) % 256, np.uint8)[..., None]


def mirrored(index: int, size: int) -> int:
    """Return the index reflected at the first or last pixel, which is not repeated."""
    if size == 1:
        return 0
    return -index if index < 0 else 2 * (size - 1) - index if index >= size else index


def slow_blur(grey: Grid) -> Grid:
    """Weigh the pixels around each by 4, 2 and 1 sixteenths and round to the nearest, halves up."""
    height, width = len(grey), len(grey[0])
    blurred = [[0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            total = Fraction(0)
            for dy, dx in ((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                weight = Fraction(1, 4 * 2 ** (abs(dy) + abs(dx)))
                total += weight * grey[mirrored(y + dy, height)][mirrored(x + dx, width)]
            blurred[y][x] = math.floor(total + Fraction(1, 2))
    return blurred


def slow_fine_grained(image: Bytes) -> npt.NDArray[np.float32]:
    """Compare each pixel of a grey image with the mean of the others around it, in whole numbers."""
    grey = slow_blur(slow_blur(image[..., 0].tolist()))
    height, width = len(grey), len(grey[0])
    on = np.zeros((height, width), object)
    off = np.zeros((height, width), object)
    for reach in (3 * 4, 3 * 8, 3 * 16, 7 * 4, 7 * 8, 7 * 16):
        for y in range(height):
            for x in range(width):
                rows = grey[max(y - reach + 1, 0) : y + reach + 1]
                window = [row[max(x - reach + 1, 0) : x + reach + 1] for row in rows]
                count = len(window) * len(window[0])
                mean_of_others = Fraction(sum(map(sum, window)) - grey[y][x], count - 1)
                on[y, x] += int(max(grey[y][x] - mean_of_others, Fraction(0)))
                off[y, x] += int(max(mean_of_others - grey[y][x], Fraction(0)))
    both = 255 * on // max(on.max(), 1) + 255 * off // max(off.max(), 1)
    return np.asarray(np.minimum(both, 255) / 255, np.float32)


def slow_resize(image: npt.NDArray[np.generic], height: int, width: int) -> npt.NDArray[np.float64]:
    """Mix the four pixels around each new centre by their distance to it; outside, the edge goes on."""
    old_height, old_width = image.shape
    resized = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v = min(
                max(Fraction(2 * y + 1, 2 * height) * old_height - Fraction(1, 2), Fraction(0)),
                Fraction(old_height - 1),
            )
            u = min(
                max(Fraction(2 * x + 1, 2 * width) * old_width - Fraction(1, 2), Fraction(0)),
                Fraction(old_width - 1),
            )
            top, left = math.floor(v), math.floor(u)
            bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
            down, along = float(v - top), float(u - left)
            above = image[top, left] * (1 - along) + image[top, right] * along
            below = image[bottom, left] * (1 - along) + image[bottom, right] * along
            resized[y, x] = above * (1 - down) + below * down
    return resized


def slow_weighted_mean(plane: npt.NDArray[np.float64], weights: list[float]) -> npt.NDArray[np.float64]:
    """Weigh the neighbours of each pixel by the products of `weights` along both axes."""
    height, width = plane.shape
    reach = len(weights) // 2
    result = np.zeros(plane.shape)
    for y in range(height):
        for x in range(width):
            for i, weight_y in enumerate(weights):
                for j, weight_x in enumerate(weights):
                    neighbour = mirrored(y + i - reach, height), mirrored(x + j - reach, width)
                    result[y, x] += weight_y * weight_x * plane[neighbour]
    return result


def slow_spectral_residual(image: Bytes) -> npt.NDArray[np.float64]:
    """Take the Fourier sums as they are written, then each step of the method in its turn."""
    small = np.floor(slow_resize(image[..., 0], 64, 64) + 0.5)
    waves = np.array([[cmath.exp(-2j * cmath.pi * (k * n % 64) / 64) for n in range(64)] for k in range(64)])
    spectrum = np.einsum("um,mn,vn->uv", waves, small, waves)
    log_amplitude = np.array([[math.log(1 + abs(value)) for value in row] for row in spectrum])
    residual = log_amplitude - slow_weighted_mean(log_amplitude, [1 / 3] * 3)
    kept = np.array(
        [
            [cmath.rect(math.exp(r), cmath.phase(s)) if abs(s) > 1e-6 else 0 for r, s in zip(*rows, strict=True)]
            for rows in zip(residual, spectrum, strict=True)
        ]
    )
    response = np.abs(np.einsum("um,uv,vn->mn", waves.conj(), kept, waves.conj()))
    bell = [math.exp(-(step**2) / (2 * 8**2)) for step in (-2, -1, 0, 1, 2)]
    blurred = slow_weighted_mean(response, [weight / sum(bell) for weight in bell])
    return slow_resize(blurred**2 / (blurred**2).max(), *image.shape[:2])


@pytest.mark.parametrize(
    "image",
    [noise(9, 13), noise(40, 31), box(36, 45), spots(30, 40), ramp(27, 33), noise(1, 7), noise(2, 250)],
)
def test_fine_grained_equals_its_definition(image: Bytes) -> None:
    assert np.array_equal(fine_grained(image), slow_fine_grained(image))


@pytest.mark.parametrize("image", [noise(9, 13), noise(70, 81), box(64, 64), spots(30, 40), ramp(90, 66), noise(1, 7)])
def test_spectral_residual_equals_its_definition(image: Bytes) -> None:
    np.testing.assert_allclose(spectral_residual(image), slow_spectral_residual(image), rtol=0, atol=1e-6)


def test_contrast_below_one_grey_value_is_none() -> None:
    image = np.full((20, 20, 1), 100, np.uint8)
    image[5:15, 5:15] = 101

    assert not fine_grained(image).any()


def test_a_pixel_that_stands_out_in_both_ways_is_fully_salient() -> None:
    """The spot is brighter than the pit around it and darker than the rest; a byte would overflow to 13."""
    image = np.full((180, 180, 1), 200, np.uint8)
    image[62:118, 62:118] = 0
    image[88:92, 88:92] = 150

    assert fine_grained(image)[90, 90] == 1.0


@pytest.mark.parametrize("saliency", BOTH)
def test_red_green_and_blue_count_by_their_brightness(saliency: Saliency) -> None:
    """The grey values of the pure colours are 76, 150 and 29: the first channel is red, not blue."""
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
    greys = np.array([(76,), (150,), (29,), (255,)], np.uint8)
    chosen = np.random.default_rng(0).integers(0, 4, (20, 24))

    assert np.array_equal(saliency(colours[chosen]), saliency(greys[chosen]))


@pytest.mark.parametrize("saliency", BOTH)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_channels_than_grey_and_rgb_are_seen_one_by_one(
    saliency: Saliency, dtype: type[np.generic], channels: int
) -> None:
    """The map is the mean of theirs; the mean of modalities would show what none of them shows."""
    image = noise(30, 37, channels).astype(dtype)
    image[..., 0] //= 3

    maps = [saliency(image[..., [channel]]) for channel in range(channels)]

    np.testing.assert_allclose(saliency(image), np.mean(maps, axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("saliency", BOTH)
def test_an_object_that_two_modalities_show_in_opposite_ways_is_salient(saliency: Saliency) -> None:
    """It cancels out in their mean, and so does it where one of them is absent."""
    image = np.full((96, 120, 4), 100, np.uint8)
    mask = np.zeros((96, 120), np.uint8)
    mask[40:52, 70:84] = 1
    image[mask == 1] = (160, 40, 100, 100)

    assert quality.saliency_auc(saliency(image), mask) > 0.9
    assert not saliency(np.full((96, 120, 1), 100, np.uint8)).any()


@pytest.mark.parametrize("saliency", BOTH)
def test_the_unit_of_a_modality_does_not_matter(saliency: Saliency) -> None:
    """Z-scores below 0 and above 1, each modality with its own range; one is a thousand times larger."""
    z_scores = np.random.default_rng(0).normal(size=(40, 52, 4)).astype(np.float32)
    z_scores[10:20, 30:45] = 10
    z_scores[:5] = 0

    map_ = saliency(z_scores)

    # A power of two scales floats without rounding.
    assert np.array_equal(map_, saliency(z_scores * np.array([1, 1024, 1, 0.5], np.float32)))
    assert map_.max() > 0.5


@pytest.mark.parametrize("saliency", BOTH)
def test_a_modality_without_contrast_has_an_empty_map_among_the_others(saliency: Saliency) -> None:
    image = np.zeros((30, 37, 4), np.float32)
    image[..., 2] = np.random.default_rng(0).normal(size=(30, 37))

    np.testing.assert_allclose(saliency(image), saliency(image[..., [2]]) / 4, atol=1e-6)


@pytest.mark.parametrize("saliency", BOTH)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_float_image_has_the_saliency_of_its_bytes(saliency: Saliency, channels: int) -> None:
    """The published scripts pass floats on, whose bytes are then read as grey values."""
    image = noise(30, 37, channels)

    assert np.array_equal(saliency(image.astype(np.float32) / np.float32(255)), saliency(image))


@pytest.mark.parametrize("saliency", BOTH)
def test_the_scale_of_values_other_than_bytes_does_not_matter(saliency: Saliency) -> None:
    image = noise(30, 37)

    assert np.array_equal(saliency(image.astype(np.uint16) * np.uint16(16) + np.uint16(7)), saliency(image))
    assert np.array_equal(saliency(image.astype(np.float32) * np.float32(8) - np.float32(1024)), saliency(image))


@pytest.mark.parametrize("saliency", BOTH)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(12, 15, 3), (1, 1, 1), (224, 5, 4)])
def test_an_image_without_contrast_has_no_salient_pixel(
    saliency: Saliency, dtype: type[np.generic], shape: tuple[int, int, int]
) -> None:
    result = saliency(np.full(shape, 7, dtype))

    assert result.dtype == np.float32
    assert np.array_equal(result, np.zeros(shape[:2], np.float32))


@pytest.mark.parametrize("saliency", BOTH)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_saliency_is_a_float32_map_from_0_to_1(saliency: Saliency, dtype: type[np.generic], channels: int) -> None:
    result = saliency(noise(19, 23, channels).astype(dtype))

    assert result.dtype == np.float32
    assert result.shape == (19, 23)
    assert result.min() >= 0
    assert 0.5 < result.max() <= 1


@pytest.mark.parametrize("saliency", BOTH)
def test_the_image_is_left_alone(saliency: Saliency) -> None:
    image = noise(12, 15, 3)
    before = image.copy()

    saliency(image)

    assert np.array_equal(image, before)


@pytest.mark.parametrize("saliency", BOTH)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_image_that_is_not_finite_is_refused(saliency: Saliency, value: float) -> None:
    image = np.zeros((4, 4, 1), np.float32)
    image[1, 2] = value

    with pytest.raises(ValueError, match="image must be finite"):
        saliency(image)


@pytest.mark.parametrize("saliency", BOTH)
def test_an_image_without_channel_axis_is_refused(saliency: Saliency) -> None:
    with pytest.raises(ValueError, match=r"got \(4, 4\); add the channel axis"):
        saliency(np.zeros((4, 4), np.uint8))


def subject(size: tuple[int, int], name: str = "a", brought: npt.NDArray[np.float32] | None = None) -> Subject:
    """Return an image that may not be read: what a control returns does not depend on it."""

    def image() -> npt.NDArray[np.uint8]:
        raise AssertionError("the image was read")

    return Subject(name, size, image, lambda: np.zeros(size, np.float32) if brought is None else brought)


def mapped(module: ModuleType, of: Subject) -> npt.NDArray[np.float32]:
    made: npt.NDArray[np.float32] = module.BACKEND.map_of(of)
    return made


def test_uniform_saliency_is_one_everywhere() -> None:
    assert mapped(uniform, subject((2, 3))).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_random_saliency_follows_from_the_id() -> None:
    """A new seed of the run keeps the maps."""
    first, again, other = (mapped(random, subject((4, 5), name)) for name in ("a", "a", "b"))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_random_saliency_fills_the_range_evenly() -> None:
    result = mapped(random, subject((64, 64)))

    assert result.dtype == np.float32
    assert 0 <= result.min() < 0.01
    assert 0.99 < result.max() <= 1
    assert result.mean() == pytest.approx(0.5, abs=0.02)


def test_a_map_that_is_brought_is_stretched_to_the_image() -> None:
    halves = np.array([[0, 1], [0, 1]], np.float32)

    result = mapped(precomputed, subject((4, 8), brought=halves))

    assert result.shape == (4, 8)
    assert result.dtype == np.float32
    assert (result[:, 0] < 0.1).all()
    assert (result[:, -1] > 0.9).all()
