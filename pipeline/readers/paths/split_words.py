"""Words for training, validation and test: what they are called, and what names of files and folders say with them."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from hsmix_gen.schemas.records import Split

SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What lists, files and folders call the splits, in lower case."""
SHORT_WORDS: dict[str, Split] = {"tr": "train", "va": "val", "ts": "test"}
"""Ends of ``imagesTr``, ``imagesVa`` and ``labelsTs``; alone they mean other things."""
_LETTERS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z]?[^A-Z]+|[A-Z]+(?![^A-Z])")


def chunks_of(name: str) -> list[str]:
    """Return the runs of letters or of digits of a name."""
    return _LETTERS.findall(name)


def joined_words(chunk: str) -> list[str]:
    """Return the words that capitals separate in a run of letters, in lower case: ``TrainData`` is train, data."""
    return [word.lower() for word in _CAMEL.findall(chunk)]


def split_of_word(word: str) -> Split | None:
    """Return the split that is called so; in a list, and where names may say anything, nothing else counts."""
    return SPLIT_WORDS.get(word.strip().lower())


def split_of_folder(name: str) -> Split | None:
    """Return the split that a folder is for, such as test of ``test2017``; other words are no name of a split."""
    return split_of_word(re.sub(r"[\d_-]+$", "", name))


@lru_cache(maxsize=4096)
def split_of_name(name: str) -> Split | None:
    """Return the one split that words of a name state, as ``ISIC-2017_Test_v2`` does; ``train_val`` states none."""
    words = {word for chunk in chunks_of(name) for word in (chunk.lower(), *joined_words(chunk))}
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def deepest_split(folders: Sequence[str], split_of: Callable[[str], Split | None] = split_of_name) -> Split | None:
    """Return the split of the deepest of nested folders that states one."""
    return next((split for split in map(split_of, reversed(folders)) if split is not None), None)


def split_of_path(path: str) -> Split | None:
    """Return the split that the deepest folder above a file states."""
    return deepest_split(PurePosixPath(path).parent.parts)
