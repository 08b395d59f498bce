"""Saliency maps that the user brings."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.features.precomputed_maps import read_map
from hsmix_gen.schemas.errors import SourceError


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", r"file is empty \(0 bytes\)"), (b"no picture", "is no image that can be read")],
    ids=["empty", "other"],
)
def test_a_map_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    """The refusal is of the image, so that nothing else names the file of its map."""
    path = tmp_path / "a.png"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=f"^{path} {reason}"):
        read_map(tmp_path, "a")
