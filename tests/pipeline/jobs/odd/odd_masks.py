"""Masks of odd values, types, sizes and forms, and files that have no partner."""

import numpy as np
import tifffile
from PIL import Image as Pillow

from tests.pipeline.jobs.odd.odd_cases import Cases
from tests.pipeline.jobs.odd.odd_pictures import ODD_SIZE, Pair, Seen, encoded

CASES: Cases[Pair, Seen] = Cases()
refused, used = CASES.refused, CASES.used


@refused("has values 77", "expected 0, 1, 255", "--mask-values")
def mask_of_unknown_value(pair: Pair) -> None:
    pair.labels[0, :3] = 77
    Pillow.fromarray(pair.labels).save(pair.mask())


@used
def mask_without_objects(pair: Pair) -> Seen:
    Pillow.fromarray(pair.labels * np.uint8(0)).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels * 0, foreground=0)


@used
def mask_of_equal_channels(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.labels] * 3)).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels)


@used
def mask_with_alpha(pair: Pair) -> Seen:
    Pillow.fromarray(np.dstack([pair.labels] * 3 + [pair.grey])).save(pair.mask())
    return Seen(pair.grey[..., None], pair.labels)


@refused("mask is coloured", "--colours")
def mask_of_colours(pair: Pair) -> None:
    Pillow.fromarray(np.dstack([pair.labels, pair.labels // 2, pair.labels])).save(pair.mask())


@used
def mask_of_one_bit(pair: Pair) -> Seen:
    Pillow.fromarray(pair.labels > 0).save(pair.mask())
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.uint8))


@used
def mask_as_palette(pair: Pair) -> Seen:
    picture = Pillow.fromarray((pair.labels > 0).astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 128, 0, 64])
    picture.save(pair.mask())
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.uint8))


@used
def mask_as_jpeg(pair: Pair) -> Seen:
    labels = np.zeros(ODD_SIZE, np.uint8)
    labels[:, 8:] = 255
    Pillow.fromarray(labels).save(pair.mask(".jpg"), quality=95)
    return Seen(pair.grey[..., None], labels, foreground=60)


@refused("lossy mask", "export it as PNG")
def mask_as_jpeg_of_ids(pair: Pair) -> None:
    Pillow.fromarray((pair.labels > 0).astype(np.uint8) * np.uint8(3)).save(pair.mask(".jpg"), quality=100)


@used
def mask_of_int32(pair: Pair) -> Seen:
    wide = np.where(pair.labels > 0, 70000, 0).astype(np.int32)
    tifffile.imwrite(pair.mask(".tif"), wide)
    return Seen(pair.grey[..., None], wide)


@used
def mask_of_whole_floats(pair: Pair) -> Seen:
    tifffile.imwrite(pair.mask(".tif"), (pair.labels > 0).astype(np.float32))
    return Seen(pair.grey[..., None], (pair.labels > 0).astype(np.int32))


@refused("label 0.5", "whole numbers", "without interpolation")
def mask_of_halves(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), (pair.labels > 0) * np.float32(0.5))


@refused("NaN", "whole numbers", "replace them")
def mask_of_nan(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), np.where(pair.labels > 0, np.nan, 0).astype(np.float32))


@refused("label -1", "expected 0 or more", "number the classes from 0")
def mask_below_zero(pair: Pair) -> None:
    tifffile.imwrite(pair.mask(".tif"), -(pair.labels > 0).astype(np.int16))


@refused("14 x 9", "14 x 10", "export the mask at the size of the image")
def mask_of_other_size(pair: Pair) -> None:
    Pillow.fromarray(pair.labels[:9]).save(pair.mask())


@refused("10 x 14", "14 x 10", "export the mask at the size of the image")
def mask_lying_down(pair: Pair) -> None:
    Pillow.fromarray(np.ascontiguousarray(pair.labels.T)).save(pair.mask())


@refused("no mask", "add one", stage="discover")
def image_alone(pair: Pair) -> None:
    pair.mask().unlink()


@refused("no image", "add it or remove the mask", stage="discover")
def mask_alone(pair: Pair) -> None:
    pair.image().unlink()


@refused("several images have one stem", "image_of_two_endings.jpg", "rename or remove", stage="discover")
def image_of_two_endings(pair: Pair) -> None:
    (pair.source / "images" / f"{pair.stem}.jpg").write_bytes(encoded(pair.colour, "JPEG"))


@used
def one_pixel(pair: Pair) -> Seen:
    Pillow.fromarray(pair.grey[:1, :1]).save(pair.image())
    Pillow.fromarray(pair.labels[2:3, 3:4]).save(pair.mask())
    return Seen(pair.grey[:1, :1, None], pair.labels[2:3, 3:4], foreground=1)
