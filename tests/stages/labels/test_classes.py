"""Mask values become classes or channels: as configured, else as the layout states, else by convention."""

from typing import Any

import pytest

from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import Labelling
from hsmix_gen.stages.labels.classes import Classes, is_open, understand_classes
from hsmix_gen.stages.labels.conventions import MaskValues

BRATS = Labelling(
    classes=("background", "necrotic core", "oedema", "enhancing tumour"),
    values=((0, 0), (1, 1), (2, 2), (4, 3)),
    regions=(("WT", (1, 2, 4)), ("TC", (1, 4)), ("ET", (4,))),
)
BITS = Labelling(classes=("background", "liver", "tumour"), bits=True)


def understood(*masks: tuple[int, ...], labelling: Labelling | None = None, **config: Any) -> Classes:
    seen = [MaskValues(dict.fromkeys(mask, 9), {}) for mask in masks or ((0, 1),)]
    return understand_classes(seen, SourceConfig(**config), labelling or Labelling())


def test_without_any_word_values_follow_a_convention() -> None:
    assert understood((0, 255)) == Classes(("background", "foreground"), {0: 0, 255: 1})


def test_values_of_no_convention_are_refused() -> None:
    with pytest.raises(SourceError, match="follow no known convention"):
        understood((0, 77))


def test_the_layout_knows_its_classes_even_if_no_mask_holds_them() -> None:
    found = understood((0, 2), labelling=BRATS)

    assert found == Classes(BRATS.classes, {0: 0, 1: 1, 2: 2, 4: 3})


def test_the_regions_of_a_layout_are_channels_on_request() -> None:
    found = understood(labelling=BRATS, labels="multilabel")

    # WT is bit 0, TC bit 1, ET bit 2.
    assert found == Classes(("WT", "TC", "ET"), {0: 0, 1: 0b011, 2: 0b001, 4: 0b111}, multilabel=True)


def test_a_layout_of_regions_only_needs_no_request() -> None:
    labelling = Labelling(regions=(("whole", (1, 2)), ("core", (2,))), values=((0, 0), (9, 255)))

    found = understood(labelling=labelling)

    assert found == Classes(("whole", "core"), {0: 0, 1: 0b01, 2: 0b11, 9: -1}, multilabel=True)


def test_regions_may_be_given() -> None:
    found = understood((0, 5), label_regions={"outer": (5, 6), "inner": (6,)}, ignore=7)

    assert found == Classes(("outer", "inner"), {0: 0, 5: 0b01, 6: 0b11, 7: -1}, multilabel=True)


def test_regions_and_exclusive_labels_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="drop --labels exclusive or --label-regions"):
        understood(label_regions={"a": (1,)}, labels="exclusive")


def test_exclusive_classes_become_channels_without_background() -> None:
    found = understood((0, 128, 255), labels="multilabel", classes=("bg", "cytoplasm", "nucleus"))

    assert found == Classes(("cytoplasm", "nucleus"), {0: 0, 128: 0b01, 255: 0b10}, multilabel=True)


def test_an_ignored_value_is_ignored_in_both_modes() -> None:
    assert understood((0, 1, 9), ignore=9).values == {0: 0, 1: 1, 9: 255}
    assert understood((0, 1, 9), ignore=9, labels="multilabel").values == {0: 0, 1: 1, 9: -1}


def test_one_mask_a_class_is_exclusive_where_nothing_overlaps() -> None:
    assert understood((0, 1, 2), labelling=BITS) == Classes(BITS.classes, {0: 0, 1: 1, 2: 2})


def test_one_mask_a_class_may_overlap_in_channels_of_their_own() -> None:
    found = understood((0, 1), (0, 3), labelling=BITS, labels="multilabel")

    assert found == Classes(("liver", "tumour"), {0: 0, 1: 1, 3: 3}, multilabel=True)


def test_numbers_of_objects_are_one_class() -> None:
    assert understood((0, 1), instances=True).values == {0: 0, 1: 1}
    assert understood((0, 1), labelling=Labelling(instances=True)).values == {0: 0, 1: 1}


def test_what_the_user_says_goes_before_the_layout() -> None:
    found = understood(labelling=BRATS, mask_values={0: 0, 1: 1, 2: 1, 4: 1}, classes=("brain", "tumour"))

    assert found == Classes(("brain", "tumour"), {0: 0, 1: 1, 2: 1, 4: 1})


@pytest.mark.parametrize("names", [("one",), ("a", "a", "b")])
def test_names_of_channels_have_to_fit(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="must name each of the 3 channels once"):
        understood(labelling=BRATS, labels="multilabel", classes=names)


def test_names_that_do_not_fit_are_refused_with_the_values_that_masks_hold() -> None:
    with pytest.raises(ConfigError, match=r"masks hold the values 0, 128, 255, read as 0=0,128=1,255=2$"):
        understood((0, 128, 255), classes=("background", "cell"))


def test_masks_that_are_cut_have_two_classes_whatever_the_layout_says() -> None:
    """A BraTS folder of probabilities holds no labels 1, 2 and 4."""
    assert understood((0, 1), threshold=0.5, labelling=BRATS).values == {0: 0, 1: 1}


@pytest.mark.parametrize(
    ("config", "labelling", "expected"),
    [
        ({}, Labelling(), True),
        ({"ignore": 9}, Labelling(), True),
        ({}, BRATS, False),
        ({}, BITS, False),
        ({}, Labelling(instances=True), False),
        ({"instances": False}, Labelling(instances=True), True),
        ({"mask_values": {0: 0, 1: 1}}, Labelling(), False),
        ({"threshold": 9}, Labelling(), False),
    ],
)
def test_values_are_open_where_nobody_has_said_what_they_mean(
    config: dict[str, Any], labelling: Labelling, expected: bool
) -> None:
    assert is_open(SourceConfig(**config), labelling) == expected


def test_a_void_that_covers_most_pixels_is_a_question() -> None:
    """Whoever calls the background unlabelled would lose it, and have the first class as background."""
    table = Labelling(("road", "car"), ((0xFF0000, 0), (0x00FF00, 1), (0, 255)), void=(0,))
    masks = [MaskValues({0: 60, 0xFF0000: 30, 0x00FF00: 10}, {})]

    with pytest.raises(SourceError, match=r"covers 60% .*'#000000=background,#FF0000=road,#00FF00=car'; .*--ignore 0$"):
        understand_classes(masks, SourceConfig(), table)
    assert understand_classes(masks, SourceConfig(ignore=0), table).values[0] == 255
    few = [MaskValues({0: 40, 0xFF0000: 50, 0x00FF00: 10}, {})]
    assert understand_classes(few, SourceConfig(), table).values[0] == 255
    named = Labelling(("background", "car"), table.values, void=(0,))
    assert understand_classes(masks, SourceConfig(), named).values[0] == 255
