"""A value that changed on the disk is no value: not one bit of a sealed file can turn unseen."""

import json
from pathlib import Path

import pytest

from hsmix_gen.pipeline.files.sealed_json import unsealed, write_sealed

VALUE = {"name": "train-1", "rows": [{"area": 0.25, "flags": ["ä"], "b": None}], "files": [], "n": 12}


@pytest.fixture
def sealed(tmp_path: Path) -> bytes:
    write_sealed(tmp_path / "state.json", VALUE)
    return (tmp_path / "state.json").read_bytes()


def test_what_was_sealed_comes_back(sealed: bytes) -> None:
    assert unsealed(sealed) == VALUE
    assert {name: value for name, value in json.loads(sealed).items() if name != "sealed"} == VALUE


def test_no_bit_turns_unseen(sealed: bytes) -> None:
    """In the name of the seal, or between values, nothing is changed that anybody reads."""
    seen = 0
    for place in range(len(sealed)):
        for bit in range(8):
            data = bytearray(sealed)
            data[place] ^= 1 << bit
            try:
                found = unsealed(bytes(data))
            except ValueError:
                seen += 1
            else:
                assert {name: found[name] for name in VALUE} == VALUE
    assert seen > 0.9 * 8 * len(sealed)


def test_what_earlier_versions_wrote_is_taken_as_it_is() -> None:
    assert unsealed(json.dumps(VALUE).encode()) == VALUE


@pytest.mark.parametrize("text", ["[]", "3", "{", ""])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unsealed(text.encode())
