"""The contact sheet: one pair large, hard and soft, then samples with all that they were made from, and a legend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hsmix_gen.pipeline.dataset.array_bytes import encode_photograph
from hsmix_gen.pipeline.dataset.class_colours import CLASS_COLOURS
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.mixing import panels
from hsmix_gen.pipeline.mixing.make_shard import Sources, drawn, make_one, mix_one
from hsmix_gen.pipeline.mixing.panels import Contrast, Picture, as_rgb, contrast_of, enlarged
from hsmix_gen.schemas.arrays import AnyMask, Image
from hsmix_gen.schemas.config import MixConfig, RunConfig
from hsmix_gen.schemas.records import SamplePlan
from hsmix_gen.stages.labels.labels import collapse
from hsmix_gen.stages.mixing.method import Parent, needs, needs_of_all
from hsmix_gen.stages.planning.pairing import Plan

ROWS = 8
PANEL_SIDE = 200
LARGE_SIDE = 288
MOST_MODALITIES = 4
"""Channels that have a large row of their own, where images are neither grey nor RGB."""
_LONGEST_ID = 26
_MARGIN = 6
_TITLE = 22
_CAPTION = 18
_BAR = (160, 12)
_LAMBDA = "lambda of soft"


@dataclass(frozen=True)
class Shown:
    """A sample that is shown, and what is said of it beside its mode and parents."""

    plan: SamplePlan
    remark: str = ""


@dataclass(frozen=True)
class PanelRow:
    """Pictures side by side with a caption."""

    pictures: dict[str, Picture]
    """By their titles."""
    caption: str
    side: int


def draw_preview(prepared: Prepared, config: RunConfig, plan: Plan) -> bytes:
    """Return the contact sheet of some training samples, hard and soft in turn, as the bytes of a PNG file."""
    return draw_samples(prepared, config, [Shown(sample) for sample in choose(prepared, plan, ROWS)])


def draw_samples(prepared: Prepared, config: RunConfig, shown: Sequence[Shown]) -> bytes:
    """Return the contact sheet of one or more given samples; the first that is mixed is the large one."""
    painter = Painter(FeatureCache(prepared.layers.root), prepared, config)
    mixed = next((one.plan for one in shown if one.plan.row_b is not None), None)
    rows = [] if mixed is None else painter.large(mixed)
    rows += [painter.small(one) for one in shown]
    return encode_photograph(np.asarray(_sheet(rows, prepared)))


def choose(prepared: Prepared, plan: Plan, count: int) -> list[SamplePlan]:
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


@dataclass(frozen=True)
class Painter:
    """Makes samples again and draws them."""

    cache: FeatureCache
    prepared: Prepared
    config: RunConfig

    def large(self, plan: SamplePlan) -> list[PanelRow]:
        """Return the rows of one pair, mixed hard and soft: one row, or one for each modality."""
        modes = self.config.mix.modes_of(plan.method or self.config.mix.methods[0])
        # As mixed: an augmentation would part the picture from its seams.
        made = {mode: mix_one(*self._given(replace(plan, mode=mode)))[0] for mode in ("hard", "soft") if mode in modes}
        caption = "one pair, both ways" if len(made) == 2 else "one pair"
        a, b = self._parents(plan)
        channels = _shown_channels(a.image)[:MOST_MODALITIES]
        rows = []
        for number in range(len(channels)):
            images = [_shown_channels(image)[number] for image in (a.image, b.image)]
            contrast = contrast_of(images)
            pictures = {
                name: _outlined(image, parent.mask, contrast, LARGE_SIDE)
                for name, image, parent in zip("AB", images, (a, b), strict=True)
            }
            for mode, sample in made.items():
                mixed = enlarged(as_rgb(_shown_channels(sample.mixed.image)[number], contrast), LARGE_SIDE)
                seamed = panels.with_boundaries(mixed, enlarged(sample.weight_b, LARGE_SIDE))
                pictures[mode] = panels.with_contour(seamed, enlarged(sample.mixed.mask, LARGE_SIDE))
            if "soft" in made:
                pictures[_LAMBDA] = panels.lambda_colours(made["soft"].weight_b)
            name = f", channel {number}" if len(channels) > 1 else ""
            rows.append(PanelRow(pictures, f"{caption}{name}: {self._names(plan)}", LARGE_SIDE))
        return rows

    def small(self, shown: Shown) -> PanelRow:
        """Return the row of one sample: its parents, features, mix and masks.

        Where images are neither grey nor RGB, each channel of the mix has a column of its own. Where no sample reads
        superpixels their column shows what of B enters; where none reads saliency its column is left out.
        """
        plan = shown.plan
        made = make_one(*self._given(plan))
        sample = made.sample
        a, b = self._parents(plan)
        contrast = contrast_of([a.image, b.image])
        first = 0 if self.prepared.layers.facts.multilabel else 1
        chosen = enlarged(sample.weight_b, PANEL_SIDE) if plan.mode == "hard" else None
        needed = needs_of_all(self.config.mix)
        has_regions = plan.row_b is None or needs(plan.mode, self.config.mix, plan.method).superpixels
        large_b = enlarged(as_rgb(b.image, contrast), PANEL_SIDE)
        channels = _shown_channels(sample.mixed.image)
        columns = {name: _outlined(one.image, one.mask, contrast, PANEL_SIDE) for name, one in (("A", a), ("B", b))}
        columns["superpixels of B" if needed.superpixels else "share of B"] = (
            panels.with_boundaries(large_b, enlarged(b.labels, PANEL_SIDE), chosen=chosen)
            if has_regions
            else panels.with_share(large_b, enlarged(sample.weight_b, PANEL_SIDE))
        )
        if needed.saliency:
            columns["saliency of B"] = panels.heat_map(as_rgb(b.image, contrast), b.saliency)
        if len(channels) == 1:
            columns["mix"] = as_rgb(channels[0], contrast)
        else:
            columns |= {f"mix, channel {k}": as_rgb(one, contrast_of([one])) for k, one in enumerate(channels)}
        columns["mask"] = CLASS_COLOURS[sample.mixed.mask]
        columns["soft mask"] = panels.soft_colours(sample.mixed.soft, first=first)
        remarks = [shown.remark, f"then {made.row.augment}" if made.row.augment else ""]
        remark = "".join(f"; {text}" for text in remarks if text)
        made_by = plan.mode if plan.method is None else f"{plan.method}, {plan.mode}"
        return PanelRow(columns, f"{made_by}: {self._names(plan)}{remark}", PANEL_SIDE)

    def _given(self, plan: SamplePlan) -> tuple[FeatureCache, Layers, SamplePlan, Sources, MixConfig]:
        """Return what a sample is made from."""
        return self.cache, self.prepared.layers, plan, self.prepared.records, self.config.mix

    def _parents(self, plan: SamplePlan) -> tuple[Parent, Parent]:
        a = self._whole_parent(plan, "a", plan.row_a)
        return a, a if plan.row_b is None else self._whole_parent(plan, "b", plan.row_b)

    def _whole_parent(self, plan: SamplePlan, name: str, row: int) -> Parent:
        """Return a parent with all of its features, also those that its mode does not use."""
        layers = self.prepared.layers
        draw = drawn(plan, name, layers, self.config.mix)
        image, mask = (self.cache.read(layers.images, part, row) for part in ("image", "mask"))
        labels = self.cache.read(layers.superpixels, "labels", row, draw.variant)
        saliency = self.cache.read(layers.saliency, "saliency", row)
        return Parent(image, mask, labels, saliency).turned(draw.transform)

    def _names(self, plan: SamplePlan) -> str:
        ids = [self.prepared.records[row].id for row in (plan.row_a, plan.row_b) if row is not None]
        return " + ".join(map(short_id, ids))


def short_id(name: str) -> str:
    """Return an id, its middle left out where it is long."""
    if len(name) <= _LONGEST_ID:
        return name
    half = (_LONGEST_ID - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _outlined(image: Image, mask: AnyMask, contrast: Contrast | None, side: int) -> Picture:
    return panels.with_contour(enlarged(as_rgb(image, contrast), side), enlarged(collapse(mask), side))


def _shown_channels(image: Image) -> list[Image]:
    """Return an image as one picture, or each of its channels where they are no colours."""
    n_channels = image.shape[-1]
    return [image] if n_channels in (1, 3) else [image[..., k : k + 1] for k in range(n_channels)]


def _panel_size(row: PanelRow) -> tuple[int, int]:
    """Return width and height of the panels of a row in pixels."""
    height, width = next(iter(row.pictures.values())).shape[:2]
    scale = row.side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _sheet(rows: Sequence[PanelRow], prepared: Prepared) -> Pillow.Image:
    sizes = [_panel_size(row) for row in rows]
    width = max(len(row.pictures) * (size[0] + _MARGIN) for row, size in zip(rows, sizes, strict=True)) + _MARGIN
    # Equal titles stand above the first of the rows that share them.
    titled = [number == 0 or [*row.pictures] != [*rows[number - 1].pictures] for number, row in enumerate(rows)]
    heights = [
        size[1] + _MARGIN + _CAPTION + (_TITLE if has_title else 0)
        for size, has_title in zip(sizes, titled, strict=True)
    ]
    sheet = Pillow.new("RGB", (width, sum(heights) + _MARGIN + _TITLE), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    draw.font = ImageFont.load_default(13)
    for row, size, has_title, height in zip(rows, sizes, titled, heights, strict=True):
        _draw_row(sheet, draw, row, top + (_TITLE if has_title else 0), has_title=has_title, size=size)
        top += height
    _draw_legend(sheet, draw, top + _MARGIN, prepared, has_lambda=any(_LAMBDA in row.pictures for row in rows))
    return sheet


def _draw_row(
    sheet: Pillow.Image, draw: ImageDraw.ImageDraw, row: PanelRow, top: int, *, has_title: bool, size: tuple[int, int]
) -> None:
    for column, (title, picture) in enumerate(row.pictures.items()):
        left = _MARGIN + column * (size[0] + _MARGIN)
        if has_title:
            draw.text((left, top - _TITLE + _MARGIN // 2), title, fill="black")
        kind = Pillow.Resampling.NEAREST if size[0] > picture.shape[1] else Pillow.Resampling.BILINEAR
        sheet.paste(Pillow.fromarray(picture).resize(size, kind), (left, top))
    draw.text((_MARGIN, top + size[1] + 1), row.caption, fill="black")


def _draw_legend(
    sheet: Pillow.Image, draw: ImageDraw.ImageDraw, top: int, prepared: Prepared, *, has_lambda: bool
) -> None:
    facts = prepared.layers.facts
    left = _MARGIN
    names = facts.classes if facts.multilabel else facts.classes[1:]
    marks = [(panels.CONTOUR, "contour of the mask"), (panels.SEAM, "seam, superpixels")]
    marks += [(tuple(CLASS_COLOURS[number].tolist()), short_id(name)) for number, name in enumerate(names[:6], 1)]
    for colour, text in marks:
        draw.rectangle((left, top + 2, left + 12, top + 14), fill=colour, outline="black")
        draw.text((left + 17, top), text, fill="black")
        left += 17 + int(draw.textlength(text)) + 14
    if not has_lambda:
        return
    ramp = np.repeat(np.linspace(0, 255, _BAR[0]).astype(np.uint8)[None], _BAR[1], axis=0)
    draw.text((left, top), "lambda 0: A", fill="black")
    left += int(draw.textlength("lambda 0: A")) + 5
    sheet.paste(Pillow.fromarray(panels.lambda_colours(ramp)), (left, top + 2))
    draw.text((left + _BAR[0] + 5, top), "1: B", fill="black")
