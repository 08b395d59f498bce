"""Digests are equal for equal values, on every machine and in every year."""

import os
import subprocess
import sys

import pytest

from hsmix_gen.schemas.digests import canonical_json, digest_of, sha256_of


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_the_order_of_a_list_matters() -> None:
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_a_number_is_not_its_text() -> None:
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


def test_canonical_json_has_sorted_keys_and_no_blanks() -> None:
    assert canonical_json({"b": [1, None], "a": 0.5}) == '{"a":0.5,"b":[1,null]}'


def test_canonical_json_is_ascii() -> None:
    assert canonical_json("ä") == '"\\u00e4"'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


def test_a_digest_is_the_same_forever() -> None:
    """A digest that moved would orphan every cache."""
    assert digest_of({"seed": 0}) == "bd0488843468"


def test_a_digest_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    code = "from hsmix_gen.schemas.digests import digest_of; print(digest_of({'b': {'y': 1, 'x': 2}, 'a': [1, 'z']}))"

    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert printed == {digest_of({"a": [1, "z"], "b": {"x": 2, "y": 1}})}


@pytest.mark.parametrize("data", [b"abc", memoryview(b"abc")])
def test_sha256_is_the_published_one(data: bytes | memoryview) -> None:
    assert sha256_of(data) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
