"""Whatever a library raises for a damaged file becomes one line with the file, what is wrong, and the way out."""

import errno
import os

import pytest

from hsmix_gen.pipeline.decoders.refusal_errors import refusing
from hsmix_gen.schemas.errors import SourceError


def said(error: Exception, name: str = "a.nii") -> str:
    with pytest.raises(SourceError) as caught, refusing(name):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no\tmagic.\nat all"), "a.nii is damaged: no magic; copy it again"),
        (ValueError(), "a.nii is damaged: ValueError; copy it again"),
        (EOFError("ends early"), "a.nii is damaged: ends early; copy it again"),
        (OSError("got 3 bytes"), "a.nii is damaged: got 3 bytes; copy it again"),
        (RuntimeError("x" * 500), f"a.nii is damaged: {'x' * 160}; copy it again"),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a.nii"),
            "a.nii cannot be read (Permission denied); check that it exists and its permissions",
        ),
        (MemoryError(), "a.nii needs more memory than is free; run fewer workers or leave it out"),
    ],
)
def test_errors_of_libraries_are_reported_in_one_line(error: Exception, text: str) -> None:
    assert said(error) == text


def test_a_reason_of_our_own_gets_the_name_once() -> None:
    assert said(SourceError("is empty; copy it again")) == "a.nii is empty; copy it again"
    assert said(SourceError("a.nii is empty; copy it again")) == "a.nii is empty; copy it again"


def test_nothing_is_put_before_a_reason_where_there_is_no_name() -> None:
    assert said(SourceError("is empty; copy it again"), "") == "is empty; copy it again"
    assert said(ValueError("cut"), "") == "is damaged: cut; copy it again"


def test_kinds_of_errors_may_mean_something_else_than_damage() -> None:
    with (
        pytest.raises(SourceError, match=r"^a is no picture; remove it$"),
        refusing("a", reasons={LookupError: "is no picture; remove it"}),
    ):
        raise KeyError("x")


def test_what_is_well_passes() -> None:
    with refusing("a"):
        value = 1
    assert value == 1
