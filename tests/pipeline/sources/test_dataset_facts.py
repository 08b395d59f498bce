"""What all images have in common follows from most of them; those that differ are refused with the way out."""

from dataclasses import replace
from typing import Any

import pytest

from hsmix_gen.pipeline.sources.dataset_facts import understand, with_problems
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import DatasetFacts, Intensity, Labelling, MaskForm, ScanResult


def scanned(name: str = "a", values: tuple[int, ...] = (0, 255), **changes: Any) -> ScanResult:
    facts: dict[str, Any] = {"height": 400, "width": 500, "channels": 3, "dtype": "uint8"}
    return ScanResult(name, mask_counts=tuple((value, 10) for value in values), **(facts | changes))


def slice_of(name: str = "z", values: tuple[int, ...] = (0, 1), **changes: Any) -> ScanResult:
    facts: dict[str, Any] = {"dtype": "int16", "channels": 4, "picture": False, "volume": True, "range": (0.0, 900.0)}
    return scanned(name, values, **(facts | changes))


def facts(*results: ScanResult, labelling: Labelling | None = None, **source: Any) -> DatasetFacts:
    return understand(results, RunConfig.model_validate({"source": source}), labelling or Labelling())[0]


def facts_of(results: list[ScanResult], **image: Any) -> DatasetFacts:
    return understand(results, RunConfig.model_validate({"image": image}), Labelling())[0]


@pytest.mark.parametrize(
    ("results", "config", "expected"),
    [
        pytest.param([{"channels": 1}, {"channels": 1}], {}, {"channels": 1}, id="all grey"),
        pytest.param([{"channels": 1}, {"channels": 3}], {}, {"channels": 3}, id="colour if one is"),
        pytest.param([{"channels": 3}], {"image": {"channels": "1"}}, {"channels": 1}, id="given channels"),
        *(
            pytest.param([{"dtype": dtype} for dtype in types], {}, {"dtype": most}, id=f"most of {types}")
            for types, most in (
                (("uint8", "uint8", "uint16"), "uint8"),
                (("uint8", "uint16", "uint16"), "uint16"),
                (("uint8", "uint16"), "uint8"),
            )
        ),
        pytest.param([{}], {"image": {"size": (16, 32)}}, {"size": (16, 32)}, id="given size"),
        pytest.param([{}], {}, {"intensity": Intensity()}, id="pictures keep their values"),
        pytest.param([{}], {"source": {"classes": ("skin", "lesion")}}, {"classes": ("skin", "lesion")}, id="names"),
        pytest.param(
            [{"values": (0, 77, 90)}],
            {"source": {"mask_values": {0: 0, 77: 1, 90: 255}}},
            {"mask_values": ((0, 0), (77, 1), (90, 255)), "n_classes": 2},
            id="a given map, whatever the masks hold",
        ),
        pytest.param(
            [{"channels": 1}, {"channels": 3, "values": (0, 1, 2, 3), "problem": "torn"}],
            {},
            {"channels": 1, "mask_values": ((0, 0), (255, 1))},
            id="a pair with a problem is not asked",
        ),
    ],
)
def test_facts_are_those_of_most_images_or_of_the_user(
    results: list[dict[str, Any]], config: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = understand([scanned(**result) for result in results], RunConfig.model_validate(config), Labelling()).facts

    assert {name: getattr(found, name) for name in expected} == expected


def test_without_a_usable_pair_nothing_can_be_understood() -> None:
    with pytest.raises(SourceError, match="none of 1 pairs of image and mask can be used; first a: torn"):
        facts(scanned(problem="torn"))


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ((0, 255), ("background", "foreground")),
        ((0, 128, 255), ("background", "class_1", "class_2")),
        ((0, 1, 2, 3), ("background", "class_1", "class_2", "class_3")),
    ],
)
def test_classes_have_names_by_default(values: tuple[int, ...], classes: tuple[str, ...]) -> None:
    found = facts(scanned(values=values))

    assert (found.classes, found.n_classes) == (classes, len(classes))


@pytest.mark.parametrize("names", [("one",), ("a", "b", "c"), ("a", "a")])
def test_names_that_do_not_fit_the_classes_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="must name each of the 2 classes once, background first"):
        facts(scanned(), classes=names)


@pytest.mark.parametrize("values", [{0: 0, 255: 2}, {255: 1}, {-1: 0, 1: 1}, {0: 0, 1: -1}, {0: 0, 1: 300}])
def test_a_map_with_gaps_or_impossible_values_is_refused(values: dict[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"must map values from 0 to class ids 0\.\.K-1 without gaps"):
        facts(scanned(), mask_values=values)


@pytest.mark.parametrize("odd", [(0, 77, 255), (3,)])
def test_one_odd_mask_is_refused_and_does_not_change_the_map(odd: tuple[int, ...]) -> None:
    results = [*(scanned(f"a{i}") for i in range(10)), scanned("odd", odd)]
    masks = [f"{result.id}_mask.png" for result in results]

    found = facts(*results)
    checked = with_problems(results, found, masks)

    assert found.mask_values == ((0, 0), (255, 1))
    assert [result.id for result in checked if result.problem] == ["odd"]
    unknown = [value for value in odd if value not in (0, 255)]
    expected = f"{masks[-1]} has values {unknown[0]} that are no class, expected 0, 255; correct the file"
    assert expected in (checked[-1].problem or "")
    assert "nearest class with --mask-values 0-127=0,128-255=1" in (checked[-1].problem or "")


def test_a_stray_id_is_refused_with_the_options_that_take_it() -> None:
    """The class of the nearest value: BraTS called its 4 of old 3 later."""
    known = tuple(range(6))
    results = [*(scanned(f"a{i}", known) for i in range(9)), scanned("odd", (0, 1, 9))]

    checked = with_problems(results, facts(*results), ["m"] * 10)

    assert "map them with --mask-values 0=0,1=1,2=2,3=3,4=4,5=5,9=5" in (checked[-1].problem or "")


def test_masks_without_any_foreground_are_refused() -> None:
    """A run would make samples of background alone and call them sound."""
    with pytest.raises(SourceError, match=r"no mask has any foreground: all pixels of 2 masks have the value 0"):
        facts(scanned("a", (0,)), scanned("b", (0,)))
    with pytest.raises(SourceError, match="no mask has any foreground"):
        facts(scanned("a", (0, 9)), mask_values={0: 0, 9: 0, 255: 1})


def test_an_outline_of_255_is_ignored_and_an_area_of_it_in_another_mask_is_refused() -> None:
    ring = MaskForm(sides=(9, 9, 9), outline=10)
    results = [*(scanned(f"a{i}", (0, 1, 255), mask_form=ring) for i in range(9)), scanned("odd", (0, 1, 255))]

    found, notes, shades = understand(results, RunConfig(), Labelling())
    checked = with_problems(results, found, ["m.png"] * 10, shades=shades)

    assert found.mask_values == ((0, 0), (1, 1), (255, 255))
    assert "mask value 255 is read as ignore: it is outlines or specks, 90 pixels in 9 of 10 masks" in notes[0]
    assert [result.id for result in checked if result.problem] == ["odd"]
    assert "m.png has areas of 255, 10 pixels" in (checked[-1].problem or "")
    assert "--ignore 255" in (checked[-1].problem or "")


def test_masks_without_foreground_are_used() -> None:
    """Healthy cases."""
    results = [scanned("a", (0,)), scanned("b", (0, 255)), scanned("c", (255,))]

    checked = with_problems(results, facts(*results), ["a", "b", "c"])

    assert [result.problem for result in checked] == [None] * 3


def test_an_earlier_problem_is_kept() -> None:
    results = [scanned("a"), scanned("b", (77,), problem="torn")]

    checked = with_problems(results, facts(*results), ["a", "b"])

    assert checked[1].problem == "torn"


def test_a_picture_among_volumes_is_refused_and_a_volume_among_pictures() -> None:
    volumes = [slice_of("a"), slice_of("b"), scanned("c", (0, 1))]
    pictures = [scanned("a"), scanned("b"), slice_of("c", (0, 255))]

    for results, stated in ((volumes, "is a picture where most"), (pictures, "is an array where most")):
        checked = with_problems(results, facts(*results), list("abc"))
        assert [stated in (result.problem or "") for result in checked] == [False, False, True]


def test_volumes_keep_their_modalities_and_one_that_lacks_some_is_refused() -> None:
    results = [slice_of("a"), slice_of("b"), slice_of("c", channels=3)]
    found = facts(*results)

    checked = with_problems(results, found, list("abc"))

    assert (found.channels, found.volumes) == (4, True)
    assert [result.problem for result in checked][:2] == [None, None]
    assert "has 3 channel(s), most images have 4" in (checked[2].problem or "")


def test_pictures_are_not_stored_as_floats() -> None:
    with pytest.raises(ConfigError, match="dtype float32 is for volumes and arrays"):
        facts_of([scanned()], dtype="float32")


def test_images_smaller_than_the_size_are_noted() -> None:
    notes = understand(
        [scanned(height=100), scanned()], RunConfig.model_validate({"image": {"size": (224, 224)}}), Labelling()
    ).notes

    assert notes == ["1 of 2 images are smaller than 224 x 224 and are enlarged"]


def test_small_objects_are_noted_unless_they_are_guarded() -> None:
    results = [scanned(object_share=0.001)]
    guarded = RunConfig.model_validate({"mix": {"small_object_guard": True}})

    notes = understand(results, RunConfig(), Labelling()).notes

    # 125 superpixels in the mean.
    assert "objects are small: the median one covers 0.12 mean superpixels" in notes[0]
    assert understand(results, guarded, Labelling())[1] == []
    assert understand([replace(results[0], object_share=0.1)], RunConfig(), Labelling())[1] == []


def test_overlapping_classes_of_one_mask_each_are_refused_with_their_names() -> None:
    labelling = Labelling(classes=("background", "liver", "tumour"), bits=True)
    results = [scanned("a", (0, 1, 2)), scanned("b", (0, 1, 3))]

    found = facts(*results, labelling=labelling)
    checked = with_problems(results, found, ["a.png", "b.png"], bits=True)

    assert (found.classes, found.mask_values) == (("background", "liver", "tumour"), ((0, 0), (1, 1), (2, 2)))
    assert checked[0].problem is None
    assert "b.png has classes liver and tumour overlapping in 10 pixels" in (checked[1].problem or "")
    assert "--labels multilabel" in (checked[1].problem or "")


def test_unknown_colours_are_stated_as_colours() -> None:
    """The soft edges of a drawn mask were 'values 768, …' with a map of decimal numbers as the way out."""
    named = Labelling(values=((0, 0), (0xFF0000, 1)), classes=("background", "lesion"))
    results = [scanned("a", (0, 0xFF0000)), scanned("b", (0, 0x300, 0xFF0000))]

    checked = with_problems(results, facts(*results, labelling=named), ["a.png", "b.png"], coloured=True)

    assert checked[0].problem is None
    assert checked[1].problem == (
        "b.png has colours #000300 that are no class, expected #000000, #FF0000; save it without soft edges, or name "
        "these colours in the table"
    )
