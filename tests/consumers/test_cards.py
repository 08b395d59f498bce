"""The card's snippets for each trainer are run as they stand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.consumers.stored import read_stored

ALL = ("webdataset", "parquet", "folder")
CASES = [
    *[(ALL, title) for title in (*ALL, "torch", "lightning")],
    *[((form,), title) for form in ("webdataset", "parquet") for title in ("torch", "monai", "lightning")],
    *[(("folder",), title) for title in ("torch", "lightning")],
]


@pytest.fixture(scope="module")
def of_formats(output: Path, make_output: Callable[..., Path]) -> Callable[[tuple[str, ...]], Path]:
    """Return the dataset that holds these formats."""
    made: dict[tuple[str, ...], Path] = {ALL: output}

    def find(forms: tuple[str, ...]) -> Path:
        if forms not in made:
            made[forms] = make_output(*(option for form in forms for option in ("--format", form)))
        return made[forms]

    return find


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("forms", "title"), CASES, ids=lambda value: value if isinstance(value, str) else "+".join(value)
)
def test_snippet_of_the_card_trains_on_every_sample_once(
    of_formats: Any, output: Path, consume: Any, forms: tuple[str, ...], title: str
) -> None:
    """Pictures enter the model, and beside each one its soft label the loss."""
    given = consume("run_snippets", of_formats(forms), timeout_s=500)[title]
    if "missing" in given.facts:
        pytest.skip(f"{given.facts['missing']}: `make test-slow` installs it in .venv-consumers")
    stored = {sample.image.tobytes(): sample.soft for sample in read_stored(output).values()}

    seen = dict(zip((image.tobytes() for image in given.parts["image"]), given.parts["soft"], strict=True))
    assert len(given.keys) == len(seen)
    assert seen.keys() == stored.keys()
    for image, soft in seen.items():
        np.testing.assert_array_equal(soft, stored[image])
    assert given.facts["has gradients"]
