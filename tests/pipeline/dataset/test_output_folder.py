"""The folder of a dataset, as several runs find it."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.files import atomic_files


def test_a_probe_that_another_run_removed_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that start together write and remove a probe of one name."""
    write = atomic_files.write_whole

    def write_and_lose(path: Path, data: bytes) -> None:
        write(path, data)
        path.unlink()

    monkeypatch.setattr(atomic_files, "write_whole", write_and_lose)

    Output(tmp_path / "out").check_usable()

    assert (tmp_path / "out").is_dir()
