"""An output format is one module in the folder of formats, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from hsmix_gen.pipeline.dataset.formats.base import Format, best_format, format_of
from hsmix_gen.schemas.config import OutputConfig
from hsmix_gen.schemas.families import FORMATS
from tests.command_line import TINY
from tests.small_sources import make_source

ZIPPED = '''
"""Zipped: a zip file for each shard."""

import json
import zipfile

from hsmix_gen.pipeline.dataset.formats.base import FileShard, Format, SampleReader, Stored


class ZipShard(FileShard):
    def __init__(self, path):
        super().__init__(path)
        self._zip = zipfile.ZipFile(self._temporary, "w")

    def add(self, key, members, columns):
        for name, data in members.items():
            self._zip.writestr(zipfile.ZipInfo(f"{key}.{name}"), data)

    def close(self):
        self._zip.close()


def samples(path):
    found = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            key, _, name = entry.partition(".")
            found.setdefault(key, {})[name] = archive.read(entry)
    return found


class ZipReader(SampleReader):
    def read(self, shard, index):
        return samples(self._files[shard])[self._keys[shard][index]]


class ZippedFormat(Format):
    reader = ZipReader
    hub_files = "zipped/{}-*.zip"
    snippet = stream = plain = "import zipfile\\n"

    def writer(self, root, split, number, total, form):
        return ZipShard(root / "zipped" / f"{split}-{number:06d}.zip")

    def in_order(self, root, file, described):
        for index, (key, members) in enumerate(samples(root / file).items()):
            yield Stored(key, file, index, members)


FORMAT = ZippedFormat()
'''

PROGRAM = """
import sys
from pathlib import Path

import hsmix_gen.pipeline.dataset.formats as formats

formats.__path__.append(sys.argv[1])
from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.loading import HsmixDataset

source, output = sys.argv[2:4]
cli(["run", source, output, *sys.argv[4:], "--format", "zipped"], standalone_mode=False)
cli(["verify", output, "--replay", "2"], standalone_mode=False)
cli(["export", output, output + "-exported", "--to", "perclass"], standalone_mode=False)
print("loaded", len(HsmixDataset(output)), HsmixDataset(output)[0]["soft"].shape)
print("card", "import zipfile" in (Path(output) / "README.md").read_text())
"""


def test_a_format_is_added_by_one_module(tmp_path: Path) -> None:
    """It is a choice of the configuration, is written, checked, replayed, exported, loaded and on the card."""
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "zipped_format.py").write_text(ZIPPED)
    arguments = [str(folder), str(make_source(tmp_path / "source")), str(tmp_path / "output"), *TINY]

    result = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert "is sound at depth samples" in result.stdout
    assert "loaded" in result.stdout
    assert "card True" in result.stdout


@pytest.mark.parametrize("name", FORMATS.names)
def test_every_format_of_the_folder_can_be_chosen(name: str) -> None:
    assert isinstance(format_of(name), Format)
    assert OutputConfig(formats=(name,)).formats == (name,)


def test_another_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'folder', 'parquet' or 'webdataset'"):
        OutputConfig(formats=("tar",))


def test_each_reader_prefers_a_format_of_its_own() -> None:
    """Shards are read in order, folders by number, and the hub reads tables."""
    every = FORMATS.names

    found = [best_format(every, rank) for rank in ("rank", "plain_rank", "hub_rank")]

    assert found == ["webdataset", "folder", "parquet"]
