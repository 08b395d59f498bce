"""The unit of work of mixing: one shard, from rows of the plan to published files."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset import sample_members
from hsmix_gen.pipeline.dataset.array_bytes import encode_photograph
from hsmix_gen.pipeline.dataset.formats.base import Columns, ShardWriter, TableForm, format_of
from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS, encode_column
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import NATIVE, Layers
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.mixing.panels import overlay
from hsmix_gen.schemas.config import MixConfig, OutputConfig
from hsmix_gen.schemas.digests import sha256_of
from hsmix_gen.schemas.records import DatasetFacts, ManifestRow, SamplePlan, ShardRecord, SourceRecord, columns_of
from hsmix_gen.stages.augmentation.augment import augmented
from hsmix_gen.stages.imaging.standardise import stored_spacing
from hsmix_gen.stages.measures.sample_measures import measure_sample
from hsmix_gen.stages.mixing.draws import ParentDraw, draw_parent
from hsmix_gen.stages.mixing.geometry import transform
from hsmix_gen.stages.mixing.method import Parent, needs
from hsmix_gen.stages.mixing.sample import Sample, make_sample

Sources = Mapping[int, SourceRecord] | Sequence[SourceRecord]
"""The source of each row that is named."""
KEPT_BYTES = 512 * 2**20
"""Memory per process for rows of the cache: the features of some 1,300 RGB images of 224 x 224."""
PREVIEW_SIDE = 192
"""Most pixels of a side of the picture of a sample in a table."""
_DEFAULT = OutputConfig()


@dataclass(frozen=True)
class ShardTask:
    """Everything that one shard depends on; small, as it travels between processes."""

    layers: Layers
    root: Path
    """Folder of the dataset."""
    formats: tuple[str, ...]
    number: int
    """Which of the shards of its split."""
    total: int
    """How many these are."""
    samples: tuple[SamplePlan, ...]
    sources: dict[int, SourceRecord]
    """Source of each row that the samples name."""
    mix: MixConfig
    output: OutputConfig = field(default_factory=OutputConfig)

    @property
    def split(self) -> str:
        """Split of all samples."""
        return self.samples[0].split


@dataclass(frozen=True)
class Made:
    """A sample with its encoded members and its row; place and checksum included."""

    sample: Sample
    members: dict[str, bytes]
    row: ManifestRow


@lru_cache(maxsize=1)
def warm_cache(root: Path) -> FeatureCache:
    """Return the cache of a folder, one per process, which keeps the rows that were read last.

    An image is a parent of many samples, and reading its features costs as much as mixing them.
    """
    return FeatureCache(root, kept_bytes=KEPT_BYTES)


def make_shard(task: ShardTask) -> ShardRecord:
    """Make all samples of a shard and publish it in every format; on an error nothing is left behind."""
    cache = warm_cache(task.layers.root)
    is_png = sample_members.image_is_png(task.layers.facts.channels, task.layers.facts.dtype)
    kind = TableForm(is_png, task.mix.names_methods, task.output.parquet_preview)
    writers: list[ShardWriter] = []
    try:
        for form in task.formats:
            with atomic_files.naming(task.root):
                writers.append(format_of(form).writer(task.root, task.split, task.number, task.total, kind))
        rows = []
        for plan in task.samples:
            made = make_one(cache, task.layers, plan, task.sources, task.mix, task.output)
            columns = table_columns(made, task.layers.facts, task.output)
            with atomic_files.naming(task.root):
                for writer in writers:
                    writer.add(plan.key, made.members, columns)
            rows.append(made.row)
        with atomic_files.naming(task.root):
            paths = {path: md5 for writer in writers for path, md5 in writer.finish().items()}
    except BaseException:
        for writer in writers:
            with contextlib.suppress(Exception):
                writer.abandon()
        raise
    files = tuple(replace(atomic_files.file_record(path, task.root), md5=md5) for path, md5 in paths.items())
    return ShardRecord(task.samples[0].shard, task.split, files, tuple(rows))


def make_one(
    cache: FeatureCache,
    layers: Layers,
    plan: SamplePlan,
    sources: Sources,
    mix: MixConfig,
    output: OutputConfig = _DEFAULT,
) -> Made:
    """Make one sample from the cache, encoded; equal plans give equal bytes."""
    sample, row, (a, b) = mix_one(cache, layers, plan, sources, mix)
    has_maps = needs(plan.mode, mix).saliency
    measures = measure_sample(sample, a, b, n_classes=layers.facts.n_classes, has_maps=has_maps)
    changed = augmented(sample.mixed, plan, mix)
    members = sample_members.encode_members(changed.mixed, row.provenance(), output)
    image = members[sample_members.image_member(layers.facts.channels, layers.facts.dtype)]
    row = replace(row, bytes=len(image), sha256=sha256_of(image), **columns_of(measures), augment=changed.applied)
    return Made(replace(sample, mixed=changed.mixed), members, row)


def table_columns(made: Made, facts: DatasetFacts, output: OutputConfig) -> Columns:
    """Return what tables hold of a sample in their own way."""
    mixed, encoding = made.sample.mixed, output.soft_encoding
    soft = partial(encode_column, mixed.soft, encoding, made.members[SOFT_FORMS[encoding].member])
    columns: dict[str, Callable[[], bytes]] = {"soft": soft}
    if output.parquet_preview:
        first = 0 if facts.multilabel else 1
        columns["preview"] = lambda: encode_photograph(overlay(mixed.image, mixed.soft, first=first, side=PREVIEW_SIDE))
    return columns


def mix_one(
    cache: FeatureCache, layers: Layers, plan: SamplePlan, sources: Sources, mix: MixConfig
) -> tuple[Sample, ManifestRow, tuple[Parent, Parent | None]]:
    """Mix one sample from the cache; return it as arrays, its row without what is known later, and its parents.

    It is not augmented yet: measures compare it with its parents.
    """
    draw_a = drawn(plan, "a", layers, mix)
    draw_b = drawn(plan, "b", layers, mix) if plan.row_b is not None else None
    a = (
        read_native(cache, layers, plan.row_a, sources[plan.row_a])
        if layers.native and plan.split != "train"
        else read_parent(cache, layers, plan, plan.row_a, draw_a, mix)
    )
    b = read_parent(cache, layers, plan, plan.row_b, draw_b, mix) if draw_b and plan.row_b is not None else None
    sample = make_sample(plan, a, b, mix, n_classes=layers.facts.n_classes)
    uses_superpixels = needs(plan.mode, mix, plan.method).superpixels
    row = _manifest_row(plan, sources, layers, sample, draw_a, draw_b, uses_superpixels=uses_superpixels)
    return sample, row, (a, b)


def read_parent(
    cache: FeatureCache, layers: Layers, plan: SamplePlan, row: int, draw: ParentDraw, mix: MixConfig
) -> Parent:
    """Return a parent from the cache, turned as drawn."""
    needed = needs(plan.mode, mix, plan.method)
    size = layers.facts.size

    def read(layer: str, name: str, *index: int) -> npt.NDArray[Any]:
        values = cache.read(layer, name, row, *index)
        return transform(values, draw.transform) if draw.transform else values

    return Parent(
        image=read(layers.images, "image"),
        mask=read(layers.images, "mask"),
        labels=read(layers.superpixels, "labels", draw.variant) if needed.superpixels else np.zeros(size, np.uint16),
        saliency=read(layers.saliency, "saliency") if needed.saliency else np.zeros(size, np.uint8),
    )


def read_native(cache: FeatureCache, layers: Layers, row: int, source: SourceRecord) -> Parent:
    """Return an image that is evaluated on in its own size, as nothing is mixed with it."""
    size = source.height, source.width
    image, mask = (cache.read(layers.images, NATIVE + name, row) for name in ("image", "mask"))
    shape = (*size, layers.facts.n_classes) if layers.facts.multilabel else size
    return Parent(
        image=image[: size[0] * size[1] * layers.facts.channels].reshape(*size, layers.facts.channels),
        mask=mask[: np.prod(shape)].reshape(shape),
        labels=np.zeros(size, dtype=np.uint16),
        saliency=np.zeros(size, dtype=np.uint8),
    )


def drawn(plan: SamplePlan, parent: str, layers: Layers, mix: MixConfig) -> ParentDraw:
    """Return which of its superpixels and turns parent ``a`` or ``b`` has; what is evaluated on stays as it is."""
    if plan.split != "train":
        return ParentDraw(0, 0)
    return draw_parent(plan.seed, parent, variants=layers.variants, size=layers.facts.size, mix=mix)


def _manifest_row(
    plan: SamplePlan,
    sources: Sources,
    layers: Layers,
    sample: Sample,
    draw_a: ParentDraw,
    draw_b: ParentDraw | None,
    *,
    uses_superpixels: bool,
) -> ManifestRow:
    a = sources[plan.row_a]
    b = sources[plan.row_b] if plan.row_b is not None else None
    weight = sample.weight_b
    soft = plan.mode == "soft"
    return ManifestRow(
        key=plan.key,
        split=plan.split,
        fold=a.fold,
        mode=plan.mode,
        source_a=a.id,
        source_b=b.id if b else None,
        group_a=a.group,
        group_b=b.group if b else None,
        variant_a=draw_a.variant if uses_superpixels else None,
        variant_b=draw_b.variant if draw_b and uses_superpixels else None,
        transform_a=draw_a.transform,
        transform_b=draw_b.transform if draw_b else None,
        seed=plan.seed,
        select_p=sample.select_p,
        area_b=sample.area_b,
        lambda_min=float(weight.min()) / 255 if soft else None,
        lambda_mean=sample.area_b if soft else None,
        lambda_max=float(weight.max()) / 255 if soft else None,
        regions=sample.n_regions,
        flags=sample.flags,
        shard=plan.shard,
        index=plan.index,
        bytes=0,
        sha256="",
        spacing_a=_spacing(a, layers.facts, is_native=layers.native > 0 and plan.split != "train"),
        spacing_b=_spacing(b, layers.facts) if b else None,
        method=plan.method,
        selection=sample.selection,
        scale_b=sample.scale_b,
    )


def _spacing(source: SourceRecord, facts: DatasetFacts, *, is_native: bool = False) -> tuple[float, ...] | None:
    if source.spacing is None or is_native:
        return source.spacing and source.spacing[:2]
    return stored_spacing(source.spacing, (source.height, source.width), facts.size, facts.fit)
