"""The readers are the modules of their folder, each under the name of its module, tried in one order."""

from hsmix_gen.pipeline.readers.registry import readers
from hsmix_gen.schemas.families import READERS


def test_each_reader_bears_the_name_of_its_module() -> None:
    assert [READERS.module(name).READER.name for name in READERS.names] == list(READERS.names)


def test_readers_are_tried_in_one_order() -> None:
    """Two at one place would be tried as their names sort, which nobody chose."""
    places = [reader.tried for reader in readers()]

    assert places == sorted(set(places))


def test_what_takes_nearly_anything_is_tried_last() -> None:
    assert [reader.name for reader in readers()][-2:] == ["arrays", "folder"]
