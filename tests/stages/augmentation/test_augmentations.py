"""Augmented samples: geometry takes colour and label from one place, photometry leaves labels, chance is keyed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import AUGMENTATIONS
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.augmentation.augment import augmented, check_augmentation, moved
from hsmix_gen.stages.augmentation.medical_augment import Medical
from hsmix_gen.stages.augmentation.operations import GEOMETRIC, PHOTOMETRIC, apply_operation, origins
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.mixing import Mixed, mix
from hsmix_gen.stages.randomness import generator

PICTURES = ("augmix", "randaugment", "trivial")


def sample(height: int = 24, width: int = 36) -> Mixed:
    """Return a soft sample of three classes whose pixels tell their places: row, column and noise."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rng.integers(0, 256, (height, width))], axis=-1).astype(np.uint8)
    masks = rng.integers(0, 3, (2, height, width)).astype(np.uint8)
    weight = rng.integers(0, 256, (height, width)).astype(np.uint8)
    made = mix(image, masks[0], image, masks[1], weight, n_classes=3)
    return replace(made, image=image)


def plan(number: int, split: str = "train") -> SamplePlan:
    return SamplePlan(f"k{number}", split, "soft", 0, 1, 1000 + number, "s", number)  # type: ignore[arg-type]


def test_kinds_are_the_modules_of_the_folder() -> None:
    assert AUGMENTATIONS.names == ("augmix", "flips", "medical", "randaugment", "trivial")


@pytest.mark.parametrize("name", GEOMETRIC)
def test_geometry_moves_every_pixel_with_its_label(name: str) -> None:
    """No label is interpolated: each is one that the sample had, and that of the colour beside it."""
    before = sample()

    after = apply_operation(before, name, {"rotate": 25.0, "shear_x": 0.3, "shear_y": -0.3}.get(name, 5.0))

    outside = after.mask == 255
    assert 0.02 < outside.mean() < 0.6
    assert not after.image[outside].any()
    assert not after.soft[:, outside].any()
    rows, columns = after.image[..., 0][~outside], after.image[..., 1][~outside]
    assert np.array_equal(after.image[~outside], before.image[rows, columns])
    assert np.array_equal(after.mask[~outside], before.mask[rows, columns])
    assert np.array_equal(after.soft[:, ~outside], before.soft[:, rows, columns])
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) > 0.5 * rows.size


def test_shifts_and_quarter_turns_are_exact() -> None:
    """torchvision turns with the clock and shifts to the right and down."""
    places = np.arange(64).reshape(8, 8)

    right, down = origins((8, 8), "translate_x", 2.0), origins((8, 8), "translate_y", -3.0)

    assert np.array_equal(right[:, 2:], places[:, :-2])
    assert (right[:, :2] == -1).all()
    assert np.array_equal(down[:-3], places[3:])
    assert (down[-3:] == -1).all()
    assert np.array_equal(origins((8, 8), "rotate", 90.0), np.rot90(places, -1))


def test_pixels_from_outside_are_ignored() -> None:
    before = sample(4, 5)
    origin = np.full((4, 5), -1)
    origin[1, 2] = 7

    after = moved(before, origin)

    assert (after.mask[1, 2], (after.mask == 255).sum()) == (before.mask[1, 2], 19)
    assert np.array_equal(after.soft[:, 1, 2], before.soft[:, 1, 2])
    assert after.soft.sum(dtype=float) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_photometry_changes_the_image_alone(name: str) -> None:
    before = sample()
    kept = before.image.copy()

    after = apply_operation(before, name, {"posterize": 3.0, "solarize": 20.0}.get(name, 0.4))

    assert not np.array_equal(after.image, before.image)
    assert after.image.shape == before.image.shape
    assert after.image.dtype == np.uint8
    assert after.mask is before.mask
    assert after.soft is before.soft
    assert np.array_equal(before.image, kept)


@pytest.mark.parametrize("size", [(24, 24), (24, 36)])
def test_flips_are_the_exact_symmetries(size: tuple[int, int]) -> None:
    """All of them come up; labels are turned like the image, to the last bit."""
    before = sample(*size)
    found = set()
    for number in range(60):
        after = augmented(before, plan(number), MixConfig(augment="flips"))
        drawn = int(after.applied.removeprefix("transform ")) if after.applied else 0
        found.add(drawn)
        assert np.array_equal(after.mixed.image, transform(before.image, drawn))
        assert np.array_equal(after.mixed.mask, transform(before.mask, drawn))
        assert np.array_equal(after.mixed.soft[1], transform(before.soft[1], drawn))

    assert found == (set(range(8)) if size[0] == size[1] else {0, 2, 4, 6})


@pytest.mark.parametrize("kind", ["flips", *PICTURES])
@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_drawn_by_their_key_and_stay_whole(kind: str, channels: int) -> None:
    """The same key gives the same bytes wherever it is drawn, and every label still sums to 1 or is ignored."""
    before = sample()
    before = replace(before, image=before.image[..., -channels:])
    config = MixConfig(augment=kind)
    images = []
    for number in range(25):
        after, again = (augmented(before, plan(number), config) for _ in range(2))
        assert after.applied == again.applied
        assert np.array_equal(after.mixed.image, again.mixed.image)
        assert after.mixed.image.shape == before.image.shape
        assert after.mixed.image.dtype == np.uint8
        ignored = after.mixed.mask == 255
        total = after.mixed.soft.sum(axis=0, dtype=np.float32)
        assert np.abs(total[~ignored] - 1).max(initial=0) < 2e-3
        assert not total[ignored].any()
        images.append(after.mixed.image.tobytes())

    assert len(set(images)) > 3
    passed = augmented(before, plan(3, "val"), config)
    assert (passed.mixed is before, passed.applied) == (True, None)


def test_images_that_cannot_be_taken_are_refused_in_one_line() -> None:
    for kind in PICTURES:
        for form in ((4, "float32"), (1, "uint16"), (2, "uint8")):
            with pytest.raises(ConfigError) as caught:
                check_augmentation(MixConfig(augment=kind), *form)
            assert str(caught.value) == (
                f"--augment {kind} takes images of 8 bits with 1 or 3 channels, got {form[0]} of {form[1]}; "
                "choose flips or medical, or leave it out"
            )
    for kind in ("none", "flips", "medical"):
        check_augmentation(MixConfig(augment=kind), 4, "float32")


def levels(dtype: type) -> Any:
    """Return an image of two channels with an empty rim, from -2 to 3 in floats."""
    values = np.zeros((20, 20, 2))
    values[4:-4, 4:-4] = np.random.default_rng(0).random((12, 12, 2))
    if dtype == np.float32:
        return np.where(values == 0, 0, 5 * values - 2).astype(np.float32)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_medical_gives_operations_values_of_0_to_1_and_takes_them_back(dtype: type) -> None:
    """The operation is a stand-in: MONAI's, which takes seconds to import, come in test_medical.py."""
    seen = []

    def make(strength: float, seed: int) -> object:
        def work(planes: torch.Tensor) -> torch.Tensor:
            seen.append((planes.shape, float(planes.min()), float(planes.max()), strength))
            return planes * 0.5 + 0.25

        return work

    before = replace(sample(20, 20), image=levels(dtype))
    medical = Medical({"half": (make, 0.2, 0.4)})
    found = [medical.apply(before, generator(number)) for number in range(20)]

    changed = [after for after in found if after.applied]
    assert 0 < len(changed) < 15
    assert all(shape == (2, 20, 20) and low == 0 and 0.97 < high <= 1 for shape, low, high, _ in seen)
    assert all(0.2 <= strength <= 0.4 for *_, strength in seen)
    image = changed[0].mixed.image
    assert image.dtype == dtype
    if dtype == np.float32:
        assert not image[:4].any()
        low, high = levels(dtype).min(), levels(dtype).max()
        inside = levels(dtype)[5:-5, 5:-5]
        assert np.allclose(image[5:-5, 5:-5], (inside - low) / 2 + (high - low) / 4 + low, atol=1e-4)
    else:
        white = np.iinfo(dtype).max
        assert np.abs(image.astype(float) - (levels(dtype) / 2 + white / 4)).max() <= 1
    assert changed[0].mixed.soft is before.soft
    assert changed[0].applied is not None
    assert changed[0].applied.startswith("half 0.")
