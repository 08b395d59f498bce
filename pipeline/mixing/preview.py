"""The contact sheet: for some samples A, B, superpixels, saliency, mix, mask and soft mask side by side."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hsmix_gen.pipeline.dataset.array_bytes import encode_photograph
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.mixing.make_shard import make_one, read_parent
from hsmix_gen.schemas.arrays import Image, Labels, Mask
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import IGNORE, SamplePlan
from hsmix_gen.stages.labels.labels import SoftLabel, collapse
from hsmix_gen.stages.mixing.draws import ParentDraw, draw_parent
from hsmix_gen.stages.mixing.method import Needs, Parent, needs, needs_of_all
from hsmix_gen.stages.mixing.sample import Sample
from hsmix_gen.stages.planning.pairing import Plan

PANELS = ("A", "B", "superpixels of B", "saliency of B", "mix", "mask", "soft mask")
"""Columns; where images are neither grey nor RGB, each channel of the mix has a column of its own.

Where no sample reads superpixels their column shows what of B enters; where none reads saliency its column is left out.
"""
ROWS = 8
PANEL_SIDE = 224
_MARGIN = 6
_TITLE = 22
_CAPTION = 18
# Colours of classes 1, 2, ...: distinct for colour-blind readers (Okabe and Ito); background keeps the picture.
_COLOURS = np.array(
    [
        (230, 159, 0),
        (0, 114, 178),
        (0, 158, 115),
        (204, 121, 167),
        (213, 94, 0),
        (86, 180, 233),
        (240, 228, 66),
    ],
    dtype=np.float64,
)
_IGNORED = np.array((128, 128, 128), dtype=np.float64)

Picture = npt.NDArray[np.uint8]


def draw_preview(prepared: Prepared, config: RunConfig, plan: Plan, *, n_rows: int = ROWS) -> bytes:
    """Return the contact sheet of some training samples, hard and soft in turn, as the bytes of a PNG file."""
    cache = FeatureCache(prepared.layers.root)
    chosen = _choose(prepared, plan, n_rows)
    rows = [_panels(cache, prepared, config, sample) for sample in chosen]
    captions = [_caption(prepared, sample) for sample in chosen]
    titles = _titles(prepared.layers.facts.channels, needs_of_all(config.mix))
    return encode_photograph(np.asarray(_sheet(rows, captions, titles)))


def _choose(prepared: Prepared, plan: Plan, count: int) -> list[SamplePlan]:
    """Return mixed samples, each kind of method and mode in turn as long as there are some, else unmixed ones."""
    part = plan.splits[0]
    kinds = [(method, mode) for method in plan.methods for mode in ("hard", "soft")]
    by_kind: dict[tuple[str | None, str], list[SamplePlan]] = {kind: [] for kind in [*kinds, (None, "none")]}
    for number in range(part.n_shards):
        for sample in plan.samples(part, number, prepared.records):
            if len(by_kind[sample.method, sample.mode]) < count:
                by_kind[sample.method, sample.mode].append(sample)
        if sum(len(by_kind[kind]) for kind in kinds) >= count * len(kinds):
            break
    in_turn = [sample for row in zip_longest(*(by_kind[kind] for kind in kinds)) for sample in row if sample]
    return [*in_turn, *by_kind[None, "none"]][:count]


def _panels(cache: FeatureCache, prepared: Prepared, config: RunConfig, plan: SamplePlan) -> list[Picture]:
    layers, records = prepared.layers, prepared.records
    sources = {row: records[row] for row in (plan.row_a, plan.row_b) if row is not None}
    made = make_one(cache, layers, plan, sources, config.mix)
    a = _whole_parent(cache, prepared, config, plan, "a", plan.row_a)
    b = a if plan.row_b is None else _whole_parent(cache, prepared, config, plan, "b", plan.row_b)
    sample: Sample = made.sample
    multilabel = layers.facts.multilabel
    shown, chosen = as_rgb(b.image), sample.weight_b if plan.mode == "hard" else None
    has_regions = plan.row_b is None or needs(plan.mode, config.mix, plan.method).superpixels
    return [
        with_contour(as_rgb(a.image), collapse(a.mask)),
        with_contour(shown, collapse(b.mask)),
        with_boundaries(shown, b.labels, chosen=chosen) if has_regions else with_share(shown, sample.weight_b),
        *([heat_map(shown, b.saliency)] if needs_of_all(config.mix).saliency else []),
        *(as_rgb(image) for image in _shown_channels(sample.mixed.image)),
        mask_colours(sample.mixed.mask),
        soft_colours(sample.mixed.soft, first=0 if multilabel else 1),
    ]


def _shown_channels(image: Image) -> list[Image]:
    """Return an image as one picture, or each of its channels where they are no colours."""
    n_channels = image.shape[-1]
    return [image] if n_channels in (1, 3) else [image[..., k : k + 1] for k in range(n_channels)]


def _titles(n_channels: int, needed: Needs) -> list[str]:
    of_b = "superpixels of B" if needed.superpixels else "share of B"
    mix = ["mix"] if n_channels in (1, 3) else [f"mix, channel {k}" for k in range(n_channels)]
    replaced = {"superpixels of B": [of_b], "saliency of B": ["saliency of B"] * needed.saliency, "mix": mix}
    return [title for panel in PANELS for title in replaced.get(panel, [panel])]


def _whole_parent(
    cache: FeatureCache, prepared: Prepared, config: RunConfig, plan: SamplePlan, name: str, row: int
) -> Parent:
    """Return a parent with all of its features, also those that its mode does not use."""
    layers = prepared.layers
    draw: ParentDraw = draw_parent(plan.seed, name, variants=layers.variants, size=layers.facts.size, mix=config.mix)
    parent = read_parent(cache, layers, plan, row, ParentDraw(draw.variant, 0), config.mix)
    labels: Labels = cache.read(layers.superpixels, "labels", row, draw.variant)
    saliency = cache.read(layers.saliency, "saliency", row)
    return Parent(parent.image, parent.mask, labels, saliency).turned(draw.transform)


def as_rgb(image: Image) -> Picture:
    """Return an image as (H, W, 3) uint8 for people: the first channel unless it is RGB, stretched unless uint8."""
    if image.shape[-1] != 3:
        image = image[..., :1]
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = np.rint((image - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image)


def with_boundaries(picture: Picture, labels: Labels, *, chosen: npt.NDArray[np.uint8] | None) -> Picture:
    """Draw the borders of superpixels; where `chosen` is 0 the picture is dimmed."""
    result = picture.copy()
    if chosen is not None:
        result[chosen == 0] = (result[chosen == 0] * 0.45).astype(np.uint8)
    result[_edges(labels)] = (255, 255, 0)
    return result


def with_share(picture: Picture, weight: npt.NDArray[np.uint8]) -> Picture:
    """Dim a picture where it enters less, to a quarter where it does not enter at all."""
    return (picture * (0.25 + 0.75 * weight[..., None] / 255)).astype(np.uint8)


def with_contour(picture: Picture, mask: Mask) -> Picture:
    """Draw the borders of the classes."""
    result = picture.copy()
    result[_edges(mask)] = (0, 255, 128)
    return result


def heat_map(picture: Picture, saliency: npt.NDArray[np.uint8]) -> Picture:
    """Lay a map over a picture in red where it is high and blue where it is low."""
    share = saliency[..., None].astype(np.float64) / 255
    colour = share * np.array((255, 40, 0)) + (1 - share) * np.array((0, 40, 160))
    mixed: Picture = np.rint(0.4 * picture.mean(axis=-1, keepdims=True) + 0.6 * colour).astype(np.uint8)
    return mixed


def mask_colours(mask: Mask) -> Picture:
    """Return the classes of a mask in colours; background is black, ignored pixels are grey."""
    result = np.zeros((*mask.shape, 3), dtype=np.float64)
    for class_id in np.unique(mask):
        if class_id == IGNORE:
            result[mask == class_id] = _IGNORED
        elif class_id:
            result[mask == class_id] = _COLOURS[(int(class_id) - 1) % len(_COLOURS)]
    return result.astype(np.uint8)


def soft_colours(soft: SoftLabel, *, first: int) -> Picture:
    """Return a soft label as the mixture of the colours of its channels from `first` on.

    Channels that overlap (multi-label) are laid over each other, so that the last one shows.
    """
    result = np.zeros((*soft.shape[1:], 3), dtype=np.float64)
    for number, channel in enumerate(soft[first:]):
        share = channel[..., None].astype(np.float64)
        shown = share * _COLOURS[number % len(_COLOURS)]
        result = result + shown if first else result * (1 - share) + shown
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def _edges(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    edges = np.zeros(labels.shape, dtype=bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges


def _caption(prepared: Prepared, plan: SamplePlan) -> str:
    a = prepared.records[plan.row_a].id
    parents = a if plan.row_b is None else f"{a} + {prepared.records[plan.row_b].id}"
    return f"{plan.mode}: {parents}" if plan.method is None else f"{plan.method}, {plan.mode}: {parents}"


def _sheet(rows: Sequence[Sequence[Picture]], captions: Sequence[str], titles: Sequence[str]) -> Pillow.Image:
    height, width = rows[0][0].shape[:2]
    scale = PANEL_SIDE / max(height, width)
    panel = (max(1, round(width * scale)), max(1, round(height * scale)))
    step = (panel[0] + _MARGIN, panel[1] + _MARGIN + _CAPTION)
    sheet = Pillow.new("RGB", (len(titles) * step[0] + _MARGIN, len(rows) * step[1] + _MARGIN + _TITLE), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * step[0], _MARGIN // 2), title, fill="black", font=font)
    for line, (pictures, caption) in enumerate(zip(rows, captions, strict=True)):
        top = _TITLE + line * step[1]
        for column, picture in enumerate(pictures):
            tile = Pillow.fromarray(picture).resize(
                panel, Pillow.Resampling.NEAREST if scale > 1 else Pillow.Resampling.BILINEAR
            )
            sheet.paste(tile, (_MARGIN + column * step[0], top))
        draw.text((_MARGIN, top + panel[1] + 1), caption, fill="black", font=font)
    return sheet
