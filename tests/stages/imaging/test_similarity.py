"""Images that look alike are found across groups, all of them and no others."""

import hypothesis
import pytest
from hypothesis import strategies as st

from hsmix_gen.stages.imaging.similarity import MAX_DISTANCE, near_duplicates


def singles(number: int) -> list[str]:
    return [f"g{i}" for i in range(number)]


def all_pairs(looks: list[int | None], groups: list[str]) -> list[tuple[int, int, int]]:
    """Compare every image with every other."""
    return [
        (i, j, (a ^ b).bit_count())
        for i, a in enumerate(looks)
        for j, b in enumerate(looks)
        if i < j and a is not None and b is not None and groups[i] != groups[j]
        if (a ^ b).bit_count() <= MAX_DISTANCE
    ]


def test_pairs_come_in_order_with_the_bits_that_differ() -> None:
    looks = [0b111110, 2**63, 0b011110, 0, 2**63 + 1]

    assert near_duplicates(looks, singles(5)) == [(0, 2, 1), (1, 3, 1), (1, 4, 1), (2, 3, 4), (3, 4, 2)]


def test_images_of_one_group_may_look_alike() -> None:
    """Neighbouring slices of one volume do."""
    assert near_duplicates([5, 5, 4], ["p", "p", "q"]) == [(0, 2, 1), (1, 2, 1)]


def test_flat_images_look_like_nothing() -> None:
    assert near_duplicates([None, 7, None, 7], singles(4)) == [(1, 3, 0)]
    assert near_duplicates([None, None], singles(2)) == []
    assert near_duplicates([], []) == []


@pytest.mark.parametrize("places", [(0, 1, 2, 3), (60, 61, 62, 63), (0, 13, 26, 39), (12, 25, 38, 51), (5, 20, 40, 63)])
def test_differing_bits_may_lie_anywhere(places: tuple[int, ...]) -> None:
    """Four bits in four bands leave the fifth."""
    look = 0x5A5A_1234_FFFF_0001

    assert near_duplicates([look, look ^ sum(1 << place for place in places)], ["p", "q"]) == [(0, 1, 4)]


def test_one_bit_more_is_another_image() -> None:
    assert near_duplicates([0, 0b11111], ["p", "q"]) == []


def test_signed_hashes_are_the_same_as_unsigned() -> None:
    assert near_duplicates([-1, 2**64 - 1], ["p", "q"]) == [(0, 1, 0)]


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 63), max_size=8)), max_size=25),
    st.lists(st.integers(0, 3), min_size=25, max_size=25),
)
def test_all_pairs_are_found_and_no_others(drawn: list[tuple[int, list[int]]], group_numbers: list[int]) -> None:
    bases = [0, 0x0123_4567_89AB_CDEF, 2**64 - 1]
    looks: list[int | None] = []
    for base, flips in drawn:
        look = bases[base]
        for place in flips:
            look ^= 1 << place
        looks.append(look)
    groups = [f"p{number}" for number in group_numbers[: len(looks)]]

    assert near_duplicates(looks, groups) == all_pairs(looks, groups)


def test_many_equal_images_do_not_blow_up_and_are_all_named() -> None:
    """3000 equal hashes are 4.5 million pairs."""
    found = near_duplicates([3] * 3000, singles(3000))

    assert len(found) == sum(min(64, 2999 - i) for i in range(3000))
    assert {i for pair in found for i in pair[:2]} == set(range(3000))
