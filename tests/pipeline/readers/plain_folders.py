"""Plain folders of images and masks: what the reader makes of them, and pictures where it looks into files."""

from pathlib import Path

from PIL import Image

from hsmix_gen.pipeline.readers import folder_reader
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from tests.pipeline.readers.layouts import lay


def find(source: Path, *paths: str, **config: str) -> Found:
    """Lay out empty files and return what the reader makes of them."""
    lay(source, *paths)
    return folder_reader.find(source, SourceConfig.model_validate(config))


def picture(path: Path, mode: str) -> None:
    """Write a small picture of a mode of Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 4)).save(path)
