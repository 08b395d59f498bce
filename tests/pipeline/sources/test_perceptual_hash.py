"""Perceptual hashes of real and drawn pictures: what looks alike differs in few bits, what does not in many."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from hsmix_gen.pipeline.sources.perceptual_hash import hash_of
from hsmix_gen.stages.imaging.similarity import MAX_DISTANCE, near_duplicates


def test_a_bit_says_whether_a_wave_is_stronger_than_the_median() -> None:
    """A ramp from left to right has even brightness, and waves along x alone: the first row, odd numbers falling.

    Its transform has the signs +, -, 0, -, 0, -, 0, - in the first row and 0 below, so that the median is 0.
    """
    ramp = Pillow.fromarray(np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1)))
    first_row = hash_of(ramp) >> 56
    assert first_row & 0b11010101 == 0b10000000


def test_the_same_cell_is_found_twice_in_real_pictures(shared_data: Path) -> None:
    """157 and 158, 166 and 171, 167 and 169 each show one cell, cut out a little differently."""
    numbers = range(150, 180)
    looks: list[int | None] = []
    for number in numbers:
        with Pillow.open(shared_data / "wbc_tecom" / "Dataset 1" / f"{number:03d}.bmp") as picture:
            looks.append(hash_of(picture.convert("L")))

    found = near_duplicates(looks, [str(number) for number in numbers])

    assert [(numbers[i], numbers[j]) for i, j, _ in found] == [(157, 158), (166, 171), (167, 169)]


def test_a_smaller_copy_is_found_among_others() -> None:
    rng = np.random.default_rng(0)
    pictures = [
        Pillow.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((180, 120), Pillow.Resampling.BICUBIC)
        for _ in range(20)
    ]
    pictures.append(pictures[7].resize((144, 96), Pillow.Resampling.BILINEAR))
    looks = [hash_of(picture.convert("L")) for picture in pictures]

    found = near_duplicates(looks, [str(number) for number in range(21)])

    assert [(i, j) for i, j, _ in found] == [(7, 20)]
    assert found[0][2] <= MAX_DISTANCE
