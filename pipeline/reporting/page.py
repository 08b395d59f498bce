"""The page: one file without network, with charts, the worst samples and a table of all of them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, TypeVar

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.pipeline.reporting import charts
from hsmix_gen.pipeline.reporting.evidence import Evidence
from hsmix_gen.pipeline.reporting.findings import (
    Finding,
    class_shares,
    cut_share,
    domains_of,
    image_aucs,
    of_mode,
    seam_gain,
    uses_of_images,
    verdict,
)
from hsmix_gen.pipeline.reporting.pictures import pictures_of
from hsmix_gen.pipeline.reporting.thresholds import RULES
from hsmix_gen.pipeline.reporting.worst import drawn_samples, replay_command, worst_samples
from hsmix_gen.pipeline.sources.splits import spread
from hsmix_gen.schemas.errors import OutputError

MOST_ROWS = 50_000
"""Samples in the table; of more, so many are drawn beside the worst."""
_TABLE = {
    "area_b": "share of B",
    "lambda_std": "lambda spread",
    "objects": "objects",
    "cut": "cut",
    "fragments": "fragments",
    "appearance": "looks apart",
    "seam": "seam",
    "auc_a": "AUC A",
    "auc_b": "AUC B",
}
"""Columns of numbers in the table, and their heads."""
_LARGE_SET = 3
_BOUNDS = {rule.name: (rule.amber, rule.red) for rule in RULES}


def page_text(
    evidence: Evidence,
    findings: Sequence[Finding],
    second: Evidence | None = None,
    compared: Sequence[dict[str, Any]] = (),
) -> str:
    """Return the page of a dataset or a cache, beside another if there is a `second`.

    The findings are those of `evidence`, the worst first; `compared` is what differs, as `report.differences` gives it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    worst = worst_samples(evidence.samples)
    sought = {number for one in worst for number in one.numbers}
    numbers = sorted(sought.union(spread(range(evidence.n_samples), MOST_ROWS)))
    pictures, notes = _pictures(evidence, sought, set(numbers))
    rows = _rows(evidence, numbers, pictures)
    place = {number: row for row, number in enumerate(numbers)}
    return environment.get_template("report.html").render(
        style=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        evidence=evidence,
        second=second,
        compared=compared,
        notes=[*evidence.notes, *notes],
        findings=findings,
        verdict=verdict(findings),
        version=versions.environment()["hsmix-gen"],
        splits=[(split, *counts) for split, counts in evidence.split_counts.items()],
        sections=_sections(evidence, second),
        worst=[
            {
                "title": one.title,
                "samples": [
                    {
                        "key": evidence.samples["key"][number],
                        "value": value,
                        "row": place[number] if number in pictures else "",
                        "command": replay_command(evidence.root, evidence.samples["key"][number]),
                    }
                    for number, value in zip(one.numbers, one.values, strict=True)
                ],
            }
            for one in worst
        ],
        rows=Markup(rows),
        n_rows=len(numbers),
        n_pictures=len(pictures),
    )  # fmt: skip


def _asset(name: str) -> str:
    return files("hsmix_gen.pipeline.reporting").joinpath(name).read_text(encoding="utf-8")


def _pictures(evidence: Evidence, wanted: set[int], shown: set[int]) -> tuple[dict[int, str], list[str]]:
    """Return pictures of the worst samples and of a drawn part, and what kept them away."""
    numbers = sorted({*wanted, *(number for number in drawn_samples(evidence.samples) if number in shown)})
    if not numbers or is_remote(evidence.root):
        return {}, ["pictures are left out: single samples of a store are not read"] if numbers else []
    try:
        return pictures_of(evidence.root, evidence.described, evidence.samples, numbers), []
    except (OutputError, OSError) as error:
        return {}, [f"pictures are left out: {error}"]


def _rows(evidence: Evidence, numbers: Sequence[int], pictures: dict[int, str]) -> str:
    """Return the table as JSON by columns, which takes a third of what rows take; ids stand in it once."""
    samples = evidence.samples
    if not samples:
        return "{}"
    chosen = np.array(numbers, np.int64)
    sources = sorted({*samples["source_a"].tolist(), *filter(None, samples["source_b"].tolist())})
    place = {name: number for number, name in enumerate(sources)}
    found: dict[str, Any] = {
        "sources": sources,
        "key": samples["key"][chosen].tolist(),
        "split": samples["split"][chosen].tolist(),
        "mode": samples["mode"][chosen].tolist(),
        "a": [place[name] for name in samples["source_a"][chosen]],
        "b": [None if name is None else place[name] for name in samples["source_b"][chosen]],
        "heads": _TABLE,
        "replay": replay_command(evidence.root, "KEY"),
        "pictures": {row: pictures[number] for row, number in enumerate(numbers) if number in pictures},
    }
    every = {**samples, "seam": seam_gain(samples)}
    for name in _TABLE:
        found[name] = [None if math.isnan(value) else float(f"{value:.3g}") for value in every[name][chosen]]
    return json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")


def _sections(evidence: Evidence, second: Evidence | None) -> list[tuple[str, str, list[Markup]]]:
    """Return title, words and charts of each section."""
    sides = {"": evidence} if second is None else {"A": evidence, "B": second}
    parts = [
        (
            "Draws",
            "How samples were drawn: by mode, how much of B they hold, how often an image is used.",
            _draws(sides),
        ),
        (
            "Classes",
            "Share of the pixels before mixing (training images as they were drawn) and after.",
            _classes(sides),
        ),
        ("Objects", "What is smaller than two superpixels is cut or swallowed by most mixes.", _objects(sides)),
        (
            "Superpixels",
            "Boundary recall at two pixels, of the finest superpixels against as many squares.",
            _recalls(sides),
        ),
        ("Saliency", "Area under the ROC curve of each image's map against its mask; 0.5 is chance.", _aucs(sides)),
        ("Pairs", "How far parents are apart in looks, and whether the images are of two kinds.", _pairs(sides)),
    ]
    return [(title, words, [Markup(chart) for chart in drawn]) for title, words, drawn in parts if drawn]


Sides = dict[str, Evidence]
_Part = TypeVar("_Part")


def _named(side: str, word: str) -> str:
    return f"{side}: {word}" if side else word


def _each(sides: Sides, word: str, of: Callable[[Evidence], _Part]) -> dict[str, _Part]:
    """Return something of each side under its name."""
    return {_named(side, word): of(one) for side, one in sides.items()}


def _has_numbers(series: Mapping[str, npt.ArrayLike]) -> bool:
    return any(np.isfinite(np.asarray(values)).any() for values in series.values())


def _draws(sides: Sides) -> list[str]:
    mixed = {side: one for side, one in sides.items() if one.samples}
    if not mixed:
        return []
    modes = ["none", "hard", "soft"]
    counts = _each(mixed, "samples", lambda one: [int(of_mode(one.samples, mode).sum()) for mode in modes])
    uses = _each(mixed, "images", lambda one: uses_of_images(one.samples))
    areas = {
        _named(side, mode): one.samples["area_b"][of_mode(one.samples, mode)]
        for side, one in mixed.items()
        for mode in ("hard", "soft")
        if of_mode(one.samples, mode).any()
    }
    return [
        charts.bars("modes", "Training samples by mode", modes, counts, label="samples"),
        *([charts.histogram("area", "Share of B", areas, label="share of pixels, or mean lambda")] if areas else []),
        charts.histogram("uses", "Uses of an image", uses, label="training samples it is a parent of"),
    ]


def _classes(sides: Sides) -> list[str]:
    shares = {
        _named(side, word): of_classes
        for side, one in sides.items()
        for word, of_classes in zip(("before", "after"), class_shares(one), strict=True)
        if not np.isnan(of_classes).all()
    }
    first = next(iter(sides.values()))
    if not shares or any(one.classes != first.classes for one in sides.values()):
        return []
    start = 1 if first.has_background and len(first.classes) >= _LARGE_SET else 0
    shown = {name: values[start:] for name, values in shares.items()}
    return [charts.bars("classes", "Share of the pixels", first.classes[start:], shown, label="share")]


def _objects(sides: Sides) -> list[str]:
    cells = _each(sides, "images", lambda one: [i.measures.object_cells for i in one.images])
    title, bounds = "Median object of an image", _BOUNDS["object_size"]
    drawn = []
    if _has_numbers(cells):
        drawn.append(charts.histogram("objects", title, cells, label="mean superpixel areas", bounds=bounds, log=True))
    mixed = {side: one for side, one in sides.items() if of_mode(one.samples, "hard").any()}
    if mixed:
        cuts = _each(mixed, "hard mixes", lambda one: cut_share(one.samples)[of_mode(one.samples, "hard")])
        title, label = "Objects divided by a hard mix", "share of its parents' objects"
        drawn.append(charts.histogram("cut", title, cuts, label=label))
    return drawn


def _recalls(sides: Sides) -> list[str]:
    drawn = []
    seen = {side: one for side, one in sides.items() if one.images}
    if seen:
        squares = _each(seen, "images", lambda one: [i.measures.grid_recall for i in one.images])
        ours = _each(seen, "images", lambda one: [i.measures.recall for i in one.images])
        points, axes = {name: (squares[name], ours[name]) for name in ours}, ("squares", "superpixels")
        drawn.append(charts.scatter("recall", "Contours followed", points, labels=axes, diagonal=True))
    mixed = {side: one for side, one in sides.items() if one.samples}
    seams = _each(mixed, "hard mixes", lambda one: seam_gain(one.samples)[of_mode(one.samples, "hard")])
    if any(map(len, seams.values())):
        title, bounds = "Seam on contours of B, above chance", _BOUNDS["seam"]
        drawn.append(charts.histogram("seam", title, seams, label="share of its length", bounds=bounds))
    return drawn


def _aucs(sides: Sides) -> list[str]:
    series = _each(sides, "images", lambda one: list(image_aucs(one).values()))
    if not any(series.values()):
        return []
    return [charts.histogram("auc", "AUC of the maps", series, label="AUC", bounds=_BOUNDS["saliency_auc"])]


def _pairs(sides: Sides) -> list[str]:
    drawn = []
    mixed = {side: one for side, one in sides.items() if one.samples}
    distances = _each(mixed, "mixes", lambda one: one.samples["appearance"])
    if _has_numbers(distances):
        drawn.append(charts.histogram("distance", "Looks of parents", distances, label="distance, 1 is black to white"))
    points = {}
    for side, one in sides.items():
        if one.images:
            looks = np.stack([i.measures.look for i in one.images])
            mean, spread = (half.mean(axis=1) for half in np.split(looks, 2, axis=1))
            second = domains_of(one).is_second
            for word, chosen in (("larger kind", ~second), ("smaller kind", second)):
                if chosen.any():
                    points[_named(side, word)] = (mean[chosen], spread[chosen])
    if points:
        drawn.append(charts.scatter("looks", "Looks of images", points, labels=("brightness", "spread")))
    return drawn
