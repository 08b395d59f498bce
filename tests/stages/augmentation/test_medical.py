"""MONAI's operations change images of any depth by their key alone; the import takes seconds."""

from typing import Any

import numpy as np
import pytest

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.augmentation.augment import augmented
from hsmix_gen.stages.mixing.mixing import unmixed


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint16), (4, np.float32)])
def test_scanners_change_images_of_any_kind(channels: int, dtype: type) -> None:
    """Every operation comes up, most images change a little, labels never, and a background of floats stays."""
    rng = np.random.default_rng(0)
    values = np.zeros((48, 56, channels))
    values[8:40, 8:48] = 0.2 + 0.6 * rng.random((32, 40, channels))
    image: Any = (values * (4 if dtype == np.float32 else np.iinfo(dtype).max)).astype(dtype)
    before = unmixed(image, np.ones((48, 56), np.uint8), n_classes=2)
    words = set()
    for number in range(30):
        plan = SamplePlan(f"k{number}", "train", "none", 0, None, number, "s", number)
        after, again = (augmented(before, plan, MixConfig(augment="medical")) for _ in range(2))
        assert np.array_equal(after.mixed.image, again.mixed.image)
        assert after.mixed.image.shape == image.shape
        assert after.mixed.image.dtype == dtype
        assert after.mixed.soft is before.soft
        words |= {word.split()[0] for word in (after.applied or "").split("; ") if word}
        if after.applied:
            assert not np.array_equal(after.mixed.image, image)
        if dtype == np.float32:
            assert not after.mixed.image[:8].any()

    assert words == {"bias", "blur", "contrast", "gibbs", "noise"}
