"""Room for a run: what is still to be written, from plans alone, against what file systems have free."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsmix_gen.pipeline.dataset.formats.base import format_of
from hsmix_gen.pipeline.dataset.sample_members import image_is_png, member_names
from hsmix_gen.pipeline.execution.human_units import size_text
from hsmix_gen.pipeline.features.feature_cache import RECORDS, ArraySpec
from hsmix_gen.pipeline.features.layers import NATIVE, Layers
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.state_names import SHARD_RECORDS
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.pipeline.mixing.make_shard import PREVIEW_SIDE
from hsmix_gen.pipeline.mixing.output_plan import OutputPlan
from hsmix_gen.pipeline.mixing.preview import PANEL_SIDE
from hsmix_gen.pipeline.sources.source_records import is_evaluated
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import DatasetFacts, ScanResult, SourceRecord

# Stored bytes per raw byte, at the upper end of what real data of nine kinds took (dermoscopy, histology, blood
# cells, CT, MRI): images 0.60 to 1.00 and as PNG 0.43 to 0.80, without blank background, which is counted apart;
# labels of superpixels 0.03 to 0.15, masks 0.01 to 0.06, saliency 0.60 to 1.00, soft labels 0.02 to 0.10.
_CACHED = {"image": 1.0, "mask": 0.06, "look": 1.0, "labels": 0.15, "count": 1.0, "saliency": 1.0}
_CACHED |= {"native_image": _CACHED["image"], "native_mask": _CACHED["mask"]}
_PNG = 0.85
_MASK = 0.06
_SOFT = 0.1
"""Bytes of a compressed soft label for each pixel of each class; 2 where it is not compressed."""
_SAMPLE_BYTES = 6144
"""Headers in tar files, provenance inside of the sample, in the record of its shard and in the manifest."""
_SHARD_BYTES = 20_480
_PREVIEW_PANELS = 48
"""Panels of the preview that cost as much as an RGB image, a large one twice; the others are flat."""
_ENLARGED = 4
"""Bytes of an enlarged panel for those of its image, at most; a panel is no larger than `PANEL_SIDE`."""
_DESCRIPTION_BYTES = 65_536
_DESCRIPTION_FILES = 10
_ROW_BYTES = 512
_ALLOCATED_BYTES = 4096
"""What a file system gives at least; what it says of its blocks is, over NFS, the size of a request."""


@dataclass(frozen=True)
class Need:
    """What is still to be written below a folder, roughly."""

    folder: Path
    bytes: int
    files: int


@dataclass(frozen=True)
class Room:
    """What the file system of a folder has left for this user; `files` is None where it sets no limit."""

    device: int
    bytes: int
    files: int | None


@dataclass(frozen=True)
class SpaceCheck:
    """What is needed on local file systems, and the least that one of them has free; None if all lie in stores."""

    needed: int
    free: int | None


def cache_need(layers: Sequence[Layers], *, blank: float = 0.0, native: float = 1.0) -> Need:
    """Return what is missing in a cache.

    Parameters
    ----------
    layers : sequence of Layers
        One for each fold; what folds share is counted once.
    blank : float
        Share of the images that is background, see `blank_share`.
    native : float
        Share of the rows of native size that holds pixels, see `native_share`.
    """
    n_bytes, n_files = 0.0, 0
    of_layer = {layer: fold for fold in layers for layer in fold.names.values()}
    for layer, fold in of_layer.items():
        specs = fold.arrays(layer)
        blocks, rows = missing_in(fold, layer)
        n_bytes += rows * (sum(_row_bytes(spec, blank, native) for spec in specs) + _ROW_BYTES)
        n_files += blocks * (len(specs) + 1)
    return Need(layers[0].root, int(n_bytes), n_files)


def blank_share(scans: Sequence[ScanResult]) -> float:
    """Return the share of pixels of usable arrays that are background: most of what skull-stripped heads show."""
    zeros = [scan.zeros for scan in scans if scan.problem is None]
    return sum(zeros) / len(zeros) if zeros else 0.0


def native_share(records: Sequence[SourceRecord], layers: Layers) -> float:
    """Return the share of rows of native size that holds pixels: all are as long as the largest, most hold nothing."""
    pixels = sum(r.height * r.width for r in records if r.refusal is None and is_evaluated(r))
    return pixels / (layers.native * layers.n_rows) if layers.native else 0.0


def missing_in(layers: Layers, layer: str) -> tuple[int, int]:
    """Return how many blocks of a layer have no record, and their rows."""
    done = [int(name) for name in _finished(layers.root / RECORDS / layer) if name.isdecimal()]
    there = [len(layers.rows(block)) for block in done]
    return layers.n_blocks - sum(map(bool, there)), layers.n_rows - sum(there)


def output_need(planned: OutputPlan, facts: DatasetFacts, config: RunConfig, *, blank: float = 0.0) -> Need:
    """Return what is missing in the output of one fold, or of a dataset without folds.

    Parameters
    ----------
    planned : OutputPlan
    facts : DatasetFacts
    config : RunConfig
    blank : float
        Share of the images that is background.
    """
    output, formats = planned.output, config.output.formats
    if planned.is_bound and output.is_complete:
        return Need(output.root, 0, 0)
    done = _finished(output.state / SHARD_RECORDS)
    missing = [(part.split, part.size(number)) for name, (part, number) in planned.shards.items() if name not in done]
    samples, shards = sum(size for _, size in missing), len(missing)
    scale = _native_scale(planned.records, facts, config)
    worth = sum(size * (1.0 if split == "train" else scale) for split, size in missing)
    members = member_names(facts.channels, facts.dtype, config.output.soft_encoding)
    one = len(formats) * _members_bytes(facts, config, blank) + _SAMPLE_BYTES
    files = shards + sum(format_of(form).n_files(shards, samples, members) for form in formats) + _DESCRIPTION_FILES
    panel = min(_ENLARGED * math.prod(facts.size), PANEL_SIDE**2)
    described = _DESCRIPTION_BYTES + round(_PREVIEW_PANELS * 3 * _PNG * panel)
    return Need(output.root, int(worth * one) + shards * _SHARD_BYTES + described, files)


def _native_scale(records: Sequence[SourceRecord], facts: DatasetFacts, config: RunConfig) -> float:
    """Return how many training samples a sample of native size is worth."""
    own = [r.height * r.width for r in records if r.refusal is None and r.split != "train"]
    if config.image.eval_size == "same" or not own:
        return 1.0
    return sum(own) / len(own) / math.prod(facts.size)


def check_space(needs: Sequence[Need], config: RunConfig, room_of: Callable[[Path], Room] | None = None) -> SpaceCheck:
    """Refuse a run that its file systems cannot hold; object stores are taken to have no end.

    Parameters
    ----------
    needs : sequence of Need
        Those on one file system are added up.
    config : RunConfig
        Decides which ways out are named.
    room_of : callable, optional
        Returns the room of a folder that exists.

    Returns
    -------
    SpaceCheck

    Raises
    ------
    OutputError
        With what is needed, what is there, and the ways out.
    """
    local = [need for need in needs if not is_remote(need.folder)]
    homes: dict[int, tuple[Room, list[Need]]] = {}
    for need in local:
        room = (room_of or room_left)(atomic_files.existing(need.folder))
        homes.setdefault(room.device, (room, []))[1].append(need)
    for room, together in homes.values():
        _check_room(together, room, config)
    return SpaceCheck(sum(map(_allocated, local)), min((room.bytes for room, _ in homes.values()), default=None))


def room_left(folder: Path) -> Room:
    """Return what the file system of a folder has left; reserves for the superuser are not counted."""
    found = os.statvfs(folder)
    # Some file systems make inodes as they go and report 0 of 0.
    files = found.f_favail if found.f_files else None
    return Room(folder.stat().st_dev, found.f_bavail * found.f_frsize, files)


def _check_room(needs: Sequence[Need], room: Room, config: RunConfig) -> None:
    n_bytes, n_files = sum(map(_allocated, needs)), sum(need.files for need in needs)
    lacking = []
    if n_bytes > room.bytes:
        lacking.append(f"about {size_text(n_bytes)} more, has {size_text(room.bytes)} free")
    if room.files is not None and n_files > room.files:
        lacking.append(f"{n_files} more files, has room for {room.files}")
    if lacking:
        # Where nothing takes bytes, files are lacking: then the first is named.
        where = " and ".join(dict.fromkeys(str(need.folder) for need in needs if need.bytes) or [str(needs[0].folder)])
        raise OutputError(
            f"{where} needs {' and '.join(lacking)}; {', '.join(_ways_out(len(needs) > 1, config))}, "
            "or go on regardless with -o run.check_space=false"
        )


def _ways_out(has_both: bool, config: RunConfig) -> list[str]:
    ways = ["make room", "choose another folder"]
    if has_both:
        ways.append("put the features elsewhere with --cache")
    if "folder" in config.output.formats:
        ways.append("leave out --format folder")
    ways.append("lower --copies or --limit")
    if config.image.dtype in ("auto", "uint16", "float32"):
        ways.append("store fewer bits with --dtype uint8")
    return ways


def _allocated(need: Need) -> int:
    """Return bytes with what file systems add: the last block of each file is half empty."""
    return need.bytes + need.files * _ALLOCATED_BYTES // 2


def _members_bytes(facts: DatasetFacts, config: RunConfig, blank: float) -> int:
    """Return the bytes of image, mask and soft label of one sample."""
    pixels = math.prod(facts.size)
    raw = pixels * facts.channels * np.dtype(facts.dtype).itemsize
    image = raw * (_PNG * _filled(blank) if image_is_png(facts.channels, facts.dtype) else 1)
    soft = pixels * facts.n_classes * (2 if config.output.soft_encoding == "npy" else _SOFT)
    shrunk = min(1.0, PREVIEW_SIDE / max(facts.size))
    preview = 3 * pixels * shrunk**2 * _PNG if config.output.parquet_preview else 0
    return int(image + pixels * _MASK + soft + preview)


def _row_bytes(spec: ArraySpec, blank: float, native: float) -> float:
    stored = _CACHED[spec.name] * (_filled(blank) if spec.name == "image" else 1)
    stored *= native if spec.name.startswith(NATIVE) else 1
    return float(np.prod(spec.row) * np.dtype(spec.dtype).itemsize * stored)


def _filled(blank: float) -> float:
    """Return the share of pixels that take bytes, with a margin: resizing and mixing smear the border."""
    return min(1.0, 1.25 * (1 - blank) + 0.05)


def _finished(folder: Path) -> set[str]:
    """Return the names of the records in a folder; whether their files match is checked where they are used."""
    return {path.stem for path in atomic_files.finished_files(folder, ".json")}
