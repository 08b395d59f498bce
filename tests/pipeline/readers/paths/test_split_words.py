"""Names state a split by whole words; what says several, or is part of another word, states none."""

import pytest

from hsmix_gen.pipeline.readers.paths.split_words import (
    deepest_split,
    split_of_folder,
    split_of_name,
    split_of_path,
    split_of_word,
)


@pytest.mark.parametrize(
    ("word", "split"),
    [("train", "train"), ("Training", "train"), (" VALID ", "val"), ("validation", "val"), ("testing", "test"),
     ("train2017", None), ("trainval", None), ("tr", None), ("", None)],
)  # fmt: skip
def test_a_word_is_a_split_as_a_whole(word: str, split: str | None) -> None:
    assert split_of_word(word) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [("ISIC-2017_Validation_Data", "val"), ("ISIC-2017_Test_v2_Data", "test"), ("MoNuSegTestData", "test"),
     ("MoNuSeg 2018 Training Data", "train"), ("MONUSEGTrain", "train"), ("Train_Folder", "train"), ("testA", "test"),
     ("instances_val2017", "val"), ("train-000000", "train"), ("x_validation_1", "val"),
     ("TRAIN", "train"), ("train_training", "train")],
)  # fmt: skip
def test_one_word_of_a_name_states_its_split(name: str, split: str) -> None:
    assert split_of_name(name) == split


@pytest.mark.parametrize("name", ["trainval", "train_val", "TrainTest", "trainer", "latest", "values", "imagesTs", ""])
def test_several_splits_or_parts_of_words_state_none(name: str) -> None:
    assert split_of_name(name) is None


@pytest.mark.parametrize(
    ("name", "split"), [("test2017", "test"), ("Valid", "val"), ("train_1", "train"), ("train_data", None), ("1", None)]
)
def test_a_folder_of_a_split_has_no_other_word(name: str, split: str | None) -> None:
    assert split_of_folder(name) == split


def test_the_deepest_folder_that_states_a_split_counts() -> None:
    assert deepest_split(["train", "TestData", "x"]) == "test"


def test_folders_are_asked_as_strictly_as_wanted() -> None:
    """The folders of a DICOM series are called by its description, such as a test bolus."""
    assert deepest_split(["Val", "TEST BOLUS"], split_of_word) == "val"


def test_the_name_of_a_file_says_nothing_of_its_folders() -> None:
    assert split_of_path("val/train_1.png") == "val"
    assert split_of_path("train_1.png") is None
