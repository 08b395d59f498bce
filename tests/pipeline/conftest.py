"""What runs on small sources share: options, datasets for readers, and the samples that a run wrote, decoded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source


@pytest.fixture(scope="session")
def make_sharded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make 24 training samples in 4 shards of 6, 48 x 64 pixels, 3 classes: ``make_sharded("parquet", "folder")``.

    Their source lies beside them.
    """

    def make(*formats: str) -> Path:
        folder = tmp_path_factory.mktemp("sharded")
        source = make_source(folder / "source", train=8)
        options = [option for form in formats for option in ("--format", form)]
        run_cli("run", source, folder / "output", *TINY, "--copies", 3, "--shards", 4, *options)
        return folder / "output"

    return make
