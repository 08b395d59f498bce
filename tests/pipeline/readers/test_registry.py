"""The readers are tried in one order."""

from hsmix_gen.pipeline.readers.registry import readers


def test_readers_are_tried_in_one_order() -> None:
    """Two at one place would be tried as their names sort, which nobody chose."""
    places = [reader.TRIED for reader in readers().values()]

    assert places == sorted(set(places))


def test_what_takes_nearly_anything_is_tried_last() -> None:
    assert list(readers())[-2:] == ["arrays", "folder"]
