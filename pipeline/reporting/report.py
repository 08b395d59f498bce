"""The report of a dataset, of a cache, or of two of them side by side: ``report.html`` and ``report.json``."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsmix_gen.pipeline.dataset.output_folder import REPORT
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.reporting.evidence import Evidence, gather
from hsmix_gen.pipeline.reporting.findings import (
    Finding,
    class_shares,
    domains_of,
    find,
    image_aucs,
    known_numbers,
    of_mode,
    torn_groups,
    uses_of_images,
    verdict,
)
from hsmix_gen.pipeline.reporting.thresholds import Light
from hsmix_gen.pipeline.reporting.worst import replay_command, worst_samples

REPORT_VERSION = 1
QUICK_IMAGES = 24
"""Images that the last lines of a run rest on: they have to be there in a second."""
_KEY_LINES = 3
_WORST_MAPS = 24


@dataclass(frozen=True)
class Reported:
    """Where a report lies, and what it says."""

    html: Path
    json: Path
    verdict: Light
    """The worst light."""
    findings: tuple[Finding, ...]
    """The worst first."""
    differences: tuple[str, ...] = ()
    """Of two datasets: what differs, in words."""

    def text(self) -> str:
        """Return the report for a terminal: the verdict, what is not green, and where the page is."""
        bad = [finding for finding in self.findings if finding.light in ("red", "amber")]
        good, unjudged = (sum(finding.light == light for finding in self.findings) for light in ("green", "grey"))
        lines = [finding.line() for finding in bad]
        lines += [f"green: {good} of {len(self.findings)} rules" + (f", {unjudged} not judged" if unjudged else "")]
        lines += [f"changed: {text}" for text in self.differences]
        return "\n".join([*lines, f"{self.verdict}: wrote {self.html} and {self.json.name}"])


def report_output(
    root: Path, reporter: Reporter, *, other: Path | None = None, target: Path | None = None, cache: Path | None = None
) -> Reported:
    """Write the report of a finished dataset or a cache, or of two side by side.

    Both files go into the folder `target`; None: `root`, or of a comparison with `other` the current folder. `cache` is
    that of `root`, if it was moved. Raises OutputError or CacheError if there is neither, or it is not finished.
    """
    from hsmix_gen.pipeline.reporting.page import page_text

    evidence, second = gather(root, reporter, cache=cache), None if other is None else gather(other, reporter)
    findings, others = find(evidence), [] if second is None else find(second)
    worst, content = verdict([*findings, *others]), describe(evidence, findings)
    compared: list[dict[str, Any]] = []
    if second is not None:
        compared = differences(evidence, findings, second, others)
        content = {
            "version": REPORT_VERSION,
            "kind": "comparison",
            "verdict": worst,
            "differences": compared,
            "reports": [content, describe(second, others)],
        }
    folder = target or (root if second is None else Path())
    html, described = folder / REPORT[0], folder / REPORT[1]
    atomic_files.write_whole(html, page_text(evidence, findings, second, compared).encode())
    atomic_files.write_json(described, content)
    return Reported(html, described, worst, tuple(findings), tuple(row["text"] for row in compared))


def key_lines(root: Path) -> list[str]:
    """Return the most important lines of the report of a dataset, from a few of its images; nothing is written."""
    quiet = Reporter(SilentDisplay())
    findings = find(gather(root, quiet, most=(QUICK_IMAGES, QUICK_IMAGES)))
    return [finding.line() for finding in findings[:_KEY_LINES]]


def describe(evidence: Evidence, findings: list[Finding]) -> dict[str, Any]:
    """Return ``report.json``: plain values, None where nothing was measured."""
    plain: dict[str, Any] = _plain(
        {
            "version": REPORT_VERSION,
            "kind": evidence.kind,
            "name": evidence.name,
            "verdict": verdict(findings),
            "findings": [asdict(finding) for finding in findings],
            "notes": list(evidence.notes),
            "splits": _splits(evidence),
            "near_duplicates": [
                {"a": twin.a.id, "split_a": twin.a.split, "b": twin.b.id, "split_b": twin.b.split, "bits": twin.bits}
                for twin in evidence.twins
            ],
            "draws": _draws(evidence),
            "classes": _classes(evidence),
            "objects": _objects(evidence),
            "superpixels": _superpixels(evidence),
            "saliency": _saliency(evidence),
            "pairs": _pairs(evidence),
            "worst": _worst(evidence),
        }
    )
    return plain


def differences(
    first: Evidence, findings: list[Finding], second: Evidence, others: list[Finding]
) -> list[dict[str, Any]]:
    """Return what differs between two datasets: options, then the numbers of the rules whose light or value changed."""
    rows: list[dict[str, Any]] = []
    for key in sorted(first.options.keys() | second.options.keys()):
        a, b = (str(one.options.get(key)) for one in (first, second))
        if a != b and not key.startswith("run."):
            rows.append({"what": "option", "name": key, "a": a, "b": b, "text": f"{key} from {a} to {b}"})
    by_rule = {finding.rule: finding for finding in others}
    for finding in findings:
        twin = by_rule[finding.rule]
        if (finding.light, _digits(finding.value)) != (twin.light, _digits(twin.value)):
            values = f"{_digits(finding.value)} to {_digits(twin.value)}"
            text = f"{finding.title.lower()} from {values} ({finding.light} to {twin.light})"
            rows.append(
                {
                    "what": "measure", "name": finding.title, "a": f"{_digits(finding.value)} {finding.light}",
                    "b": f"{_digits(twin.value)} {twin.light}", "text": text,
                }
            )  # fmt: skip
    return rows


def summary(values: Any) -> dict[str, float | int | None]:
    """Return count, median and the middle nine tenths of numbers; NaN is left out."""
    known = known_numbers(values)
    if not len(known):
        return {"count": 0, "low": None, "median": None, "high": None}
    low, median, high = (float(value) for value in np.percentile(known, (5, 50, 95)))
    return {"count": len(known), "low": low, "median": median, "high": high}


def _splits(evidence: Evidence) -> dict[str, Any]:
    names = ("images", "groups", "samples")
    found = {split: dict(zip(names, counts, strict=True)) for split, counts in evidence.split_counts.items()}
    return {**found, "torn": {group: sorted(splits) for group, splits in torn_groups(evidence.records).items()}}


def _draws(evidence: Evidence) -> dict[str, Any]:
    if not evidence.samples:
        return {}
    samples = evidence.samples
    train = samples["split"] == "train"
    hard, soft = of_mode(samples, "hard"), of_mode(samples, "soft")
    return {
        "modes": dict(sorted(Counter(samples["mode"][train].tolist()).items())),
        "area_of_b_in_hard": summary(samples["area_b"][hard]),
        "lambda_mean_in_soft": summary(samples["lambda_mean"][soft]),
        "lambda_spread_in_soft": summary(samples["lambda_std"][soft]),
        "uses_of_an_image": summary(uses_of_images(samples)),
        "flags": dict(sorted(Counter(flag for flags in samples["flags"][train] for flag in flags).items())),
    }


def _classes(evidence: Evidence) -> list[dict[str, Any]]:
    before, after = class_shares(evidence)
    return [
        {"name": name, "share_before": float(a), "share_after": float(b)}
        for name, a, b in zip(evidence.classes, before, after, strict=True)
    ]


def _objects(evidence: Evidence) -> dict[str, Any]:
    samples = evidence.samples
    hard = of_mode(samples, "hard")
    names = ("objects", "cut", "small", "small_cut", "fragments", "fragments_before") if hard.any() else ()
    return {
        "superpixels_per_object": summary([one.measures.object_cells for one in evidence.images]),
        "in_hard_mixes": {name: float(np.nansum(samples[name][hard])) for name in names},
    }


def _superpixels(evidence: Evidence) -> dict[str, Any]:
    ordered = sorted(evidence.images, key=lambda one: one.measures.recall - one.measures.grid_recall)
    return {
        "recall": summary([one.measures.recall for one in evidence.images]),
        "grid_recall": summary([one.measures.grid_recall for one in evidence.images]),
        "worst": [
            {"id": one.record.id, "recall": one.measures.recall, "grid_recall": one.measures.grid_recall}
            for one in ordered[:_WORST_MAPS]
        ],
    }


def _saliency(evidence: Evidence) -> dict[str, Any]:
    found = image_aucs(evidence)
    ordered = sorted(found, key=lambda name: (found[name], name))
    return {
        "auc": summary(list(found.values())),
        "worst": [{"id": name, "auc": found[name]} for name in ordered[:_WORST_MAPS]],
    }


def _pairs(evidence: Evidence) -> dict[str, Any]:
    domains = domains_of(evidence)
    odd = [one.record.id for one, second in zip(evidence.images, domains.is_second, strict=True) if second]
    distance: Any = evidence.samples["appearance"] if evidence.samples else []
    return {
        "appearance_distance": summary(distance),
        "separation": domains.separation,
        "gap": domains.gap,
        "smaller_kind": odd[:_WORST_MAPS],
        "images_of_smaller_kind": len(odd),
    }


def _worst(evidence: Evidence) -> dict[str, Any]:
    keys: Any = evidence.samples.get("key", [])
    return {
        one.measure: [
            {"key": keys[number], "value": value, "replay": replay_command(evidence.root, keys[number])}
            for number, value in zip(one.numbers, one.values, strict=True)
        ]
        for one in worst_samples(evidence.samples)
    }


def _digits(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.3g}"


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: None for NaN, numbers with six digits."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
