"""Images of two appearances are never mixed with each other, as long as each has somebody to be mixed with."""

from dataclasses import replace

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.planning.appearance import FAR, Looks, far_share, kinds_of
from hsmix_gen.stages.planning.partners import partners_by_copy


def looks(*brightness: float, spread: float = 0.1, scale: float = 1.0) -> Looks:
    """Return looks of grey images in three channels, so bright each."""
    vectors = np.array([[value] * 3 + [spread] * 3 for value in brightness]) * scale
    return Looks(vectors, has_white=scale == 1.0)


def names(count: int) -> list[str]:
    return [f"g{number}" for number in range(count)]


def test_two_stains_are_two_kinds_and_one_stain_is_one() -> None:
    dark_and_bright = looks(0.9, 0.1, 0.15, 0.88, 0.12, 0.95)

    assert kinds_of(dark_and_bright, names(6)).tolist() == [0, 1, 1, 0, 1, 0]
    assert kinds_of(looks(0.4, 0.5, 0.45, 0.6), names(4)).tolist() == [0, 0, 0, 0]
    assert far_share(dark_and_bright) == pytest.approx(18 / 30)
    assert far_share(looks(0.4, 0.5, 0.45, 0.6)) == 0


def test_images_without_white_are_compared_in_their_own_spread() -> None:
    """z-scores and other numbers have no white: what counts is how far apart they are against their contrast."""
    assert kinds_of(looks(0.9, 0.1, 0.15, 0.88, scale=40.0), names(4)).tolist() == [0, 1, 1, 0]
    assert not kinds_of(looks(0.5, 0.4, 0.45, 0.48, scale=40.0), names(4)).any()


def test_a_kind_holds_two_images_that_may_be_mixed() -> None:
    """A lone bright image stays with those that are next, as does a lone patient."""
    assert kinds_of(looks(0.1, 0.12, 0.95), names(3)).tolist() == [0, 0, 0]
    assert kinds_of(looks(0.1, 0.12, 0.9, 0.95), ["a", "b", "c", "c"]).tolist() == [0, 0, 0, 0]
    assert kinds_of(looks(0.1, 0.12, 0.5, 0.9, 0.95), ["a", "b", "d", "c", "c"]).tolist() == [0, 0, 1, 1, 1]


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=60, deadline=None)
def test_no_two_images_of_a_kind_look_apart_and_order_does_not_matter(data: st.DataObject) -> None:
    """But in kinds that cannot be cut any more."""
    count = data.draw(st.integers(2, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    vectors = rng.random((count, 6))
    keys = [f"k{number}" for number in rng.integers(0, max(2, count // 2), count)]
    order = rng.permutation(count)

    kinds = kinds_of(Looks(vectors, has_white=True), keys)
    again = kinds_of(Looks(vectors[order], has_white=True), [keys[i] for i in order])

    for kind in range(kinds.max() + 1):
        own = np.flatnonzero(kinds == kind)
        assert len(own)
        if len(set(keys)) > 1:
            assert len({keys[i] for i in own}) > 1
        if len(own) > 3 and len({keys[i] for i in own}) == len(own):
            apart = np.sqrt(((vectors[own][:, None] - vectors[own][None]) ** 2).sum(axis=-1) / 3)
            assert apart.max() <= FAR + 0.01
    assert len({(a, b) for a, b in zip(kinds[order], again, strict=True)}) == kinds.max() + 1


def partners_of(records: list[SourceRecord], seen: Looks, *, other_group: bool) -> npt.NDArray[np.int64]:
    rows = np.arange(1, len(records))
    of_copy = partners_by_copy(rows, records, seed=2, other_group=other_group, looks=seen)
    return np.stack([of_copy(copy) for copy in range(7)])


@pytest.mark.parametrize("other_group", [False, True])
def test_partners_are_of_one_kind_and_rules_of_groups_and_copies_hold(other_group: bool) -> None:
    """The first row is refused and no partner; two images have one content."""
    brightness = (0.5, 0.1, 0.15, 0.9, 0.93, 0.95, 0.2, 0.12, 0.97)
    records = [
        SourceRecord(f"s{i}", f"p{i // 2}", "train", None, "i.png", "m.png", f"sha{i}", "", 1, 1) for i in range(9)
    ]
    records[8] = replace(records[8], image_sha256="sha3")

    found = partners_of(records, looks(*brightness), other_group=other_group)

    for partners in found:
        for row, partner in zip(range(1, 9), partners.tolist(), strict=True):
            assert partner != row
            assert {row, partner} != {3, 8}
            assert abs(brightness[row] - brightness[partner]) < FAR
            assert not other_group or records[row].group != records[partner].group
    assert len({tuple(partners) for partners in found.tolist()}) > 1
