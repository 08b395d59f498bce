"""Numbers of arrays become pixels by window, percentile or z-score; the background is 0 and nothing else is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hsmix_gen.schemas.config import ImageConfig
from hsmix_gen.schemas.records import Intensity, ScanResult
from hsmix_gen.stages.imaging.intensity import Scale, apply, choose_intensity, foreground, measure, to_stored

Array = npt.NDArray[Any]

CT = Intensity("window", (-160, 240))
PERCENTILE = Intensity("percentile", (0, 100), True, True)
ZSCORE = Intensity("zscore", (0, 0), True, True)


def one_line(*values: float, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return a plane of one row and one channel."""
    return np.array([[[value] for value in values]], dtype)


def volume(dtype: npt.DTypeLike = np.int16, shape: tuple[int, ...] = (3, 5, 7, 2)) -> Array:
    """Return planes whose channels differ in range, a third of them background."""
    rng = np.random.default_rng(5)
    planes = rng.integers(-300, 2000, shape) * np.array([1, 3])
    planes[rng.random(shape[:3]) < 0.33] = 0
    return np.asarray(planes, dtype)


def scanned(
    low: float, high: float, *, dtype: str = "int16", zeros: float = 0.0, problem: str | None = None
) -> ScanResult:
    return ScanResult("a", dtype=dtype, range=(low, high), zeros=zeros, problem=problem)


def test_a_window_is_cut_at_both_ends_and_spread_over_0_to_1() -> None:
    plane = one_line(-1000, -160, 40, 240, 3000, dtype=np.int16)

    scaled = apply(plane, measure([plane], CT), CT)

    assert scaled.dtype == np.float32
    assert scaled.tolist() == one_line(0, 0, 0.5, 1, 1).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_numbers_of_any_type_are_scaled_alike(dtype: Any) -> None:
    plane = one_line(0, 50, 100, dtype=dtype)
    window = Intensity("window", (50, 150))

    assert apply(plane, measure([plane], window), window).tolist() == one_line(0, 0, 0.5).tolist()


def test_large_numbers_keep_their_differences() -> None:
    """float32 has no number between 2**30 and 2**30 + 128."""
    plane = one_line(2**30, 2**30 + 1, 2**30 + 2, dtype=np.int32)
    whole = Intensity("percentile", (0, 100))

    assert apply(plane, measure([plane], whole), whole).tolist() == one_line(0, 0.5, 1).tolist()


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_percentiles_are_those_of_the_foreground_of_each_channel(dtype: Any) -> None:
    planes = volume(dtype)
    held = planes[(planes != 0).any(axis=-1)].astype(np.float64)
    low, high = np.percentile(held, (5, 90), axis=0)

    scale = measure(planes, Intensity("percentile", (5, 90), True, True))

    np.testing.assert_allclose(scale.origin, low, rtol=1e-6)
    np.testing.assert_allclose(scale.unit, high - low, rtol=1e-6)


def test_all_channels_can_have_one_scale() -> None:
    planes = volume()
    held = planes[(planes != 0).any(axis=-1)].astype(np.float64)

    percentile = measure(planes, Intensity("percentile", (5, 90), False, True))
    zscore = measure(planes, Intensity("zscore", (0, 0), False, True))

    low, high = np.percentile(held, (5, 90))
    assert percentile == Scale((low,), (high - low,))
    np.testing.assert_allclose([*zscore.origin, *zscore.unit], [held.mean(), held.std()], rtol=1e-12)


def test_without_a_background_all_voxels_count() -> None:
    planes = volume()

    scale = measure(planes, Intensity("zscore", (0, 0), True, False))

    np.testing.assert_allclose(scale.origin, planes.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(scale.unit, planes.std(axis=(0, 1, 2)), rtol=1e-12)


def test_a_z_score_of_the_foreground_has_mean_0_and_deviation_1() -> None:
    planes = volume()

    scale = measure(planes, ZSCORE)
    scaled = np.stack([apply(plane, scale, ZSCORE) for plane in planes])

    held = scaled[(planes != 0).any(axis=-1)].astype(np.float64)
    np.testing.assert_allclose(held.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(held.std(axis=0), 1, atol=1e-6)


def test_a_voxel_of_0_in_one_channel_alone_is_no_background() -> None:
    assert foreground(np.array([[[0, 0], [0, 3], [-1, 0]]], np.int16)).tolist() == [[False, True, True]]


def test_a_body_decides_what_is_background() -> None:
    """Outside of it nothing counts (a headrest of 2000), inside 0 does: 0 HU is water."""
    plane = one_line(2000, 0, 100, dtype=np.int16)
    body = np.array([[False, True, True]])

    scale = measure([plane], PERCENTILE, [body])
    scaled = apply(plane, scale, PERCENTILE, body)

    assert scale == Scale((0,), (100,))
    assert scaled[0, :, 0].tolist() == [0, 2**-20, 1]


@pytest.mark.parametrize("intensity", [PERCENTILE, ZSCORE])
def test_planes_may_come_one_by_one_and_those_of_background_alone_count_for_nothing(intensity: Intensity) -> None:
    planes = volume()
    empty = np.zeros_like(planes[:1])
    for given in (iter(planes), np.concatenate([empty, planes, empty])):
        assert measure(given, intensity) == measure(planes, intensity)


@pytest.mark.parametrize("kind", ["percentile", "zscore"])
@pytest.mark.parametrize("value", [0.1, 7.0, 1e9])
def test_a_constant_channel_becomes_0(kind: Any, value: float) -> None:
    planes = np.stack([np.full((3, 4, 5), value), np.arange(60.0).reshape(3, 4, 5)], axis=-1)
    intensity = Intensity(kind, (1, 99))

    scaled = apply(planes[2], measure(planes, intensity), intensity)

    assert (scaled[..., 0] == 0).all()
    assert scaled[..., 1].any()


@pytest.mark.parametrize("intensity", [PERCENTILE, ZSCORE])
def test_a_volume_of_background_alone_becomes_0(intensity: Intensity) -> None:
    planes = np.zeros((2, 3, 4, 2), np.int16)

    assert not apply(planes[0], measure(planes, intensity), intensity).any()


def test_a_channel_with_few_outliers_keeps_them() -> None:
    """Both percentiles fall on 3; a scale of width 0 would lose the only voxels that mean something."""
    plane = one_line(*[3] * 999, 13, dtype=np.int16)
    intensity = Intensity("percentile", (0.5, 99.5))

    assert measure([plane], intensity) == Scale((3,), (10,))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("intensity", [PERCENTILE, ZSCORE])
def test_voxels_that_are_no_numbers_are_refused(bad: float, intensity: Intensity) -> None:
    with pytest.raises(ValueError, match="voxels must be finite"):
        measure([one_line(1, bad, 2)], intensity)


@pytest.mark.parametrize("intensity", [Intensity("percentile", (40, 60), True, True), ZSCORE])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_body_is_what_is_stored_as_not_0(intensity: Intensity, dtype: str) -> None:
    """Voxels below the lower percentile, and those at the mean, are no background."""
    planes = volume()
    planes[0, 0, 0] = round(measure(planes[..., :1], ZSCORE).origin[0])
    scale = measure(planes, intensity)

    for plane in planes:
        stored = to_stored(apply(plane, scale, intensity), dtype, intensity)

        assert stored.dtype == dtype
        for channel in range(2):
            np.testing.assert_array_equal(stored[..., channel] != 0, (plane != 0).any(axis=-1))


@pytest.mark.parametrize(
    ("dtype", "intensity", "values", "expected"),
    [
        ("uint8", CT, (-0.1, 0.5, 1.0001), [0, 128, 255]),
        ("uint16", CT, (-0.1, 0.5, 1.0001), [0, 32768, 65535]),
        # With a background the foreground begins at 1.
        ("uint8", PERCENTILE, (0, 2**-20, 0.5, 1), [0, 1, 128, 255]),
        ("uint16", PERCENTILE, (0, 2**-20, 0.5, 1), [0, 1, 32768, 65535]),
    ],
)
def test_whole_numbers_hold_0_to_1_over_their_range(
    dtype: str, intensity: Intensity, values: tuple[float, ...], expected: list[int]
) -> None:
    found = to_stored(one_line(*values), dtype, intensity)
    assert found.dtype == dtype
    assert found[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("background", "expected"), [(True, [1, 1, 64, 0, 128, 255, 255]), (False, [0, 0, 64, 128, 128, 255, 255])]
)
def test_z_scores_are_stored_as_whole_numbers_to_4_deviations(background: bool, expected: list[int]) -> None:
    values = one_line(-9, -4, -2, 0, 2**-20, 4, 9)

    found = to_stored(values, "uint8", Intensity("zscore", (0, 0), True, background))

    # 1 + 254 / 4 = 64.5 and 1 + 254 / 2 = 128; halves are rounded to even.
    assert found[0, :, 0].tolist() == expected


def test_floats_are_stored_as_they_are() -> None:
    values = one_line(-9.5, 0, 2**-20, 0.3)

    for intensity in (CT, PERCENTILE, ZSCORE):
        np.testing.assert_array_equal(to_stored(values, "float32", intensity), values)


def test_without_a_kind_values_stay_and_are_cut_to_the_range() -> None:
    plane = one_line(-3, 0, 1.6, 255, 700)
    intensity = Intensity()

    scaled = apply(plane, measure([plane], intensity), intensity)

    np.testing.assert_array_equal(scaled, plane)
    assert to_stored(scaled, "uint8", intensity)[0, :, 0].tolist() == [0, 0, 2, 255, 255]
    assert to_stored(scaled, "uint16", intensity)[0, :, 0].tolist() == [0, 0, 2, 255, 700]


@pytest.mark.parametrize(("channels", "of_scale"), [(1, 3), (4, 3), (3, 2)])
def test_the_scale_of_other_channels_is_refused(channels: int, of_scale: int) -> None:
    """Three scales would make three channels of a grey plane."""
    with pytest.raises(ValueError, match=f"the scale must have {channels} channels or 1, got {of_scale}"):
        apply(np.zeros((2, 3, channels)), Scale((0.0,) * of_scale, (1.0,) * of_scale), PERCENTILE)


def test_inputs_are_left_alone() -> None:
    planes = volume(np.float32)
    before = planes.copy()

    apply(planes[0], measure(planes, PERCENTILE), PERCENTILE)

    np.testing.assert_array_equal(planes, before)


@pytest.mark.parametrize(
    ("scans", "intensity", "dtype"),
    [
        ([scanned(0, 255, dtype="uint8")], Intensity("none"), "uint8"),
        ([scanned(0, 1, dtype="float32"), scanned(0, 0.7, dtype="float64")], Intensity("window", (0, 1)), "uint16"),
        ([scanned(-1024, 3071), scanned(-2048, 1200), scanned(-90, 60)], CT, "uint16"),
        ([scanned(0, 4000, zeros=0.8)], Intensity("percentile", (0.5, 99.5), True, True), "uint8"),
        ([scanned(0, 4000)], Intensity("percentile", (0.5, 99.5), True, False), "uint8"),
        ([scanned(-2.5, 9, dtype="float32")], Intensity("percentile", (0.5, 99.5)), "uint8"),
        ([scanned(0, 1, dtype="int16")], Intensity("percentile", (0.5, 99.5)), "uint8"),
        ([scanned(0, 1, dtype="float32"), scanned(0, 2, dtype="float32")], Intensity("percentile", (0.5, 99.5)),
         "uint8"),
        ([scanned(-600, 1), scanned(0, 1)], Intensity("percentile", (0.5, 99.5)), "uint8"),
    ],
)  # fmt: skip
def test_the_ranges_say_how_numbers_become_pixels(scans: list[ScanResult], intensity: Intensity, dtype: str) -> None:
    assert choose_intensity(scans, ImageConfig())[:2] == (intensity, dtype)


def test_zeros_are_background_if_half_of_the_images_have_5_percent() -> None:
    full, hollow = scanned(0, 900, zeros=0.04), scanned(0, 900, zeros=0.06)

    found = [choose_intensity(scans, ImageConfig())[0].background for scans in ([hollow, full, full], [hollow] * 2)]

    assert found == [False, True]


@pytest.mark.parametrize(
    ("options", "intensity", "dtype"),
    [
        ({"intensity": "zscore"}, Intensity("zscore", (0, 0), True, True), "float32"),
        ({"intensity": "zscore", "dtype": "uint16"}, Intensity("zscore", (0, 0), True, True), "uint16"),
        ({"intensity": "none"}, Intensity("none"), "float32"),
        ({"window": (-10, 90)}, Intensity("window", (-10, 90)), "uint16"),
        ({"intensity": "percentile", "window": (1, 99)}, Intensity("percentile", (1, 99), True, True), "uint8"),
        ({"intensity": "percentile", "per_channel": False}, Intensity("percentile", (0.5, 99.5), False, True), "uint8"),
    ],
)
def test_what_is_asked_for_is_taken(options: dict[str, Any], intensity: Intensity, dtype: str) -> None:
    found = choose_intensity([scanned(0, 4000, zeros=0.8)], ImageConfig.model_validate(options))

    assert found[:2] == (intensity, dtype)


@pytest.mark.parametrize(
    ("dtypes", "dtype"), [(["uint8"], "uint8"), (["uint8", "uint16"], "uint16"), (["uint16", "int16"], "float32")]
)
def test_values_as_they_are_need_a_type_that_holds_them(dtypes: list[str], dtype: str) -> None:
    scans = [scanned(0, 255, dtype=name) for name in dtypes]

    assert choose_intensity(scans, ImageConfig(intensity="none"))[1] == dtype


def test_masks_of_the_body_make_a_background() -> None:
    assert choose_intensity([scanned(-1000, 3000)], ImageConfig(), has_body=True)[0].background


def test_an_image_with_a_problem_decides_nothing() -> None:
    scans = [scanned(-1024, 3000), *[scanned(0, 0, problem="torn")] * 5]

    assert choose_intensity(scans, ImageConfig())[0] == CT


def test_no_usable_image_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="usable images, got none"):
        choose_intensity([scanned(0, 0, problem="torn")], ImageConfig())


@pytest.mark.parametrize(
    ("scan", "options", "note"),
    [
        (
            scanned(-1024, 3000),
            {},
            "intensities: window -160 to 240, stored as uint16 (values below -500 look like CT; "
            "change with --intensity, --window LOW HIGH, --dtype)",
        ),
        (
            scanned(0, 4000, zeros=0.5),
            {"intensity": "percentile"},
            "intensities: percentiles 0.5 to 99.5 of each volume, background 0, stored as uint8",
        ),
    ],
)
def test_the_note_says_what_was_chosen_and_how_to_change_it(
    scan: ScanResult, options: dict[str, Any], note: str
) -> None:
    assert choose_intensity([scan], ImageConfig.model_validate(options))[2] == note
