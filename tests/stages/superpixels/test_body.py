"""The body is distinguished from the air around it."""

import numpy as np
import pytest

from hsmix_gen.stages.superpixels.body import body_of


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_body_is_what_is_not_0_in_all_channels_without_holes(dtype: type[np.generic]) -> None:
    """The top row shows in one channel, the others in another; the hole is closed, the bay at the right is not."""
    shown = [
        [1, 1, 1, 1, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    image = np.zeros((4, 5, 4), dtype)
    image[0, :, 1] = shown[0]
    image[1:, :, 3] = np.array(shown[1:]) * (3 if dtype != np.float32 else -3)

    body = body_of(image)

    assert body is not None
    assert body.dtype == np.bool_
    assert body.astype(int).tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_an_image_that_is_all_body_or_all_air_has_none() -> None:
    """A frame is everything once its hole is closed."""
    frame = np.ones((5, 6, 2), np.uint8)
    frame[1:-1, 1:-1] = 0

    for image in (np.zeros((5, 6, 2), np.uint8), np.ones((5, 6, 2), np.uint8), frame):
        assert body_of(image) is None
