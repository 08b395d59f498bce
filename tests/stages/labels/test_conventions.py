"""Values of masks become classes by what explains the pixels of all masks; what is in doubt becomes a question."""

import numpy as np
import pytest
from scipy import ndimage

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.stages.labels.conventions import MaskValues, nearest_ranges, understand_values
from tests.stages.labels.drawn_masks import Mask, disc, nested, outlined, seen, with_pixels


def masks(*values: set[int], times: int = 1) -> list[MaskValues]:
    """Return masks of which only the values are known, each with as many pixels."""
    return [MaskValues(dict.fromkeys(one, 9), {}) for one in values] * times


def understood(*drawn: Mask) -> dict[int, int]:
    return understand_values([seen(mask) for mask in drawn]).values


def refused(*drawn: Mask) -> str:
    with pytest.raises(SourceError) as error:
        understand_values([seen(mask) for mask in drawn])
    return str(error.value)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([{0, 255}], {0: 0, 255: 1}),
        ([{0, 1}], {0: 0, 1: 1}),
        ([{0, 128, 255}], {0: 0, 128: 1, 255: 2}),
        ([{0, 127, 255}], {0: 0, 127: 1, 255: 2}),
        ([{0, 85, 170, 255}], {0: 0, 85: 1, 170: 2, 255: 3}),
        ([{0, 65535}], {0: 0, 65535: 1}),
        ([{0, 32768, 65535}], {0: 0, 32768: 1, 65535: 2}),
        ([{0, 1, 2}], {0: 0, 1: 1, 2: 2}),
        ([{0, 1}, {0, 2}, {0, 3}], {0: 0, 1: 1, 2: 2, 3: 3}),
        ([{0, 1, 2, 3, 4, 5, 6, 7, 8}], {i: i for i in range(9)}),
        ([{0, 128}, {0, 255}, {0}], {0: 0, 128: 1, 255: 2}),
        ([{0}, {0, 255}, {255}], {0: 0, 255: 1}),
        ([{0}], {0: 0}),
        ([set(range(255))], {i: i for i in range(255)}),
        ([{0, 127, 255}, {0, 128, 255}], {0: 0, 127: 1, 128: 1, 255: 2}),
    ],
)
def test_a_convention_is_recognised(held: list[set[int]], expected: dict[int, int]) -> None:
    assert understand_values(masks(*held)).values == expected


@pytest.mark.parametrize("odd", [{0, 77, 255}, {13}, {0, 200}])
def test_one_odd_mask_among_many_does_not_change_the_map(odd: set[int]) -> None:
    assert understand_values([*masks({0, 255}, times=20), *masks(odd)]).values == {0: 0, 255: 1}


@pytest.mark.parametrize(("most", "odd"), [(1, 255), (255, 1)])
def test_one_mask_of_another_convention_is_refused_later_and_changes_nothing(most: int, odd: int) -> None:
    """With 1 taken for a grey next to 0, masks of 0 and 1 would lose their foreground in silence."""
    found = understood(*(disc(i, most) for i in range(8)), disc(8, odd))

    assert found == {0: 0, most: 1}


def test_a_mask_of_background_alone_fits_every_convention() -> None:
    assert understand_values([*masks({0}, times=50), *masks({0, 255})]).values == {0: 0, 255: 1}


def test_a_rare_class_is_no_oddity() -> None:
    assert understood(*(disc(i) for i in range(50)), disc(0, 2)) == {0: 0, 1: 1, 2: 2}


def test_a_speck_of_the_next_id_in_one_mask_is_no_class() -> None:
    assert understood(*(disc(i) for i in range(8)), with_pixels(disc(), 2)) == {0: 0, 1: 1}


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_a_few_pixels_of_255_are_ignored_and_said(pixels: int) -> None:
    """The area of class 1 in all masks weighs more than a pixel in one."""
    reading = understand_values([seen(disc(i)) for i in range(7)] + [seen(with_pixels(disc(), 255, pixels))])

    assert reading.values == {0: 0, 1: 1, 255: 255}
    assert reading.shades == {255}
    assert f"{pixels} pixels in 1 of 8 masks; --ignore 255 says so" in reading.notes[0]


def test_a_pixel_of_255_in_an_empty_mask_is_ignored() -> None:
    assert understood(*(disc(i) for i in range(7)), with_pixels(disc() * 0, 255)) == {0: 0, 1: 1, 255: 255}


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("holding", [1, 4, 8])
def test_outlines_of_255_around_objects_are_ignored(width: int, holding: int) -> None:
    drawn = [outlined(disc(i), width=width) if i < holding else disc(i) for i in range(8)]

    assert understood(*drawn) == {0: 0, 1: 1, 255: 255}


def test_outlines_of_255_around_several_classes_are_ignored() -> None:
    assert understood(*(outlined(nested(i)) for i in range(4))) == {0: 0, 1: 1, 2: 2, 255: 255}


def test_areas_of_255_beside_ids_are_a_question_with_all_readings() -> None:
    text = refused(*(nested(i, (0, 1, 255)) for i in range(8)))

    assert "255 has areas in 8 of 8 masks" in text
    assert "255 as pixels of no class (--ignore 255)" in text
    assert "as classes each (--mask-values 0=0,1=1,255=2)" in text
    assert "only 255 as the foreground (--mask-values 0-1=0,255=1)" in text


@pytest.mark.parametrize("ones", [4, 5, 3, 6, 2])
def test_a_mixture_of_two_conventions_is_a_question(ones: int) -> None:
    text = refused(*(disc(i) for i in range(ones)), *(disc(i, 255) for i in range(8 - ones)))

    for option in ("--ignore 255", "--mask-values 0=0,255=1", "--mask-values 0=0,1=1,255=1"):
        assert f"({option})" in text


def test_greys_one_beside_the_usual_ones_are_shades_where_they_are_thin() -> None:
    drawn = [with_pixels(outlined(disc(i, 255), 254), 1, 20) for i in range(4)]

    reading = understand_values([seen(mask) for mask in drawn])

    assert reading.values == {0: 0, 1: 0, 254: 1, 255: 1}
    assert reading.shades == {1, 254}
    assert "1 = class 0, 254 = class 1" in reading.notes[0]


def test_a_grey_that_is_only_an_edge_is_no_class() -> None:
    """Resampling puts 128 between 0 and 255."""
    edge = outlined(disc(value=255), 128)
    edge[disc(value=255) == 0] = 0

    assert understood(*(disc(i, 255) for i in range(7)), edge) == {0: 0, 255: 1}
    text = refused(*(np.where((disc(i, 255) == 0), 0, outlined(disc(i, 255), 128)) for i in range(8)))
    assert "--threshold 128, or map them with --mask-values 0=0,128=1,255=2" in text


def test_a_small_area_of_a_third_grey_is_a_class() -> None:
    mask = disc(value=255)
    mask[2:7, 2:7] = 128

    assert understood(*(disc(i, 255) for i in range(7)), mask) == {0: 0, 128: 1, 255: 2}


def test_greys_beside_three_classes_are_given_to_the_nearest() -> None:
    drawn = []
    for i in range(6):
        mask = nested(i, (0, 128, 255))
        mask[0] = np.arange(64) + 20
        drawn.append(mask)

    assert "nearest class with --mask-values 0-64=0,65-191=1,192-255=2" in refused(*drawn)


def test_numbers_of_objects_are_a_question() -> None:
    drawn = []
    for count in (5, 7, 3, 9):
        mask = np.zeros((64, 64), np.uint16)
        for k in range(count):
            mask[6 * k + 1 : 6 * k + 5, 4:60] = k + 1
        drawn.append(mask)

    assert "1 to 9 look like numbers of objects" in refused(*drawn)
    assert "--instances if they number objects of one class, --no-instances" in refused(*drawn)
    assert understand_values([seen(mask) for mask in drawn], numbered=False).values == {i: i for i in range(10)}


def test_labels_of_organs_are_no_numbers_of_objects() -> None:
    """A slice that lacks an organ has a gap."""
    drawn = []
    for held in ((1, 2, 3, 4, 5, 6), (2, 3, 5, 6), (1, 4, 5), (1, 2)):
        mask = np.zeros((64, 64), np.uint8)
        for k in held:
            mask[8 * k : 8 * k + 6, 4:60] = k
        drawn.append(mask)

    assert understood(*drawn) == {i: i for i in range(7)}


@pytest.mark.parametrize("held", [[{0, 77}, {0, 91}, {0, 255}], [{3, 4}], [{1, 2}], [{0, 2}], [{12, 200}], [{255}]])
def test_nonsense_is_refused_with_the_values_and_the_way_out(held: list[set[int]]) -> None:
    with pytest.raises(SourceError, match="follow no known convention") as refusal:
        understand_values(masks(*held))

    assert ", ".join(str(value) for value in sorted(set().union(*held))) in str(refusal.value)
    assert "--mask-values" in str(refusal.value)


def test_ids_from_1_with_a_stray_0_have_no_background() -> None:
    assert "follow no known convention" in refused(*(nested(i, (1, 2, 2)) for i in range(7)), nested(0, (0, 1, 2)))


def test_a_value_of_the_odd_mask_alone_is_no_class() -> None:
    """That mask is refused for 9, and 2 with it."""
    assert understand_values([*masks({0, 1}, times=20), *masks({2, 9})]).values == {0: 0, 1: 1}


def test_many_values_are_listed_in_part() -> None:
    with pytest.raises(SourceError, match=r"3, 4, .*, 14, … \(60 in all\)"):
        understand_values(masks(set(range(3, 63))))


def test_no_mask_at_all_is_refused() -> None:
    with pytest.raises(SourceError, match="no mask could be read"):
        understand_values([])


def test_the_order_of_masks_does_not_matter() -> None:
    held = [*masks({0, 255}, times=3), *masks({0, 128, 255}, {0, 7})]

    assert understand_values(held) == understand_values(held[::-1])


@pytest.mark.parametrize(
    ("classes", "ranges"),
    [
        ({0: 0, 255: 1}, "0-127=0,128-255=1"),
        ({0: 0, 128: 1, 255: 2}, "0-64=0,65-191=1,192-255=2"),
        ({0: 0, 1: 0, 254: 1, 255: 1}, "0-127=0,128-255=1"),
    ],
)
def test_every_value_has_a_nearest_class(classes: dict[int, int], ranges: str) -> None:
    assert nearest_ranges(classes) == ranges


def test_masks_of_one_value_without_background_are_asked_for() -> None:
    message = refused(np.full((4, 4), 255), np.full((4, 4), 255))

    assert "all pixels of 2 masks have the one value, so that none is background" in message
    assert message.endswith("--mask-values 0=0,255=1")


@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_blurred_masks_are_to_be_cut_whatever_greys_their_edges_have(sigma: float) -> None:
    """The first greys 1, 2, 3 are no class ids beside which 255 would be in doubt."""
    blurred = [np.rint(ndimage.gaussian_filter(disc(n, 255).astype(float), sigma)).astype(np.uint16) for n in range(4)]

    assert "black and white with soft edges: cut them with --threshold 128" in refused(*blurred)


def noted(*drawn: Mask) -> tuple[str, ...]:
    return understand_values([seen(mask) for mask in drawn]).notes


@pytest.mark.parametrize(
    ("values", "option"),
    [((255, 0, 0), "0=1,255=0"), ((1, 0, 0), "0=1,1=0"), ((255, 128, 0), "0=2,128=1,255=0")],
)
def test_black_objects_on_white_are_remarked_with_the_option(values: tuple[int, ...], option: str) -> None:
    """REFUGE draws the cup black and the background white; nothing but the place of the values shows it."""
    (note,) = noted(*(nested(number, values) for number in range(4)))

    assert note.endswith(f"--mask-values {option}")
    assert f"{values[0]} lies around it in 4 of 4 masks" in note


def test_some_objects_that_fill_the_image_are_no_inverted_masks() -> None:
    inverted = [1 - disc(number) for number in range(2)]

    assert noted(*(disc(number) for number in range(2)), *inverted) == ()
    assert noted(disc(), np.ones((64, 64), np.uint16)) == ()
