"""A shard is made whole, or the error says of which dataset it is."""

import errno
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hsmix_gen.pipeline.mixing.make_shard import make_shard
from hsmix_gen.schemas.config import MixConfig, OutputConfig


@pytest.mark.parametrize("form", ["parquet", "webdataset"])
def test_a_disk_that_is_full_when_a_shard_is_begun_is_named_by_the_dataset(tmp_path: Path, form: str) -> None:
    """The first bytes of a table are written when it is opened; their error names no file."""
    facts = SimpleNamespace(channels=3, dtype="uint8")
    task: Any = SimpleNamespace(
        layers=SimpleNamespace(root=tmp_path / "cache", facts=facts),
        root=tmp_path / "out", formats=(form,), number=0, total=1, samples=(), split="train",
        mix=MixConfig(), output=OutputConfig(),
    )  # fmt: skip
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            make_shard(task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(tmp_path / "out"))
