"""Small pictures of stored samples for a page: the image, with the contours of its mask."""

import base64
import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.formats.base import Members, best_format, format_of
from hsmix_gen.pipeline.dataset.sample_members import decoded
from hsmix_gen.pipeline.mixing.panels import as_rgb, contrast_of, with_contour
from hsmix_gen.pipeline.reporting.evidence import Columns

SIDE = 112
"""Longer side of a picture in pixels."""
_QUALITY = 72


def pictures_of(root: Path, described: dict[str, Any], samples: Columns, numbers: Sequence[int]) -> dict[int, str]:
    """Return pictures of some samples, JPEG in base64, by their place in the manifest, whatever format there is.

    The dataset lies on a disk; `described` is its ``dataset.json``, `samples` are the columns of its manifest. Raises
    OutputError if a sample cannot be read.
    """
    formats = described["formats"]
    form = best_format(formats)
    found: dict[int, str] = {}
    for split in described["splits"]:
        keys, places = _placed(samples, split)
        files = [root / file["path"] for file in formats[form] if file["split"] == split]
        reader = format_of(form).reader(root, files, keys, described)
        found |= {n: _picture(reader.read(*places[n]), described) for n in numbers if n in places}
    return found


def _placed(samples: Columns, split: str) -> tuple[list[list[str]], dict[int, tuple[int, int]]]:
    """Return the keys of the shards of a split, and shard and index of each sample by its place in the manifest."""
    rows = np.flatnonzero(samples["split"] == split)
    order = rows[np.lexsort((samples["index"][rows], samples["shard"][rows].astype(str)))]
    shards = [list(shard) for _, shard in groupby(order.tolist(), key=samples["shard"].__getitem__)]
    places = {row: (number, index) for number, shard in enumerate(shards) for index, row in enumerate(shard)}
    return [samples["key"][shard].tolist() for shard in shards], places


def _picture(members: Members, described: dict[str, Any]) -> str:
    image = np.moveaxis(decoded("image", members, described), 0, -1)
    picture = with_contour(as_rgb(image, contrast_of([image])), decoded("mask", members, described))
    shown = Pillow.fromarray(picture)
    shown.thumbnail((SIDE, SIDE), Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
